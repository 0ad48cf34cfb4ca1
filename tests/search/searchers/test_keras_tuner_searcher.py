"""KerasTuner's oracles behind the searcher protocol: its spaces and the ends of its ranges."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import keras_tuner
import pytest

from search.domains import Choices, Domain, FloatRange, IntRange
from search.engines import Engine
from search.objectives import VAL_ACCURACY, VAL_LOSS, Objective
from search.searchers.base import NoSuggestion, Suggestion
from search.searchers.keras_tuner_searcher import KerasTunerSearcher, to_keras_tuner
from search.space import Point, Space
from search.spec import SweepSpec
from search.trial import Outcome, TrialState

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:keras_tuner")

LEARNING_RATE = FloatRange(1e-4, 1e-2, log=True)
Int, Float, Choice = (
    keras_tuner.engine.hyperparameters.Int,
    keras_tuner.engine.hyperparameters.Float,
    keras_tuner.engine.hyperparameters.Choice,
)


def spec_of(sampler: str, domains: dict[str, Domain], seed: int = 0, objective: Objective = VAL_ACCURACY) -> SweepSpec:
    trials = 0 if sampler == "grid" else 99
    return SweepSpec(
        "kt", Space(domains), Engine.KERAS_TUNER, sampler, objectives=(objective,), trials=trials, seed=seed
    )


def run(searcher: KerasTunerSearcher, trials: int, value: Any = lambda point: 0.5) -> list[Point]:
    points: list[Point] = []
    while len(points) < trials and isinstance(suggestion := searcher.ask(), Suggestion):
        points.append(suggestion.point)
        result = float(value(suggestion.point))
        searcher.tell(suggestion.id, Outcome(TrialState.COMPLETE, (result,), (result,)))
    return points


@pytest.mark.parametrize("sampler", ["random", "bayesian"])
@pytest.mark.parametrize(
    ("name", "domain", "kind", "settings"),
    [
        ("hidden_size", IntRange(8, 64), Int, {"min_value": 8, "max_value": 64, "step": 1, "sampling": "linear"}),
        ("hidden_size", IntRange(8, 64, step=8), Int, {"min_value": 8, "max_value": 64, "step": 8}),
        ("hidden_size", IntRange(8, 64, log=True), Int, {"min_value": 8, "max_value": 64, "sampling": "log"}),
        ("dropout", FloatRange(0.0, 0.5), Float, {"min_value": 0.0, "max_value": 0.5, "sampling": "linear"}),
        ("learning_rate", LEARNING_RATE, Float, {"min_value": 1e-4, "max_value": 1e-2, "sampling": "log"}),
        ("dropout", FloatRange(0.0, 0.3, step=0.1), Choice, {"values": [0.0, 0.1, 0.2, 0.3]}),
        ("batch_size", Choices((64, 32)), Choice, {"values": [64, 32]}),
        ("architecture", Choices(("mlp",)), Choice, {"values": ["mlp"]}),
    ],
)
def test_each_domain_has_its_counterpart(
    sampler: str, name: str, domain: Domain, kind: type, settings: dict[str, object]
) -> None:
    (parameter,) = to_keras_tuner(spec_of(sampler, {name: domain})).space
    assert type(parameter) is kind
    assert parameter.name == name
    config = {key: list(value) if key == "values" else value for key, value in parameter.get_config().items()}
    assert {key: config[key] for key in settings} == settings


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("hidden_size", IntRange(8, 64, step=8)),
        ("hidden_size", IntRange(1, 4)),
        ("dropout", FloatRange(0.0, 0.3, step=0.1)),
        ("batch_size", Choices((64, 32))),
    ],
)
def test_in_a_grid_every_domain_is_a_list(name: str, domain: Domain) -> None:
    (parameter,) = to_keras_tuner(spec_of("grid", {name: domain})).space
    assert type(parameter) is Choice
    assert tuple(parameter.values) == domain.listed()


@pytest.mark.parametrize("sampler", ["grid", "random"])
@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("hidden_size", IntRange(64, 256, step=64)),
        ("hidden_size", IntRange(1, 10, step=4)),
        ("dropout", FloatRange(0.0, 0.3, step=0.1)),
        ("dropout", FloatRange(0.1, 0.7, step=0.2)),
    ],
)
def test_stepped_ranges_reach_their_upper_ends(sampler: str, name: str, domain: Domain) -> None:
    points = run(KerasTunerSearcher(spec_of(sampler, {name: domain}, seed=0)), 99)
    assert sorted(point[name] for point in points) == list(domain.listed() or ())  # type: ignore[type-var]


def test_integers_on_a_log_scale_never_exceed_their_high_end() -> None:
    # The more the better sends the Gaussian process to the end, which KerasTuner rounds to one past it.
    domain = IntRange(8, 64, log=True)
    points = run(
        KerasTunerSearcher(spec_of("bayesian", {"hidden_size": domain})), 7, lambda point: point["hidden_size"]
    )
    assert all(point["hidden_size"] in domain for point in points)
    assert 64 in [point["hidden_size"] for point in points]


def test_the_first_of_a_grid_is_the_first_of_each_list() -> None:
    domains: dict[str, Domain] = {"hidden_size": Choices((64, 32)), "dropout": Choices((0.2, 0.0))}
    (first, *_) = run(KerasTunerSearcher(spec_of("grid", domains)), 1)
    assert first == {"hidden_size": 64, "dropout": 0.2}


@pytest.mark.parametrize("sampler", ["random", "bayesian"])
def test_a_seed_of_zero_repeats_itself_too(sampler: str) -> None:
    domains: dict[str, Domain] = {"learning_rate": LEARNING_RATE}
    first, second = (run(KerasTunerSearcher(spec_of(sampler, domains, seed=0)), 3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("objective", "sign"), [(VAL_ACCURACY, 1), (VAL_LOSS, -1)])
def test_the_gaussian_process_goes_for_the_better_side(objective: Objective, sign: int) -> None:
    spec = spec_of("bayesian", {"dropout": FloatRange(0.0, 0.9)}, objective=objective)
    points = run(KerasTunerSearcher(spec), 7, lambda point: sign * point["dropout"])
    dropouts = [float(point["dropout"]) for point in points]
    # The first three are drawn at random over the whole range.
    assert mean(dropouts[3:]) > 0.7


def test_no_trial_is_pruned() -> None:
    searcher = KerasTunerSearcher(spec_of("random", {"learning_rate": LEARNING_RATE}))
    suggestion = searcher.ask()
    assert isinstance(suggestion, Suggestion)
    assert [searcher.report(suggestion.id, epoch, 0.0) for epoch in (1, 2, 3)] == [True] * 3


def test_a_grid_of_one_point_ends_after_it() -> None:
    searcher = KerasTunerSearcher(spec_of("grid", {"hidden_size": Choices((64,))}))
    assert run(searcher, 9) == [{"hidden_size": 64}]
    assert searcher.ask() is NoSuggestion.EXHAUSTED


def test_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(KerasTunerSearcher(spec_of("random", {"learning_rate": LEARNING_RATE})), 2)
    assert list(tmp_path.iterdir()) == []
