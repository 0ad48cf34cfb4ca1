"""Grey levels of PNG and JPEG files. A file that is too large is refused before it is decoded.

A *picture* is of any size, as it was sent; an *image* is the 28 × 28 input of the network.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps, ImageStat

from mnist_core.arrays import Bytes
from mnist_core.errors import PictureError

FORMATS = ("PNG", "JPEG")
MEDIA_TYPES = ("image/png", "image/jpeg")
MAX_PIXELS = {"PNG": 16_000_000, "JPEG": 24_000_000}
"""Enough for a screenshot and a phone's photograph. A PNG is decoded whole, a JPEG at a fraction of its size."""
WORKING_SIDE = 1024
MIN_OPAQUE = 128


def read_picture(content: bytes) -> Bytes:
    """Decode a picture to grey levels, upright, scaled down to 1024 pixels a side if it is larger.

    Args:
        content: of a PNG or JPEG file; transparent parts become paper.

    Returns:
        Shape ``(height, width)``, uint8.

    Raises:
        PictureError: of another format, broken, or of more than 16 (PNG) or 24 (JPEG) million pixels.
    """
    return decode(open_picture(content))


def open_picture(content: bytes) -> Image.Image:
    """Open a picture and read no more than its header.

    Raises:
        PictureError: of another format, broken, or of more than 16 (PNG) or 24 (JPEG) million pixels.
    """
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PictureError(f"{_expected(MAX_PIXELS['PNG'])}, received far more") from error
    except Exception as error:  # Pillow's plugins have a different one for each way in which a file can be broken
        raise _broken() from error
    width, height = image.size
    # Pillow gives a JPEG file that holds further pictures, as some phones write them, the format MPO.
    limit = MAX_PIXELS["PNG" if image.format == "PNG" else "JPEG"]
    if width * height > limit:
        raise PictureError(f"{_expected(limit)}, received {width} × {height}; make it smaller")
    return image


def decode(image: Image.Image) -> Bytes:
    """Decode an opened picture to the grey levels of :func:`read_picture`, and close it.

    Raises:
        PictureError: it is broken.
    """
    try:
        with image:
            image.draft("L", (WORKING_SIDE, WORKING_SIDE))  # a large JPEG is decoded at a fraction of its size
            # Grey first: Pillow drops pixels where it scales black and white or a palette, and cannot scale 16 bits.
            # Upright last: it makes a copy, which is small by then.
            grey = _grey(image)
            grey.thumbnail((WORKING_SIDE, WORKING_SIDE))
            grey.info = image.info  # holds the orientation
            return np.asarray(_upright(grey))
    except Exception as error:
        raise _broken() from error


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which convert("L") would clip
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("L")
    layers = image if image.mode in ("LA", "RGBA") else image.convert("LA")
    grey, opacity = layers.convert("L"), layers.getchannel("A")
    opaque = ImageStat.Stat(grey, opacity.point(lambda level: 255 * (level >= MIN_OPAQUE)))
    # The opaque part is ink; the paper behind it is the opposite of its colour.
    paper = 0 if opaque.count[0] and opaque.mean[0] >= 128 else 255
    page = Image.new("L", grey.size, paper)
    page.paste(grey, mask=opacity)
    return page


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF data, beside a picture that is whole
        return image


def _expected(limit: int) -> str:
    return f"picture: expected at most {limit // 1_000_000} million pixels"


def _broken() -> PictureError:
    return PictureError("picture: expected a whole PNG or JPEG file, received something else")
