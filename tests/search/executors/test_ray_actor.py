"""The actor of a Ray cluster, in this process and without a cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.executors.ray_actor import RayActor

ray = pytest.importorskip("ray", reason="needs the extra ray")


def test_a_node_without_a_folder_for_temporary_files_is_named_with_its_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An actor that fails while it is made cannot say on which node."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node-id"))
    hello = RayActor(b"", [], gpu=True).hello()
    assert hello["node"] == "node-id"
    assert hello["problem"].startswith("FileNotFoundError")
