"""Shipped sweeps, run to their end with synthetic curves: the number of suggestions that their sampler models."""

from __future__ import annotations

import random
from typing import Any

import optuna
import pytest

from experiments.sweep_files import SHIPPED, load_spec
from search.searchers.base import Suggestion
from search.searchers.deduplicating import DeduplicatingSearcher
from search.searchers.factory import make_searcher
from search.spec import SweepSpec
from search.trial import Outcome, TrialState

MODELLED = {"quick": 3, "bayesian": 20, "mlp-augmented": 14, "cnn": 8}
"""Suggestions of each sweep that TPE models when trials run one after the other."""


def finish(searcher: DeduplicatingSearcher, suggestion: Suggestion, best: float, epochs: int) -> None:
    """Report a curve that rises towards ``best``, and tell the end that the pruner allows it."""
    curve: list[float] = []
    state = TrialState.COMPLETE
    for epoch in range(1, epochs + 1):
        curve.append(best * (1 - 0.5**epoch))
        if not searcher.report(suggestion.id, epoch, curve[-1]) and epoch < epochs:
            state = TrialState.PRUNED
            break
    searcher.tell(suggestion.id, Outcome(state, (curve[-1],), tuple(curve)))


def drive(spec: SweepSpec, at_a_time: int) -> None:
    searcher, draw = make_searcher(spec), random.Random(0)
    running: list[Suggestion] = []
    for _ in range(spec.target):
        suggestion = searcher.ask()
        assert isinstance(suggestion, Suggestion)
        running.append(suggestion)
        if len(running) == at_a_time:
            finish(searcher, running.pop(0), draw.uniform(0.9, 0.99), spec.training.epochs)


@pytest.mark.parametrize("at_a_time", [1, 2])
@pytest.mark.parametrize("name", list(MODELLED))
def test_a_shipped_sweep_models_enough_of_its_suggestions(
    name: str, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_relative = optuna.samplers.TPESampler.sample_relative
    modelled: list[bool] = []

    def watched(*args: Any) -> dict[str, Any]:
        # Empty while TPE leaves every parameter to its random start.
        values: dict[str, Any] = sample_relative(*args)
        modelled.append(bool(values))
        return values

    monkeypatch.setattr(optuna.samplers.TPESampler, "sample_relative", watched)
    drive(load_spec(name), at_a_time)
    # The second worker asks once before as many trials have ended.
    assert sum(modelled) == MODELLED[name] - (at_a_time - 1)


def test_every_shipped_sweep_with_a_model_is_tested() -> None:
    models = {path.stem for path in SHIPPED.glob("*.toml") if load_spec(path.stem).sampler == "tpe"}
    assert models == set(MODELLED)
