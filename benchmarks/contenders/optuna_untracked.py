"""``study.optimize`` around ``model.fit``; nothing is recorded and no model is kept."""

from __future__ import annotations

from pathlib import Path

import optuna
from task import Task, build, fit_options


def main() -> None:
    task = Task.read()
    data = task.load()

    def objective(trial: optuna.Trial) -> float:
        point = {name: trial.suggest_categorical(name, values) for name, values in task.grid.items()}
        history = build(**point).fit(data["x_train"], data["y_train"], **fit_options(task, data, Path.cwd()))
        return max(history.history["val_accuracy"])

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.GridSampler(task.grid, seed=0))
    study.optimize(objective)


if __name__ == "__main__":
    main()
