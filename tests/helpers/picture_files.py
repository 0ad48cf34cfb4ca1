"""Picture files."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image


def encode(picture: npt.NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """Encode grey levels or colours as a picture file."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def encode_huge(width: int, height: int) -> bytes:
    """A small PNG file whose header claims this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
