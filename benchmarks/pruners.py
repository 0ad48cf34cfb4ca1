"""Epochs that a sweep takes to find its best validation accuracy, with different pruners and settings of them.

Each shipped sweep is run without a pruner first, once for each seed, on the whole of MNIST; the curves are kept with
--keep. Then each pruner sees the same points and curves in the order in which two workers would have reported them.
TPE suggests other points after pruned trials than after complete ones, which this leaves out. So --live runs whole
sweeps under a pruner, as ``mnist-search sweep`` does, against the best accuracy of the same --trials.

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
from live_sweep import run_live
from optuna.pruners import BasePruner, NopPruner, PatientPruner, PercentilePruner
from simulated_sweep import EndedSweep, Replay, simulate
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
    "successive-halving, from epoch 4": lambda epochs: halving(3, 4),
    "successive-halving, half, from epoch 2": lambda epochs: halving(2, 2),
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

    def against(self, other: Row, value: Callable[[Measured], float]) -> str:
        """The mean difference to another pruner on the same seeds, and half its 95% interval by Student's t."""
        differences = [value(mine) - value(its) for mine, its in zip(self.seeds, other.seeds, strict=True)]
        if len(differences) < 2:
            return f"{differences[0]:+.1f}"
        from scipy.stats import t

        half = float(t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
        return f"{statistics.fmean(differences):+.1f} ± {half:.1f}"


@dataclass(frozen=True)
class Comparison:
    """The pruners of one sweep.

    Args:
        sweep: its name.
        shipped: the pruner of its file.
        trials: number of points.
        best: validation accuracy without a pruner, of each seed.
        rows: all pruners, on the same points.
        live: whole sweeps under a pruner, of the first seeds.
    """

    sweep: str
    shipped: str
    trials: int
    best: Sequence[float]
    rows: Sequence[Row]
    live: Sequence[Row]

    def show(self) -> None:
        """Print the table. Differences are to the pruner of the file, with 95% intervals."""
        best = ", ".join(f"{100 * value:.2f}" for value in self.best)
        print(f"\n{self.sweep}: {self.trials} trials, {len(self.best)} seeds; best without a pruner {best}%")
        print(
            f"{'pruner':<40}{'all epochs':>11}{'difference':>16}{'until':>8}{'difference':>16}{'reached':>9}{'lost':>7}{'complete':>10}"
        )
        shipped = next(row for row in self.rows if row.pruner == self.shipped)
        for row in self.rows:
            _show(row, row.pruner, shipped)
        for row in self.live:
            count = len(row.seeds)
            _show(row, f"{row.pruner}, live", replace(shipped, seeds=shipped.seeds[:count]))


def _show(row: Row, name: str, shipped: Row) -> None:
    cells = [name.ljust(40)]
    for value, width in ((lambda one: one.epochs, 11), (lambda one: one.spent, 8)):
        cells += [f"{row.mean(value):>{width}.1f}", row.against(shipped, value).rjust(16)]
    cells += [f"{row.reached} of {len(row.seeds)}".rjust(9), f"{100 * row.mean(lambda one: one.gap):>7.2f}"]
    cells.append(f"{row.mean(lambda one: one.complete):>10.1f}")
    print("".join(cells))


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
            live[name].append(Measured.of(run_live(replace(plain, pruner=name), folder), unpruned))
    rows, live_rows = ([Row(*item) for item in each.items()] for each in (measured, live))
    return Comparison(spec.name, spec.pruner, trials, best, rows, live_rows)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", default=["quick", "bayesian"], help="shipped ones")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, help="only the first so many points of each sweep")
    parser.add_argument("--keep", type=Path, help="folder for the curves and the live sweeps")
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
