"""Sweeps that a budget ends: their record, their resume, and the commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from experiments import api, parse_spec, resume_sweep, run_sweep
from experiments.reporting.summary import summarize
from experiments.result_tables import sweeps_table
from experiments.tracking import spent
from experiments.tracking.artifacts import fetch_model
from experiments.tracking.records import SEARCH_SECONDS, CurvePoint, RunRecord, SweepState, Tag
from experiments.tracking.spent import read_spent
from experiments.tracking.store import open_store, tracking_uri
from search.budget import EndReason, Spent
from search.trial import TrialState
from tests.helpers.sweep_texts import SMALL
from tests.helpers.sweeps import Run, in_process, stored_sweep
from tests.helpers.synthetic_sweeps import START, run, timeline

UNPRUNED = ["pruner=none"]


@pytest.mark.usefixtures("store_at_hand")
def test_a_sweep_that_used_up_its_epochs_is_resumed_only_with_more_of_them(small_npz: Path, tmp_path: Path) -> None:
    ended = run_sweep(parse_spec(SMALL, [*UNPRUNED, "stop.epochs=4"]), in_process(small_npz))
    assert (ended.ending, ended.cause) == (EndReason.EPOCHS, "4 epochs are trained")
    assert [run.state for run in ended.runs] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert fetch_model(open_store(tracking_uri()), ended.runs[1], tmp_path / "model")
    tags = {Tag.ENDING: "stopped by epochs", Tag.ENDING_CAUSE: "4 epochs are trained"}
    assert (ended.sweep.state, {key: ended.sweep.tags[key] for key in tags}) == (SweepState.FINISHED, tags)
    assert ended.sweep.metrics[SEARCH_SECONDS] > 0
    assert "stopped by epochs" in str(sweeps_table([ended.sweep]))

    again = resume_sweep("small", in_process(small_npz))
    assert (again.ending, list(again.runs)) == (EndReason.EPOCHS, list(ended.runs))
    assert again.sweep.metrics[SEARCH_SECONDS] == pytest.approx(ended.sweep.metrics[SEARCH_SECONDS], abs=1.0)

    more = resume_sweep("small", in_process(small_npz), settings={"stop.epochs": 100})
    assert (more.ending, len(more.runs)) == (EndReason.DONE, 4)
    sweep, _ = stored_sweep("small")
    assert (sweep.tags[Tag.ENDING], sweep.tags[Tag.ENDING_CAUSE]) == ("done", "")


class TestWhatASweepHasSpent:
    """Of a sweep with a complete, a pruned, a lost and a failed run, and a pause of an hour."""

    SPEC = parse_spec(SMALL, ["stop.time=1h"])

    @pytest.fixture
    def runs(self, monkeypatch: pytest.MonkeyPatch) -> list[RunRecord]:
        def curves(store: object, runs: Sequence[RunRecord], metric: object) -> dict[str, tuple[CurvePoint, ...]]:
            points = tuple(CurvePoint(0.5, START + timedelta(seconds=second)) for second in (22, 25))
            return {run.run_id: points for run in runs}

        monkeypatch.setattr(spent, "read_curves", curves)
        return [
            run(0, 0.9, 0, 20, epochs_run=3),
            run(1, 0.7, 3610, 3615, TrialState.PRUNED, epochs_run=1),
            run(2, None, 20, 3600, TrialState.KILLED),
            run(3, 0.8, 3600, 3612, epochs_run=3),
            run(4, None, 3612, 3614, TrialState.FAILED, epochs_run=0),
        ]

    def test_is_the_time_without_pauses_all_epochs_and_the_values_as_they_ended(self, runs: list[RunRecord]) -> None:
        sweep = timeline(runs).sweep
        assert read_spent(None, sweep, runs, self.SPEC) == Spent(25.0 + 15.0, 3 + 1 + 2 + 3, (0.9, 0.8, None))  # type: ignore[arg-type]

    def test_is_at_least_the_time_that_its_last_call_recorded(self, runs: list[RunRecord]) -> None:
        sweep = replace(timeline(runs).sweep, metrics={SEARCH_SECONDS: 41.0})
        assert read_spent(None, sweep, runs, self.SPEC).seconds == 41.0  # type: ignore[arg-type]


def test_a_report_names_the_budget_that_ended_the_sweep() -> None:
    tags = {Tag.ENDING: "stopped by plateau", Tag.ENDING_CAUSE: "the last 3 trials brought nothing better"}
    facts = dict(summarize(timeline([run(0)], **tags), {}))
    assert facts["end"] == "stopped by plateau: the last 3 trials brought nothing better"
    assert "end" not in dict(summarize(timeline([run(0)], **{Tag.ENDING: "done"}), {}))
    resumed = timeline([run(0)], **tags)
    running = replace(resumed, sweep=replace(resumed.sweep, state=SweepState.RUNNING))
    assert "end" not in dict(summarize(running, {}))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--stop-time", "-5m"), "stop.time: expected a time such as 90s, 10m or 2h, received '-5m'"),
        (("--stop-epochs", "0"), "stop.epochs: expected a number of epochs, 1 or more, received 0"),
        (("--stop-target", "nan"), "stop.target: expected a value of the objective, more than 0, received nan"),
        (("--stop-plateau", "-1"), "stop.plateau: expected a number of trials, 1 or more, received -1"),
        (("--set", "stop.patience=3"), "stop.patience: unknown key"),
    ],
)
def test_a_budget_that_is_none_is_one_line(command: Run, option: Sequence[str], words: str) -> None:
    code, _, err = command("sweep", "quick", *option)
    assert (code, len(err.splitlines())) == (2, 1)
    assert words in err


@pytest.mark.usefixtures("store_at_hand")
def test_the_command_says_which_budget_ended_the_sweep_and_how_to_continue(
    command: Run, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("small.toml").write_text(SMALL)
    run: Any = api.sweeps.run_sweep

    def here(sweep: str, options: Any, **given: Any) -> Any:
        return run(sweep, in_process(small_npz, report=False), **{**given, "data": small_npz})

    monkeypatch.setattr(api.sweeps, "run_sweep", here)
    code, out, _ = command("sweep", "small.toml", "--stop-target", "0.01", "--set", "training.epochs=1", "--no-report")
    assert code == 0
    assert "sweep small stopped by target: val_accuracy has reached 0.01" in out
    assert "mnist-search sweep --resume small --stop-target" in out
