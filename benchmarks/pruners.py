"""Epochs that a sweep takes to find its best validation accuracy, with different pruners and settings of them.

Each shipped sweep is run without a pruner first, once for each seed, on the whole of MNIST; the curves are kept with
--keep. Then each pruner sees the same points and curves in the order in which two workers would have reported them.
TPE would have suggested other points after pruned trials than after complete ones, which this leaves out. So --live
runs sweeps whose sampler is asked under the pruner, and trains the points that this leads to.

    MNIST_DATA=FOLDER python benchmarks/pruners.py [SWEEP ...] [--seeds N] [--trials N] [--keep FOLDER]
        [--live PRUNER ...] [--live-seeds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import optuna
from common import machine
from optuna.pruners import BasePruner, NopPruner, PatientPruner, PercentilePruner
from simulated_sweep import Replay, SimulatedSweep, simulate
from trial_curves import TrialCurves

from experiments.sweep_files import load_spec
from search.engines import PRUNERS, Engine
from search.searchers.factory import make_searcher
from search.searchers.pruners import MedianPruner, make_pruner
from search.spec import SweepSpec

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
    "median, after 3 trials": lambda epochs: MedianPruner(3, 2),
    "median, after 10 trials": lambda epochs: MedianPruner(10, 2),
    "best quarter": lambda epochs: PercentilePruner(25, n_startup_trials=5, n_warmup_steps=2),
    "best three quarters": lambda epochs: PercentilePruner(75, n_startup_trials=5, n_warmup_steps=2),
    "median, patience 1": lambda epochs: PatientPruner(MedianPruner(5, 2), patience=1),
    "successive-halving": lambda epochs: make_pruner("successive-halving", epochs),
    "successive-halving, half": lambda epochs: halving(2, 1),
    "successive-halving, quarter": lambda epochs: halving(4, 1),
    "successive-halving, from epoch 2": lambda epochs: halving(3, 2),
    "hyperband": lambda epochs: make_pruner("hyperband", epochs),
    "hyperband, half": lambda epochs: hyperband(epochs, 2, 1),
    "hyperband, quarter": lambda epochs: hyperband(epochs, 4, 1),
    "hyperband, from epoch 2": lambda epochs: hyperband(epochs, 3, 2),
}
"""By the word of a sweep file where it is what that means. Patience asks the pruner only after so many epochs
without an improvement; a half and a quarter are what is kept in each rung, else a third."""


@dataclass(frozen=True)
class Measured:
    """A sweep with one seed and one pruner, against the same without one.

    Args:
        epochs: of the whole sweep.
        until: epochs spent when the first complete trial within the margin ended; None where there was none.
        unpruned_epochs: of the whole sweep without a pruner.
        unpruned_until: likewise, for the sweep without a pruner.
        gap: best validation accuracy without a pruner less the best with it.
    """

    epochs: int
    until: int | None
    unpruned_epochs: int
    unpruned_until: int
    gap: float

    @classmethod
    def of(cls, sweep: SimulatedSweep, unpruned: SimulatedSweep) -> Measured:
        # An image less than the margin allows would be lost to rounding.
        target = unpruned.best - MARGIN - 1e-9
        until = unpruned.epochs_until(target)
        assert until is not None
        return cls(
            sweep.epochs, sweep.epochs_until(target), unpruned.epochs, until, round(unpruned.best - sweep.best, 6)
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
    def spent(self) -> float:
        return statistics.fmean(one.spent for one in self.seeds)

    @property
    def reached(self) -> int:
        return sum(one.until is not None for one in self.seeds)

    def against(self, other: Row) -> tuple[float, float]:
        """The mean difference in epochs spent to another pruner on the same seeds, and half its 95% interval."""
        differences = [mine.spent - its.spent for mine, its in zip(self.seeds, other.seeds, strict=False)]
        if len(differences) < 2:
            return differences[0], math.inf
        from scipy.stats import t

        half = float(t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
        return statistics.fmean(differences), half


@dataclass(frozen=True)
class Comparison:
    """The rows of a sweep; those of ``live`` have the first seeds only, and are compared with none on these."""

    sweep: str
    shipped: str
    trials: int
    best: Sequence[float]
    rows: Sequence[Row]
    live: Sequence[Row]

    def show(self) -> None:
        """Print the table."""
        best = ", ".join(f"{100 * value:.2f}" for value in self.best)
        print(f"\n{self.sweep}: {self.trials} trials, {len(self.best)} seeds; best without a pruner {best}%")
        print(
            f"{'pruner':<34} {'all epochs':>10} {'until':>6} {'reached':>8} {'lost':>6}   until, against {self.shipped}"
        )
        shipped = next(row for row in self.rows if row.pruner == self.shipped)
        for row in self.rows:
            self._show(row, row.pruner, row.against(shipped))
        for row in self.live:
            self._show(row, f"{row.pruner}, live", None)

    def _show(self, row: Row, name: str, difference: tuple[float, float] | None) -> None:
        epochs = statistics.fmean(one.epochs for one in row.seeds)
        gap = 100 * statistics.fmean(one.gap for one in row.seeds)
        against = f"{difference[0]:+.1f} ± {difference[1]:.1f}" if difference else ""
        reached = f"{row.reached} of {len(row.seeds)}"
        print(f"{name:<34} {epochs:>10.1f} {row.spent:>6.1f} {reached:>8} {gap:>6.2f}   {against}")


def compare(spec: SweepSpec, options: argparse.Namespace, folder: Path) -> Comparison:
    """Run a sweep without a pruner for each seed, replay it through all contenders, and run the live ones."""
    trials = min(spec.target, options.trials or spec.target)
    measured: dict[str, list[Measured]] = {name: [] for name in CONTENDERS}
    live: dict[str, list[Measured]] = {name: [] for name in options.live}
    best = []
    for seed in range(options.seeds):
        plain = replace(spec, seed=seed, pruner="none")
        curves = TrialCurves(plain, folder)
        unpruned = simulate(plain, make_searcher(plain), curves, trials)
        best.append(unpruned.best)
        for name, make in CONTENDERS.items():
            sweep = simulate(plain, Replay(unpruned.points, make(spec.training.epochs)), curves, trials)
            measured[name].append(Measured.of(sweep, unpruned))
        for name in options.live if seed < options.live_seeds else ():
            pruned = replace(plain, pruner=name)
            live[name].append(Measured.of(simulate(pruned, make_searcher(pruned), curves, trials), unpruned))
    rows, live_rows = ([Row(*item) for item in each.items()] for each in (measured, live))
    return Comparison(spec.name, spec.pruner, trials, best, rows, live_rows)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", default=["quick", "bayesian"], help="shipped ones")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, help="only the first so many points of each sweep")
    parser.add_argument("--keep", type=Path, help="folder for the curves")
    words = PRUNERS[Engine.OPTUNA]
    parser.add_argument("--live", nargs="*", metavar="PRUNER", default=[], choices=words, help=", ".join(words))
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
            comparisons.append(compare(load_spec(name), options, folder))
            comparisons[-1].show()
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in comparisons], indent=1))


if __name__ == "__main__":
    main()
