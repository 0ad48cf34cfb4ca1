"""Fixtures of the tests of the search package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.executors.local import LocalExecutor
from search.testing.values import context_of


@pytest.fixture(scope="session")
def two_workers(small_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """An executor for all tests that leave it with two workers and nothing to do: each costs seconds to start."""
    executor = LocalExecutor(context_of(small_npz, tmp_path_factory.mktemp("workers")), workers=2)
    yield executor
    executor.close()
