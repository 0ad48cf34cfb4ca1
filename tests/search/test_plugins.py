"""Searchers and executors from outside this project: named in a sweep file, or by an entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from mnist_core.errors import SpecError
from search import plugins
from search.engines import CustomEngine, Engine
from search.executors.factory import load_executor
from search.executors.local import LocalExecutor
from search.preflight import check_function, check_sampler
from search.searchers.factory import make_searcher
from search.space import Point, key_of
from search.spec_file import parse_spec, to_toml
from search.sweep import EndReason, Sweep
from search.testing.values import context_of, history_of, result_of
from tests.helpers.search_fakes import FakeExecutor, Journal, ListSearcher, OutsideExecutor

CLIMBER = "tests.helpers.example_searcher:HillClimber"
TEXT = """
name = "climb"
engine = "{engine}"
trials = 30
[space]
hidden_size = [8, 16, 32, 64]
dropout = {{ low = 0.0, high = 0.5 }}
"""


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with an entry point in each group."""
    entries = EntryPoints(
        [
            EntryPoint("climber", CLIMBER, "mnist_search.searchers"),
            EntryPoint("outside", "tests.helpers.search_fakes:OutsideExecutor", "mnist_search.executors"),
        ]
    )
    monkeypatch.setattr(plugins, "entry_points", lambda group: entries.select(group=group))


def test_a_sweep_file_names_the_class_of_its_searcher() -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER))
    assert spec.engine == CustomEngine(CLIMBER)
    assert (spec.engine.value, spec.sampler, spec.pruner) == (CLIMBER, "default", "none")
    assert parse_spec(to_toml(spec)) == spec


def test_sampler_and_pruner_are_passed_through_as_they_are() -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER), ["sampler=steepest", "pruner=patient"])
    assert (spec.sampler, spec.pruner, spec.prunes) == ("steepest", "patient", True)
    assert parse_spec(to_toml(spec)) == spec


def test_a_word_of_another_engine_has_no_meaning_to_a_custom_one() -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER), ["sampler=grid"])
    assert spec.target == 30
    check_sampler(parse_spec(TEXT.format(engine=CLIMBER), ["sampler=cmaes", "space.dropout=[0.0]"]))


def test_several_objectives_are_left_to_the_searcher() -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER), ['objectives=["val_accuracy:max", "model_size:min"]'])
    assert spec.is_multi_objective


@pytest.mark.usefixtures("installed")
def test_the_name_of_an_entry_point_stands_for_its_class() -> None:
    spec = parse_spec(TEXT.format(engine="climber"))
    assert spec == parse_spec(TEXT.format(engine=CLIMBER))
    assert f'engine = "{CLIMBER}"' in to_toml(spec)  # so the record is read without the package


def test_a_recorded_sweep_is_read_where_its_searcher_cannot_be_imported() -> None:
    spec = parse_spec(TEXT.format(engine="gone.away:Searcher"))
    assert spec.engine == CustomEngine("gone.away:Searcher")
    with pytest.raises(SpecError, match=r"^engine: function gone.away:Searcher: cannot be imported"):
        check_function(spec)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("optunaa", ["engine: unknown value 'optunaa'", "did you mean 'optuna'"]),
        ("climbr", ["engine: unknown value 'climbr'", "did you mean 'climber'"]),
        (":HillClimber", ["engine: expected 'package.module:Class'", "':HillClimber'"]),
        ("tests.helpers:", ["engine: expected 'package.module:Class'"]),
    ],
)
def test_an_engine_that_does_not_exist_is_refused_when_the_file_is_read(engine: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        parse_spec(TEXT.format(engine=engine))
    assert [word for word in words if word not in str(refusal.value)] == []
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("tests.helpers.example_searcher:HillClimbr", ["has no 'HillClimbr'"]),
        ("tests.helpers.custom_parts:softmax", ["expected a class of the protocol Searcher", "received function"]),
        (
            "tests.helpers.search_fakes:FakeExecutor",
            ["expected the methods of Searcher (add, enqueue, ask, report, tell)", "without add, enqueue, ask"],
        ),
    ],
)
def test_a_class_that_is_no_searcher_is_refused_before_the_sweep_begins(engine: str, words: list[str]) -> None:
    spec = parse_spec(TEXT.format(engine=engine))
    with pytest.raises(SpecError, match=r"^engine: ") as refusal:
        check_function(spec)
    assert [word for word in words if word not in str(refusal.value)] == []
    assert "\n" not in str(refusal.value)


def test_a_custom_searcher_runs_a_sweep_and_goes_on_from_its_history() -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER), ["trials=6"])
    past = {0: ({"hidden_size": 8, "dropout": 0.25}, result_of(0.9))}
    lost = spec.trial(1, {"hidden_size": 64, "dropout": 0.125})
    history = history_of(spec, past, [lost])
    executor = FakeExecutor(capacity=2)
    sweep = Sweep(spec, make_searcher(spec, history), executor, Journal("recorder", []), history=history)
    assert sweep.run() is EndReason.DONE
    assert executor.submitted[0].point == lost.point
    assert len({key_of(trial.point) for trial in executor.submitted}) == 5
    kept = [trial for trial in executor.submitted if {8, 0.25} & set(trial.point.values())]
    assert kept  # it was told the past trial, which is the best


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"hidden_size": 8}, "dropout: expected a value, received none"),
        ({"hidden_size": 8, "dropout": 0.75}, "dropout: expected a value of FloatRange.* received 0.75"),
        ({"hidden_size": np.int64(8), "dropout": 0.5}, r"hidden_size: expected a value of Choices.* np.int64\(8\)"),
        ({"hidden_size": 8, "dropout": 0.5, "l2": 0.1}, "l2: no such parameter at this point, received 0.1"),
        ({"hidden_size": 8, "dropout": 0.5, "blocks": 1}, "blocks: no such parameter at this point"),
    ],
)
def test_a_point_out_of_the_space_of_a_custom_searcher_is_not_trained(point: Point, words: str) -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER))
    executor = FakeExecutor()
    sweep = Sweep(spec, ListSearcher([{"hidden_size": 8, "dropout": 0.5}, point]), executor, Journal("recorder", []))
    with pytest.raises(SpecError, match=f"^engine {CLIMBER}: suggested a point out of the space: {words}"):
        sweep.run()
    assert [trial.number for trial in executor.submitted] == [0]
    assert executor.closed


def test_a_recorded_point_out_of_the_space_can_be_tried_again() -> None:
    spec = parse_spec(TEXT.format(engine=CLIMBER), ["trials=1"])
    history = history_of(spec, {}, [spec.trial(0, {"hidden_size": 9, "dropout": 0.5})])
    executor = FakeExecutor()
    searcher = make_searcher(spec, history)
    assert Sweep(spec, searcher, executor, Journal("recorder", []), history=history).run() is EndReason.DONE
    assert [trial.attempt for trial in executor.submitted] == [2]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["outside", "tests.helpers.search_fakes:OutsideExecutor"])
def test_an_executor_is_found_by_entry_point_and_by_class(name: str, small_npz: Path, tmp_path: Path) -> None:
    executor = load_executor(name)(context_of(small_npz, tmp_path), 2)
    assert isinstance(executor, OutsideExecutor)


def test_the_executors_of_this_project_have_names(small_npz: Path, tmp_path: Path) -> None:
    assert load_executor("local") is LocalExecutor
    assert load_executor("in-process")(context_of(small_npz, tmp_path), 4).capacity == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("locl", ["executor: unknown value 'locl'", "did you mean 'local'"]),
        ("gone.away:Executor", ["executor: function gone.away:Executor: cannot be imported"]),
        (CLIMBER, ["executor: ", "expected the methods of Executor (submit, poll, close)", "without submit"]),
    ],
)
def test_an_executor_that_does_not_exist_is_refused_in_one_line(name: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as refusal:
        load_executor(name)
    assert [word for word in words if word not in str(refusal.value)] == []
    assert "\n" not in str(refusal.value)


def test_the_libraries_keep_their_names() -> None:
    assert parse_spec(TEXT.format(engine="optuna")).engine is Engine.OPTUNA
