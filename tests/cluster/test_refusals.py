"""Clusters and nodes that a sweep does not use, each with one line that says why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.helpers.cluster_sweeps import runs, start
from tests.helpers.ray_cluster import NODE_SIZE, RayCluster

pytestmark = pytest.mark.cluster


def another_version(folder: Path, package: str) -> Path:
    """A folder that has Python find another version of an installed package, where it is in PYTHONPATH."""
    metadata = folder / f"another-{package}" / f"{package}-0.0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.0.1\n")
    return metadata.parent


def test_nodes_with_another_version_of_the_project_or_of_tensorflow_are_left_out(
    cluster: RayCluster, small_npz: Path, tmp_path: Path
) -> None:
    packages = {"old": "mnist_search", "other": "tensorflow"}
    for name, package in packages.items():
        folder = another_version(tmp_path, package)
        cluster.add(name, environment={"PYTHONPATH": str(folder)}, readable=[folder])
    cluster.add("new")
    sweep = start(cluster, small_npz, "sweep.toml", "--trials", "4")
    assert sweep.end() == 0, sweep.text
    assert {run.data.tags["host"] for run in runs(cluster)} == {"new"}
    for name, package in packages.items():
        (line,) = [line for line in sweep.text.splitlines() if line.startswith(f"{name} is left out: ")]
        assert f"{package.replace('_', '-')} 0.0.1 there" in line


def test_a_cluster_of_several_hosts_that_asks_for_no_token_is_refused(small_npz: Path, tmp_path: Path) -> None:
    with RayCluster(tmp_path, readable=[small_npz], token=False) as cluster:
        cluster.give_token()
        cluster.add("one")
        for address in ("", "auto"):
            sweep = start(cluster, small_npz, address=address)
            assert sweep.end(60) == 2, sweep.text
            assert "since Ray asks for no token; on this host run: ray get-auth-token" in sweep.text.splitlines()[-1]


def test_a_host_that_joins_where_no_token_is_asked_for_is_left_out(small_npz: Path, tmp_path: Path) -> None:
    with RayCluster(tmp_path, readable=[small_npz], token=False, head_size=NODE_SIZE) as cluster:
        sweep = start(cluster, small_npz, "sweep.toml", "--trials", "4", without=["RAY_AUTH_MODE"])
        sweep.wait_for("[1/4]")
        cluster.add("one")
        assert sweep.end() == 0, sweep.text
        (line,) = [line for line in sweep.text.splitlines() if line.startswith("one is left out: ")]
        assert "since Ray asks for no token" in line
        assert {run.data.tags["host"] for run in runs(cluster)} == {"head"}


def test_auto_finds_a_head_on_this_host_with_the_token_of_its_file(cluster: RayCluster, small_npz: Path) -> None:
    cluster.add("one")
    sweep = start(cluster, small_npz, "sweep.toml", "--trials", "2", address="auto")
    assert sweep.end() == 0, sweep.text


def test_a_missing_or_wrong_token_is_one_line(cluster: RayCluster, small_npz: Path) -> None:
    (cluster.driver / "wrong").write_text("a" * 64)
    settings: list[tuple[dict[str, str], list[str]]] = [
        ({}, ["RAY_AUTH_MODE"]),
        ({"RAY_AUTH_TOKEN_PATH": "nowhere"}, []),
        ({"RAY_AUTH_TOKEN_PATH": "wrong"}, []),
    ]
    for environment, without in settings:
        begun = time.monotonic()
        sweep = start(cluster, small_npz, environment=environment, without=without)
        assert sweep.end(60) == 2, sweep.text
        assert time.monotonic() - begun < 20
        (line,) = [line for line in sweep.text.splitlines() if "token" in line or "Traceback" in line]
        assert "ray get-auth-token" in line


# Ray compares the version that this attribute has.
ANOTHER_RAY = "import ray\nray.__version__ = '2.59.0'\n"


def test_a_node_with_another_version_of_ray_cannot_join(cluster: RayCluster, tmp_path: Path) -> None:
    folder = tmp_path / "another-ray"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ANOTHER_RAY)
    with pytest.raises(TimeoutError, match=r"(?s)Version mismatch.*Ray: 2\.59\.0"):
        cluster.add("old", environment={"PYTHONPATH": str(folder)}, readable=[folder])


def test_a_node_without_memory_says_so_and_what_a_worker_needs(cluster: RayCluster, small_npz: Path) -> None:
    cluster.add("small", environment={"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"})
    sweep = start(cluster, small_npz)
    assert sweep.end() == 2, sweep.text
    assert "ran out of memory" in sweep.text.splitlines()[-1]
    assert "give each trial more cores (--cpus-per-trial)" in sweep.text.splitlines()[-1]
