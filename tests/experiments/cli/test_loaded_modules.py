"""Tests of the libraries that commands load which only read a store or its registry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.helpers.stores import copy_store

# What each command shows. All run in one process, which takes seconds to start; what a command loads is seen after it.
READING = {
    "finished": ["sweeps"],
    "trial-000": ["runs", "mixed"],
    "best: trial-000": ["best", "mixed"],
    "tied": ["best", "mixed", "--rule", "one-se"],
    "best accuracy": ["compare", "mixed", "mixed"],
    "report.html": ["report", "mixed"],
    "champions": ["registry"],
    "champion again": ["rollback"],
}
CODE = f"""
import sys
import experiments.reporting.sections, experiments.reporting.optuna_plots
from experiments.cli.main import main
for words in {list(READING.values())!r}:
    sys.argv = ["mnist-search", *words]
    try:
        main()
    except SystemExit as end:
        print(end.code or 0)
    print(*sorted({{name.partition(".")[0] for name in sys.modules}}), end="\\f")
"""


def test_commands_that_only_read_load_no_tensorflow(promoted: Callable[..., Path], tmp_path: Path) -> None:
    copy_store(promoted("mixed/trial-002", "mixed/trial-001", "mixed/trial-000"), tmp_path / "mlruns")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *printed, rest = done.stdout.split("\f")
    assert rest == ""
    for (shown, words), output in zip(READING.items(), printed, strict=True):
        *lines, code, modules = output.splitlines()
        assert code == "0", words
        assert shown in "\n".join(lines), words
        assert set(modules.split()) & {"tensorflow", "keras", "keras_tuner"} == set(), words
        assert "mlflow" in modules.split()
