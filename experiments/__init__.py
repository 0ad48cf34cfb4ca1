"""What is recorded and decided, and the commands.

For notebooks, the calls behind the commands::

    from experiments import LaunchOptions, load_spec, resume_sweep, run_sweep

    result = run_sweep(load_spec("quick"), LaunchOptions(workers=2))   # mnist-search sweep quick --workers 2
    result.best      # the best early-stopped run
    result.trials    # all runs as a pandas DataFrame
    resume_sweep("quick", overrides=["trials=12"])               # mnist-search sweep --resume quick --trials 12

    from experiments import find_sweep, list_sweeps, open_store, read_runs, report_sweep, tracking_uri

    store = open_store(tracking_uri())
    list_sweeps(store)                                           # mnist-search sweeps
    read_runs(store, find_sweep(store, "quick"))                 # mnist-search runs quick
    report_sweep(store, find_sweep(store, "quick"))              # mnist-search report quick

    from experiments import PromotionPolicy, TestSet, confirm_sweep, find_candidate, locate, promote

    confirm_sweep("quick", top=3, seeds=5)                       # mnist-search confirm quick --top 3 --seeds 5
    chosen = find_candidate(store, "quick-confirmation")
    test = TestSet.load(locate(None, print, chosen.run.tags))
    promote(store, chosen, test, PromotionPolicy())              # mnist-search promote quick-confirmation --yes

In a script, call them below ``if __name__ == "__main__":``, as for all of Python's process pools: workers are
processes that import the script.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.candidates import find_candidate
    from experiments.confirmation import confirm_sweep
    from experiments.ensembling import combine, record_ensemble
    from experiments.evaluation import TestSet, evaluate_run
    from experiments.explanation import explain_run
    from experiments.launch import LaunchOptions, resume_sweep, run_sweep
    from experiments.registry.promotion import PromotionPolicy, promote
    from experiments.registry.versions import champion, read_versions, rollback_champion
    from experiments.reporting.reports import report_sweep
    from experiments.reproduction import reproduce_run
    from experiments.sweep_files import load_spec
    from experiments.sweep_result import SweepResult
    from experiments.tracking.datasets import locate
    from experiments.tracking.queries import find_run, find_sweep, list_sweeps, read_runs
    from experiments.tracking.store import open_store, tracking_uri
    from search.spec_file import parse_spec

__all__ = [
    "LaunchOptions",
    "PromotionPolicy",
    "SweepResult",
    "TestSet",
    "champion",
    "combine",
    "confirm_sweep",
    "evaluate_run",
    "explain_run",
    "find_candidate",
    "find_run",
    "find_sweep",
    "list_sweeps",
    "load_spec",
    "locate",
    "open_store",
    "parse_spec",
    "promote",
    "read_runs",
    "read_versions",
    "record_ensemble",
    "report_sweep",
    "reproduce_run",
    "resume_sweep",
    "rollback_champion",
    "run_sweep",
    "tracking_uri",
]

_HOMES = {
    "LaunchOptions": "experiments.launch",
    "SweepResult": "experiments.sweep_result",
    "PromotionPolicy": "experiments.registry.promotion",
    "TestSet": "experiments.evaluation",
    "champion": "experiments.registry.versions",
    "combine": "experiments.ensembling",
    "confirm_sweep": "experiments.confirmation",
    "evaluate_run": "experiments.evaluation",
    "explain_run": "experiments.explanation",
    "find_candidate": "experiments.candidates",
    "find_run": "experiments.tracking.queries",
    "find_sweep": "experiments.tracking.queries",
    "list_sweeps": "experiments.tracking.queries",
    "locate": "experiments.tracking.datasets",
    "open_store": "experiments.tracking.store",
    "parse_spec": "search.spec_file",
    "promote": "experiments.registry.promotion",
    "read_runs": "experiments.tracking.queries",
    "load_spec": "experiments.sweep_files",
    "read_versions": "experiments.registry.versions",
    "record_ensemble": "experiments.ensembling",
    "report_sweep": "experiments.reporting.reports",
    "reproduce_run": "experiments.reproduction",
    "resume_sweep": "experiments.launch",
    "rollback_champion": "experiments.registry.versions",
    "run_sweep": "experiments.launch",
    "tracking_uri": "experiments.tracking.store",
}


def __getattr__(name: str) -> Any:
    # Late, so that `mnist-search --help` does not pay for what it does not use.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
