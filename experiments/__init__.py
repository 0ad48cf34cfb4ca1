"""What is recorded and decided, and the commands.

For notebooks, the calls behind the commands::

    from experiments import Launch, read_spec, resume_sweep, run_sweep

    result = run_sweep(read_spec("quick"), Launch(workers=2))   # mnist-search sweep quick --workers 2
    result.best      # the best early-stopped run
    result.trials    # all runs as a pandas DataFrame
    resume_sweep("quick", overrides=["trials=12"])               # mnist-search sweep --resume quick --trials 12

    from experiments import find_sweep, list_sweeps, open_store, read_runs, report_sweep, tracking_uri

    store = open_store(tracking_uri())
    list_sweeps(store)                                           # mnist-search sweeps
    read_runs(store, find_sweep(store, "quick"))                 # mnist-search runs quick
    report_sweep(store, find_sweep(store, "quick"))              # mnist-search report quick

In a script, call them below ``if __name__ == "__main__":``, as for all of Python's process pools: workers are
processes that import the script.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.explain import explain_run
    from experiments.history import find_sweep, list_sweeps, read_runs
    from experiments.launch import Launch, SweepResult, resume_sweep, run_sweep
    from experiments.report.making import report_sweep
    from experiments.shipped import read_spec
    from experiments.store import open_store, tracking_uri
    from search.spec_file import parse_spec

__all__ = [
    "Launch",
    "SweepResult",
    "explain_run",
    "find_sweep",
    "list_sweeps",
    "open_store",
    "parse_spec",
    "read_runs",
    "read_spec",
    "report_sweep",
    "resume_sweep",
    "run_sweep",
    "tracking_uri",
]

_HOMES = {
    "explain_run": "experiments.explain",
    "find_sweep": "experiments.history",
    "list_sweeps": "experiments.history",
    "open_store": "experiments.store",
    "parse_spec": "search.spec_file",
    "read_runs": "experiments.history",
    "read_spec": "experiments.shipped",
    "report_sweep": "experiments.report.making",
    "tracking_uri": "experiments.store",
}


def __getattr__(name: str) -> Any:
    # Late, so that `mnist-search --help` does not pay for what it does not use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "experiments.launch")), name)
