"""Sweeps that list their points: read from a file, refused where they are none, each trained with its own seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_core.errors import SpecError
from mnist_core.models.saved_model import load_model
from search.engines import Engine
from search.resume import NOTHING_DONE
from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.factory import make_searcher
from search.space import Choices, Point
from search.spec import SweepSpec
from search.spec_file import parse_spec, to_toml
from search.testing.values import context_of
from search.worker import WorkerRuntime, run_trial

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

HEAD = 'name = "few"\nengine = "listed"\nsampler = "listed"\n'
TWO = "points = [{ hidden_size = 8, dropout = 0.1 }, { hidden_size = 16, dropout = 0.0 }]\n"


def test_points_are_read_in_their_order_and_make_up_the_space() -> None:
    spec = parse_spec(HEAD + TWO)
    assert spec.points == ({"hidden_size": 8, "dropout": 0.1}, {"hidden_size": 16, "dropout": 0.0})
    assert spec.space.domains == {"hidden_size": Choices((8, 16)), "dropout": Choices((0.1, 0.0))}
    assert spec.target == spec.max_target == 2


def test_points_may_be_written_as_tables_of_their_own() -> None:
    tables = "[[points]]\nhidden_size = 8\ndropout = 0.1\n[[points]]\nhidden_size = 16\ndropout = 0\n"
    assert parse_spec(HEAD + tables) == parse_spec(HEAD + TWO)


def test_a_point_that_is_listed_twice_is_one_trial() -> None:
    spec = parse_spec(HEAD + "points = [{ hidden_size = 8 }, { hidden_size = 16 }, { hidden_size = 8 }]")
    assert spec.target == spec.max_target == len(suggested(spec)) == 2
    assert parse_spec(to_toml(spec)) == spec


def test_fewer_trials_than_points_try_the_first_of_them() -> None:
    spec = parse_spec(HEAD + "trials = 1\n" + TWO)
    assert (spec.target, spec.max_target) == (1, 2)
    assert suggested(spec)[: spec.target] == [spec.points[0]]


def suggested(spec: SweepSpec) -> list[Point]:
    searcher, points = make_searcher(spec, NOTHING_DONE), []
    while isinstance(suggestion := searcher.ask(), Suggestion):
        points.append(suggestion.point)
    assert suggestion is NoSuggestion.EXHAUSTED
    return points


def test_the_same_point_is_tried_once_with_each_seed() -> None:
    line = "points = [{ dropout = 0.1, seed = 3 }, { dropout = 0.1, seed = 4 }, { dropout = 0.1, seed = 3 }]"
    spec = parse_spec(HEAD + line)
    assert suggested(spec) == [{"dropout": 0.1, "seed": 3}, {"dropout": 0.1, "seed": 4}]


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 99), st.floats(0, 0.9), st.integers(0, 2**31 - 1)), min_size=1, max_size=5))
def test_points_come_back_from_the_text_of_a_sweep(values: list[tuple[int, float, int]]) -> None:
    points = ", ".join(f"{{ hidden_size = {size}, dropout = {rate!r}, seed = {seed} }}" for size, rate, seed in values)
    spec = parse_spec(f"{HEAD}points = [{points}]")
    assert parse_spec(to_toml(spec)) == spec
    assert [tuple(point.values()) for point in spec.points] == values


def test_a_trial_has_the_seed_of_its_point_or_that_of_the_sweep() -> None:
    seeded = parse_spec(HEAD + "seed = 5\npoints = [{ dropout = 0.1, seed = 3 }]")
    assert seeded.trial(0, seeded.points[0]).seed == 3
    plain = parse_spec(HEAD + "seed = 5\npoints = [{ dropout = 0.1 }]")
    assert plain.trial(0, plain.points[0]).seed == 5


BAD_POINTS = {
    "a parameter that one of them lacks": (
        HEAD + "points = [{ hidden_size = 8, dropout = 0.1 }, { hidden_size = 16 }]",
        ["points", "expected hidden_size, dropout in each", "received hidden_size in number 1"],
    ),
    "a parameter that one of them has alone": (
        HEAD + "points = [{ hidden_size = 8 }, { hidden_size = 16, l2 = 0.0 }]",
        ["points", "expected hidden_size, l2 in each", "received hidden_size in number 0"],
    ),
    "an unknown parameter": (
        HEAD + "points = [{ hiden_size = 8 }]",
        ["points: hiden_size: no such parameter", "did you mean 'hidden_size'?"],
    ),
    "a value of the wrong type": (
        HEAD + 'points = [{ hidden_size = "8" }]',
        ["points", "expected an integer", "'8'"],
    ),
    "a value out of its range": (HEAD + "points = [{ dropout = 1.5 }]", ["dropout", "1.5"]),
    "a seed below 0": (HEAD + "points = [{ dropout = 0.1, seed = -1 }]", ["seed", "2147483647", "-1"]),
    "a seed that is a share": (HEAD + "points = [{ dropout = 0.1, seed = 0.5 }]", ["points", "an integer", "0.5"]),
    "a space beside them": (HEAD + TWO + "[space]\nl2 = [0.0]", ["points", "[space]", "keep one of them"]),
    "a fixed value beside a listed one": (
        HEAD + TWO + "[model]\ndropout = 0.2",
        ["dropout", "[model]", "keep one of them"],
    ),
    "none": (HEAD + "points = []", ["points: expected one or more tables", "received []"]),
    "one without parameters": (HEAD + "points = [{}]", ["expected at least one parameter"]),
    "no list": (HEAD + "points = 3", ["points: expected one or more tables", "received 3"]),
    "a list of values": (HEAD + "points = [8, 16]", ["points: expected one or more tables", "[8, 16]"]),
    "another engine": (
        'name = "few"\nengine = "optuna"\nsampler = "random"\ntrials = 2\n' + TWO,
        ["points", "expected engine = 'listed'", "received 'optuna'"],
    ),
    "no engine": ('name = "few"\ntrials = 2\n' + TWO, ["points", "expected engine = 'listed'", "'optuna'"]),
    "a searched seed": (
        'name = "few"\nsampler = "random"\ntrials = 2\n[space]\nseed = [1, 2]',
        ["space.seed", "no such parameter"],
    ),
    "a fixed seed in the space": (
        'name = "few"\nsampler = "random"\ntrials = 2\n[space]\nseed = 1\nl2 = [0.0, 0.1]',
        ["space.seed", "no such parameter"],
    ),
    "the engine without points": (HEAD + "[space]\nl2 = [0.0]", ["points", "expected one or more"]),
    "another sampler": (
        'name = "few"\nengine = "listed"\nsampler = "grid"\n' + TWO,
        ["engine 'listed' has no sampler 'grid'"],
    ),
}


@pytest.mark.parametrize(("text", "words"), BAD_POINTS.values(), ids=BAD_POINTS.keys())
def test_points_that_are_none_are_refused_in_one_line(text: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_spec(text, source="few.toml")
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in ["few.toml: ", *words] if word not in message] == []


def test_a_space_that_is_not_that_of_its_points_is_refused() -> None:
    spec = parse_spec(HEAD + TWO)
    with pytest.raises(SpecError, match="points: expected one or more to try, and a space that is theirs"):
        SweepSpec("few", spec.space, Engine.LISTED, "listed", points=spec.points[:1])


def test_seeds_decide_the_weights_and_nothing_else_does(small_npz: Path, tmp_path: Path) -> None:
    line = "points = [{ hidden_size = 8, seed = 3 }, { hidden_size = 8, seed = 4 }]\n"
    spec = parse_spec(f"{HEAD}{line}[training]\nepochs = 1\n[data]\nvalidation = 200")
    runtime = WorkerRuntime(context_of(small_npz, tmp_path))

    def weights(number: int, point: Point) -> np.ndarray:
        model = run_trial(spec.trial(number, point), runtime, lambda epoch, metrics: True).model
        assert model is not None
        return np.concatenate([one.ravel() for one in load_model(model.folder / model.file).get_weights()])

    first, other, again = (weights(*case) for case in enumerate([*spec.points, spec.points[0]]))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
