"""The recorded commit of a sweep."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from experiments.tracking import provenance

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path) -> str:
    """Commit all files of a folder; the commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all of it")
    return git(folder, "rev-parse", "HEAD")


def installed_in(folder: Path) -> Any:
    """The module, imported from a copy of the project in that folder."""
    (folder / "experiments" / "tracking").mkdir(parents=True)
    copy = folder / "experiments" / "tracking" / "provenance.py"
    shutil.copy(provenance.__file__, copy)
    spec = importlib.util.spec_from_file_location("provenance_elsewhere", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(__import__("sys").modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _no_other_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


def test_a_checkout_is_recorded_with_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    module = installed_in(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    commit = repository(tmp_path)
    assert module.git_state() == (commit, False)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    assert module.git_state() == (commit, True)


def test_the_repository_around_a_virtual_environment_is_not_the_project_s(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / ".gitignore").write_text(".venv\n")
    module = installed_in(tmp_path / ".venv" / "lib" / "site-packages")
    repository(tmp_path)
    assert module.git_state() is None


def test_without_a_repository_no_commit_is_recorded(tmp_path: Path) -> None:
    assert installed_in(tmp_path).git_state() is None
