"""The local page on which reviewers judge answers, one key each.

Its texts are strangers': they are escaped by the page, and nothing foreign runs, loads or asks.
"""

import hmac
import secrets
from pathlib import Path
from typing import Any, Literal, Protocol

from .._utils._extras import import_extra

import_extra("fastapi", extra="serve", purpose="The page")

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException  # noqa: E402
from fastapi.responses import HTMLResponse, JSONResponse  # noqa: E402
from fastapi.staticfiles import StaticFiles  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402
from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: E402

from ._limits import BodyLimit, add_error_handlers  # noqa: E402

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_MAX_BYTES = 10_000


class Desk(Protocol):
    """What the page asks: answers, verdicts, and the last verdict back."""

    def next(self, reviewer: str) -> dict[str, Any]: ...

    def judge(self, reviewer: str, key: str, verdict: str) -> dict[str, Any]: ...

    def undo(self, reviewer: str) -> dict[str, Any]: ...


class Reviewer(BaseModel):
    """Who asks."""

    reviewer: str = Field(max_length=200)


class Verdict(Reviewer):
    """What a reviewer says of an answer."""

    key: str = Field(max_length=100)
    verdict: Literal["good", "bad", "skip"]


def new_token() -> str:
    """Return a token that the page sends with every request, and no other page can."""
    return secrets.token_urlsafe(24)


def create_label_app(desk: Desk, token: str, hosts: tuple[str, ...] | None) -> FastAPI:
    """Return the application that serves the page of a desk.

    Parameters
    ----------
    desk : Desk
    token : str
        Required with every request for texts, and with every verdict.
    hosts : tuple of str or None
        Host names that requests may be addressed to, against DNS rebinding; None allows all.
    """

    def check(x_token: str = Header(default="")) -> None:
        if not hmac.compare_digest(x_token.encode(), token.encode()):
            raise HTTPException(401, "Open the address that `skcausalrm label` has printed.")

    app = FastAPI(title="skcausalrm label", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, max_bytes=_MAX_BYTES)
    if hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    add_error_handlers(app)

    @app.middleware("http")
    async def protect(request, call_next):
        response = await call_next(request)
        response.headers.update(_HEADERS)
        return response

    @app.exception_handler(OSError)
    async def not_written(_request, error: OSError):
        message = (
            f"It may not be saved: the label file could not be written "
            f"({error.strerror or error}). See to that, and judge this answer again."
        )
        return JSONResponse({"error": {"type": "OSError", "message": message, "index": None}}, 500)

    # Plain functions run in threads: a slow disk does not hold up other reviewers' pages.
    guarded = APIRouter(dependencies=[Depends(check)])

    @guarded.post("/next")
    def next_answer(asked: Reviewer) -> dict[str, Any]:
        return desk.next(asked.reviewer)

    @guarded.post("/judge")
    def judge(said: Verdict) -> dict[str, Any]:
        return desk.judge(said.reviewer, said.key, said.verdict)

    @guarded.post("/undo")
    def undo(asked: Reviewer) -> dict[str, Any]:
        return desk.undo(asked.reviewer)

    app.include_router(guarded)
    folder = Path(__file__).parent / "static"
    page = (folder / "label.html").read_text()
    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/", response_class=HTMLResponse)
    def index() -> str:
        return page

    return app
