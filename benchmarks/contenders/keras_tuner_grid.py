"""KerasTuner's ``GridSearch``, logged by MLflow's autolog."""

from __future__ import annotations

from pathlib import Path

import keras
import keras_tuner
import mlflow
from task import Task, build, fit_options


def main() -> None:
    task = Task.read()
    data = task.load()
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("contender")
    mlflow.tensorflow.autolog()

    def network(hp: keras_tuner.HyperParameters) -> keras.Model:
        return build(**{name: hp.Choice(name, values) for name, values in task.grid.items()})

    tuner = keras_tuner.GridSearch(network, objective="val_accuracy", directory="tuner", project_name="grid")
    tuner.search(data["x_train"], data["y_train"], **fit_options(task, data, Path.cwd()))


if __name__ == "__main__":
    main()
