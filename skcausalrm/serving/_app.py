"""The ASGI application: routes, metrics and one page."""

import math
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._utils._extras import import_extra
from .._version import __version__
from ..export._ranking import best_first
from ..text._chat_markup import EMPTY_REWARD
from ._models import TextModel

import_extra("fastapi", extra="serve", purpose="The server")
import_extra("prometheus_client", extra="serve", purpose="The server")

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response  # noqa: E402
from fastapi.responses import HTMLResponse, PlainTextResponse  # noqa: E402
from fastapi.staticfiles import StaticFiles  # noqa: E402
from prometheus_client import (  # noqa: E402
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.middleware.trustedhost import TrustedHostMiddleware  # noqa: E402

from . import _schemas as schemas  # noqa: E402
from ._compatible import PairScore, PairScores, TextPairs, compatible_routes  # noqa: E402
from ._drift import RewardMetrics  # noqa: E402
from ._engine import RewardEngine  # noqa: E402
from ._limits import BodyLimit, CancelOnDisconnect, TokenCheck, add_error_handlers, check_pairs  # noqa: E402

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class ServerSettings:
    """Token and limits of a server.

    Parameters
    ----------
    token : str, default=None
        Bearer token required for scoring and metrics; None requires none.
    max_batch : int, default=128
        Maximum rows that the model scores at a time.
    max_queue : int, default=1024
        Maximum rows that wait; further requests get 503.
    max_rows : int, default=1024
        Maximum rows of a request; larger requests get 413.
    max_characters : int, default=100_000
        Maximum characters of a row; requests with longer rows get 422.
    max_bytes : int, default=16_777_216
        Maximum bytes of a body; larger ones get 413.
    allowed_hosts : tuple of str, default=None
        Host names that a request may be addressed to; None allows all. On loopback without a token
        it protects from DNS rebinding: foreign web pages cannot ask through a name of their own.
    """

    token: str | None = None
    max_batch: int = 128
    max_queue: int = 1024
    max_rows: int = 1024
    max_characters: int = 100_000
    max_bytes: int = 16 * 2**20
    allowed_hosts: tuple[str, ...] | None = None


class _Metrics:
    """Prometheus metrics in a registry of their own."""

    def __init__(
        self,
        engine: RewardEngine,
        truncated_counts: Callable[[], tuple[int, int]] | None,
        reference: dict[str, Any] | None,
        knows_support: bool,
    ):
        self.truncated_counts = truncated_counts
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "skcausalrm_requests_total", "Requests answered", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "skcausalrm_request_seconds", "Time to answer", ["route"], registry=registry
        )
        self.rows = Counter("skcausalrm_rows_total", "Rows scored", registry=registry)
        self.batch = Histogram(
            "skcausalrm_batch_rows",
            "Rows in a batch",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            registry=registry,
        )
        self.model = Counter(
            "skcausalrm_model_seconds_total", "Time in the model", registry=registry
        )
        self.truncated = Counter(
            "skcausalrm_truncated_rows_total",
            "Rows whose prompt or answer was longer than the encoder reads",
            ["part"],
            registry=registry,
        )
        waiting = Gauge("skcausalrm_waiting_rows", "Rows that wait", registry=registry)
        waiting.set_function(lambda: engine.n_waiting)
        self.rewards = RewardMetrics(registry, reference, knows_support=knows_support)
        engine.observe = self.observe

    def observe(self, n_rows: int, seconds: float) -> None:
        self.rows.inc(n_rows)
        if self.truncated_counts is not None:
            prompts, answers = self.truncated_counts()
            self.truncated.labels("prompt").inc(prompts)
            self.truncated.labels("answer").inc(answers)
        self.batch.observe(n_rows)
        self.model.inc(seconds)


class _Measured:
    """Middleware that counts and times every request, failed ones too."""

    def __init__(self, app, metrics: _Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), "aborted"

        async def noted(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            # one label for all unknown paths, because scanners would create thousands
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)


def create_app(model: TextModel, settings: ServerSettings | None = None) -> FastAPI:
    """Return the ASGI application that serves a model.

    Parameters
    ----------
    model : TextModel
        Model to serve, from :func:`load_model`, or any object with ``rewards_and_scores(rows)``,
        ``name`` and ``info()``. If it has ``truncated_counts()``, the metrics hold these counts;
        if it has a ``reward_reference``, they hold drift; and if its ``low_support_count`` is not
        None, the share of rows far from its log.
    settings : ServerSettings, default=None
        Token and limits; None uses all defaults, without a token.

    Returns
    -------
    fastapi.FastAPI
        The application; ``app.state.engine`` is its :class:`RewardEngine`. Its lifespan must run,
        as ASGI servers do.

    Raises
    ------
    MissingExtraError
        If fastapi or prometheus_client is not installed.

    Examples
    --------
    >>> import uvicorn                                                 # doctest: +SKIP
    >>> from skcausalrm.serving import create_app, load_model
    >>> uvicorn.run(create_app(load_model("reward.onnx")))             # doctest: +SKIP
    """
    settings = settings or ServerSettings()

    def predict(rows: list) -> np.ndarray:
        found = np.column_stack(model.rewards_and_scores(rows))
        if np.isfinite(found).all():  # else the engine refuses them
            metrics.rewards.observe(found[:, 0], getattr(model, "low_support_count", None))
        return found

    engine = RewardEngine(predict, max_batch=settings.max_batch, max_queue=settings.max_queue)
    counts, reference = (getattr(model, k, None) for k in ("truncated_counts", "reward_reference"))
    knows_support = getattr(model, "low_support_count", None) is not None
    metrics = _Metrics(engine, counts, reference, knows_support)

    @asynccontextmanager
    async def lifespan(_app):
        model.rewards_and_scores([("warm", "up")])
        engine.start()
        yield
        await engine.close()

    errors: dict[int | str, dict[str, Any]] = {
        code: {"model": schemas.ErrorBody, "description": text}
        for code, text in {
            400: "A body that is not UTF-8",
            401: "No token, or a wrong one",
            413: "Too many bytes or rows",
            422: "A row that cannot be scored",
            503: "Overloaded: see Retry-After",
        }.items()
    }
    app = FastAPI(
        title="skcausalrm", version=__version__, lifespan=lifespan, docs_url="/docs", redoc_url=None
    )
    app.state.engine = engine
    app.add_middleware(CancelOnDisconnect)
    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes)
    if settings.allowed_hosts is not None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts))
    app.add_middleware(_Measured, metrics=metrics)
    add_error_handlers(app)
    guarded = APIRouter(dependencies=[Depends(TokenCheck(settings.token))], responses=errors)

    async def score(rows: list[tuple[Any, Any]]) -> tuple[list[float], list[float]]:
        """Return rewards and unbounded scores; an empty answer has the lowest of both.

        A policy in training sometimes returns an empty answer, which must neither stop it nor pay.
        """
        kept = check_pairs(rows, settings.max_rows, settings.max_characters)
        rewards, scores = [EMPTY_REWARD] * len(rows), [-math.inf] * len(rows)
        found = await engine.score([rows[row] for row in kept])
        for row, (reward, unbounded) in zip(kept, found, strict=True):
            rewards[row], scores[row] = reward, unbounded
        return rewards, scores

    acceptance = getattr(model, "acceptance", None)

    @guarded.post("/score", response_model_exclude_none=True)
    async def score_rows(
        request: schemas.ScoreRequest | TextPairs,
    ) -> schemas.ScoreResponse | PairScores:
        """Score answers to any prompts; also in the format of vLLM's route."""
        rewards, _ = await score(request.pairs())
        if isinstance(request, TextPairs):
            data = [PairScore(index=i, score=reward) for i, reward in enumerate(rewards)]
            return PairScores(model=model.name, data=data)
        accept = None
        if acceptance is not None:
            accept = [reward >= acceptance["threshold"] for reward in rewards]
        return schemas.ScoreResponse(rewards=rewards, accept=accept, model=model.name)

    @guarded.post("/rank")
    async def rank(request: schemas.RankRequest) -> schemas.RankResponse:
        """Rank answers to one prompt by the unbounded score, the best first."""
        rewards, scores = await score(request.pairs())
        order = best_first(np.array(scores)).tolist()
        return schemas.RankResponse(order=order, rewards=rewards, model=model.name)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Report that the process lives."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"model": schemas.ErrorBody, "description": "Stopping"}})
    def readyz() -> dict[str, Any]:
        """Report that the model is loaded and accepts requests, and describe it."""
        if not engine.is_open:
            raise HTTPException(503, "The server is starting or stopping.")
        return model.info()

    @guarded.get("/metrics", response_class=PlainTextResponse)
    def prometheus() -> Response:
        """Report counters for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    folder = Path(__file__).parent / "static"
    page = (folder / "page.html").read_text()
    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def index() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})

    guarded.include_router(compatible_routes(score, model_name=model.name))
    app.include_router(guarded)
    return app
