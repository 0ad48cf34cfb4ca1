"""Origin of a sweep's results: commit, versions of packages, user, and the process that drives it."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("tensorflow", "keras", "keras-tuner", "optuna", "mlflow", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages on which results depend, by name."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def git_state() -> tuple[str, bool] | None:
    """Commit of the project's own checkout, and True if it has uncommitted changes; None outside such a checkout.

    A checkout around the environment that the project is installed in does not count: it does not track these files.
    """
    folder = Path(__file__).resolve().parents[2]
    try:
        _git(folder, "ls-files", "--error-unmatch", "pyproject.toml", "experiments/tracking/provenance.py")
        commit = _git(folder, "rev-parse", "HEAD").strip()
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout


def user() -> str:
    """Name of the user; ``unknown`` where the system has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@dataclass(frozen=True)
class Driver:
    """The process that drives a sweep.

    Args:
        host: name of its machine.
        pid: its process id there.
        started: its start time, seconds since the epoch; distinguishes it from a later process of the same id.
    """

    host: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> Driver:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), int(psutil.Process().create_time()))

    @classmethod
    def parse(cls, text: str) -> Driver | None:
        """Parse the text of ``str``; None where it has another form."""
        try:
            host, pid, started = text.rsplit(" ", 2)
            return cls(host, int(pid), int(started))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started}"

    @property
    def is_here(self) -> bool:
        """True if it is a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """True if it still runs; meaningful only if :attr:`is_here`."""
        try:
            # The tolerance, since the boot time from which start times are counted is not exact to the second.
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 3
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False
