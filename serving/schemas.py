"""Request bodies: arrays of pixels as JSON, and picture files. What is wrong is said without repeating it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from serving.images import MEDIA_TYPES
from serving.preprocessing import SIDE, Bytes
from serving.recognition import Recognition

MAX_BYTES = 10_000_000
MAX_IMAGES = 500

# The first mistake ends it: a body of a few megabytes can hold a million.
_Side = Field(min_length=SIDE, max_length=SIDE, fail_fast=True)
Pixel: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=255)]
PixelImage: TypeAlias = Annotated[list[Annotated[list[Pixel], _Side]], _Side]
PixelImages: TypeAlias = Annotated[list[PixelImage], Field(min_length=1, max_length=MAX_IMAGES, fail_fast=True)]
# 7.0 is an integer in JSON, and true is none.
Digit: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=9, multiple_of=1)]
# It need not be one that this process knows: the service may have been started again since it answered.
Version: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]

# From left to right: pydantic's own way to choose takes four times as long.
PIXELS: TypeAdapter[PixelImage | PixelImages] = TypeAdapter(
    Annotated[PixelImage | PixelImages, Field(union_mode="left_to_right")], config=ConfigDict(allow_inf_nan=False)
)
_FILES = {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES}
PICTURE: dict[str, Any] = {"requestBody": {"required": True, "content": _FILES}}
"""For OpenAPI: a picture file."""
PICTURE_OR_ARRAYS: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": PIXELS.json_schema()}, **_FILES}}
}
"""For OpenAPI: a picture file, or pixels as JSON."""


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Unknown Host header"},
    403: {"description": "Sent by another site's page"},
    408: {"description": "Body that stalled or took too long"},
    413: {"description": f"Body of more than {MAX_BYTES // 1_000_000} MB"},
    415: {"description": "Another content type"},
    422: {"description": "Content that is not of its type, or a picture that is too large"},
    503: {"description": "No champion yet"},
}


class FeedbackBody(BaseModel):
    """A prediction, and what the user says that it should have been."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    pixels: PixelImage
    guess: Digit
    truth: Digit
    version: Version | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_no_more_keys(cls, body: Any) -> Any:
        # Else each of them would be an error of its own.
        if isinstance(body, dict) and not body.keys() <= cls.model_fields.keys():
            raise ValueError(f"expected no keys but {', '.join(cls.model_fields)}")
        return body


class Status(StrEnum):
    """How the service is."""

    SERVING = "serving"
    DEGRADED = "degraded"
    WAITING = "waiting"


@dataclass(frozen=True)
class Health:
    """How the service is.

    Args:
        status: serving; degraded where an older model serves than should; waiting where there is none.
        version: of the model that serves.
        problem: why the version that should be served is not.
        collecting: whether feedback is stored.
    """

    status: Status
    version: str | None
    problem: str | None
    collecting: bool


@dataclass(frozen=True)
class Predictions:
    """What is said of each picture, in their order, by which version."""

    version: str
    predictions: list[Recognition]


def as_bytes(pixels: PixelImage | PixelImages) -> Bytes:
    """Checked pixels as uint8, of as many dimensions as they have."""
    array: Bytes = np.rint(pixels).astype(np.uint8)
    return array
