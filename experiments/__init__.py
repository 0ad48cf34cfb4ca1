"""What is recorded and decided, and the commands.

For notebooks, the two calls behind ``mnist-search sweep``::

    from pathlib import Path
    from experiments import read_spec, run_sweep

    result = run_sweep(read_spec(Path("experiments/sweeps/quick.toml")))
    result.best      # the best early-stopped run
    result.trials    # all runs as a pandas DataFrame
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.launch import Launch, SweepResult, resume_sweep, run_sweep
    from search.spec_file import parse_spec, read_spec

__all__ = ["Launch", "SweepResult", "parse_spec", "read_spec", "resume_sweep", "run_sweep"]

_HOMES = {"parse_spec": "search.spec_file", "read_spec": "search.spec_file"}


def __getattr__(name: str) -> Any:
    # Late, so that `mnist-search --help` does not pay for what it does not use.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "experiments.launch")), name)
