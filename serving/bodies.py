"""Request bodies: arrays of pixels as JSON, and picture files. What is wrong is said without repeating it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import numpy as np
from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mnist_core.errors import PictureError
from serving.pictures import MEDIA_TYPES, read_picture
from serving.preprocessing import SIDE, Bytes

MOST_BYTES = 10_000_000
MOST_IMAGES = 500
SMALL = 32_768

_Side = Field(min_length=SIDE, max_length=SIDE)
Pixel: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=255)]
PixelImage: TypeAlias = Annotated[list[Annotated[list[Pixel], _Side]], _Side]
PixelImages: TypeAlias = Annotated[list[PixelImage], Field(min_length=1, max_length=MOST_IMAGES)]
# 7.0 is an integer in JSON, and true is none.
Digit: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=9, multiple_of=1)]

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


async def read_pictures(request: Request) -> list[Bytes]:
    """The pictures of a body: one of a file, one or many of JSON.

    Raises:
        HTTPException: 415 for another content type, 422 for content that is not of its type.
    """
    if _content_type(request) != "application/json":
        return [await read_file(request)]
    try:
        arrays = _ARRAYS.validate_json(await request.body())
    except ValidationError as error:
        place = "".join(f"[{key}]" for key in error.errors(include_input=False)[0]["loc"] if isinstance(key, int))
        raise HTTPException(
            422,
            f"pixels{place}: expected {SIDE} × {SIDE} or N × {SIDE} × {SIDE} numbers from 0 to 255 as JSON, "
            f"N from 1 to {MOST_IMAGES}",
        ) from error
    pixels = as_bytes(arrays)
    return [pixels] if pixels.ndim == 2 else list(pixels)


async def read_file(request: Request) -> Bytes:
    """The picture of a PNG or JPEG body; one that is no small drawing is decoded in a thread.

    Raises:
        HTTPException: 415 for another content type, 422 for a broken or too large picture.
    """
    if _content_type(request) not in MEDIA_TYPES:
        raise HTTPException(415, f"Content-Type: expected one of {', '.join(('application/json', *MEDIA_TYPES))}")
    content = await request.body()
    try:
        # The way to a thread and back takes longer than a drawing of the page.
        return read_picture(content) if len(content) <= SMALL else await run_in_threadpool(read_picture, content)
    except PictureError as error:
        raise HTTPException(422, str(error)) from error


def as_bytes(pixels: PixelImage | PixelImages) -> Bytes:
    """Checked pixels as uint8, of as many dimensions as they have."""
    array: Bytes = np.rint(pixels).astype(np.uint8)
    return array


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
