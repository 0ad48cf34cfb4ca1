from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from picture_files import encode, encode_huge
from PIL import Image

from mnist_core.errors import PictureError
from serving.pictures import read_picture

GREY = np.linspace(0, 255, 20 * 30).reshape(20, 30).astype(np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def test_grey_levels_come_back_as_they_went_in() -> None:
    np.testing.assert_array_equal(read_picture(encode(GREY)), GREY)
    # JPEG loses some.
    np.testing.assert_allclose(read_picture(encode(GREY, "JPEG")), GREY, atol=6)


def test_colours_become_grey() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (read_picture(encode(red)) == 76).all()  # its luma, after ITU-R 601


def test_sixteen_bits_a_pixel_are_not_clipped() -> None:
    deep = saved(Image.fromarray(GREY.astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_picture(deep), GREY)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (20, 255), (240, 0)])
def test_what_is_transparent_becomes_the_opposite_of_the_ink(ink: int, paper: int) -> None:
    layers = np.zeros((6, 6, 4), np.uint8)
    layers[2:4, 2:4] = (ink, ink, ink, 255)
    grey = read_picture(encode(layers))
    assert grey[0, 0] == paper
    assert grey[2, 2] == ink


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = read_picture(saved(Image.fromarray(GREY), "JPEG", exif=exif))
    np.testing.assert_allclose(turned, np.rot90(GREY, -1), atol=6)


def test_a_large_picture_is_made_smaller() -> None:
    assert read_picture(encode(np.zeros((3000, 1500), np.uint8))).shape == (1024, 512)


@pytest.mark.parametrize("content", [b"", b"words", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a" + b"\0" * 40])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(PictureError, match="expected a whole PNG or JPEG file"):
        read_picture(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_picture_is_refused(kind: str) -> None:
    content = encode(np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8), kind)
    with pytest.raises(PictureError, match="expected a whole"):
        read_picture(content[: len(content) // 2])


def test_a_picture_too_large_to_decode_is_refused_by_its_header() -> None:
    with pytest.raises(PictureError, match="at most 24 million pixels, received 6000 × 5000"):
        read_picture(encode_huge(6000, 5000))
