"""Tests on several hosts, which are network namespaces; they need root."""

from __future__ import annotations

from functools import cache

import pytest

from tests.helpers import hosts

why_not = cache(hosts.missing)


@pytest.fixture(autouse=True)
def _hosts_are_possible() -> None:
    if why_not():
        pytest.skip(why_not())
