"""A picture file as grey levels: PNG and JPEG, refused before they are decoded where they are too large."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from mnist_core.errors import PictureError
from serving.preprocessing import Bytes

FORMATS = ("PNG", "JPEG")
MEDIA_TYPES = ("image/png", "image/jpeg")
MOST_PIXELS = 24_000_000
"""A phone's photograph; what is decoded of it is held in memory."""
TOO_LARGE = f"picture: expected at most {MOST_PIXELS // 1_000_000} million pixels"
WORKING_SIDE = 1024
OPAQUE = 128


def read_picture(content: bytes) -> Bytes:
    """Grey levels of a picture, upright, scaled down to 1024 pixels a side where it is larger.

    Args:
        content: of a PNG or JPEG file; what is transparent becomes paper.

    Returns:
        Shape ``(height, width)``, uint8.

    Raises:
        PictureError: of another format, broken, or of more than 24 million pixels.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise PictureError(f"{TOO_LARGE}, received {width} × {height}; make it smaller")
            image.draft("L", (WORKING_SIDE, WORKING_SIDE))  # a large JPEG is decoded at a fraction of its size
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((WORKING_SIDE, WORKING_SIDE))
            return _grey(upright)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"{TOO_LARGE}, received far more") from error
    except Exception as error:  # Pillow's plugins have a different one for each way in which a file can be broken
        raise PictureError("picture: expected a whole PNG or JPEG file, received something else") from error


def _grey(image: Image.Image) -> Bytes:
    if image.mode.startswith("I"):  # 16 bits a pixel, which convert("L") would clip
        return (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    layers = np.asarray(image.convert("LA"))
    grey, opacity = layers[..., 0], layers[..., 1]
    drawn = grey[opacity >= OPAQUE]
    # Ink of unknown colour on glass: the paper behind it is the opposite.
    paper = 0 if drawn.size and drawn.mean() >= OPAQUE else 255
    return np.rint(paper + (grey - float(paper)) * (opacity / 255)).astype(np.uint8)
