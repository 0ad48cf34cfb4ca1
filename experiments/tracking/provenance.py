"""What a sweep ran on: commit, versions, the process that drives it."""

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
    """Versions of Python and of the packages that decide results, by name."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def git_state() -> tuple[str, bool] | None:
    """Commit of the project's own checkout and whether it is dirty; None where it runs from no checkout of its own.

    A checkout around the environment that it is installed in is somebody else's: it does not track these files.
    """
    folder = Path(__file__).resolve().parents[1]
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
    """Name of the user, as far as the system knows one."""
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
        started: when it started, seconds since the epoch; tells it from a later process of the same id.
    """

    host: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> Driver:
        """The running process."""
        return cls(socket.gethostname(), os.getpid(), int(psutil.Process().create_time()))

    @classmethod
    def parse(cls, text: str) -> Driver | None:
        """The inverse of ``str``; None where the text is not of that form."""
        try:
            host, pid, started = text.rsplit(" ", 2)
            return cls(host, int(pid), int(started))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.host} {self.pid} {self.started}"

    @property
    def is_here(self) -> bool:
        """Whether it ran on this machine."""
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs, if it is here."""
        try:
            # A tolerance: the boot time from which start times are counted is not read to the second.
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 3
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False
