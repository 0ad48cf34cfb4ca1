"""The seconds of a sweep, from the start of its process to its end: a table, a picture and a JSON file.

The command ``mnist-search sweep`` runs in a process and an empty store of its own. The steps of its session and the
events of its loop are timed from outside; the processor time is that of all its processes.

    MNIST_DATA=FOLDER python benchmarks/overhead.py [--out FOLDER] [SWEEP_FILE_OR_NAME] [OPTIONS OF THE SWEEP]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import Any

EVENTS = "OVERHEAD_EVENTS"
STEPS = ("resolve_data", "start_workers", "begin", "run", "close", "report")


@dataclass(frozen=True)
class Phase:
    """A stretch of the process's life. All of them together are its whole life."""

    name: str
    start: float
    seconds: float


@dataclass(frozen=True)
class TrainedTrial:
    """A trial in the time of its worker: seconds since the start of the process, and the parts of its training."""

    number: int
    submitted: float
    begun: float
    first_epoch: float
    last_epoch: float
    saved: float


def timed_command(arguments: list[str]) -> None:
    """Run the command in this process, and write the times of its steps and events."""
    from experiments import launch
    from experiments.cli.main import main

    events: list[tuple[str, int, float]] = [("imported", -1, time.monotonic())]
    seconds: dict[int, tuple[float, float]] = {}

    def note(name: str, number: int = -1) -> None:
        events.append((name, number, time.monotonic()))

    class Watch:
        def sweep_started(self, *_: object) -> None: ...
        def trial_lost(self, *_: object) -> None: ...

        def trial_started(self, trial: Any) -> None:
            note("submitted", trial.number)

        def epoch_ended(self, trial: Any, *_: object) -> None:
            note("epoch", trial.number)

        def trial_ended(self, trial: Any, result: Any) -> None:
            note("recorded", trial.number)
            seconds[trial.number] = (result.training_seconds, result.saving_seconds)

    def timed(step: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(step)
        def run(session: Any, *arguments: Any) -> Any:
            note(f"{name} begins")
            try:
                return step(session, *arguments)
            finally:
                note(f"{name} ends")

        return run

    class TimedSession(launch.SweepSession):
        def __init__(self, spec: Any, options: Any) -> None:
            super().__init__(spec, replace(options, observers=[*options.observers, Watch()]))

    for name in STEPS:
        setattr(TimedSession, name, timed(getattr(launch.SweepSession, name), name))
    launch.SweepSession = TimedSession  # type: ignore[misc]
    vars(sys.modules["__main__"]).pop("__file__")  # as the command does, so that workers do not import it
    sys.argv = ["mnist-search", "sweep", *arguments]
    try:
        main()
    finally:
        note("printed")
        Path(os.environ[EVENTS]).write_text(json.dumps({"events": events, "seconds": seconds}))


def measure(arguments: Sequence[str], folder: Path) -> tuple[dict[str, Any], float, float, float]:
    """The events of a sweep, the times of its process's start and end, and the processor seconds of all processes."""
    from process_tree import ProcessTree

    record = folder / "events.json"
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment |= {EVENTS: str(record), "PYTHONPATH": str(Path(__file__).parent.parent)}
    with (folder / "out").open("w+") as out:
        started = time.monotonic()
        process = subprocess.Popen([sys.executable, __file__, *arguments], cwd=folder, env=environment, stdout=out)
        tree = ProcessTree(process.pid)
        while process.poll() is None:
            time.sleep(0.05)
            tree.look()
        ended = time.monotonic()
        if process.returncode:
            out.seek(0)
            sys.exit(f"the sweep ended with {process.returncode}: {out.read()[-2000:]}")
    return json.loads(record.read_text()), started, ended, tree.cpu


def phases(events: Sequence[tuple[str, int, float]], started: float, ended: float, last_saved: float) -> list[Phase]:
    """The life of the driver, cut at its steps."""
    at = {name: moment - started for name, _, moment in reversed(events)}
    cuts = [
        ("Python and the command are imported", at["imported"]),
        ("sweep file is read and checked", at["resolve_data begins"]),
        ("images are found and read", at["resolve_data ends"]),
        ("workers are prepared", at["start_workers ends"]),
        ("store is opened", at["begin begins"]),
        ("sweep is recorded", at["begin ends"]),
        ("first trial is asked and submitted", at["submitted"]),
        ("first worker starts, until it trains", at["first training"]),
        ("trials", last_saved),
        ("last trial is recorded", at["run ends"]),
        ("sweep is closed", at["close ends"]),
        ("report is drawn", at.get("report ends", at["close ends"])),
        ("result is printed", at["printed"]),
        ("process ends", ended - started),
    ]
    starts = [0.0, *(until for _, until in cuts[:-1])]
    return [Phase(name, start, until - start) for start, (name, until) in zip(starts, cuts, strict=True)]


def trained_trials(
    events: Sequence[tuple[str, int, float]], seconds: dict[str, list[float]], started: float
) -> list[TrainedTrial]:
    """The trials as their workers had them: a result leaves its worker ``saving_seconds`` after the last epoch."""
    found = []
    for key, (training, saving) in sorted(seconds.items(), key=lambda item: int(item[0])):
        epochs = [moment - started for name, number, moment in events if (name, number) == ("epoch", int(key))]
        if not epochs:
            continue  # it failed before its first epoch
        submitted = next(at - started for name, number, at in events if (name, number) == ("submitted", int(key)))
        begun = max(submitted, epochs[-1] - training)
        found.append(TrainedTrial(int(key), submitted, begun, epochs[0], epochs[-1], epochs[-1] + saving))
    return found


def worker_lanes(trials: Sequence[TrainedTrial]) -> list[list[TrainedTrial]]:
    """The trials by worker: one that is submitted goes to a worker whose trial has ended, of these the last."""
    lanes: list[list[TrainedTrial]] = []
    for trial in sorted(trials, key=lambda one: one.submitted):
        free = [lane for lane in lanes if lane[-1].saved <= trial.submitted + 0.1]
        if free:
            max(free, key=lambda lane: lane[-1].saved).append(trial)
        else:
            lanes.append([trial])
    return lanes


def worker_seconds(lanes: Sequence[Sequence[TrainedTrial]], until: float) -> dict[str, float]:
    """Seconds of all workers together, from the first submission to the end of the trials."""
    trials = [trial for lane in lanes for trial in lane]
    first = min(trial.submitted for trial in trials)
    parts = {
        "starting, until the first training": sum(lane[0].begun - first for lane in lanes),
        "building, tracing and the first epoch": sum(trial.first_epoch - trial.begun for trial in trials),
        "further epochs": sum(trial.last_epoch - trial.first_epoch for trial in trials),
        "saving models": sum(trial.saved - trial.last_epoch for trial in trials),
    }
    return parts | {"without a trial": len(lanes) * (until - first) - sum(parts.values())}


def draw(driver: Sequence[Phase], lanes: Sequence[Sequence[TrainedTrial]], path: Path) -> None:
    """A lane for the driver and one for each worker, by seconds."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.6 + 0.6 * (1 + len(lanes))), layout="constrained")
    axes = figure.subplots()
    bar = partial(axes.barh, height=0.7, edgecolor="white", linewidth=0.5)
    for number, phase in enumerate(driver):
        if phase.name != "trials":
            bar(0, phase.seconds, left=phase.start, color=colormaps["tab20"](number), label=phase.name)
    starting, first, further, saving = "0.85", "#fdae6b", "#74c476", "#9e9ac8"
    for row, lane in enumerate(lanes, start=1):
        bar(row, lane[0].begun - lane[0].submitted, left=lane[0].submitted, color=starting)
        for trial in lane:
            bar(row, trial.first_epoch - trial.begun, left=trial.begun, color=first)
            bar(row, trial.last_epoch - trial.first_epoch, left=trial.first_epoch, color=further)
            bar(row, trial.saved - trial.last_epoch, left=trial.last_epoch, color=saving)
    names = ("worker starts", "building, tracing, first epoch", "further epochs", "saving")
    for name, colour in zip(names, (starting, first, further, saving), strict=True):
        bar(0, 0, color=colour, label=name)
    axes.set_yticks(range(1 + len(lanes)), ["driver", *(f"worker {row}" for row in range(1, 1 + len(lanes)))])
    axes.invert_yaxis()
    axes.set_xlabel("seconds since the start of the process")
    figure.legend(loc="outside lower center", ncols=4, fontsize="small", frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    from common import machine, whole_mnist

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/overhead"), help="folder of the picture and the JSON")
    parser.add_argument("sweep", nargs="?", default="quick")
    own, options = parser.parse_known_args()
    arguments = [own.sweep, "--data", str(whole_mnist().path), *options]
    print(f"{machine()}\nmnist-search sweep {' '.join([own.sweep, *options])}, in a new store")
    with tempfile.TemporaryDirectory() as folder:
        record, started, ended, processor = measure(arguments, Path(folder))
    events = [(name, number, moment) for name, number, moment in record["events"]]
    trials = trained_trials(events, record["seconds"], started)
    lanes = worker_lanes(trials)
    last_saved = max(trial.saved for trial in trials)
    events.append(("first training", -1, started + min(trial.begun for trial in trials)))
    driver = phases(events, started, ended, last_saved)
    print("\n seconds  share  from the start of the process to its end")
    for phase in driver:
        print(f"{phase.seconds:8.2f} {phase.seconds / (ended - started):6.1%}  {phase.name}")
    print(f"{ended - started:8.2f}         in all; {processor:.1f} processor seconds, all processes together")
    spent = worker_seconds(lanes, last_saved)
    print(f"\n seconds  share  of {len(lanes)} workers, from the first submission to the end of the trials")
    for name, seconds in spent.items():
        print(f"{seconds:8.2f} {seconds / sum(spent.values()):6.1%}  {name}")
    own.out.mkdir(parents=True, exist_ok=True)
    draw(driver, lanes, own.out / "overhead.png")
    content = {
        "seconds": ended - started,
        "processor_seconds": processor,
        "driver": [asdict(phase) for phase in driver],
        "workers": spent,
        "trials": [asdict(trial) for trial in trials],
    }
    (own.out / "overhead.json").write_text(json.dumps(content, indent=1))
    print(f"\n{own.out / 'overhead.png'}, {own.out / 'overhead.json'}")


if __name__ == "__main__":
    if EVENTS in os.environ:
        timed_command(sys.argv[1:])
    else:
        main()
