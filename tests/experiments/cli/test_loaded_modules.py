"""Tests of the libraries that commands load which only read a store."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = (["sweeps"], ["runs", "mixed"], ["best", "mixed"], ["compare", "mixed", "mixed"], ["report", "mixed"])
CODE = f"""
import sys
from experiments.cli.main import main
for words in {COMMANDS!r}:
    sys.argv = ["mnist-search", *words]
    try:
        main()
    except SystemExit as end:
        assert not end.code, words
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


@pytest.mark.usefixtures("mixed_store")
def test_commands_that_only_read_the_store_load_no_tensorflow() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "mlflow" in loaded
    assert loaded & {"tensorflow", "keras", "keras_tuner"} == set()
