"""Networks that the images are too small for, and samplers that could not search, are found before anything runs."""

from __future__ import annotations

import pytest

from mnist_core.errors import SpecError
from search.preflight import check_function, check_images, check_sampler, unmodelled
from search.spec_file import parse_spec, to_toml

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
        HEAD + 'model = "tests.helpers.custom_parts:anything"\n[space]\nblocks = [50]',
        HEAD + 'model = "tests.helpers.custom_parts:anything"\n[space]\nblocks = ["few", "many"]',
    ],
)
def test_what_fits_or_is_the_business_of_the_users_function_is_let_through(text: str) -> None:
    check_images(parse_spec(text), (28, 28))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[space]\nunits = [4]\nrate = [0.5, nan]", "space.rate: expected a number, received nan"),
        ("rate = nan\n[space]\nunits = [4]", "model.rate: expected a number, received nan"),
    ],
)
def test_an_argument_that_is_not_equal_to_itself_is_refused_before_the_start(text: str, words: str) -> None:
    spec = parse_spec(f'{HEAD}[model]\nfunction = "tests.helpers.custom_parts:softmax"\n{text}')
    assert parse_spec(to_toml(spec)) != spec
    with pytest.raises(SpecError, match=f"^{words}$"):
        check_function(spec)


CMAES = HEAD + 'sampler = "cmaes"\n[space]\n'


@pytest.mark.parametrize(
    ("space", "received"),
    [
        ("dropout = [0.0, 0.2]\nhidden_size = [8, 16]", "space.dropout: .* received a list"),
        ('architecture = ["mlp"]\ndropout = [0.0, 0.2]', "space.dropout: .* received a list"),
        (
            'filters = { low = 4, high = 16 }\narchitecture = ["mlp", "cnn"]',
            "space.filters: .* received one that some points lack",
        ),
    ],
)
def test_a_space_that_cmaes_could_only_draw_at_random_is_refused(space: str, received: str) -> None:
    spec = parse_spec(CMAES + space)
    with pytest.raises(SpecError, match=received) as refusal:
        check_sampler(spec)
    assert "expected { low = …, high = … } for one parameter" in str(refusal.value)
    assert "sampler = 'tpe'" in str(refusal.value)


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid"])
def test_other_samplers_take_lists(sampler: str) -> None:
    spec = parse_spec(f'{HEAD}sampler = "{sampler}"\n[space]\ndropout = [0.0, 0.2]')
    check_sampler(spec)
    assert unmodelled(spec) == []


def test_a_mixed_space_is_taken_and_what_cmaes_does_not_model_is_named() -> None:
    space = "dropout = { low = 0.0, high = 0.5 }\nbatch_size = [32, 64]\nfilters = { low = 4, high = 16 }\n"
    spec = parse_spec(f'{CMAES}{space}architecture = ["mlp", "cnn"]\npooling = ["max"]')
    check_sampler(spec)
    assert unmodelled(spec) == ["batch_size", "filters", "architecture"]
