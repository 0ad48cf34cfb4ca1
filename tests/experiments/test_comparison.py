"""Comparison of sweeps, and the commands ``compare`` and ``report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.comparison import comparability_warnings, comparison_rows, measure_sweep
from experiments.reporting import reports
from experiments.reporting.sections.history import history_caption
from experiments.reporting.sections.trials import trials_table
from experiments.reporting.summary import summarize
from experiments.selection import SelectionRule, select
from search.trial import TrialState
from tests.helpers.synthetic_sweeps import POINT, run, timeline

Run = Callable[..., tuple[int, str, str]]

GRID = """
name = "grid"
engine = "keras-tuner"
sampler = "grid"
[space]
hidden_size = [64]
"""


def test_a_sweep_is_measured_by_its_accuracies_and_the_time_to_reach_them() -> None:
    runs = [run(0, 0.965, 0, 5), run(1, 0.981, 0, 20), run(2, 0.975, 5, 15), run(3, 0.99, 15, 16, TrialState.PRUNED)]
    found = measure_sweep(timeline(runs, tracking=1.0))
    assert (found.attempts, found.complete) == (4, 3)
    assert (found.best, found.median) == (0.981, 0.975)
    assert found.reached == [15, 20, None]
    assert found.seconds == 20


def test_comparison_and_report_name_the_run_that_would_be_promoted_as_the_best() -> None:
    lucky = [run(seed, value, params={**POINT, "seed": str(seed)}) for seed, value in enumerate([0.99, 0.95, 0.96])]
    other = POINT | {"hidden_size": "32"}
    steady = [run(3 + seed, 0.97 + 0.005 * seed, params={**other, "seed": str(seed)}) for seed in range(3)]
    sweep = timeline([*lucky, *steady])
    promoted = select([*lucky, *steady], SelectionRule.BEST, "val_accuracy", 6000).chosen.run
    assert promoted.name == "trial-005"
    assert measure_sweep(sweep).best == promoted.value("val_accuracy") == sweep.values()[0]
    assert sweep.best_point()["hidden_size"] == 32
    assert trials_table(sweep).rows[0][0] == "trial-005"
    facts = dict(summarize(sweep, {}))
    assert facts["best"] == "trial-005, val_accuracy 0.9800 at epoch 1; mean of its 3 seeds 0.9750"
    assert "0.9800, is trial-005, by the mean of its 3 seeds, 0.9750" in history_caption(sweep)


def test_each_sweep_has_a_column_and_each_measure_a_row() -> None:
    bayesian = measure_sweep(timeline([run(0, 0.984, 0, 12)], tracking=1.5))
    empty = measure_sweep(timeline([], text=GRID))
    table = {name.strip(): texts for name, *texts in comparison_rows([bayesian, empty])}
    assert table["engine"] == ["optuna", "keras-tuner"]
    assert table["best accuracy"] == ["0.9840", ""]
    assert table["seconds to 98.3%"] == ["12", "never"]
    assert table["tracking"] == ["1.5", "not recorded"]


def test_a_warning_names_sweeps_on_different_data() -> None:
    one, other = ({"dataset_digest": digit * 64, "validation": "0.1", "split_seed": "0"} for digit in "ab")
    assert comparability_warnings([timeline([], **one), timeline([], **one)]) == []
    (sentence,) = comparability_warnings([timeline([], **one), timeline([], text=GRID, **other)])
    assert sentence.startswith("not the same training images: made-up aaaaaaaaaaaa")
    assert sentence.endswith("accuracies are not comparable")


def test_compare_prints_the_sweeps_of_the_store(command: Run, finished_uri: str) -> None:
    code, out, _ = command("compare", "small", "small")
    assert code == 0
    assert out.splitlines()[0].split() == ["small", "small"]
    assert "never" in out


def test_report_names_each_plot_and_writes_the_page_to_the_given_folder(
    command: Run, finished_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reports, "render_plot", lambda sketch: reports.RenderedPlot(sketch.name, sketch.title, problem="left out")
    )
    words = ("report", "small", "--out", str(tmp_path / "page.html"))
    code, out, _ = command(*words)
    assert code == 0
    assert "report/history.png                not drawn: left out" in out
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("report", "smal"), "no sweep 'smal'"),
        (("compare", "small", "grid"), "no sweep 'grid'"),
        (("report", "small", "--out", "/nowhere/at/all.html"), "--out /nowhere/at/all.html: expected a file in a"),
        (("explain", "small/99"), "no run '99' in sweep 'small'"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line(words: tuple[str, ...], told: str, command: Run, finished_uri: str) -> None:
    code, _, err = command(*words)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
