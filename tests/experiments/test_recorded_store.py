"""A store of version 0.1.0, recorded under earlier names of modules and folders: it is read and its sweeps resumed.

It holds a finished grid, a Bayesian sweep that was killed in its fourth trial of six, and two champions.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments import open_store, resume_sweep, tracking_uri
from search.sweep import EndReason
from search.trial import TrialState
from tests.helpers.recorded_store import FIXTURES, make_store
from tests.helpers.stores import aliases_of
from tests.helpers.sweeps import Run, in_process, stored_sweep

pytestmark = pytest.mark.usefixtures("old_store")


@pytest.fixture
def old_store(empty_database: Path, tmp_path: Path) -> None:
    """The store of version 0.1.0, where the commands look by default."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns" / "mlflow.db")
    make_store(FIXTURES / "store_0_1_0.json", tmp_path / "mlruns")


def test_its_sweeps_runs_and_champions_are_listed(command: Run) -> None:
    code, out, _ = command("sweeps")
    assert code == 0
    assert {"early", "early-grid"} <= set(out.split())
    code, out, _ = command("runs", "early")
    assert code == 0
    assert [line.split()[1:3] for line in out.splitlines() if "complete" in line] == [
        ["trial-000", "complete"],
        ["trial-002", "complete"],
        ["trial-001", "complete"],
    ]
    code, out, _ = command("best", "early-grid", "--rule", "one-se")
    assert code == 0
    assert "trial-003" in out
    code, out, _ = command("registry")
    assert code == 0
    assert ["2", "champion", "early/trial-000"] in [line.split()[:3] for line in out.splitlines()]
    assert out.count("promoted by someone") == 2


def test_its_killed_sweep_is_resumed(whole_npz: Path) -> None:
    _, runs = stored_sweep("early")
    before = {run.run_id for run in runs}
    resumed = resume_sweep("early", in_process(whole_npz), take_over=True)
    assert resumed.ending is EndReason.DONE
    assert sorted(run.number for run in resumed.runs if run.state.is_finished) == list(range(6))
    assert before < {run.run_id for run in resumed.runs}
    (lost,) = (run for run in resumed.runs if run.state is TrialState.KILLED)
    assert (lost.number, lost.attempt) == (3, 1)
    assert resumed.best is not None


def test_its_sweeps_are_reported_and_compared(command: Run) -> None:
    code, out, _ = command("report", "early", "--out", "page.html")
    assert code == 0
    assert "trial-003" in Path("page.html").read_text()
    code, out, _ = command("compare", "early", "early-grid")
    assert code == 0
    assert "0.6950" in out


def test_its_run_is_promoted_against_its_champion(command: Run, whole_npz: Path) -> None:
    words = ("promote", "early/trial-002", "--yes", "--floor", "0", "--no-explain", "--data", str(whole_npz))
    code, out, _ = command(*words)
    assert code == 1  # untrained, so it is refused, after it was compared with the champion's recorded answers
    assert "early/trial-000" in out
    assert aliases_of(open_store(tracking_uri())) == {"champion": 2, "previous": 1, "challenger": 3}
    code, out, _ = command("promote", "early/trial-002", "--yes", "--force", "a test", "--no-explain", *words[-2:])
    assert code == 0
    assert aliases_of(open_store(tracking_uri()))["champion"] == 3
    code, _, _ = command("rollback")
    assert code == 0
    assert aliases_of(open_store(tracking_uri()))["champion"] == 2
