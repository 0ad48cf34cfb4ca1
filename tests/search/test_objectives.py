"""Objectives: their texts, the Pareto front, and the search for it."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_core.errors import SpecError
from mnist_core.metrics import Direction
from search import objectives
from search.objectives import MODEL_SIZE, VAL_ACCURACY, VAL_LOSS, Objective, pareto_front
from search.searchers.base import Suggestion
from search.searchers.factory import make_searcher
from search.spec_file import parse_spec, to_toml
from search.trial import Outcome, TrialState

BOTH = (VAL_ACCURACY, MODEL_SIZE)
DIRECTIONS = (Direction.MAXIMIZE, Direction.MINIMIZE)
TEXT = """
name = "front"
trials = 40
objectives = ["val_accuracy:max", "parameters:min"]
[space]
hidden_size = { low = 1, high = 64 }
dropout = { low = 0.0, high = 0.5 }
"""


def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """The first number is to be maximised, the others minimised."""
    gains = [one[0] - other[0], *(theirs - mine for mine, theirs in zip(one[1:], other[1:], strict=True))]
    return min(gains) >= 0 and max(gains) > 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), max_size=25))
@settings(derandomize=True, database=None, deadline=None, max_examples=200)
def test_the_front_is_what_a_search_through_all_pairs_leaves(points: list[tuple[int, ...]]) -> None:
    directions = (Direction.MAXIMIZE, Direction.MINIMIZE, Direction.MINIMIZE)
    beaten = {worse for better, worse in itertools.permutations(points, 2) if beats(better, worse)}
    assert pareto_front(points, directions, lambda point: point) == [point for point in points if point not in beaten]


AXIS = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf, math.nan])


@given(st.lists(st.tuples(AXIS, AXIS), max_size=25))
@settings(derandomize=True, database=None, deadline=None, max_examples=200)
def test_the_front_of_pairs_is_that_of_the_comparison_of_all(points: list[tuple[float, float]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        # Of 2,000 items, 4 million comparisons.
        patched.setattr(objectives, "_beats", None)
        found = pareto_front(points, DIRECTIONS, lambda point: point)
    directions = (*DIRECTIONS, Direction.MINIMIZE)
    expected = pareto_front(points, directions, lambda point: (*point, 0.0))
    assert list(map(id, found)) == list(map(id, expected))


def test_equal_items_share_the_front() -> None:
    assert pareto_front([(1, 1), (1, 1), (0, 1)], DIRECTIONS, lambda point: point) == [(1, 1), (1, 1)]


def test_a_sweep_of_several_objectives_comes_back_from_its_text() -> None:
    spec = parse_spec(TEXT)
    assert (spec.objectives, spec.objective) == (BOTH, "val_accuracy")
    assert parse_spec(to_toml(spec)) == spec


def test_an_older_file_that_names_the_parameters_means_the_model_size() -> None:
    older, newer = (parse_spec(TEXT.replace("parameters:min", text)) for text in ("parameters:min", "model_size:min"))
    assert older == newer
    assert 'objectives = [\n    "val_accuracy:max",\n    "model_size:min",\n]' in to_toml(older)


@pytest.mark.parametrize("objective", [VAL_ACCURACY, VAL_LOSS])
def test_one_objective_reads_the_same_by_either_key_and_is_written_by_its_name(objective: Objective) -> None:
    start, end = TEXT.split('objectives = ["val_accuracy:max", "parameters:min"]')
    by_name = parse_spec(f'{start}objective = "{objective.metric}"{end}')
    assert parse_spec(f'{start}objectives = ["{objective}"]{end}') == by_name
    assert by_name.objectives == (objective,)
    text = to_toml(by_name)
    assert f'objective = "{objective.metric}"' in text
    assert "objectives" not in text
    assert parse_spec(text) == by_name


def test_a_sweep_whose_file_names_no_objective_goes_by_the_accuracy() -> None:
    text = TEXT.replace('objectives = ["val_accuracy:max", "parameters:min"]', "")
    assert parse_spec(text).objectives == (VAL_ACCURACY,)


@pytest.mark.parametrize("objective", [VAL_ACCURACY, VAL_LOSS, MODEL_SIZE])
def test_an_objective_is_read_back_from_its_text(objective: Objective) -> None:
    assert Objective.parse(str(objective)) == objective


def test_an_objective_goes_in_the_direction_of_its_metric() -> None:
    with pytest.raises(SpecError, match=r"unknown value 'val_accuracy:min' \(did you mean 'val_accuracy:max'"):
        Objective("val_accuracy", Direction.MINIMIZE)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (["objectives=3"], ["objectives: expected a list", "3"]),
        (["objectives=[]"], ["objectives: expected a list", "[]"]),
        (['objectives=["val_accuracy:max", "val_accuracy:max"]'], ["each once"]),
        (['objectives=["val_accuracy:max", "parameter:min"]'], ["'parameter:min'", "did you mean 'parameters:min'"]),
        (['objectives=["val_accuracy:min", "parameters:min"]'], ["did you mean 'val_accuracy:max'"]),
        (["objective=val_loss"], ["expected the first to be 'val_loss'", "'val_accuracy:max'"]),
        (
            ['objectives=["parameters:min", "val_accuracy:max"]'],
            ["expected the first to be 'val_accuracy:max' or 'val_loss:min'", "received 'model_size:min'"],
        ),
        (["pruner=hyperband"], ["pruner: expected 'none' with several objectives", "'hyperband'"]),
        (["sampler=cmaes"], ["sampler 'cmaes' optimises one value"]),
        (["engine=keras-tuner", "sampler=random"], ["engine 'keras-tuner' optimises one value", "'optuna'"]),
    ],
)
def test_objectives_that_do_not_go_together_are_refused_with_the_reason(override: list[str], words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_spec(TEXT, override)
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_the_engine_finds_both_ends_of_the_front() -> None:
    spec = parse_spec(TEXT)
    searcher = make_searcher(spec)
    found = []
    for _ in range(40):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        size, dropout = float(suggestion.point["hidden_size"]), float(suggestion.point["dropout"])
        # More units are better and cost more; dropout only costs.
        values = (size / 64 - dropout, size)
        found.append(values)
        searcher.report(suggestion.id, 1, values[0])
        searcher.tell(suggestion.id, Outcome(TrialState.COMPLETE, values, values[:1]))
    front = pareto_front(found, DIRECTIONS, lambda values: values)
    assert min(size for _, size in front) <= 4
    assert max(size for _, size in front) >= 56
    # At random, one in ten would be so close to no dropout; here most of the front is.
    assert sum(size / 64 - value < 0.05 for value, size in front) > len(front) / 2
