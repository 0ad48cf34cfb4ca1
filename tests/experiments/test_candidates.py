"""The command ``best``, and the candidate of a promotion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import SweepResult, parse_spec, run_sweep
from experiments.candidates import find_candidate
from experiments.selection import SelectionRule
from experiments.tracking.queries import find_run
from experiments.tracking.store import Store
from mnist_core.errors import NotFoundError
from search.sweep import EndReason
from tests.helpers.sweep_texts import MIXED
from tests.helpers.sweeps import Run, in_process

Rows = Callable[..., tuple[list[list[str]], list[str]]]


@pytest.fixture
def rows(command: Run, mixed_store: Store) -> Rows:
    """Lines of the table of ``best mixed`` with the given options, in words; then the lines below it."""

    def run(*words: str) -> tuple[list[list[str]], list[str]]:
        code, out, _ = command("best", "mixed", *words)
        assert code == 0
        table, _, below = out.partition("\n\n")
        return [line.split() for line in table.splitlines()[1:]], below.splitlines()

    return run


def test_best_lists_the_runs_that_may_win_and_marks_the_selected_one_and_its_ties(
    rows: Rows, mixed_store: Store
) -> None:
    table, below = rows()
    assert [row[:2] for row in table] == [["1", "trial-000"], ["2", "trial-001"], ["3", "trial-002"]]
    assert [row[-1] for row in table] == ["chosen", "tied", "6,370"]
    assert below[0] == f"best: trial-000, id {find_run(mixed_store, 'mixed/0').run_id}"
    assert below[1].startswith("the best val_accuracy; 1 other within")


@pytest.mark.parametrize("rule", ["one-se", "smallest"])
def test_other_rules_select_the_smallest_of_the_ties_and_state_the_loss_of_accuracy(rows: Rows, rule: str) -> None:
    table, below = rows("--rule", rule)
    assert [row[-1] for row in table[:2]] == ["tied", "chosen"]
    assert below[0].startswith(f"{rule}: trial-001, id ")
    assert below[1].startswith("19,090 weights, against 50,890 of trial-000, whose accuracy is 0.0")


def test_a_maximum_number_of_weights_excludes_more_accurate_models(rows: Rows) -> None:
    table, below = rows("--max-parameters", "20000")
    assert [row[:2] for row in table] == [["1", "trial-001"], ["2", "trial-002"]]
    assert below[0].startswith("best: trial-001, id ")


def test_a_short_list_includes_the_selected_run(rows: Rows) -> None:
    table, _ = rows("--top", "1", "--rule", "smallest")
    assert [row[:2] for row in table] == [["1", "trial-000"], ["2", "trial-001"]]


def test_a_target_names_a_sweep_before_it_names_a_run(mixed_store: Store, mixed_sweep: SweepResult) -> None:
    assert mixed_sweep.best is not None
    assert find_candidate(mixed_store, "mixed").run == mixed_sweep.best
    assert find_candidate(mixed_store, "mixed/2").run.number == 2
    assert find_candidate(mixed_store, mixed_sweep.best.run_id[:10]).run == mixed_sweep.best
    assert find_candidate(mixed_store, "mixed/2").reason == "named by the user"
    by_rule = find_candidate(mixed_store, mixed_sweep.sweep.run_id, SelectionRule.SMALLEST)
    assert by_rule.run.number == 1
    assert by_rule.reason.startswith("of sweep mixed, by rule smallest: ")


def test_without_a_target_the_newest_ended_sweep_is_used(mixed_store: Store, whole_npz: Path) -> None:
    assert find_candidate(mixed_store, None).run.title == "mixed/trial-000"
    newer = run_sweep(parse_spec(MIXED, ["name=newer"]), in_process(whole_npz, timeout=1e-9))
    assert newer.ending is EndReason.TIMED_OUT
    with pytest.raises(NotFoundError, match="sweep newer: no complete trial"):
        find_candidate(mixed_store, None)
    mixed_store.client.update_run(newer.sweep.run_id, status="RUNNING")
    assert find_candidate(mixed_store, None).run.title == "mixed/trial-000"
