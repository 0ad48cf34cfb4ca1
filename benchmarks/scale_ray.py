"""Two workers of Ray on this machine beside two local processes: the same trials, in turns, start-up apart."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import SEED, Measurement
from scale_executor import NullRecorder

from experiments.tracking.artifacts import save_model
from experiments.tracking.credentials import credential_variables
from experiments.tracking.datasets import locate
from mnist_core.messages import print_to_stderr
from search.execution import LOCAL, RAY, Execution
from search.executors.base import Executor
from search.executors.factory import make_executor
from search.searchers.factory import make_searcher
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.sweep import Sweep
from search.trial import Trial, TrialResult
from search.worker import WorkerContext

PART = "ray"
WORKERS = 2
SWEEP = """
name = "ray"
sampler = "random"
trials = {trials}
seed = {seed}
[data]
validation = 0.1
[training]
epochs = {epochs}
batch_size = 128
[space]
hidden_size = {{ low = 64, high = 256 }}
learning_rate = {{ low = 1e-3, high = 1e-2, log = true }}
"""


@dataclass(frozen=True)
class RaySizes:
    """Sizes of the measurement.

    Args:
        trials: of each turn.
        epochs: of a trial.
        turns: of each executor; one more lets the workers start.
    """

    trials: int = 8
    epochs: int = 5
    turns: int = 5


QUICK = RaySizes(4, 2, 2)


@dataclass(frozen=True)
class Turn:
    """One sweep.

    Args:
        wall: seconds.
        cpu: seconds of the driver.
        messages: starts, reports and ends of trials.
        results: best validation accuracy of each trial, by number.
    """

    wall: float
    cpu: float
    messages: int
    results: dict[int, float]


class ResultCounter(NullRecorder):
    """Keeps what trials reached, and counts the messages of workers."""

    def __init__(self) -> None:
        super().__init__()
        self.messages = 0
        self.results: dict[int, float] = {}

    def trial_started(self, trial: Trial) -> None:
        self.messages += 1

    def epoch_ended(self, trial: Trial, epoch: int, metrics: Any) -> None:
        self.messages += 1

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        super().trial_ended(trial, result)
        self.messages += 1
        if result.best is None or result.model is None:
            sys.exit(f"{trial.name} failed: {result.error}")
        shutil.rmtree(result.model.folder)  # as an upload does; the next turn has a trial of this number too
        self.results[trial.number] = result.best.val_accuracy


class KeptOpen:
    """An executor that the end of a sweep does not close."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def close(self) -> None:
        pass


def measure(sizes: RaySizes) -> Iterator[Measurement]:
    """Measure both executors, each with its workers alive all the time."""
    try:
        import ray  # noqa: F401
    except ImportError:
        print("ray is not installed; left out")
        return
    spec = parse_spec(SWEEP.format(trials=sizes.trials, epochs=sizes.epochs, seed=SEED))
    turns: dict[str, list[Turn]] = {LOCAL: [], RAY: []}
    with ExitStack() as stack:
        executors = {}
        for name in turns:
            executors[name] = _executor(stack, spec, name)
            first = _turn(spec, executors[name])
            yield Measurement(PART, f"{name}: first turn, start-up included", first.wall, "s")
        for number in range(sizes.turns):
            for name in turns if number % 2 else reversed(turns):
                turns[name].append(_turn(spec, executors[name]))
    for name, made in turns.items():
        wall = statistics.median(turn.wall for turn in made)
        yield Measurement(PART, f"{name}: a turn of {sizes.trials} trials of {sizes.epochs} epochs", wall, "s")
        cost = statistics.median(1000 * turn.cpu / turn.messages for turn in made)
        yield Measurement(PART, f"{name}: CPU of the driver, a message", cost, "ms")
    same = all(turn.results == turns[LOCAL][0].results for made in turns.values() for turn in made)
    yield Measurement(PART, "same accuracies to the last digit", float(same), "(1: yes)", 1.0, at_least=True)
    ratios = [one.wall / other.wall for one, other in zip(turns[RAY], turns[LOCAL], strict=True)]
    yield Measurement(PART, "Ray's time, of that of local processes", 100 * statistics.median(ratios), "%", 110.0)


def _executor(stack: ExitStack, spec: SweepSpec, name: str) -> Executor:
    source = locate(None, print_to_stderr)
    context = WorkerContext(
        source=source,
        digest=source.load_training().digest,
        data=spec.data,
        save=save_model,
        staging=Path(stack.enter_context(tempfile.TemporaryDirectory())),
        pruning=spec.prunes,
        trial_timeout=spec.trial_timeout,
        withheld=credential_variables,
    )
    execution = Execution(executor=name, max_workers=WORKERS)
    made = make_executor(execution, context, spec.target, print_to_stderr)
    stack.callback(made.close)
    return made


def _turn(spec: SweepSpec, executor: Executor) -> Turn:
    recorder = ResultCounter()
    sweep = Sweep(spec, make_searcher(spec), KeptOpen(executor), recorder)
    wall, cpu = time.perf_counter(), time.process_time()
    sweep.run()
    return Turn(time.perf_counter() - wall, time.process_time() - cpu, recorder.messages, recorder.results)
