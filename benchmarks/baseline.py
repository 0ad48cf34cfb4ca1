"""The baseline, as most tutorials write it: ``study.optimize`` around ``model.fit``, logged by MLflow's autolog.

Run by ``benchmarks/sweep.py`` in a process and a folder of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import mlflow
import optuna

from mnist_core.data.images import split
from mnist_core.data.sources import DataSource, Origin


def main() -> None:
    points = json.loads(sys.argv[1])
    settings = json.loads(sys.argv[2])
    data = split(DataSource(Origin.GIVEN, Path(sys.argv[3])).load_training(), settings["validation"], seed=0)
    mlflow.set_tracking_uri(f"sqlite:///{Path('mlflow.db').absolute()}")
    mlflow.set_experiment("baseline")
    mlflow.tensorflow.autolog()

    def objective(trial: optuna.Trial) -> float:
        hidden_size = trial.suggest_categorical("hidden_size", sorted({point["hidden_size"] for point in points}))
        learning_rate = trial.suggest_categorical("learning_rate", sorted({point["learning_rate"] for point in points}))
        dropout = trial.suggest_categorical("dropout", sorted({point["dropout"] for point in points}))
        with mlflow.start_run(nested=True):
            model = keras.Sequential(
                [
                    keras.Input((28, 28)),
                    keras.layers.Rescaling(1 / 255),
                    keras.layers.Flatten(),
                    keras.layers.Dense(hidden_size, activation="relu"),
                    keras.layers.Dropout(dropout),
                    keras.layers.Dense(10, activation="softmax"),
                ]
            )
            model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
            patience = settings["epochs"]
            stop = keras.callbacks.EarlyStopping("val_accuracy", patience=patience, restore_best_weights=True)
            history = model.fit(
                data.train.images,
                data.train.labels,
                batch_size=settings["batch_size"],
                epochs=settings["epochs"],
                validation_data=(data.validation.images, data.validation.labels),
                callbacks=[stop],
                verbose=0,
            )
        return max(history.history["val_accuracy"])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for point in points:
        study.enqueue_trial(point)
    with mlflow.start_run(run_name="baseline"):
        study.optimize(objective, n_trials=len(points))
    print(f"best {study.best_value:.4f}")


if __name__ == "__main__":
    main()
