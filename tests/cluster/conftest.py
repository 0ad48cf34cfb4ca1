"""Tests on several hosts, which are network namespaces; they need root."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.helpers import hosts
from tests.helpers.ray_cluster import RayCluster

why_not = cache(hosts.missing)


@pytest.fixture(autouse=True)
def _hosts_are_possible() -> None:
    if why_not():
        pytest.skip(why_not())


@pytest.fixture
def cluster(tmp_path: Path, small_npz: Path) -> Iterator[RayCluster]:
    with RayCluster(tmp_path, readable=[small_npz]) as made:
        yield made
