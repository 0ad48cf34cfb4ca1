"""Trials recorded a second: the recorder of a sweep beside a bare MLflow client that makes the same calls.

Trials of 20 epochs, each with a model folder of 0.8 MB. Both write to one store, in turns, so that other work on the
machine slows both down; the median of the ratios counts. Nothing is trained.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from common import Measurement
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model
from scale_stores import SQLITE, available_stores, new_store

from experiments.tracking import sweep_runs
from experiments.tracking.datasets import DataRecord, describe_data
from experiments.tracking.lease import HeldLease
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.store import Store
from experiments.tracking.trial_runs import TrialRuns, trial_metrics, trial_params
from mnist_core.data.sources import DataSource, Origin
from mnist_core.metrics import EpochMetrics, StopReason
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.trial import SavedModel, Trial, TrialResult, TrialState

PART = "recording"
EPOCHS, MODEL_BYTES = 20, 800_000
SWEEP = 'name = "recording"\nsampler = "random"\ntrials = 1000\n[space]\nhidden_size = { low = 8, high = 512 }'
HISTORY = tuple(EpochMetrics(0.5, 0.8, 0.5, 0.8 + epoch / 1000, 0.5) for epoch in range(EPOCHS))


@dataclass(frozen=True)
class RecordingSizes:
    """Sizes of the measurement.

    Args:
        trials: of each turn.
        turns: of each side; one more warms up.
    """

    trials: int = 50
    turns: int = 5


QUICK = RecordingSizes(10, 1)


def model_in(folder: Path, result: TrialResult) -> TrialResult:
    """Write a model of 0.8 MB into a new folder; the result that has it."""
    folder.mkdir(parents=True)
    Model(artifact_path="model", run_id=None).save(str(folder / "MLmodel"))
    (folder / "model.keras").write_bytes(bytes(MODEL_BYTES))
    return replace(result, model=SavedModel(folder, "model.keras", "0" * 64, MODEL_BYTES, 100_000))


def result_in(folder: Path) -> TrialResult:
    return model_in(folder, TrialResult(TrialState.COMPLETE, HISTORY, EPOCHS, StopReason.BUDGET, 1.0, 0.1))


def record_with_recorder(
    store: Store, spec: SweepSpec, data: DataRecord, lease: HeldLease, work: list[tuple[Trial, TrialResult]]
) -> float:
    started = time.perf_counter()
    with SweepRecorder(TrialRuns(store, lease.run_id, "recording", data, lease)) as recorder:
        for trial, result in work:
            recorder.trial_started(trial)
            for epoch, metrics in enumerate(HISTORY, start=1):
                recorder.epoch_ended(trial, epoch, metrics)
            recorder.trial_ended(trial, result)
    return time.perf_counter() - started


def record_with_client(
    store: Store, spec: SweepSpec, data: DataRecord, lease: HeldLease, work: list[tuple[Trial, TrialResult]]
) -> float:
    """The calls that a trial needs, one after the other; the lease is read as often, since that is a call too."""
    client: Any = store.client
    started = time.perf_counter()
    for trial, result in work:
        assert result.model is not None
        client.get_run(lease.run_id)
        tags = {"mlflow.parentRunId": lease.run_id, "kind": "trial", "point": json.dumps(dict(trial.point))}
        tags |= {"trial_number": str(trial.number), "attempt": "1", "state": "running", "sweep": "recording"}
        tags |= data.tags()
        params = {name: str(value) for name, value in trial_params(trial).items()}
        run_id = client.create_run(store.experiment_id, tags=tags, run_name=trial.name).info.run_id
        client.log_batch(run_id, params=[Param(name, value) for name, value in params.items()])
        client.log_inputs(run_id, datasets=[data.as_input()])
        client.get_run(lease.run_id)
        model = client.create_logged_model(store.experiment_id, trial.name, run_id, tags={"a": "b"}, params=params)
        client.log_model_artifacts(model.model_id, str(result.model.folder))
        shutil.rmtree(result.model.folder)
        client.get_run(lease.run_id)
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=EPOCHS)])
        now = int(time.time() * 1000)
        points = [
            Metric(name, value, now, epoch)
            for epoch, metrics in enumerate(HISTORY, start=1)
            for name, value in asdict(metrics).items()
        ]
        points += [
            Metric(name, value, now, 0, model_id=model.model_id) for name, value in trial_metrics(result).items()
        ]
        ended = {"state": "complete", "stop_reason": "budget", "model_id": model.model_id}
        client.log_batch(run_id, metrics=points, tags=[RunTag(name, value) for name, value in ended.items()])
        client.set_terminated(run_id, "FINISHED")
    return time.perf_counter() - started


def measure(sizes: RecordingSizes) -> Iterator[Measurement]:
    """Measure both sides on each store that there is."""
    for name in available_stores():
        with new_store(name) as store:
            ours, bare = _rates(store, sizes)
            if name == SQLITE:
                yield from _size(store, 2 * sizes.trials * (sizes.turns + 1))
        yield Measurement(PART, f"{name}: the recorder", statistics.median(ours), "trials/s", series="recorder")
        yield Measurement(PART, f"{name}: a bare client", statistics.median(bare), "trials/s", series="bare client")
        ratio = 100 * statistics.median(one / other for one, other in zip(ours, bare, strict=True))
        yield Measurement(PART, f"{name}: the recorder, of the bare client's rate", ratio, "%", 90.0, at_least=True)


def _size(store: Store, trials: int) -> Iterator[Measurement]:
    """Rows and bytes that a trial adds to a store."""
    path = store.uri.removeprefix("sqlite:///")
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = sum(database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in names)
    database.close()
    yield Measurement(PART, "rows of the database, a trial", rows / trials, "rows")
    yield Measurement(PART, "size of the database, a trial", Path(path).stat().st_size / 1e3 / trials, "kB")


def _rates(store: Store, sizes: RecordingSizes) -> tuple[list[float], list[float]]:
    """Trials a second of the recorder and of the bare client, turn by turn."""
    spec = parse_spec(SWEEP)
    data = describe_data(DataSource(Origin.SAMPLE), spec)
    sides = (record_with_recorder, record_with_client)
    rates: dict[Any, list[float]] = {side: [] for side in sides}
    number = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        HeldLease(store, sweep_runs.begin_sweep(store, spec, spec.name, data, workers=1)) as lease,
    ):
        for turn in range(sizes.turns + 1):
            for side in sides if turn % 2 else reversed(sides):
                work = []
                for _ in range(sizes.trials):
                    trial = spec.trial(number, {"hidden_size": 8 + number % 500})
                    work.append((trial, result_in(Path(folder) / str(number))))
                    number += 1
                rate = sizes.trials / side(store, spec, data, lease, work)
                if turn:  # the first turn imports and warms up
                    rates[side].append(rate)
    return rates[record_with_recorder], rates[record_with_client]
