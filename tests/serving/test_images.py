from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mnist_core.errors import PictureError
from serving.images import open_picture, read_picture
from tests.helpers.picture_files import encode, encode_huge

GREY = np.linspace(0, 255, 20 * 30).reshape(20, 30).astype(np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def test_grey_levels_are_unchanged() -> None:
    np.testing.assert_array_equal(read_picture(encode(GREY)), GREY)
    # JPEG is lossy.
    np.testing.assert_allclose(read_picture(encode(GREY, "JPEG")), GREY, atol=6)


def test_colours_become_grey() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert (read_picture(encode(red)) == 76).all()  # its luma, after ITU-R 601


def test_sixteen_bits_a_pixel_are_not_clipped() -> None:
    deep = saved(Image.fromarray(GREY.astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_picture(deep), GREY)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0), (20, 255), (240, 0)])
def test_transparent_parts_become_the_opposite_of_the_ink(ink: int, paper: int) -> None:
    layers = np.zeros((6, 6, 4), np.uint8)
    layers[2:4, 2:4] = (ink, ink, ink, 255)
    grey = read_picture(encode(layers))
    assert grey[0, 0] == paper
    assert grey[2, 2] == ink


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned clockwise
    turned = read_picture(saved(Image.fromarray(GREY), "JPEG", exif=exif))
    np.testing.assert_allclose(turned, np.rot90(GREY, -1), atol=6)


def test_the_first_picture_of_a_jpeg_file_with_several_is_read() -> None:
    several = saved(Image.fromarray(GREY), "MPO", save_all=True, append_images=[Image.fromarray(255 - GREY)])
    np.testing.assert_allclose(read_picture(several), GREY, atol=6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_with_broken_exif_data_is_read(kind: str) -> None:
    broken = saved(Image.fromarray(GREY), kind, exif=b"Exif\0\0broken")
    np.testing.assert_allclose(read_picture(broken), GREY, atol=6)


def test_a_large_picture_is_scaled_down() -> None:
    assert read_picture(encode(np.zeros((3000, 1500), np.uint8))).shape == (1024, 512)


@pytest.mark.parametrize("content", [b"", b"words", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a" + b"\0" * 40])
def test_a_file_that_is_not_a_picture_is_refused(content: bytes) -> None:
    with pytest.raises(PictureError, match="expected a whole PNG or JPEG file"):
        read_picture(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    content = encode(np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8), kind)
    with pytest.raises(PictureError, match="expected a whole"):
        read_picture(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (encode_huge(6000, 5000), "at most 16 million pixels, received 6000 × 5000"),
        (encode(np.zeros((4100, 6000), np.uint8), "JPEG"), "at most 24 million pixels, received 6000 × 4100"),
        (encode_huge(60_000, 60_000), "at most 16 million pixels, received far more"),
    ],
    ids=["PNG", "JPEG", "far too large"],
)
def test_a_picture_too_large_to_decode_is_refused_by_its_header(content: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        open_picture(content)


def test_a_jpeg_may_be_larger_than_a_png_since_it_is_decoded_at_a_fraction() -> None:
    assert read_picture(encode(np.zeros((4000, 5000), np.uint8), "JPEG")).shape == (819, 1024)


def test_a_large_picture_of_sixteen_bits_is_scaled_down() -> None:
    levels = np.linspace(0, 65535, 5000).astype(np.uint16)
    grey = read_picture(saved(Image.fromarray(np.tile(levels, (3000, 1))), compress_level=1))
    assert grey.shape == (614, 1024)
    np.testing.assert_allclose(grey[500], np.linspace(0, 255, 1024), atol=2)


@pytest.mark.parametrize("mode", ["1", "P", "L"])
def test_a_thin_line_in_a_large_drawing_stays_visible(mode: str) -> None:
    drawing = Image.new("L", (3000, 4000), 255)
    for left in range(100, 2900, 701):
        drawing.paste(0, (left, 200, left + 2, 3800))
    grey = read_picture(saved(drawing.convert(mode)))
    columns = np.flatnonzero(grey[500] < 192)
    assert np.unique(columns // 100).tolist() == [0, 2, 3, 5]  # all four lines, of which each is half a pixel wide now


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16"])
def test_a_large_picture_is_turned_upright_after_scaling(mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_picture(saved(Image.new(mode, (2000, 1500)), exif=exif))
    assert turned.shape == (1024, 768)


@pytest.mark.parametrize("hidden", [0, 255])
def test_the_hidden_colour_of_transparent_parts_has_no_effect(hidden: int) -> None:
    layers = np.full((1500, 1500, 4), (hidden, hidden, hidden, 0), np.uint8)
    layers[300:1200, 700:800] = (0, 0, 0, 255)
    grey = read_picture(encode(layers))
    assert (grey[:180] == 255).all()
    assert (grey[:, :460] == 255).all()
    assert grey[500, 512] == 0
