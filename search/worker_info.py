"""The place of a worker: its host, its device, and the versions of what it trains with."""

from __future__ import annotations

import platform
import socket
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("tensorflow", "keras", "mnist-search")
"""Packages whose versions decide, with Python's, whether two workers train alike."""


@dataclass(frozen=True)
class WorkerInfo:
    """The place in which a trial ran.

    Args:
        host: name of the machine.
        device: ``CPU``, or the name of the GPU.
        versions: of Python and of ``PACKAGES``, as pairs of a name and a version.
        threads: cores that it computed with; None where it was not told.
    """

    host: str
    device: str
    versions: tuple[tuple[str, str], ...] = ()
    threads: int | None = None


def versions_here() -> tuple[tuple[str, str], ...]:
    """Return the versions of Python and of ``PACKAGES`` in this process; ``missing`` where one is not installed."""
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "missing"))
    return tuple(found)


@cache
def describe_worker() -> WorkerInfo:
    """Describe this process, which trains: TensorFlow is loaded and its devices are read."""
    from mnist_core.runtime import device_name

    return WorkerInfo(socket.gethostname(), device_name(), versions_here())
