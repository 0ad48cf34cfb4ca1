"""The best runs of a sweep of many trials, found without reading all of them."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from benchmarks.synthetic_store import SWEEP, fill
from experiments import best, list_runs, ranked_runs, ranking
from experiments.candidates import choose_run
from experiments.selection import Selection, SelectionRule
from experiments.tracking import queries
from experiments.tracking.queries import count_runs, find_sweep, newest_metrics, read_runs, read_some_runs
from experiments.tracking.records import RunRecord, Tag
from experiments.tracking.store import Store, open_store
from mnist_core.errors import NotFoundError

TRIALS = 80
STORED_INFINITY = 1.7976931348623157e308
METRICS = ("best_val_accuracy", "best_val_loss", "best_val_crossentropy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "store"
    fill(path, TRIALS, epochs=2)
    return path


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose sweep has several times as many runs as a sample."""
    monkeypatch.setattr(ranked_runs, "SAMPLE", 10)
    return open_store(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture
def calls(store: Store, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The calls of MLflow's client by name, and the runs that they return."""
    counted: Counter[str] = Counter()
    for name in ("search_runs", "search_logged_models", "get_run", "get_logged_model", "get_metric_history"):
        original = getattr(MlflowClient, name)

        def call(*args: Any, name: str = name, original: Any = original, **options: Any) -> Any:
            counted["calls"] += 1
            found = original(*args, **options)
            counted["runs"] += len(found) if name == "search_runs" else 0
            return found

        monkeypatch.setattr(MlflowClient, name, call)
    return counted


def change_results(folder: Path, seed: int, crossentropy_of_all: bool) -> None:
    """Give the runs other results: many ties, and some that are missing, infinite, no number, or have no model."""
    rng = random.Random(seed)
    with sqlite3.connect(folder / "mlflow.db") as database:
        ids = [row[0] for row in database.execute("SELECT run_uuid FROM tags WHERE key = 'trial_number'")]
        database.execute(f"DELETE FROM latest_metrics WHERE key IN {METRICS}")
        for run_id in ids:
            state = rng.choices(("complete", "pruned", "failed"), (0.8, 0.1, 0.1))[0]
            database.execute("UPDATE tags SET value = ? WHERE key = 'state' AND run_uuid = ?", (state, run_id))
            status = 2 if rng.random() < 0.9 else 3
            database.execute("UPDATE logged_models SET status = ? WHERE source_run_id = ?", (status, run_id))
            for name in METRICS:
                value = round(0.9 + 0.1 * rng.random(), rng.choice((2, 3)))
                odd = rng.random()
                if odd < 0.03 and not (crossentropy_of_all and name == METRICS[2]):
                    continue
                if odd < 0.06 and name != METRICS[2]:
                    value = STORED_INFINITY
                is_nan = 0.06 < odd < 0.09 and name != METRICS[2]
                row = (name, 0.0 if is_nan else value, 0, 0, is_nan, run_id)
                database.execute(
                    "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?,?,?,?,?,?)",
                    row,
                )
    database.close()


def chosen(selected: Selection) -> tuple[object, ...]:
    """All that is shown of a selection."""
    top = [one.run.run_id for one in selected.ranked[:5]]
    return selected.chosen.run, selected.reason, top, [one.run.run_id for one in selected.tied], selected.margin


@pytest.mark.parametrize("seed", range(12))
def test_the_selection_is_that_among_all_runs(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    change_results(folder, seed, crossentropy_of_all=seed % 2 == 0)
    sweep = find_sweep(store, SWEEP)
    everything = read_runs(store, sweep)
    monkeypatch.setattr(queries, "read_runs", lambda *given: everything)  # read once for all rules
    for rule in SelectionRule:
        for weights in (None, 20_000):
            among_all = choose_run(store, sweep, rule, weights)
            assert chosen(choose_run(store, sweep, rule, weights, top=5)) == chosen(among_all)
    listed = ranking.rank(everything, sweep.objective)
    assert list(list_runs(SWEEP, limit=7, tracking_uri=store.uri)) == listed[:7]


@pytest.fixture
def distinct(folder: Path, store: Store) -> None:
    """Results without ties, whose best runs a sample does not have."""
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("UPDATE tags SET value = 'complete' WHERE key = 'state'")
        ids = [row[0] for row in database.execute("SELECT run_uuid FROM tags WHERE key = 'model_id'")]
        database.execute(f"DELETE FROM latest_metrics WHERE key IN {METRICS}")
        database.execute("UPDATE logged_models SET status = 2")
        rows = [(name, 0.5 + place / 1000, id) for place, id in enumerate(ids) for name in METRICS]
        database.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?,?,0,0,0,?)", rows
        )
    database.close()


@pytest.mark.usefixtures("distinct")
def test_few_calls_find_the_best_run_and_read_few_runs(store: Store, calls: Counter[str]) -> None:
    selected = best(SWEEP, top=1, tracking_uri=store.uri)
    assert selected.run.value("val_accuracy") == max(
        run.value("val_accuracy") or 0 for run in read_runs(store, selected.sweep) if run.model_id
    )
    calls.clear()
    best(SWEEP, top=1, tracking_uri=store.uri)
    assert calls["calls"] <= 6
    assert calls["runs"] < TRIALS / 2


@pytest.mark.usefixtures("distinct")
def test_a_page_of_runs_says_how_many_there_are(store: Store, calls: Counter[str]) -> None:
    page = list_runs(SWEEP, limit=3, tracking_uri=store.uri)
    assert (len(page), page.total) == (3, TRIALS)
    assert calls["calls"] <= 10
    assert calls["runs"] < TRIALS / 2
    assert f"3 of {TRIALS} runs" in str(page)
    assert len(list_runs(SWEEP, tracking_uri=store.uri)) == TRIALS


@pytest.mark.parametrize("guess", [1, TRIALS - 1, TRIALS, TRIALS + 1, 1000])
def test_runs_are_counted_from_any_guess(store: Store, guess: int) -> None:
    sweep = find_sweep(store, SWEEP)
    assert count_runs(store, sweep, guess=guess) == TRIALS
    assert count_runs(store, sweep, "params.seed = 'none'", guess=guess) == 0


def test_runs_come_in_the_order_of_their_trials_and_the_newest_first_where_asked_for(store: Store) -> None:
    sweep = find_sweep(store, SWEEP)
    by_start = store.client.search_runs([store.experiment_id], order_by=["attributes.start_time DESC"])
    newest = [run for run in by_start if run.info.run_id != sweep.run_id]
    assert newest_metrics(store, sweep, 7) == [run.data.metrics for run in newest[:7]]
    numbers = [run.number for run in read_runs(store, sweep)]
    assert numbers == list(range(TRIALS))
    some = read_some_runs(store, sweep, "params.seed != 'none'")
    assert [run.number for run in some] == numbers


@pytest.mark.parametrize("read", [read_runs, lambda *of: read_some_runs(*of, "params.seed != 'none'")])
def test_a_run_that_ends_while_runs_are_read_is_read_with_its_model(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[..., list[RunRecord]]
) -> None:
    sweep, real = find_sweep(store, SWEEP), MlflowClient.search_runs

    def set_status(status: int) -> None:
        with sqlite3.connect(folder / "mlflow.db") as database:
            database.execute("UPDATE logged_models SET status = ?", (status,))
        database.close()

    def search(client: MlflowClient, *arguments: Any, **named: Any) -> Any:
        set_status(2)  # READY, as it is before its run says that it has a model
        return real(client, *arguments, **named)

    set_status(1)
    monkeypatch.setattr(MlflowClient, "search_runs", search)
    runs = read(store, sweep)
    assert len(runs) == TRIALS
    assert all(run.model_id for run in runs if Tag.MODEL_ID in run.tags)


def test_models_are_asked_for_in_batches_that_a_database_takes(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = find_sweep(store, SWEEP)
    trained = [run for run in read_runs(store, sweep) if Tag.MODEL_ID in run.tags]
    broken = trained[-1]
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("UPDATE logged_models SET status = 2")
        database.execute("UPDATE logged_models SET status = 3 WHERE source_run_id = ?", (broken.run_id,))
    database.close()
    monkeypatch.setattr(queries, "MODELS", 30)
    found = {run.run_id: run.model_id for run in read_some_runs(store, sweep, "params.seed != 'none'")}
    assert found == {run.run_id: run.model_id for run in read_runs(store, sweep)}
    assert [run.run_id for run in trained if found[run.run_id] is None] == [broken.run_id]


def test_a_sweep_of_which_no_run_may_win_says_so(folder: Path, store: Store) -> None:
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute("UPDATE tags SET value = 'failed' WHERE key = 'state'")
    database.close()
    with pytest.raises(NotFoundError, match="no complete trial"):
        best(SWEEP, top=1, tracking_uri=store.uri)
    assert len(list_runs(SWEEP, limit=5, tracking_uri=store.uri).others) == 5
