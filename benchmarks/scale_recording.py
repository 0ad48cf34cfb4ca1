"""Trials recorded a second on SQLite: the recorder of a sweep beside a bare MLflow client that makes the same calls.

Trials of 20 epochs, each with a model folder of 0.8 MB. Both write to one store, in turns, so that other work on the
machine slows both down; the median of the ratios counts. Nothing is trained.

    python benchmarks/recording.py [TRIALS] [TURNS]
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import machine
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.models import Model

from experiments.tracking import sweep_runs
from experiments.tracking.datasets import DataRecord, describe_data
from experiments.tracking.lease import HeldLease
from experiments.tracking.recorder import SweepRecorder
from experiments.tracking.store import Store, open_store
from experiments.tracking.trial_runs import TrialRuns, trial_metrics, trial_params
from mnist_core.data.sources import find_data
from mnist_core.metrics import EpochMetrics, StopReason
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.trial import SavedModel, Trial, TrialResult, TrialState

EPOCHS, MODEL_BYTES = 20, 800_000
SWEEP = 'name = "recording"\nsampler = "random"\ntrials = 1000\n[space]\nhidden_size = { low = 8, high = 512 }'
HISTORY = tuple(EpochMetrics(0.5, 0.8, 0.5, 0.8 + epoch / 1000, 0.5) for epoch in range(EPOCHS))


def result_in(folder: Path) -> TrialResult:
    folder.mkdir(parents=True)
    Model(artifact_path="model", run_id=None).save(str(folder / "MLmodel"))
    (folder / "model.keras").write_bytes(bytes(MODEL_BYTES))
    model = SavedModel(folder, "model.keras", "0" * 64, MODEL_BYTES, 100_000)
    return TrialResult(TrialState.COMPLETE, HISTORY, EPOCHS, StopReason.BUDGET, 1.0, 0.1, model, 100_000)


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


def main(trials: int, turns: int) -> None:
    print(f"{machine()}\n{trials} trials of {EPOCHS} epochs with {MODEL_BYTES / 1e6:.1f} MB models, {turns} turns each")
    spec = parse_spec(SWEEP)
    data = describe_data(find_data(None, lambda folder: "not asked for", print), spec)
    ratios, number = [], 0
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{folder}/mlflow.db", create=True)
        with HeldLease(store, sweep_runs.begin_sweep(store, spec, spec.name, data, workers=1)) as lease:
            for turn in range(turns + 1):
                rates = {}
                sides = (record_with_recorder, record_with_client)
                for side in sides if turn % 2 else reversed(sides):
                    work = []
                    for _ in range(trials):
                        trial = spec.trial(number, {"hidden_size": 8 + number % 500})
                        work.append((trial, result_in(Path(folder) / "staging" / str(number))))
                        number += 1
                    rates[side] = trials / side(store, spec, data, lease, work)
                if turn:  # the first turn imports and warms up
                    ratios.append(rates[record_with_recorder] / rates[record_with_client])
                    ours, bare = (rates[side] for side in sides)
                    print(f"  recorder {ours:5.1f} trials/s, bare client {bare:5.1f}, ratio {ratios[-1]:.2f}")
    print(f"the recorder reaches {100 * statistics.median(ratios):.0f}% of the bare client (at least 90% wanted)")


if __name__ == "__main__":
    main(*[int(word) for word in sys.argv[1:]] or [50, 5])
