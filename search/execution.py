"""The place where the trials of a sweep run: the executor, and what each trial asks of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from mnist_core.errors import SpecError, did_you_mean

LOCAL = "local"
RAY = "ray"
MIN_SHARE = 0.0001
"""Smallest share of a core or a GPU that Ray counts."""


@dataclass(frozen=True)
class Execution:
    """The executor of a sweep and the resources of each trial. The results do not depend on it.

    Args:
        executor: ``local`` (worker processes on this machine), ``ray`` (a Ray cluster), ``in-process``,
            ``package.module:Class``, or the name of an entry point.
        address: of the head of a Ray cluster, as ``host:port``; ``auto`` for the cluster of this machine. Empty
            starts Ray on this machine, for the time of the sweep.
        cpus_per_trial: cores that Ray reserves for each trial; a trial computes with as many threads, one at least.
        gpus_per_trial: share of a GPU that Ray reserves for each trial; 0 trains on the CPU.
        max_workers: greatest number of trials at a time; 0 leaves it to the executor.

    Raises:
        SpecError: a value is of the wrong type or out of its range, or the executor has no such setting.
    """

    executor: str = LOCAL
    address: str = ""
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("executor", "address"):
            if not isinstance(value := getattr(self, name), str):
                raise SpecError(f"{name}: expected a text, received {value!r}")
        if not self.executor:
            raise SpecError("executor: expected a name such as 'local' or 'ray', received ''")
        for name in ("cpus_per_trial", "gpus_per_trial"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise SpecError(f"{name}: expected 0 or more, received {value!r}")
            if 0 < value < MIN_SHARE:
                raise SpecError(f"{name}: expected 0, or {MIN_SHARE} or more, received {value!r}")
        if self.gpus_per_trial > 1 and self.gpus_per_trial != int(self.gpus_per_trial):
            raise SpecError(
                f"gpus_per_trial: expected a share of one GPU, or whole ones, received {self.gpus_per_trial!r}"
            )
        if self.cpus_per_trial == self.gpus_per_trial == 0:
            raise SpecError("cpus_per_trial: expected more than 0 where no GPU is asked for, received 0")
        if type(self.max_workers) is not int or self.max_workers < 0:
            raise SpecError(f"max_workers: expected 1 or more, or 0 for as many as fit, received {self.max_workers!r}")
        if self.executor != RAY:
            self._check_has_no_cluster()

    def merged_with(self, given: Mapping[str, Any]) -> Execution:
        """Return these settings with those that are given. Another executor keeps nothing but the number of workers.

        Raises:
            SpecError: a setting is unknown, or refused; it is named as an option, such as ``--address``.
        """
        names = [field.name for field in fields(self)]
        if unknown := [name for name in given if name not in names]:
            raise SpecError(f"execution: unknown setting {unknown[0]!r}{did_you_mean(unknown[0], names)}")
        is_other = given.get("executor", self.executor) != self.executor
        try:
            return replace(Execution(max_workers=self.max_workers) if is_other else self, **given)
        except SpecError as error:
            name, colon, rest = str(error).partition(":")
            raise SpecError(f"--{name.replace('_', '-')}{colon}{rest}") from error

    def _check_has_no_cluster(self) -> None:
        default = Execution.__dataclass_fields__
        for name in ("address", "cpus_per_trial", "gpus_per_trial"):
            if (value := getattr(self, name)) != default[name].default:
                raise SpecError(f"{name}: expected executor = 'ray' with it, received {value!r} with {self.executor!r}")
