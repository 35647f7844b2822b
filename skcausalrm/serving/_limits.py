"""Limits of a request, the token check, and errors as response bodies."""

import asyncio
import hmac
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ..exceptions import InvalidInputError, OverloadedError
from ..text._chat_markup import positions_with_text
from ..text._conversation import as_conversations


class BodyLimit:
    """Middleware that refuses bodies over `max_bytes`, counted as they arrive."""

    def __init__(self, app: ASGIApp, max_bytes: int):
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0

        async def counted():
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(
                    413, f"The body has over {self.max_bytes} bytes; send fewer rows at a time."
                )
            return message

        await self.app(scope, counted, send)


class CancelOnDisconnect:
    """Middleware that cancels a request whose client has gone, so that its rows leave the queue."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        complete = asyncio.Event()  # the whole body has arrived, and only a disconnect can follow
        gone = False

        async def watched():
            if complete.is_set():
                return await asyncio.shield(watcher)
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                complete.set()
            return message

        async def watch():
            nonlocal gone
            await complete.wait()
            message = await receive()
            gone = True
            request.cancel()
            return message

        request: asyncio.Task = asyncio.ensure_future(self.app(scope, watched, send))
        watcher = asyncio.create_task(watch())
        try:
            await request
        except asyncio.CancelledError:
            if not gone:  # the server itself stops
                request.cancel()
                raise
        finally:
            watcher.cancel()


class TokenCheck:
    """Dependency that refuses requests without the bearer token, if there is a token."""

    def __init__(self, token: str | None):
        self.token = token

    def __call__(self, request: Request) -> None:
        if self.token is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            raise HTTPException(
                401,
                "Send the server's token as `Authorization: Bearer ...`.",
                {"WWW-Authenticate": "Bearer"},
            )


def check_pairs(pairs: list[tuple[Any, Any]], max_rows: int, max_characters: int) -> list[int]:
    """Return the positions of answers with text; raise if a pair cannot be scored.

    Raises
    ------
    HTTPException
        If there are more than `max_rows` pairs.
    InvalidInputError
        If a text is not a string or chat, or is over `max_characters` long.
    """
    if len(pairs) > max_rows:
        raise HTTPException(
            413, f"{len(pairs)} rows are over the {max_rows} of a request; send several requests."
        )
    kept = set(positions_with_text(pairs))
    # An empty answer is no error here, so another text stands for it.
    checked = [(prompt, answer if k in kept else "-") for k, (prompt, answer) in enumerate(pairs)]
    for index, text in enumerate(as_conversations(checked).texts()):
        if len(text) > max_characters:
            raise InvalidInputError(
                f"row {index} has {len(text)} characters and the server takes {max_characters}; "
                f"shorten the text, or raise --max-characters."
            )
    return sorted(kept)


def add_error_handlers(app: FastAPI) -> None:
    """Make the application answer every error with an `ErrorBody`."""

    def answer(status, kind, message, index=None, headers=None):
        body = {"error": {"type": kind, "message": message, "index": index}}
        return JSONResponse(body, status, headers=headers)

    @app.exception_handler(OverloadedError)
    def overloaded(_request, error: OverloadedError):
        headers = {"Retry-After": str(error.retry_after)}
        return answer(503, "OverloadedError", str(error), headers=headers)

    @app.exception_handler(InvalidInputError)
    def bad_row(_request, error: InvalidInputError):
        found = re.search(r"row (\d+)", str(error))
        index = None if found is None else int(found.group(1))
        return answer(422, "InvalidInputError", _plain(str(error)), index)

    @app.exception_handler(RequestValidationError)
    def bad_body(_request, error: RequestValidationError):
        # FastAPI's own reply repeats the input, and fails if that holds NaN
        first = error.errors()[0]
        # drop "body" and the names of the classes that pydantic tried
        path = [part for part in first["loc"] if part != "body" and not str(part)[:1].isupper()]
        index = next((part for part in path if isinstance(part, int)), None)
        where = ".".join(map(str, path)) or "the body"
        if first["type"] == "json_invalid":
            return answer(422, "JSONError", "The body is not JSON; send a JSON object.")
        message = f"{_plain(where)}: {_plain(first['msg'])}"
        return answer(422, "ValidationError", message, index)

    @app.exception_handler(HTTPException)
    def refused(_request, error: HTTPException):
        message = str(error.detail)
        if error.status_code == 400 and "parsing the body" in message:  # FastAPI's words
            message = "The body is not JSON in UTF-8; send that."
        return answer(error.status_code, "HTTPError", message, headers=error.headers)


def _plain(text: str) -> str:
    """Return text without lone surrogates, which no reply can hold."""
    return text.encode("utf-8", "replace").decode()
