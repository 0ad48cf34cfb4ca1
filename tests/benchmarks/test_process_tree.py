"""Time and memory of a command with all processes below it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.process_tree import measure_command

MEGABYTES = 64
BELOW = f"""
import time
held = bytearray(b"x") * {MEGABYTES}_000_000
while time.process_time() < 0.3:
    pass
time.sleep(0.3)
"""


def run(program: str, folder: Path) -> tuple[float, float]:
    usage = measure_command([sys.executable, "-c", program], folder, os.environ, period=0.05)
    return usage.cpu, usage.memory


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_processes_below_a_command_count(tmp_path: Path) -> None:
    cpu, memory = run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BELOW!r}])", tmp_path)
    assert cpu >= 0.3
    assert memory >= MEGABYTES


def test_a_process_that_nobody_waited_for_counts(tmp_path: Path) -> None:
    program = f"""
import signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
below = subprocess.Popen([sys.executable, "-c", {BELOW!r}])
below.wait()
"""
    cpu, _ = run(program, tmp_path)
    assert cpu >= 0.25  # until it was last seen


def test_a_command_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.process_tree.LEFT_SECONDS", 0.1)
    program = """
import subprocess, sys, time
from pathlib import Path
below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path("below").write_text(str(below.pid))
time.sleep(0.5)
"""
    run(program, tmp_path)
    pid, deadline = int((tmp_path / "below").read_text()), time.monotonic() + 30
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_a_command_that_fails_ends_the_program_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"ended with 1: .*no such luck"):
        run("raise SystemExit('no such luck')", tmp_path)
