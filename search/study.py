"""The trials of any engine as an Optuna study, for Optuna's plots and importances of a finished sweep."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from search.domains import Choices, Domain
from search.searchers.optuna_searcher import STATES, STUDY_NAME, to_distribution
from search.space import Point, Space
from search.spec import SweepSpec
from search.trial import Outcome, TrialState


def to_study(spec: SweepSpec, trials: Mapping[int, tuple[Point, Outcome]]) -> optuna.Study:
    """Return a study in memory that holds the trials under their numbers.

    Args:
        spec: the sweep that they belong to, of any engine.
        trials: finished ones, by number. One that is missing, failed or has no finite value becomes a failed trial.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=STUDY_NAME, direction=spec.metric.direction.value)
    distributions = shown_distributions(spec.space)
    for number in range(1 + max(trials, default=-1)):
        known = trials.get(number)
        study.add_trial(_frozen(*known, distributions) if known else create_trial(state=OptunaState.FAIL))
    return study


def shown_distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the distribution by which each parameter is plotted: listed numbers lie on an axis as those of a range."""
    return {name: _shown(domain) for name, domain in space.domains.items()}


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each parameter by PED-ANOVA, the most important first.

    Watanabe, Bansal and Hutter (2023), arXiv:2304.10255. It is the share of the difference between good and bad
    trials that goes with the parameter; the shares add up to 1.

    Raises:
        ValueError: fewer than two trials completed, or all to the same value.
    """
    values = {trial.value for trial in study.trials if trial.state is OptunaState.COMPLETE}
    if len(values) < 2:
        raise ValueError("importances need two complete trials of different value")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Mapping[str, float] = optuna.importance.get_param_importances(study)
    return dict(found)


def _shown(domain: Domain) -> BaseDistribution:
    if not isinstance(domain, Choices) or len(domain.values) < 2:
        return to_distribution(domain)
    numbers = [value for value in domain.values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(domain.values):
        return to_distribution(domain)
    low, high = min(numbers), max(numbers)
    log = _grow_by_factors(sorted(numbers))
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _grow_by_factors(numbers: Sequence[int | float]) -> bool:
    """Return whether ascending numbers, such as 64, 128, 256, are more evenly spaced by their logarithms."""
    if numbers[0] <= 0 or len(numbers) < 3:
        return False
    differences, factors = np.diff(numbers), np.diff(np.log(numbers))
    return bool(factors.std() / factors.mean() < differences.std() / differences.mean())


def _frozen(point: Point, outcome: Outcome, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    complete = outcome.state is TrialState.COMPLETE and outcome.value is not None and math.isfinite(outcome.value)
    state = STATES[outcome.state if complete or outcome.state is not TrialState.COMPLETE else TrialState.FAILED]
    return create_trial(
        state=state,
        value=outcome.value if complete else None,
        params=dict(point),
        distributions={name: distributions[name] for name in point},  # some exist for one architecture only
        intermediate_values=dict(enumerate(outcome.curve, start=1)),
    )
