"""Reading of request bodies: PNG and JPEG files, or arrays of pixels as JSON, preprocessed to images like MNIST's."""

from __future__ import annotations

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request
from pydantic import ValidationError

from mnist_core.arrays import Bytes
from mnist_core.errors import PictureError
from serving.images import MEDIA_TYPES, decode, open_picture, read_picture
from serving.preprocessing import SIDE, to_mnist_image
from serving.schemas import MAX_IMAGES, PIXELS, to_uint8

JSON = "application/json"
SMALL_BYTES, SMALL_PIXELS = 32_768, 65_536
"""Limits of a drawing on the page; anything larger is decoded and preprocessed in a thread."""
MAX_DECODERS = 2
"""Large pictures that are decoded at the same time; each may take 200 MB."""


async def read_images(request: Request, decoders: CapacityLimiter) -> list[Bytes | None]:
    """Read the images of a body: one from a file, one or many from JSON.

    Args:
        request: has the body.
        decoders: limits how many large pictures are decoded at the same time.

    Returns:
        Arrays of shape ``(28, 28)``, uint8; None for a picture in which nothing is drawn.

    Raises:
        HTTPException: 415 for another content type, 422 for invalid content. It never repeats the content.
    """
    if _content_type(request) != JSON:
        _check_content_type(request, JSON, *MEDIA_TYPES)
        return [await read_image(request, decoders)]
    try:
        arrays = PIXELS.validate_json(await request.body())
    except ValidationError as error:
        place = "".join(f"[{index}]" for index in _first_mistake(error))
        raise HTTPException(
            422,
            f"pixels{place}: expected {SIDE} × {SIDE} or N × {SIDE} × {SIDE} numbers from 0 to 255 as JSON, "
            f"N from 1 to {MAX_IMAGES}",
        ) from error
    pixels = to_uint8(arrays)
    if pixels.ndim == 2:
        return [to_mnist_image(pixels)]
    return await to_thread.run_sync(lambda: [to_mnist_image(picture) for picture in pixels])


async def read_image(request: Request, decoders: CapacityLimiter) -> Bytes | None:
    """Read the image of a PNG or JPEG body. A large picture is decoded and preprocessed in a thread.

    Args:
        request: has the body.
        decoders: limits how many large pictures are decoded at the same time.

    Returns:
        Shape ``(28, 28)``, uint8; None if nothing is drawn.

    Raises:
        HTTPException: 415 for another content type, 422 for a broken or too large picture.
    """
    _check_content_type(request, *MEDIA_TYPES)
    content = await request.body()
    try:
        if len(content) <= SMALL_BYTES:
            picture = open_picture(content)
            if picture.width * picture.height <= SMALL_PIXELS:
                return to_mnist_image(decode(picture))  # handing it to a thread takes longer
        # Preprocessing in the same thread: of 1024 × 1024 pixels it takes 18 ms.
        return await to_thread.run_sync(lambda: to_mnist_image(read_picture(content)), limiter=decoders)
    except PictureError as error:
        raise HTTPException(422, str(error)) from error


def _first_mistake(error: ValidationError) -> list[int]:
    """Indices of the first mistake in arrays of pixels; none for invalid JSON."""
    mistakes = error.errors(include_url=False)  # one for each expected shape, or one for invalid JSON
    as_image, as_batch = mistakes[0], mistakes[-1]
    # A list where an image has a pixel: the arrays are a batch.
    is_batch = as_image["type"] == "float_type" and isinstance(as_image["input"], list)
    return [key for key in (as_batch if is_batch else as_image)["loc"] if isinstance(key, int)]


def _check_content_type(request: Request, *accepted: str) -> None:
    if _content_type(request) not in accepted:
        raise HTTPException(415, f"Content-Type: expected one of {', '.join(accepted)}")


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
