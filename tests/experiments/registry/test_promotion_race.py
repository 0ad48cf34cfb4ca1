"""Two processes that promote at the same time, while a third reads the aliases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.registry.versions import read_changes, read_versions
from experiments.tracking.store import Store, open_store
from tests.helpers.stores import aliases_of
from tests.helpers.sweeps import Run

# Imports and reads before the signal, so that both processes decide at the same time.
PROMOTER = """
import sys
from pathlib import Path
from experiments.candidates import Candidate
from experiments.evaluation import TestSet
from experiments.tracking.queries import find_run
from experiments.registry import promotion
from experiments.registry.promotion import PromotionPolicy, promote_run
from experiments.tracking.store import open_store
from mnist_core.data.sources import DataSource, Origin
uri, name, data = sys.argv[1:]
store = open_store(uri)
candidate, test = Candidate(find_run(store, name), "in a race"), TestSet.load(DataSource(Origin.GIVEN, Path(data)))
promotion.make_serving_file = lambda *arguments: {}  # it takes seconds, and a race decides within a few milliseconds
print("ready", flush=True)
sys.stdin.readline()
print(promote_run(store, candidate, test, PromotionPolicy(floor=0, margin=1)).verdict.value)
"""


@pytest.mark.fault
def test_the_champion_is_never_missing_and_every_run_has_one_version(
    command: Run, evaluated_store: Store, whole_npz: Path
) -> None:
    assert command("promote", "mixed/2", "--yes", "--no-explain", "--floor", "0")[0] == 0
    uri = evaluated_store.uri
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTER, uri, f"mixed/{number}", str(whole_npz)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for number in (0, 1)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    seen, store = [], open_store(uri)
    while any(process.poll() is None for process in processes):
        seen.append(aliases_of(store).get("champion"))
    assert [process.communicate()[0] for process in processes] == ["passed\n"] * 2

    assert {1} < set(seen) <= {1, 2, 3}
    assert seen == sorted(seen)
    assert aliases_of(store) == {"champion": 3, "previous": 2}
    versions = read_versions(store, "mnist-classifier")
    assert sorted(version.tags["run"] for version in versions) == [f"mixed/trial-00{number}" for number in range(3)]
    assert [change.version for change in read_changes(store, "mnist-classifier")] == [1, 2, 3]
    # The second promotion was compared with the first one, not with the champion that both processes read at first.
    second, first, _ = versions
    assert first.tags["run"] in second.tags["check.champion"]
