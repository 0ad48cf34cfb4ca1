"""Experiments on record: the calls behind the commands, for scripts and notebooks.

::

    from experiments import best, evaluate, promote, run_sweep

    result = run_sweep("quick", workers=2)   # mnist-search sweep quick --workers 2
    result.trials                            # all runs as a pandas DataFrame
    chosen = best(result, rule="one-se")     # mnist-search best quick --rule one-se
    evaluate(chosen)                         # mnist-search evaluate RUN
    promote(chosen)                          # mnist-search promote RUN --yes

Each call takes names, or the values that other calls returned; :mod:`experiments.api` describes the arguments that
they have in common.

In a script, call them below ``if __name__ == "__main__":``, as for all of Python's process pools: workers are
processes that import the script.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# The public names. They are imported when they are first used, so that `mnist-search --help` does not pay for what
# it does not use; `_homes` reads this list.
if TYPE_CHECKING:
    from experiments.api.registry import choose_candidate as choose_candidate
    from experiments.api.registry import explain_champion as explain_champion
    from experiments.api.registry import export as export
    from experiments.api.registry import list_versions as list_versions
    from experiments.api.registry import promote as promote
    from experiments.api.registry import rollback as rollback
    from experiments.api.runs import best as best
    from experiments.api.runs import evaluate as evaluate
    from experiments.api.runs import explain as explain
    from experiments.api.runs import reproduce as reproduce
    from experiments.api.service import inspect_data as inspect_data
    from experiments.api.service import serve as serve
    from experiments.api.service import ui as ui
    from experiments.api.sweeps import compare as compare
    from experiments.api.sweeps import confirm as confirm
    from experiments.api.sweeps import ensemble as ensemble
    from experiments.api.sweeps import list_runs as list_runs
    from experiments.api.sweeps import list_sweeps as list_sweeps
    from experiments.api.sweeps import report as report
    from experiments.api.sweeps import resume_sweep as resume_sweep
    from experiments.api.sweeps import run_sweep as run_sweep
    from experiments.launch import LaunchOptions as LaunchOptions
    from experiments.sweep_files import load_spec as load_spec
    from experiments.sweep_result import SweepResult as SweepResult
    from experiments.tracking.queries import find_run as find_run
    from experiments.tracking.queries import find_sweep as find_sweep
    from experiments.tracking.queries import read_runs as read_runs
    from experiments.tracking.store import open_store as open_store
    from experiments.tracking.store import tracking_uri as tracking_uri
    from search.spec_file import parse_spec as parse_spec


def _homes() -> dict[str, str]:
    """Public names and the modules that define them, from the imports for type checkers above."""
    (block,) = (node for node in ast.parse(Path(__file__).read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    imports = (node for node in block.body if isinstance(node, ast.ImportFrom))
    return {alias.name: node.module or "" for node in imports for alias in node.names}


_HOMES = _homes()
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
