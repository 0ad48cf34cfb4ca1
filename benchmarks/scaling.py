"""Sweeps of this project by number of workers and trials: wall and processor time, memory, waiting for the store.

Each is a command in an empty folder, measured from its start to its end. The grids have the same mix of widths. All
take turns, and the table has medians.

    MNIST_DATA=FOLDER python benchmarks/scaling.py [--workers 1 2] [--trials 5 20 100] [--epochs 2] [--turns 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grid_sweep
from common import machine, whole_mnist, write_json
from process_tree import MEMORY_KIND, measure_command

TRIALS = [points for points in grid_sweep.POINTS if points % 5 == 0 and points != 30]


@dataclass(frozen=True)
class Sweep:
    """A measured sweep, or the medians of several.

    Args:
        workers: trials at a time.
        trials: of the sweep.
        wall: seconds.
        cpu: processor seconds of all processes.
        memory: largest sum over the processes, in MB.
        waited: seconds for which the sweep waited for the store.
    """

    workers: int
    trials: int
    wall: float
    cpu: float
    memory: float
    waited: float


def measure(workers: int, trials: int, epochs: int, data: Path) -> Sweep:
    with tempfile.TemporaryDirectory(prefix="mnist-") as scratch:
        folder = Path(scratch)
        (folder / "sweep.toml").write_text(grid_sweep.sweep_text("optuna", trials, epochs))
        command = [*grid_sweep.sweep_command(data), "--workers", str(workers)]
        usage = measure_command(command, folder, grid_sweep.new_environment(folder))
        grid_sweep.best_accuracies(grid_sweep.recorded_epochs(folder), trials, epochs)
        waited = grid_sweep.recorded_metric(folder, "tracking_wait_seconds")
    return Sweep(workers, trials, usage.wall, usage.cpu, usage.memory, waited)


def median(sweeps: Sequence[Sweep]) -> Sweep:
    names = ("wall", "cpu", "memory", "waited")
    values = {name: statistics.median(getattr(sweep, name) for sweep in sweeps) for name in names}
    return Sweep(sweeps[0].workers, sweeps[0].trials, **values)


def print_table(rows: Sequence[Sweep]) -> None:
    fewest = {row.trials: row.wall for row in reversed(rows)}
    print("  workers  trials      wall  trials/min   gain  CPU a trial    memory   waited")
    for row in rows:
        rate, gain = 60 * row.trials / row.wall, fewest[row.trials] / row.wall
        cost = f"{row.wall:>8.1f} s{rate:>12.1f}{gain:>7.2f}{row.cpu / row.trials:>11.2f} s{row.memory:>7.0f} MB"
        print(f"  {row.workers:>7}{row.trials:>8}{cost}{row.waited / row.wall:>9.1%}")


def print_lines(rows: Sequence[Sweep]) -> None:
    """Print the start and the cost of a trial, by a line through the wall times of each number of workers."""
    for workers in sorted({row.workers for row in rows}):
        of_workers = [row for row in rows if row.workers == workers]
        if len(of_workers) > 1:
            line = statistics.linear_regression([row.trials for row in of_workers], [row.wall for row in of_workers])
            print(f"  workers {workers}: {line.intercept:.1f} s, and {line.slope:.2f} s for each trial")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--trials", nargs="+", type=int, choices=TRIALS, default=[5, 20, 100])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/scaling"), help="folder of the JSON file")
    given = parser.parse_args()
    source = whole_mnist()
    assert source.path is not None
    print(f"{machine()}\n\nsweeps of trials of {given.epochs} epochs, {given.turns} turns", flush=True)
    measured: dict[tuple[int, int], list[Sweep]] = {}
    for number in range(1, given.turns + 1):
        for trials in given.trials:
            for workers in given.workers:
                sweep = measure(workers, trials, given.epochs, source.path.absolute())
                measured.setdefault((workers, trials), []).append(sweep)
        print(f"  turn {number}: {sum(sweeps[-1].wall for sweeps in measured.values()):.0f} s", flush=True)
    rows = [median(measured[key]) for key in sorted(measured)]
    print_table(rows)
    print_lines(rows)
    print(f"\ngain: beside the fewest workers; memory ({MEMORY_KIND}, largest sum): of all processes;")
    print("waited: for the store, as a share of the wall time")
    turns = [asdict(sweep) for sweeps in measured.values() for sweep in sweeps]
    content = {"machine": machine(), "memory": MEMORY_KIND, "epochs": given.epochs, "turns": turns}
    print(write_json(given.out / "scaling.json", content | {"rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
