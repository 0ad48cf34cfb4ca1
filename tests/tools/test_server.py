"""The program behind ``make server``: its options, its refusals, and its clean end."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.helpers.servers import ROOT, SECONDS, team_server
from tools import postgresql, server
from tools.ports import free_port
from tools.postgresql import Owner, data_folder


def test_every_call_of_make_server_in_the_pages_has_known_options() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    found = {words for text in texts for words in re.findall(r'make server ARGS="([^"]*)"', text)} - {"--help"}
    assert found
    for words in found:
        server.parse(shlex.split(words))


def exit_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and errors of the program in this process."""
    monkeypatch.setattr(sys, "argv", ["tools.server", *words])
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    return server.main(), capsys.readouterr().err


def test_without_postgresql_its_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(postgresql, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, errors = exit_of(monkeypatch, capsys, "--port", str(free_port()))
    assert code == 2
    assert errors == ("server: PostgreSQL is not installed: apt-get install postgresql (or run with --store sqlite)\n")


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code, errors = exit_of(monkeypatch, capsys, "--port", str(port), "--store", "sqlite")
    assert code == 2
    assert re.fullmatch(rf"server: 127.0.0.1:{port}: cannot be bound to \(.*\); choose another --port\n", errors)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to close a folder to another user")
def test_data_are_elsewhere_if_their_user_cannot_enter_the_folder_above(tmp_path: Path) -> None:
    owner = Owner("nobody", 65534, 65534)
    closed, opened = tmp_path / "closed", Path("/var/tmp")
    closed.mkdir(mode=0o700)
    assert data_folder(closed / "postgresql", owner).parent == opened
    assert data_folder(closed / "postgresql", owner) != data_folder(closed / "other", owner)
    assert data_folder(opened / "postgresql", owner) == opened / "postgresql"


@pytest.mark.server
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_both_servers_are_stopped_and_their_data_kept(tmp_path: Path, ending: signal.Signals) -> None:
    folder = tmp_path / "team"
    with team_server(folder) as running:
        second = subprocess.run(
            [sys.executable, "-m", "tools.server", "--folder", str(folder), "--port", str(free_port())],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 2
        assert "another server is running on it" in second.stderr
        MlflowClient(running.uri).create_experiment("kept")
        assert (running.database_folder / "data").stat().st_mode & 0o077 == 0
        assert (running.database_folder / "password").stat().st_mode & 0o077 == 0
        password = (running.database_folder / "password").read_text().strip()
        assert not [line for line in command_lines() if password in line]

        running.process.send_signal(ending)
        assert running.process.wait(SECONDS) == 0
        assert not [line for line in command_lines() if str(running.database_folder) in line or str(folder) in line]
        with team_server(folder) as again:
            names = {experiment.name for experiment in MlflowClient(again.uri).search_experiments()}
            assert "kept" in names


def command_lines() -> list[str]:
    """Command lines of all processes but this one and those above it."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = psutil.process_iter(["pid", "cmdline"])
    return [" ".join(process.info["cmdline"] or []) for process in found if process.info["pid"] not in own]
