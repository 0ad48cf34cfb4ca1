"""The HTTP service: what is asked, answered and refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anyio import CapacityLimiter
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import TypeAdapter
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from mnist_core.data.feedback import Feedback, append_feedback
from serving import recognition
from serving.batching import Batcher
from serving.bodies import DECODERS, read_file, read_pictures
from serving.middleware import STALL_SECONDS, UPLOAD_SECONDS, OwnOriginWrites, SecurityHeaders, TimedUploads
from serving.model_manager import CHECK_SECONDS, LoadedModel, ModelInfo, ModelManager
from serving.preprocessing import Bytes, as_mnist
from serving.prometheus import CountRequests, Metrics
from serving.recognition import Explained, Recognition
from serving.schemas import (
    MAX_BYTES,
    PICTURE,
    PICTURE_OR_ARRAYS,
    REFUSALS,
    FeedbackBody,
    Health,
    Predictions,
    Status,
    as_bytes,
)

STATIC = Path(__file__).parent / "static"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
CLIENT_CLOSED_REQUEST = 499
"""Status, by nginx's convention, under which an aborted upload is counted."""
NO_CHAMPION = "no champion yet: run a sweep (mnist-search sweep quick) and promote it (mnist-search promote quick)"


@dataclass(frozen=True)
class Settings:
    """How an application behaves.

    Args:
        hosts: names by which it may be asked for; another Host header is refused.
        collect: folder in which feedback is stored; None for not at all.
        check_seconds: time between two looks at who is champion.
        stall_seconds: time in which at least one more byte of a body has to come.
        upload_seconds: time in which a whole body has to come.
    """

    hosts: tuple[str, ...] = LOCAL_HOSTS
    collect: Path | None = None
    check_seconds: float = CHECK_SECONDS
    stall_seconds: float = STALL_SECONDS
    upload_seconds: float = UPLOAD_SECONDS


_PREDICTIONS, _EXPLAINED = TypeAdapter(Predictions), TypeAdapter(Explained)


def create_app(manager: ModelManager, settings: Settings = Settings()) -> FastAPI:
    """The application around a throne, which it watches while it runs."""
    metrics = Metrics(manager)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with manager.watch(settings.check_seconds):
            yield

    app = FastAPI(
        title="mnist-search",
        description="Recognises handwritten digits with the champion of the registry.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its scripts from elsewhere
        redoc_url=None,
        max_body_size=MAX_BYTES,
    )
    app.add_exception_handler(RequestValidationError, _refuse_without_echo)
    app.add_exception_handler(ClientDisconnect, _note_disconnection)
    app.add_middleware(TimedUploads, stall_seconds=settings.stall_seconds, upload_seconds=settings.upload_seconds)
    app.add_middleware(OwnOriginWrites)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(CountRequests, metrics=metrics)
    _add_recognition(app, manager, metrics)
    _add_state(app, manager, metrics, settings)
    if settings.collect:
        _add_feedback(app, manager, settings.collect)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def _add_recognition(app: FastAPI, manager: ModelManager, metrics: Metrics) -> None:
    batcher, decoders = Batcher(), CapacityLimiter(DECODERS)

    async def recognise_one(champion: LoadedModel, picture: Bytes) -> Recognition:
        # In this thread: the way to another and back takes longer than one answer.
        image = as_mnist(picture)
        if image is None:
            return Recognition()
        return recognition.conclude(await batcher.probabilities(champion.predictor, image))

    @app.post("/predict", response_model=Predictions, responses=REFUSALS, openapi_extra=PICTURE_OR_ARRAYS)
    async def predict(request: Request) -> Response:
        """Recognise a digit in each picture: a PNG or JPEG file, or 28 × 28 or N × 28 × 28 pixels as JSON."""
        champion = _current(manager)
        pictures = await read_pictures(request, decoders)
        if len(pictures) == 1:
            found = [await recognise_one(champion, pictures[0])]
        else:
            found = await run_in_threadpool(recognition.recognise, champion.predictor, pictures)
        metrics.count(found)
        return _json(_PREDICTIONS.dump_json(Predictions(champion.facts.version, found)))

    @app.post("/explain", response_model=Explained, responses=REFUSALS, openapi_extra=PICTURE)
    async def explain(request: Request) -> Response:
        """Recognise the digit in one PNG or JPEG file, and show what the network saw and what it went by."""
        champion = _current(manager)
        picture = await read_file(request, decoders)
        explained = recognition.explain(champion.predictor, picture, champion.facts.version)
        metrics.count([explained.recognition])
        return _json(_EXPLAINED.dump_json(explained))


def _add_state(app: FastAPI, manager: ModelManager, metrics: Metrics, settings: Settings) -> None:
    @app.get("/model", responses={503: REFUSALS[503]})
    async def model() -> ModelInfo:
        """Which model speaks."""
        return _current(manager).facts

    @app.get("/health", responses={503: {"model": Health, "description": "No champion yet"}})
    async def health(response: Response) -> Health:
        """Whether a model serves, and whether it is the one that should."""
        champion = manager.champion
        status = Status.WAITING if champion is None else Status.DEGRADED if manager.problem else Status.SERVING
        response.status_code = 503 if champion is None else 200
        version = champion.facts.version if champion else None
        return Health(status, version, manager.problem, settings.collect is not None)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def figures() -> Response:
        """The service's figures in Prometheus's text format."""
        return PlainTextResponse(metrics.text())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html")


def _add_feedback(app: FastAPI, manager: ModelManager, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    @app.post("/feedback", status_code=204, responses={**REFUSALS, 507: {"description": "It cannot be stored"}})
    def feedback(body: FeedbackBody) -> None:
        """Store an image with the digit that was predicted and the one that it is.

        Without the version that predicted it, the one that serves now is noted.
        """
        version = body.version or _current(manager).facts.version
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        one = Feedback(as_bytes(body.pixels), int(body.guess), int(body.truth), version, now)
        try:
            append_feedback(folder, one)
        except OSError as error:
            raise HTTPException(507, f"feedback is not stored: {error.strerror or error}") from error


def _current(manager: ModelManager) -> LoadedModel:
    if manager.champion is None:
        raise HTTPException(503, manager.problem or NO_CHAMPION)
    return manager.champion


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _note_disconnection(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)  # nobody reads it; it is counted


async def _refuse_without_echo(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(key) for key in first["loc"])
    return JSONResponse({"detail": f"{place}: {first['msg']}"}, 422)
