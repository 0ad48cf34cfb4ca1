"""The HTTP service: its routes, their responses and their errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import TypeAdapter
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from mnist_core.arrays import Bytes
from mnist_core.data.feedback import Feedback, append_feedback
from mnist_core.errors import ModelError
from serving.batching import Batcher
from serving.bodies import MAX_DECODERS, read_image, read_images
from serving.middleware import STALL_SECONDS, UPLOAD_SECONDS, SameOriginWrites, SecurityHeaders, UploadTimeouts
from serving.model_manager import CHECK_SECONDS, LoadedModel, ModelInfo, ModelManager
from serving.prometheus import RequestMetrics, ServiceMetrics
from serving.recognition import Explanation, Recognition, explain_image, recognise
from serving.schemas import (
    ERROR_RESPONSES,
    MAX_BYTES,
    PICTURE_BODY,
    PICTURE_OR_PIXELS_BODY,
    FeedbackBody,
    Health,
    Predictions,
    Status,
    to_uint8,
)

STATIC = Path(__file__).parent / "static"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
CLIENT_CLOSED_REQUEST = 499
"""Status, by nginx's convention, under which an aborted upload is counted."""
NO_CHAMPION = "no champion yet: run a sweep (mnist-search sweep quick) and promote it (mnist-search promote quick)"
_PREDICTIONS, _EXPLANATION = TypeAdapter(Predictions), TypeAdapter(Explanation)


@dataclass(frozen=True)
class Settings:
    """The settings of an application.

    Args:
        hosts: names of this service; a request with another Host header is refused.
        collect: folder in which feedback is stored; None to store none.
        check_seconds: interval between two checks for a new champion.
        stall_seconds: time in which at least one more byte of a body has to arrive.
        upload_seconds: time in which a whole body has to arrive.
    """

    hosts: tuple[str, ...] = LOCAL_HOSTS
    collect: Path | None = None
    check_seconds: float = CHECK_SECONDS
    stall_seconds: float = STALL_SECONDS
    upload_seconds: float = UPLOAD_SECONDS


def create_app(manager: ModelManager, settings: Settings = Settings()) -> FastAPI:
    """Create the application that serves a manager's champion and checks for new ones while it runs."""
    metrics = ServiceMetrics(manager)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with manager.watch(settings.check_seconds):
            yield

    app = FastAPI(
        title="mnist-search",
        description="Recognises handwritten digits with the champion of the registry.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads its scripts from another site
        redoc_url=None,
        max_body_size=MAX_BYTES,
    )
    app.add_exception_handler(RequestValidationError, _refuse_without_echo)
    app.add_exception_handler(ClientDisconnect, _end_aborted_upload)
    app.add_middleware(UploadTimeouts, stall_seconds=settings.stall_seconds, upload_seconds=settings.upload_seconds)
    app.add_middleware(SameOriginWrites)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts, www_redirect=False)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestMetrics, metrics=metrics)
    _add_recognition_routes(app, manager, metrics)
    _add_state_routes(app, manager, metrics, settings)
    if settings.collect:
        _add_feedback_route(app, manager, settings.collect)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def _add_recognition_routes(app: FastAPI, manager: ModelManager, metrics: ServiceMetrics) -> None:
    batcher, decoders = Batcher(), CapacityLimiter(MAX_DECODERS)
    # Of their own, or explanations that wait for Keras would take the threads of other requests.
    explainers = CapacityLimiter(1)

    async def recognise_one(champion: LoadedModel, image: Bytes | None) -> Recognition:
        # In this thread: handing it to another takes longer than one prediction.
        if image is None:
            return Recognition()
        return Recognition.from_probabilities(await batcher.probabilities(champion.predictor, image))

    @app.post("/predict", response_model=Predictions, responses=ERROR_RESPONSES, openapi_extra=PICTURE_OR_PIXELS_BODY)
    async def predict(request: Request) -> Response:
        """Recognise the digit in each picture: a PNG or JPEG file, or 28 × 28 or N × 28 × 28 pixels as JSON."""
        champion = _champion(manager)
        images = await read_images(request, decoders)
        if len(images) == 1:
            recognitions = [await recognise_one(champion, images[0])]
        else:
            recognitions = await run_in_threadpool(recognise, champion.predictor, images)
        metrics.count_digits(recognitions)
        return _json(_PREDICTIONS.dump_json(Predictions(champion.info.version, recognitions)))

    @app.post("/explain", response_model=Explanation, responses=ERROR_RESPONSES, openapi_extra=PICTURE_BODY)
    async def explain(request: Request) -> Response:
        """Recognise the digit in one PNG or JPEG file, with the network's input, activations and saliency."""
        champion = _champion(manager)
        image = await read_image(request, decoders)
        if image is None or champion.predictor.explains_quickly:
            explanation = explain_image(champion.predictor, image, champion.info.version)
        else:
            explanation = await _explain_in_thread(champion, image, explainers)
        metrics.count_digits([explanation.recognition])
        return _json(_EXPLANATION.dump_json(explanation))


def _add_state_routes(app: FastAPI, manager: ModelManager, metrics: ServiceMetrics, settings: Settings) -> None:
    @app.head("/model", include_in_schema=False)
    @app.get("/model", responses={503: ERROR_RESPONSES[503]})
    async def model() -> ModelInfo:
        """Describe the model that is served."""
        return _champion(manager).info

    @app.head("/health", include_in_schema=False)
    @app.get("/health", responses={503: {"model": Health, "description": "No champion yet"}})
    async def health(response: Response) -> Health:
        """Report the state of the service. The status code is 503 if no model is served."""
        champion = manager.champion
        status = Status.WAITING if champion is None else Status.DEGRADED if manager.problem else Status.SERVING
        response.status_code = 503 if champion is None else 200
        version = champion.info.version if champion else None
        runtime = champion.predictor.runtime.value if champion else None
        return Health(status, version, manager.problem, settings.collect is not None, runtime)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus_metrics() -> Response:
        """Export the service's metrics in Prometheus's text format."""
        return PlainTextResponse(metrics.render())

    @app.head("/docs", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html")


def _add_feedback_route(app: FastAPI, manager: ModelManager, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    @app.post("/feedback", status_code=204, responses={**ERROR_RESPONSES, 507: {"description": "Storage failed"}})
    def feedback(body: FeedbackBody) -> None:
        """Store an image with its predicted digit (guess) and the correct one (truth).

        Without a version, the one that is served now is stored as the one that predicted it.
        """
        version = body.version or _champion(manager).info.version
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        correction = Feedback(to_uint8(body.pixels), int(body.guess), int(body.truth), version, now)
        try:
            append_feedback(folder, correction)
        except OSError as error:
            raise HTTPException(507, f"feedback is not stored: {error.strerror or error}") from error


def _champion(manager: ModelManager) -> LoadedModel:
    champion = manager.champion  # read once: another thread may replace it at any time
    if champion is None:
        raise HTTPException(503, manager.problem or NO_CHAMPION)
    return champion


async def _explain_in_thread(champion: LoadedModel, image: Bytes | None, explainers: CapacityLimiter) -> Explanation:
    try:
        return await to_thread.run_sync(
            explain_image, champion.predictor, image, champion.info.version, limiter=explainers
        )
    except ModelError as error:
        raise HTTPException(503, f"version {champion.info.version} cannot be explained: {error}") from error


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")


async def _end_aborted_upload(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)  # the client is gone; the status is only counted


async def _refuse_without_echo(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(key) for key in first["loc"])
    return JSONResponse({"detail": f"{place}: {first['msg']}"}, 422)
