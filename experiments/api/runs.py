"""Calls that select, evaluate, explain and reproduce runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.api.common import enum_member, find_source
from experiments.formatting import format_number, local_time, pluralize
from experiments.selection import SelectionRule
from experiments.tracking.records import Tag
from mnist_core.messages import OnMessage, print_to_stderr

if TYPE_CHECKING:
    from experiments.api.common import RunTarget, SweepTarget
    from experiments.api.results import RunEvaluation, SweepSelection
    from experiments.explanation import RunExplanation
    from experiments.reproduction import Reproduction
    from mnist_core.metrics import EpochMetrics


def best(
    sweep: SweepTarget,
    *,
    rule: SelectionRule | str = SelectionRule.BEST,
    max_model_size: int | None = None,
    top: int | None = None,
    tracking_uri: str | None = None,
) -> SweepSelection:
    """The run of a sweep that a rule selects, with the reason and the runs that it ties with.

    Args:
        sweep: a recorded sweep.
        rule: ``best``, ``one-se`` or ``smallest``.
        max_model_size: only models of at most so many weights.
        top: number of configurations that are ranked at least, if there are as many; of a large sweep, few others are
            read. None ranks all.
        tracking_uri: the MLflow store.

    Raises:
        NotFoundError: no such sweep, or none of its runs is selectable.
    """
    from experiments.api.results import SweepSelection
    from experiments.api.targets import find_sweep_of, open_store_of
    from experiments.candidates import choose_run
    from experiments.ranking import front
    from experiments.tracking.queries import read_recorded_spec

    store = open_store_of(tracking_uri, sweep)
    found = find_sweep_of(store, sweep)
    selection = choose_run(store, found, enum_member(SelectionRule, rule, "rule"), max_model_size, top)
    spec = read_recorded_spec(store, found)
    return SweepSelection(
        **vars(selection),
        sweep=found,
        searched=list(spec.space.domains),
        objectives=tuple(map(str, spec.objectives)) if spec.is_multi_objective else (),
        front=front(selection.ranked, spec.objectives) if spec.is_multi_objective else (),
        tracking_uri=store.uri,
    )


def evaluate(
    run: RunTarget,
    *,
    data: str | Path | None = None,
    again: bool = False,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> RunEvaluation:
    """Evaluate a run on the test set, once, and record its metrics.

    Args:
        run: a run with a model.
        data: another data set to evaluate on, such as collected feedback; None for that of the run.
        again: evaluate although an evaluation is recorded.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        DataError: the data cannot be read, or was found without being named and is not that of the run.
        ModelError: the model is missing or not the one that was logged.
        NonFiniteError: its probabilities are not all finite.
    """
    from experiments.api.results import RunEvaluation
    from experiments.api.targets import find_run_of, open_store_of
    from experiments.evaluation import TestSet, count_evaluated, evaluate_run, read_evaluation

    store = open_store_of(tracking_uri, run)
    found = find_run_of(store, run)
    test = TestSet.load(find_source(data, found.tags, on_message))
    if data is None:
        # Data that is found may be the embedded sample; data that the user names is meant.
        test.check_belongs_to(found)
    elif test.training_digest != found.tags[Tag.DATASET_DIGEST]:
        on_message(f"{test.location}: other data than the run was trained on")
    recorded = None if again else read_evaluation(store, found, test.data.digest)
    if recorded is not None:
        on_message(f"evaluated already, on {local_time(recorded.evaluated)}; --again evaluates it once more")
    record = recorded or evaluate_run(store, found, test)
    if others := count_evaluated(store, found, record.digest):
        on_message(
            f"{pluralize(others, 'other run')} of this sweep {'was' if others == 1 else 'were'} evaluated on this test "
            "set too: to choose among them by it is to tune on it"
        )
    return RunEvaluation.of(record, found, recorded is None, others, store.uri)


def explain(
    run: RunTarget,
    *,
    data: str | Path | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> RunExplanation:
    """Plot what a run's network learned, from its validation images, and log the plots to the run.

    Raises:
        ModelError: the run has no READY model, or it cannot be loaded.
        DataError: the data cannot be read, or is not that of the run.
    """
    from experiments.api.targets import find_run_of, open_store_of
    from experiments.explanation import explain_run

    store = open_store_of(tracking_uri, run)
    found = find_run_of(store, run)
    return explain_run(store, found, find_source(data, found.tags, on_message))


def reproduce(
    run: RunTarget,
    *,
    data: str | Path | None = None,
    on_epoch: Callable[[int, EpochMetrics], None] | None = None,
    tracking_uri: str | None = None,
    on_message: OnMessage = print_to_stderr,
) -> Reproduction:
    """Train a run again from its record and compare both results; nothing is written to the store.

    Args:
        run: a run with a result.
        data: where the data lies now; it has to be the same.
        on_epoch: called after each epoch with its 1-based number; None sends a line to ``on_message``.
        tracking_uri: the MLflow store.
        on_message: called with each line that the user should read.

    Raises:
        NotFoundError: the run has no result.
        DataError: the data is not that of the run.
        WorkerError: the training failed, or its process died.
    """
    from experiments.api.targets import find_run_of, open_store_of
    from experiments.reproduction import reproduce_run

    def report_epoch(epoch: int, metrics: EpochMetrics) -> None:
        on_message(f"epoch {epoch:>3}  val_accuracy {format_number(metrics.val_accuracy)}")

    store = open_store_of(tracking_uri, run)
    found = find_run_of(store, run)
    return reproduce_run(store, found, find_source(data, found.tags, on_message), on_epoch or report_epoch)
