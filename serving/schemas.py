"""Request bodies: arrays of pixels as JSON, and picture files. What is wrong is said without repeating it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from mnist_core.errors import PictureError
from serving.images import MEDIA_TYPES, decode, open_picture, read_picture
from serving.preprocessing import SIDE, Bytes

MAX_BYTES = 10_000_000
MAX_IMAGES = 500
SMALL_BYTES, SMALL_PIXELS = 32_768, 65_536
"""Of a drawing of the page; what is larger is decoded in a thread."""
DECODERS = 2
"""Large pictures that are decoded at a time; each may take 200 MB."""

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
_ARRAYS: TypeAdapter[PixelImage | PixelImages] = TypeAdapter(
    Annotated[PixelImage | PixelImages, Field(union_mode="left_to_right")], config=ConfigDict(allow_inf_nan=False)
)
_FILES = {name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES}
PICTURE: dict[str, Any] = {"requestBody": {"required": True, "content": _FILES}}
"""For OpenAPI: a picture file."""
PICTURE_OR_ARRAYS: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _ARRAYS.json_schema()}, **_FILES}}
}
"""For OpenAPI: a picture file, or pixels as JSON."""


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


async def read_pictures(request: Request, decoders: CapacityLimiter) -> list[Bytes]:
    """The pictures of a body: one of a file, one or many of JSON.

    Args:
        request: with the body.
        decoders: how many large pictures may be decoded at a time.

    Raises:
        HTTPException: 415 for another content type, 422 for content that is not of its type.
    """
    if _content_type(request) != "application/json":
        return [await read_file(request, decoders)]
    try:
        arrays = _ARRAYS.validate_json(await request.body())
    except ValidationError as error:
        place = "".join(f"[{key}]" for key in error.errors(include_input=False)[0]["loc"] if isinstance(key, int))
        raise HTTPException(
            422,
            f"pixels{place}: expected {SIDE} × {SIDE} or N × {SIDE} × {SIDE} numbers from 0 to 255 as JSON, "
            f"N from 1 to {MAX_IMAGES}",
        ) from error
    pixels = as_bytes(arrays)
    return [pixels] if pixels.ndim == 2 else list(pixels)


async def read_file(request: Request, decoders: CapacityLimiter) -> Bytes:
    """The picture of a PNG or JPEG body; one that is no small drawing is decoded in a thread.

    Args:
        request: with the body.
        decoders: how many large pictures may be decoded at a time.

    Raises:
        HTTPException: 415 for another content type, 422 for a broken or too large picture.
    """
    if _content_type(request) not in MEDIA_TYPES:
        raise HTTPException(415, f"Content-Type: expected one of {', '.join(('application/json', *MEDIA_TYPES))}")
    content = await request.body()
    try:
        if len(content) <= SMALL_BYTES:
            image = open_picture(content)
            if image.width * image.height <= SMALL_PIXELS:
                return decode(image)  # the way to a thread and back takes longer
        return await to_thread.run_sync(read_picture, content, limiter=decoders)
    except PictureError as error:
        raise HTTPException(422, str(error)) from error


def as_bytes(pixels: PixelImage | PixelImages) -> Bytes:
    """Checked pixels as uint8, of as many dimensions as they have."""
    array: Bytes = np.rint(pixels).astype(np.uint8)
    return array


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
