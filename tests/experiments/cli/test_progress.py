"""The displays of a running sweep."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from experiments import parse_spec
from experiments.cli.progress import LiveDisplay, PlainDisplay, SweepProgress, format_hosts
from mnist_core.metrics import EpochMetrics, StopReason
from search.executors.base import Finished, WorkerStatus
from search.resume import NOTHING_DONE, ResumeState
from search.trial import Trial, TrialResult, TrialState
from tests.helpers.sweep_texts import SMALL

SPEC = parse_spec(SMALL)
POINTS = [{"hidden_size": 8 + number, "learning_rate": 0.0012345678} for number in range(4)]
TRIALS = [SPEC.trial(number, point) for number, point in enumerate(POINTS)]


def metrics(accuracy: float) -> EpochMetrics:
    return EpochMetrics(loss=0.5, accuracy=0.8, val_loss=0.4, val_accuracy=accuracy)


def result(accuracy: float, state: TrialState = TrialState.COMPLETE) -> TrialResult:
    if state is TrialState.FAILED:
        return TrialResult(state, error="OSError: No space left on device\nand more")
    history = (metrics(accuracy - 0.1), metrics(accuracy), metrics(accuracy - 0.05))
    return TrialResult(state, history, best_epoch=2, stop_reason=StopReason.BUDGET, training_seconds=1.25)


def console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=140, height=30, highlight=False, color_system=None
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def show(display: PlainDisplay, history: ResumeState = NOTHING_DONE) -> None:
    with display:
        display.sweep_started(SPEC, history)
        for trial in TRIALS[:2]:
            display.trial_started(trial)
        display.epoch_ended(TRIALS[0], 1, metrics(0.7))
        display.trial_ended(TRIALS[0], result(0.8))
        display.trial_lost(TRIALS[1], "the worker process was killed by SIGKILL")
        again = SPEC.trial(1, POINTS[1], attempt=2)
        display.trial_started(again)
        display.trial_ended(again, result(0.9, TrialState.PRUNED))
        display.trial_started(TRIALS[2])
        display.trial_ended(TRIALS[2], result(0.0, TrialState.FAILED))
        display.trial_started(TRIALS[3])
        display.epoch_ended(TRIALS[3], 2, metrics(0.6543))


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_each_finished_trial_leaves_a_line_with_its_result(kind: type[PlainDisplay]) -> None:
    where = console(terminal=kind is LiveDisplay)
    show(kind(where))
    lines = [line.strip() for line in written(where).splitlines()]
    complete = "trial-000  complete  val_accuracy 0.8000  epoch 2 of 3  hidden_size=8 learning_rate=0.001235  1.2 s"
    assert any(f"{complete}  [1/4]" in line for line in lines)
    assert any("trial-001  lost: the worker process was killed by SIGKILL" in line for line in lines)
    assert any("trial-001 (attempt 2)  pruned" in line and "[2/4]" in line for line in lines)
    assert any("trial-002  failed" in line and line.endswith("No space left on device  [3/4]") for line in lines)


def test_the_live_display_shows_running_trials_counts_and_the_best_trial() -> None:
    where = console(terminal=True)
    display = LiveDisplay(where)
    with display:
        display.sweep_started(SPEC, NOTHING_DONE)
        display.trial_started(TRIALS[0])
        display.trial_ended(TRIALS[0], result(0.8))
        display.trial_started(TRIALS[1])
        display.epoch_ended(TRIALS[1], 2, metrics(0.6543))
        output = console(terminal=False)
        output.print(display.render())
    running, sweep, best = (line for line in written(output).splitlines() if line.strip())
    assert "trial-001" in running
    assert "epoch 2/3" in running
    assert "val_accuracy 0.6543" in running
    assert "1/4" in sweep
    assert "1 complete · 0 pruned · 0 failed" in sweep
    assert "trial-000  val_accuracy 0.8000  hidden_size=8" in best


def test_square_brackets_in_a_value_are_shown_as_they_are() -> None:
    where, output = console(terminal=True), console(terminal=False)
    display = LiveDisplay(where)
    with display:
        display.sweep_started(SPEC, NOTHING_DONE)
        display.trial_started(replace(TRIALS[0], point={"stack": "[/x] [relu]"}))
        output.print(display.render())
    assert "stack=[/x] [relu]" in written(output)


def test_a_resumed_sweep_counts_the_trials_that_were_finished_before() -> None:
    where = console(terminal=False)
    earlier = ResumeState(finished=[Finished(SPEC.trial(9, POINTS[3]), result(0.95))])
    show(PlainDisplay(where), earlier)
    assert "resumed with 1 of 4 trials done" in written(where)
    assert "[2/4]" in written(where)


def test_the_progress_keeps_the_best_complete_trial_by_the_objective() -> None:
    by_loss = parse_spec(SMALL, ["objective=val_loss"])
    progress = SweepProgress()
    assert progress.best is None
    for number, (accuracy, loss) in enumerate([(0.9, 0.4), (0.8, 0.3), (0.95, 0.5)]):
        found = TrialResult(TrialState.COMPLETE, (EpochMetrics(1, 0, loss, accuracy),), best_epoch=1)
        progress.add(TRIALS[number], found, by_loss)
    progress.add(TRIALS[3], TrialResult(TrialState.PRUNED, (EpochMetrics(1, 0, 0.1, 1.0),), best_epoch=1), by_loss)
    assert progress.best is not None
    assert progress.best[0] is TRIALS[1]
    assert progress.finished == 4
    assert progress.text() == "3 complete · 1 pruned · 0 failed"


def trial_names(trials: list[Trial]) -> list[str]:
    return [trial.name for trial in trials]


def test_trials_are_named_by_number_and_attempt() -> None:
    assert trial_names([TRIALS[3], SPEC.trial(7, POINTS[0], attempt=2)]) == ["trial-003", "trial-007 (attempt 2)"]


def on_hosts(*hosts: str) -> list[WorkerStatus]:
    return [WorkerStatus(host) for host in hosts]


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_workers_that_join_or_leave_are_shown_by_host(kind: type[PlainDisplay]) -> None:
    where = console(terminal=kind is LiveDisplay)
    with kind(where) as display:
        display.sweep_started(SPEC, NOTHING_DONE)
        display.workers_changed(on_hosts("node-a", "node-a"))
        display.workers_changed(on_hosts("node-a", "node-a", "node-b"))
        display.workers_changed(on_hosts("node-b"))
    assert "workers: 2 on node-a, 1 on node-b  (1 on node-b joined)" in written(where)
    assert "workers: 1 on node-b  (2 on node-a left)" in written(where)


def test_the_live_display_counts_the_workers_of_several_hosts() -> None:
    output = console(terminal=False)
    with LiveDisplay(console(terminal=True)) as display:
        display.sweep_started(SPEC, NOTHING_DONE)
        display.workers_changed(on_hosts("node-a", "node-b", "node-a"))
        output.print(display.render())
    assert "workers   2 on node-a, 1 on node-b" in written(output)


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_the_workers_of_one_machine_are_no_news(kind: type[PlainDisplay]) -> None:
    where = console(terminal=kind is LiveDisplay)
    with kind(where) as display:
        display.sweep_started(SPEC, NOTHING_DONE)
        display.workers_changed(on_hosts("here"))
        display.workers_changed(on_hosts("here", "here"))
    assert "workers" not in written(where)


def test_of_a_thousand_hosts_the_first_are_named_and_the_others_counted() -> None:
    assert format_hosts({f"node-{number:03}": 2 for number in range(1000)}) == (
        "2 on node-000, 2 on node-001, 2 on node-002, 2 on node-003, 1,992 on 996 other hosts"
    )
    assert format_hosts({}) == "none"
