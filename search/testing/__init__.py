"""Contract suites for searchers and executors. They need pytest, which the extra ``testing`` installs.

A test class of your own inherits :class:`search.testing.searchers.SearcherContract` or
:class:`search.testing.executors.ExecutorContract`, and pytest runs their tests on your implementation.
"""

from __future__ import annotations

from mnist_core.errors import MissingLibraryError

try:
    import pytest
except ImportError as error:
    raise MissingLibraryError(
        "search.testing needs pytest; install it by: pip install 'mnist-search[testing]'"
    ) from error

# Else an assertion that fails shows no values. It has to come before the modules are imported.
pytest.register_assert_rewrite("search.testing.searchers", "search.testing.executors")
