"""``study.optimize`` around ``model.fit``, logged by MLflow's autolog, as most tutorials write it."""

from __future__ import annotations

from pathlib import Path

import mlflow
import optuna
from task import Task, build, fit_options


def main() -> None:
    task = Task.read()
    data = task.load()
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("contender")
    mlflow.tensorflow.autolog()

    def objective(trial: optuna.Trial) -> float:
        point = {name: trial.suggest_categorical(name, values) for name, values in task.grid.items()}
        with mlflow.start_run(nested=True):
            mlflow.log_params(point)
            history = build(**point).fit(data["x_train"], data["y_train"], **fit_options(task, data, Path.cwd()))
        return max(history.history["val_accuracy"])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.GridSampler(task.grid, seed=0))
    with mlflow.start_run(run_name="study"):
        study.optimize(objective)


if __name__ == "__main__":
    main()
