"""Epochs that a sweep takes to find its best validation accuracy, with different pruners and settings of them.

Each shipped sweep is run without a pruner first, once for each seed, on the whole of MNIST; the curves are kept with
--keep. Then each pruner sees the same points and curves in the order in which two workers would have reported them.
TPE suggests other points after pruned trials than after complete ones, which this leaves out. So --live runs whole
sweeps under a pruner, as ``mnist-search sweep`` does, against the best accuracy of those --trials. --orders N replays
N sweeps of points drawn from those of all seeds, in random order, as a random search would have tried them.

    MNIST_DATA=FOLDER python benchmarks/pruners.py [SWEEP ...] [--seeds N] [--trials N] [--keep FOLDER]
        [--live PRUNER ...] [--live-seeds N] [--orders N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from common import machine
from live_sweep import run_live
from optuna.pruners import BasePruner, NopPruner, PatientPruner, PercentilePruner
from simulated_sweep import Curve, EndedSweep, Replay, simulate
from trial_curves import TrialCurves

from experiments.sweep_files import load_spec
from search.engines import PRUNERS, Engine
from search.searchers.factory import make_searcher
from search.searchers.pruners import MedianPruner, make_pruner
from search.space import Point, PointKey, key_of
from search.spec import SweepSpec
from search.trial import Trial

MARGIN = 0.001
"""Validation accuracy below the best of the sweep without a pruner that counts as the same: 0.1 points."""


def halving(factor: int, first: int) -> BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor)


def hyperband(epochs: int, factor: int, first: int) -> BasePruner:
    return optuna.pruners.HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=factor)


CONTENDERS: Mapping[str, Callable[[int], BasePruner]] = {
    "none": lambda epochs: NopPruner(),
    "median": lambda epochs: make_pruner("median", epochs),
    "median, from epoch 1": lambda epochs: MedianPruner(5, 1),
    "median, from epoch 4": lambda epochs: MedianPruner(5, 4),
    "median, after 1 trial": lambda epochs: MedianPruner(1, 2),
    "median, after 3 trials": lambda epochs: MedianPruner(3, 2),
    "median, after 10 trials": lambda epochs: MedianPruner(10, 2),
    "best quarter": lambda epochs: PercentilePruner(25, n_startup_trials=5, n_warmup_steps=2),
    "best three quarters": lambda epochs: PercentilePruner(75, n_startup_trials=5, n_warmup_steps=2),
    "median, patience 1": lambda epochs: PatientPruner(MedianPruner(5, 2), patience=1),
    "successive-halving": lambda epochs: make_pruner("successive-halving", epochs),
    "successive-halving, from epoch 1": lambda epochs: halving(2, 1),
    "successive-halving, from epoch 2": lambda epochs: halving(2, 2),
    "successive-halving, from epoch 4": lambda epochs: halving(2, 4),
    "successive-halving, third, from epoch 1": lambda epochs: halving(3, 1),
    "successive-halving, third, from epoch 2": lambda epochs: halving(3, 2),
    "successive-halving, third, from epoch 3": lambda epochs: halving(3, 3),
    "successive-halving, third, from epoch 4": lambda epochs: halving(3, 4),
    "successive-halving, quarter, from epoch 3": lambda epochs: halving(4, 3),
    "hyperband": lambda epochs: make_pruner("hyperband", epochs),
    "hyperband, from epoch 2": lambda epochs: hyperband(epochs, 3, 2),
    "hyperband, half": lambda epochs: hyperband(epochs, 2, 1),
    "hyperband, half, from epoch 2": lambda epochs: hyperband(epochs, 2, 2),
    "hyperband, quarter": lambda epochs: hyperband(epochs, 4, 1),
}
"""By the word of a sweep file where it is what that means: the median from epoch 2, after 5 trials; halving that keeps
a half from epoch 3, or from epoch 2 of 4; Hyperband that keeps a third from epoch 1. Patience asks only after so many
epochs without an improvement."""


@dataclass(frozen=True)
class Measured:
    """A sweep with one seed and one pruner, against the same without one.

    Args:
        epochs: of the whole sweep.
        complete: number of complete trials.
        until: epochs spent when the first complete trial within the margin ended; None where there was none.
        unpruned_epochs: of the whole sweep without a pruner.
        unpruned_until: likewise, for the sweep without a pruner.
        gap: best validation accuracy without a pruner less the best with it.
    """

    epochs: int
    complete: int
    until: int | None
    unpruned_epochs: int
    unpruned_until: int
    gap: float

    @classmethod
    def of(cls, sweep: EndedSweep, unpruned: EndedSweep) -> Measured:
        # An image less than the margin allows would be lost to rounding.
        target = unpruned.best - MARGIN - 1e-9
        until = unpruned.epochs_until(target)
        assert until is not None
        return cls(
            epochs=sweep.epochs,
            complete=sweep.complete,
            until=sweep.epochs_until(target),
            unpruned_epochs=unpruned.epochs,
            unpruned_until=until,
            gap=round(unpruned.best - sweep.best, 6),
        )

    @property
    def spent(self) -> int:
        """Epochs until the target; where it was missed, all of the sweep and then those of one without a pruner."""
        return self.epochs + self.unpruned_until if self.until is None else self.until


@dataclass(frozen=True)
class Row:
    """A pruner over all seeds of a sweep."""

    pruner: str
    seeds: Sequence[Measured]

    @property
    def reached(self) -> int:
        return sum(one.until is not None for one in self.seeds)

    def mean(self, value: Callable[[Measured], float]) -> float:
        return statistics.fmean(map(value, self.seeds))

    def saving(self, value: Callable[[Measured], float], unpruned: Callable[[Measured], float], interval: bool) -> str:
        """The mean of what is saved against no pruner, with half its 95% interval by Student's t over the seeds."""
        saved = [unpruned(one) - value(one) for one in self.seeds]
        mean = f"{statistics.fmean(saved):.1f}"
        if not interval or len(saved) < 2:
            return mean
        from scipy.stats import t

        return f"{mean} ± {t.ppf(0.975, len(saved) - 1) * statistics.stdev(saved) / math.sqrt(len(saved)):.1f}"


@dataclass(frozen=True)
class Comparison:
    """The pruners of one sweep.

    Args:
        title: the sweep, the points and the seeds.
        independent: True where each seed has points and curves of its own.
        best: validation accuracy without a pruner, of each seed.
        rows: one for each pruner.
    """

    title: str
    independent: bool
    best: Sequence[float]
    rows: Sequence[Row]

    def show(self) -> None:
        """Print the table."""
        print(f"\n{self.title}; without a pruner the best is {min(self.best):.4f} to {max(self.best):.4f}")
        print(
            f"{'pruner':<42}{'epochs':>8}{'saved':>14}{'until':>8}{'saved':>14}{'reached':>11}{'lost':>7}{'complete':>10}"
        )
        for row in self.rows:
            print(self._line(row), flush=True)

    def summary(self) -> dict[str, object]:
        """The table as values for JSON: means over the seeds."""
        return {"title": self.title, "best": [round(value, 4) for value in self.best]} | {
            row.pruner: {
                "epochs": row.mean(lambda one: one.epochs),
                "epochs_unpruned": row.mean(lambda one: one.unpruned_epochs),
                "until": row.mean(lambda one: one.spent),
                "until_unpruned": row.mean(lambda one: one.unpruned_until),
                "reached": row.reached,
                "of": len(row.seeds),
                "lost_points": round(100 * row.mean(lambda one: one.gap), 4),
                "complete": row.mean(lambda one: one.complete),
            }
            for row in self.rows
        }

    def _line(self, row: Row) -> str:
        whole = row.saving(lambda one: one.epochs, lambda one: one.unpruned_epochs, self.independent)
        until = row.saving(lambda one: one.spent, lambda one: one.unpruned_until, self.independent)
        return (
            f"{row.pruner:<42}{row.mean(lambda one: one.epochs):>8.1f}{whole:>14}"
            f"{row.mean(lambda one: one.spent):>8.1f}{until:>14}{f'{row.reached} of {len(row.seeds)}':>11}"
            f"{100 * row.mean(lambda one: one.gap):>7.2f}{row.mean(lambda one: one.complete):>10.1f}"
        )


def replay(spec: SweepSpec, points: Sequence[Point], curve_of: Callable[[Trial], Curve]) -> dict[str, Measured]:
    """Show the points to each pruner, in their order."""
    sweeps = {
        name: simulate(spec, Replay(points, make(spec.training.epochs)), curve_of, len(points))
        for name, make in CONTENDERS.items()
    }
    return {name: Measured.of(sweep, sweeps["none"]) for name, sweep in sweeps.items()}


def compare(spec: SweepSpec, options: argparse.Namespace, folder: Path) -> Iterator[Comparison]:
    """Run a sweep without a pruner for each seed, and compare the pruners on what it tried."""
    trials = min(spec.target, options.trials or spec.target)
    replayed, live, best = [], [], []
    pool: dict[PointKey, tuple[Point, Curve]] = {}
    for seed in range(options.seeds):
        plain = replace(spec, seed=seed, pruner="none")
        curves = TrialCurves(plain, folder)
        unpruned = simulate(plain, make_searcher(plain), curves, trials)
        best.append(unpruned.best)
        replayed.append(replay(plain, unpruned.points, curves))
        if seed < options.live_seeds:
            sweeps = {name: run_live(replace(plain, pruner=name), folder) for name in options.live}
            live.append({name: Measured.of(sweep, unpruned) for name, sweep in sweeps.items()})
        pool |= {key_of(one): (one, curves(plain.trial(0, one))) for one in unpruned.points}
    title = f"{spec.name}, {trials} trials, {options.seeds} seeds"
    yield Comparison(title, True, best, rows_of(replayed))
    if options.live:
        yield Comparison(f"{title}, whole sweeps of {spec.target} trials under each pruner", True, best, rows_of(live))
    if options.orders:
        draw = random.Random(0)
        orders = [draw.sample([point for point, _ in pool.values()], spec.target) for _ in range(options.orders)]
        found = [replay(spec, order, lambda trial: pool[key_of(trial.point)][1]) for order in orders]
        best = [max(max(pool[key_of(point)][1].values) for point in order) for order in orders]
        title = f"{spec.name}, {spec.target} of the {len(pool)} points of all seeds at random, {options.orders} times"
        yield Comparison(title, False, best, rows_of(found))


def rows_of(seeds: Sequence[Mapping[str, Measured]]) -> list[Row]:
    return [Row(name, [each[name] for each in seeds]) for name in seeds[0]]


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", default=["quick", "bayesian"], help="shipped ones")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=12, help="the first so many points of each sweep; 0 for all")
    parser.add_argument("--keep", type=Path, help="folder for the curves and the live sweeps")
    words = PRUNERS[Engine.OPTUNA]
    parser.add_argument("--live", nargs="*", metavar="PRUNER", default=[], choices=words, help=", ".join(words))
    parser.add_argument("--orders", type=int, default=300, help="sweeps of points of all seeds in random order")
    parser.add_argument("--live-seeds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


def main() -> None:
    options = parse_options()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(machine(), flush=True)
    comparisons = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.sweeps:
            for comparison in compare(load_spec(name), options, folder):
                comparison.show()
                comparisons.append(comparison)
    if options.json:
        options.json.write_text(json.dumps([one.summary() for one in comparisons], indent=1))


if __name__ == "__main__":
    main()
