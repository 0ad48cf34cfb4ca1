"""Validation accuracies of each epoch of the points of a sweep, trained once to their end and kept in a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from common import whole_mnist
from simulated_sweep import Curve

from mnist_core import runtime
from mnist_core.errors import NonFiniteError
from mnist_core.metrics import EpochMetrics
from search.spec import SweepSpec
from search.trial import Trial

if TYPE_CHECKING:
    from mnist_core.training.compiled_epoch import ResidentSplit


class TrialCurves:
    """The curves of a sweep's trials, trained on one thread of this process where they are not in the file.

    Args:
        spec: the sweep; all trials are trained on its split.
        folder: holds a file for each sweep and seed, with a line of JSON for each training.
    """

    def __init__(self, spec: SweepSpec, folder: Path) -> None:
        self._spec = spec
        self._path = folder / f"{spec.name}-{spec.seed}.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known = {entry["key"]: Curve(tuple(entry["values"]), entry["failed"]) for entry in map(json.loads, lines)}

    def __call__(self, trial: Trial) -> Curve:
        """The curve of a trial. Another trial of the same settings and seed has the same one."""
        # The settings and not the point: the values that a sweep file fixes change the curve as well.
        parts = (self._spec.data, trial.hyperparameters, trial.training)
        settings = json.dumps([*map(asdict, parts), trial.seed], sort_keys=True)
        key = hashlib.sha256(settings.encode()).hexdigest()
        if key not in self._known:
            self._known[key] = self._train(trial)
            entry = {"key": key, "point": dict(trial.point), **asdict(self._known[key])}
            with self._path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        return self._known[key]

    @cached_property
    def _split(self) -> ResidentSplit:
        # Late: curves that are all in the file need no TensorFlow.
        runtime.configure(threads=1)
        from mnist_core.data.images import split
        from mnist_core.training.compiled_epoch import ResidentSplit

        data = self._spec.data
        return ResidentSplit.load(split(whole_mnist().load_training(), data.validation, data.seed))

    def _train(self, trial: Trial) -> Curve:
        data = self._split
        from mnist_core.training.trainer import train

        values: list[float] = []

        def keep(epoch: int, metrics: EpochMetrics) -> bool:
            values.append(metrics.val_accuracy)
            return True

        runtime.reset(trial.seed)
        try:
            train(trial.hyperparameters.build(data.train.shape), data, trial.training, trial.seed, keep)
        except NonFiniteError:
            return Curve(tuple(values), failed=True)
        return Curve(tuple(values))
