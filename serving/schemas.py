"""Bodies of requests and responses, and their descriptions for OpenAPI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from mnist_core.arrays import Bytes
from serving.images import MEDIA_TYPES
from serving.preprocessing import SIDE
from serving.recognition import Recognition

MAX_BYTES = 10_000_000
MAX_IMAGES = 500

# Validation ends at the first mistake: a body of a few megabytes can hold a million.
_Side = Field(min_length=SIDE, max_length=SIDE, fail_fast=True)
Pixel: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=255)]
PixelImage: TypeAlias = Annotated[list[Annotated[list[Pixel], _Side]], _Side]
PixelImages: TypeAlias = Annotated[list[PixelImage], Field(min_length=1, max_length=MAX_IMAGES, fail_fast=True)]
# 7.0 is an integer in JSON, and true is not.
Digit: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=9, multiple_of=1)]
# Any version: the service may have been restarted with another one since the prediction.
Version: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

# From left to right: pydantic's default ("smart") takes four times as long.
PIXELS: TypeAdapter[PixelImage | PixelImages] = TypeAdapter(
    Annotated[PixelImage | PixelImages, Field(union_mode="left_to_right")], config=ConfigDict(allow_inf_nan=False)
)
_FILES = {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES}
PICTURE_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _FILES}}
"""OpenAPI description of a picture file."""
PICTURE_OR_PIXELS_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": PIXELS.json_schema()}, **_FILES}}
}
"""OpenAPI description of a picture file, or pixels as JSON."""
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "Unknown Host header"},
    403: {"description": "Request from another site's page"},
    408: {"description": "Body that stalled or took too long"},
    413: {"description": f"Body of more than {MAX_BYTES // 1_000_000} MB"},
    415: {"description": "Unsupported content type"},
    422: {"description": "Invalid content, or a picture that is too large"},
    503: {"description": "No champion yet"},
}


class FeedbackBody(BaseModel):
    """An image with its predicted digit and the correct one."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    pixels: PixelImage
    guess: Digit
    truth: Digit
    version: Version | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, body: Any) -> Any:
        # In one error; pydantic would report one for each key.
        if isinstance(body, dict) and not body.keys() <= cls.model_fields.keys():
            raise ValueError(f"expected no keys but {', '.join(cls.model_fields)}")
        return body


class Status(StrEnum):
    """The state of the service."""

    SERVING = "serving"
    DEGRADED = "degraded"
    WAITING = "waiting"


@dataclass(frozen=True)
class Health:
    """The state of the service.

    Args:
        status: serving; degraded if an older version than the champion is served; waiting if there is no champion.
        version: of the model that is served.
        problem: reason why the champion is not served.
        collecting: true if feedback is stored.
        runtime: that predicts, ``litert`` or ``keras``; null if there is no champion.
    """

    status: Status
    version: str | None
    problem: str | None
    collecting: bool
    runtime: str | None


@dataclass(frozen=True)
class Predictions:
    """The digits of the pictures of a request, in their order, and the version that recognised them."""

    version: str
    predictions: list[Recognition]


def to_uint8(pixels: PixelImage | PixelImages) -> Bytes:
    """Validated pixels as an array, uint8, of shape ``(28, 28)`` or ``(n, 28, 28)``."""
    array: Bytes = np.rint(pixels).astype(np.uint8)
    return array
