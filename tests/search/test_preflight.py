"""Networks that the images are too small for are found before anything runs."""

from __future__ import annotations

import pytest

from mnist_core.errors import SpecError
from search.preflight import check_images
from search.spec_file import parse_spec

HEAD = 'name = "deep"\ntrials = 3\n'
CNN = HEAD + '[model]\narchitecture = "cnn"\n'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (CNN + "[space]\nblocks = { low = 1, high = 5 }", "space.blocks"),
        (CNN + "[space]\nblocks = [1, 5]", "space.blocks"),
        (CNN + "blocks = 5\n[space]\nfilters = [4]", "model.blocks"),
        (HEAD + '[space]\narchitecture = ["mlp", "cnn"]\nblocks = [5]', "space.blocks"),
    ],
)
def test_more_blocks_than_the_images_can_be_halved_are_refused(text: str, key: str) -> None:
    with pytest.raises(SpecError, match=f"{key}: images of 28 × 28 pixels can be halved 4 times, received 5"):
        check_images(parse_spec(text), (28, 28))
    check_images(parse_spec(text), (32, 40))


@pytest.mark.parametrize(
    "text",
    [
        CNN + "[space]\nblocks = [1, 4]",
        HEAD + "[space]\ndropout = [0.1]",
        HEAD + 'model = "own_parts:anything"\n[space]\nblocks = [50]',
        HEAD + 'model = "own_parts:anything"\n[space]\nblocks = ["few", "many"]',
    ],
)
def test_what_fits_or_is_the_business_of_the_users_function_is_let_through(text: str) -> None:
    check_images(parse_spec(text), (28, 28))
