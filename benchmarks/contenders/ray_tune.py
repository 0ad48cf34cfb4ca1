"""Ray Tune with its MLflow callback, a trial on each core, actors reused, and each trial's model in its run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import mlflow
import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from task import Arrays, Task, build, fit_options

EXPERIMENT = "contender"


def train(config: dict[str, Any], task: Task, data: Arrays, folder: Path) -> None:
    model = build(**config)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: tune.report(dict(logs)))
    history = model.fit(data["x_train"], data["y_train"], **fit_options(task, data, folder, report))
    with tempfile.TemporaryDirectory() as saved:
        model.save(Path(saved) / "model.keras")
        best = {"best_val_accuracy": max(history.history["val_accuracy"])}
        tune.report(best, checkpoint=tune.Checkpoint.from_directory(saved))


def log_models(results: tune.ResultGrid) -> None:
    """Copy each checkpoint into its trial's run; with ``save_artifact`` the callback logs Ray's own files alone."""
    runs = mlflow.search_runs(experiment_names=[EXPERIMENT], output_format="list")
    run_of = {run.data.tags["trial_name"].removeprefix("train_"): run.info.run_id for run in runs}
    for result in results:
        mlflow.log_artifacts(result.checkpoint.path, "model", run_id=run_of[result.metrics["trial_id"]])


def main() -> None:
    task = Task.read()
    folder = Path.cwd()
    store = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(store)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, task=task, data=task.load(), folder=folder), {"cpu": 1}),
        param_space={name: tune.grid_search(values) for name, values in task.grid.items()},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"),
            callbacks=[MLflowLoggerCallback(tracking_uri=store, experiment_name=EXPERIMENT)],
            verbose=0,
        ),
    )
    results = tuner.fit()
    if results.num_errors:
        raise SystemExit(f"{results.num_errors} trials failed: {results.errors[0]}")
    log_models(results)


if __name__ == "__main__":
    main()
