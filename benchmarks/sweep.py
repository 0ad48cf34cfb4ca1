"""Trials a minute and time to an accuracy: the points of a grid by this project and by what others use.

Each contender is a command in an empty folder, measured from its start to its end. All train the same points on the
same split of MNIST for the same number of epochs. They take turns, and the table has medians. Other work on the machine
affects the ratios of wall times least, since each is taken within one turn.

    MNIST_DATA=FOLDER python benchmarks/sweep.py [--points 6 12] [--epochs 5] [--turns 3] [--out FOLDER]

This takes about an hour on two cores; ``--points 3 --epochs 2 --turns 1`` a few minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import grid_sweep
import numpy as np
from common import machine, whole_mnist, write_json
from grid_sweep import Epoch
from process_tree import MEMORY_KIND, TreeUsage, measure_command

from mnist_core.data.images import split
from mnist_core.data.sources import DataSource
from search.spec import DataSpec

PROGRAMS = Path(__file__).parent / "contenders"
LEVELS = (0.975, 0.98, 0.983)


@dataclass(frozen=True)
class Contender:
    """A way to train the points of a grid.

    Args:
        name: as the table has it.
        command: to be run in a folder; it is given the data's.
        epochs: of the command, read from its folder after its end.
        engine: of the sweep file, for those that read one.
        keeps_models: a model of each trial in MLflow's store.
    """

    name: str
    command: Callable[[Path], list[str]]
    epochs: Callable[[Path], list[Epoch]]
    engine: str = "optuna"
    keeps_models: bool = True


def own(engine: str) -> Contender:
    return Contender(f"mnist-search, {engine}", grid_sweep.sweep_command, grid_sweep.recorded_epochs, engine)


def other(name: str, program: str, keeps_models: bool = True) -> Contender:
    command = [sys.executable, str(PROGRAMS / program)]
    return Contender(name, lambda data: command, written_epochs, keeps_models=keeps_models)


def written_epochs(folder: Path) -> list[Epoch]:
    lines = [line.split() for line in (folder / "epochs.txt").read_text().splitlines()]
    return [Epoch(trial, float(ended), float(accuracy)) for trial, ended, accuracy in lines]


CONTENDERS = {
    "optuna": own("optuna"),
    "keras-tuner": own("keras-tuner"),
    "optuna-autolog": other("Optuna, fit, autolog", "optuna_autolog.py"),
    "keras-tuner-autolog": other("KerasTuner's GridSearch, autolog", "keras_tuner_grid.py"),
    "ray-tune": other("Ray Tune, MLflow callback", "ray_tune.py"),
    "optuna-untracked": other("Optuna, fit, untracked", "optuna_untracked.py", keeps_models=False),
}


@dataclass(frozen=True)
class Turn:
    """One measured command of a contender.

    Args:
        usage: of its command and all processes below it.
        reached: seconds until a validation accuracy of each of ``LEVELS``; None if there was none.
        best: validation accuracy of the best trial.
        mean: of the trials' best validation accuracies; shows that contenders train alike.
    """

    usage: TreeUsage
    reached: tuple[float | None, ...]
    best: float
    mean: float


def take_turn(contender: Contender, points: int, epochs: int, data: Path, images: Path) -> Turn:
    with tempfile.TemporaryDirectory(prefix="mnist-") as scratch:
        folder = Path(scratch)
        (folder / "sweep.toml").write_text(grid_sweep.sweep_text(contender.engine, points, epochs))
        task = {"grid": grid_sweep.grid_of(points), "epochs": epochs, "batch_size": grid_sweep.BATCH_SIZE}
        (folder / "task.json").write_text(json.dumps(task | {"images": str(images)}))
        started = time.time()
        usage = measure_command(contender.command(data), folder, grid_sweep.new_environment(folder))
        found = contender.epochs(folder)
        models = sum(1 for _ in folder.glob("mlruns/**/model.keras"))
    if models != points * contender.keeps_models:  # autolog goes on without a model where it fails to log one
        sys.exit(f"{contender.name}: expected a model of each of {points} trials, received {models}")
    best = grid_sweep.best_accuracies(found, points, epochs)
    reached = tuple(grid_sweep.seconds_to(level, found, started) for level in LEVELS)
    return Turn(usage, reached, best[0], statistics.mean(best))


def save_split(source: DataSource, path: Path) -> None:
    """Write the split that a sweep trains on, for the other contenders."""
    divided = split(source.load_training(), grid_sweep.VALIDATION, DataSpec().seed)
    np.savez(
        path,
        x_train=divided.train.images,
        y_train=divided.train.labels,
        x_validation=divided.validation.images,
        y_validation=divided.validation.labels,
    )


@dataclass(frozen=True)
class Row:
    """Medians over the turns of a contender.

    Args:
        name: of the contender.
        wall: seconds.
        rate: trials a minute.
        ratio: wall time divided by that of the first contender in the same turn.
        cpu: processor seconds.
        memory: largest, in MB.
        reached: as those of the turns; None if a turn did not reach it.
        best: validation accuracy.
        mean: of the trials' best validation accuracies.
    """

    name: str
    wall: float
    rate: float
    ratio: float
    cpu: float
    memory: float
    reached: tuple[float | None, ...]
    best: float
    mean: float


def summarize(name: str, turns: Sequence[Turn], first: Sequence[Turn], points: int) -> Row:
    def median(value: Callable[[Turn], float]) -> float:
        return statistics.median(map(value, turns))

    wall = median(lambda turn: turn.usage.wall)
    return Row(
        name,
        wall,
        rate=60 * points / wall,
        ratio=statistics.median(a.usage.wall / b.usage.wall for a, b in zip(turns, first, strict=True)),
        cpu=median(lambda turn: turn.usage.cpu),
        memory=median(lambda turn: turn.usage.memory),
        reached=tuple(map(_median_if_all, zip(*(turn.reached for turn in turns), strict=True))),
        best=median(lambda turn: turn.best),
        mean=median(lambda turn: turn.mean),
    )


def _median_if_all(values: Sequence[float | None]) -> float | None:
    reached = [value for value in values if value is not None]
    return statistics.median(reached) if len(reached) == len(values) else None


def compare(names: Sequence[str], points: int, epochs: int, count: int, source: DataSource) -> dict[str, list[Turn]]:
    """The turns of each contender; they take the first one after the other, then the second."""
    assert source.path is not None
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        save_split(source, images := Path(folder) / "images.npz")
        for number in range(1, count + 1):
            for name, taken in turns.items():
                taken.append(take_turn(CONTENDERS[name], points, epochs, source.path.absolute(), images))
            walls = ", ".join(f"{name} {taken[-1].usage.wall:.1f}" for name, taken in turns.items())
            print(f"  turn {number}, seconds: {walls}", flush=True)
    return turns


def print_table(rows: Sequence[Row]) -> None:
    levels = "".join(f"{f'{level:.1%} at':>10}" for level in LEVELS)
    print(f"  {'':<32}{'wall':>8}{'trials/min':>12}{'ratio':>7}{'CPU':>8}{'memory':>10}{levels}{'best':>9}{'mean':>9}")
    for row in rows:
        reached = "".join(f"{'–' if seconds is None else f'{seconds:.1f} s':>10}" for seconds in row.reached)
        cost = f"{row.wall:>6.1f} s{row.rate:>12.1f}{row.ratio:>7.1f}{row.cpu:>6.0f} s{row.memory:>7.0f} MB"
        print(f"  {row.name:<32}{cost}{reached}{row.best:>9.4f}{row.mean:>9.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="+", type=int, choices=grid_sweep.POINTS, default=[6, 12])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--out", type=Path, default=Path("build/sweep"), help="folder of the JSON file")
    given = parser.parse_args()
    source, tables = whole_mnist(), []
    print(machine())
    for points in given.points:
        print(f"\n{points} trials of {given.epochs} epochs, {given.turns} turns", flush=True)
        turns = compare(given.contenders, points, given.epochs, given.turns, source)
        first = turns[given.contenders[0]]
        rows = [summarize(CONTENDERS[name].name, taken, first, points) for name, taken in turns.items()]
        print_table(rows)
        runs = {name: [asdict(turn) for turn in taken] for name, taken in turns.items()}
        tables.append({"points": points, "epochs": given.epochs, "rows": [asdict(row) for row in rows], "turns": runs})
    print(f"\nratio: of wall times, to the first line; CPU and memory ({MEMORY_KIND}, largest sum): of all processes;")
    print("mean: of the trials' best validation accuracies")
    content = {"machine": machine(), "memory": MEMORY_KIND, "levels": LEVELS, "tables": tables}
    print(write_json(given.out / "sweep.json", content))


if __name__ == "__main__":
    main()
