"""Evaluation of runs on the test set, and its record in MLflow."""

from __future__ import annotations

import csv
import json
from datetime import UTC
from io import BytesIO
from pathlib import Path

import keras
import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest

from experiments.evaluation import NO_TRAINING, TestSet, evaluate_run, read_evaluation
from experiments.tracking.artifacts import sha256_of
from experiments.tracking.queries import find_run
from experiments.tracking.records import RunRecord, Tag
from experiments.tracking.store import Store
from experiments.tracking.trial_results import read_epochs
from mnist_core.classification import evaluate_predictions
from mnist_core.errors import DataError, StoreError
from mnist_core.models.saved_model import load_model, predict
from tests.helpers.stores import evaluations_of, model_file
from tests.helpers.sweeps import Run

ABLE = "mixed/trial-000"


@pytest.fixture
def able(evaluated_store: Store) -> RunRecord:
    """A run that was evaluated."""
    return find_run(evaluated_store, ABLE)


def artifact(store: Store, run: RunRecord, test: TestSet, name: str) -> Path:
    root = store.client.get_run(run.run_id).info.artifact_uri
    return Path(root.removeprefix("file://")) / "evaluation" / test.data.digest[:12] / name


def test_the_recorded_probabilities_are_those_of_the_model(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    record = read_evaluation(evaluated_store, able, whole_test.data.digest)
    assert record is not None
    probabilities = predict(load_model(model_file(evaluated_store, able)), whole_test.data.images)
    assert np.array_equal(record.probabilities, probabilities)
    assert np.array_equal(record.labels, whole_test.data.labels)
    assert record.metrics == evaluate_predictions(probabilities, whole_test.data.labels)
    assert record.model_bytes == model_file(evaluated_store, able).stat().st_size
    assert 0 < record.median_ms <= record.p99_ms


def test_metrics_are_recorded_with_the_run_its_model_and_the_test_set(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    record = read_evaluation(evaluated_store, able, whole_test.data.digest)
    assert record is not None
    wanted = {f"test_{name}": one.value for name, one in record.metrics.headline().items()}
    wanted |= {"test_accuracy_low": record.metrics.accuracy.low, "test_accuracy_high": record.metrics.accuracy.high}
    wanted |= {"latency_ms": record.median_ms, "model_bytes": record.model_bytes}
    assert {name: able.metrics[name] for name in wanted} == pytest.approx(wanted)

    digest = whole_test.data.digest
    assert able.model_id is not None
    of_model = {metric.key: metric for metric in evaluated_store.client.get_logged_model(able.model_id).metrics or []}
    assert {name: of_model[name].value for name in wanted} == pytest.approx(wanted)
    assert {(of_model[name].dataset_name, of_model[name].dataset_digest) for name in wanted} == {("whole", digest[:12])}

    recorded = evaluated_store.client.get_run(able.run_id)
    assert (recorded.data.tags["test_dataset"], recorded.data.tags["test_digest"]) == ("whole", digest)
    contexts = {one.tags[0].value: one.dataset for one in recorded.inputs.dataset_inputs}
    assert contexts["testing"].digest == digest[:12]
    assert json.loads(contexts["testing"].profile) == {"num_rows": 250, "sha256": digest}
    assert contexts["training"].digest == whole_test.training_digest[:12]


def test_plots_a_table_and_the_predictions_are_logged(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    for name in ("confusion.png", "mistakes.png"):
        content = artifact(evaluated_store, able, whole_test, name).read_bytes()
        assert np.asarray(mpl.image.imread(BytesIO(content))).std() > 0
    rows = list(csv.DictReader(artifact(evaluated_store, able, whole_test, "per_class.csv").open()))
    record = read_evaluation(evaluated_store, able, whole_test.data.digest)
    assert record is not None
    assert [float(row["f1"]) for row in rows] == [one.f1 for one in record.metrics.classes]
    assert sum(int(row["images"]) for row in rows) == 250
    facts = json.loads(artifact(evaluated_store, able, whole_test, "evaluation.json").read_text())
    assert facts["accuracy"]["value"] == record.metrics.accuracy.value
    assert np.sum(facts["confusion"]) == 250
    for word in ("95%", "Wilson", "bootstrap", "1000 resamples"):
        assert word in facts["intervals"]
    with np.load(artifact(evaluated_store, able, whole_test, "predictions.npz")) as archive:
        assert set(archive.files) == {"probabilities", "labels"}


def test_a_run_is_evaluated_once_unless_again_is_given(command: Run, mixed_store: Store) -> None:
    code, first, _ = command("evaluate", ABLE)
    assert (code, evaluations_of(mixed_store, ABLE)) == (0, 1)
    code, second, _ = command("evaluate", ABLE)
    assert (code, evaluations_of(mixed_store, ABLE)) == (0, 1)
    assert second.startswith("evaluated already, on ")
    assert second.splitlines()[1:] == first.splitlines()
    code, third, _ = command("evaluate", ABLE, "--again")
    assert (code, evaluations_of(mixed_store, ABLE)) == (0, 2)
    assert "already" not in third


def test_the_command_shows_every_metric_with_its_interval(
    command: Run, evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    _, out, _ = command("evaluate", able.run_id[:8])
    record = read_evaluation(evaluated_store, able, whole_test.data.digest)
    assert record is not None
    rows = [line.split() for line in out.splitlines()]
    for name, one in record.metrics.headline().items():
        assert [*name.split("_"), f"{one.value:.4f}", f"{one.low:.4f}", "to", f"{one.high:.4f}"] in rows
    for one in record.metrics.classes:
        figures = (f"{value:.4f}" for value in (one.precision, one.recall, one.f1))
        assert [str(one.label), str(one.images), *figures] in rows
    for words in (
        f"{ABLE} on the 250 test images of whole",
        f"commonest mistakes  {record.metrics.confused()[0]}",
        f"{record.median_ms:.2f} ms (median)",
        f"{record.model_bytes / 1e6:.2f} MB, 50,890 weights",
        "accuracy: Wilson; others: bootstrap",
    ):
        assert words in out


def test_a_run_can_also_be_evaluated_on_other_data_and_both_records_stay(
    command: Run, evaluated_store: Store, able: RunRecord, whole_test: TestSet, other_test_npz: Path
) -> None:
    code, out, _ = command("evaluate", ABLE, "--data", str(other_test_npz))
    assert code == 0
    assert "of other_test" in out
    assert read_evaluation(evaluated_store, able, whole_test.data.digest) is not None
    assert evaluations_of(evaluated_store, ABLE) == 2


@pytest.mark.parametrize("name", ["test", "val", "best_val", "on fünf digits: 1/2", "x" * 240])
def test_figures_on_other_data_replace_no_others_whatever_that_is_called(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet, name: str
) -> None:
    curves = read_epochs(evaluated_store, able)
    few = TestSet(name, "elsewhere", whole_test.data.take(np.arange(50)), training_digest="0" * 64)
    record = evaluate_run(evaluated_store, able, few)
    after = find_run(evaluated_store, ABLE).metrics
    timed = {"latency_ms"}  # of the machine, not of the data
    assert {key: after[key] for key in able.metrics if key not in timed} == {
        key: value for key, value in able.metrics.items() if key not in timed
    }
    assert read_epochs(evaluated_store, find_run(evaluated_store, ABLE)) == curves
    (added,) = [key for key in after.keys() - able.metrics.keys() if key.endswith("_accuracy")]
    assert added.startswith("on_")
    assert after[added] == record.metrics.accuracy.value


def test_figures_on_feedback_keep_their_names(evaluated_store: Store, able: RunRecord, whole_test: TestSet) -> None:
    few = TestSet("feedback", "elsewhere", whole_test.data.take(np.arange(50)), NO_TRAINING)
    record = evaluate_run(evaluated_store, able, few)
    assert find_run(evaluated_store, ABLE).metrics["feedback_accuracy"] == record.metrics.accuracy.value


def test_a_curve_that_an_earlier_evaluation_wrote_to_is_read_as_it_was_trained(
    evaluated_store: Store, able: RunRecord
) -> None:
    curves = read_epochs(evaluated_store, able)
    evaluated_store.client.log_metric(able.run_id, "val_accuracy", 0.0, step=0)
    assert read_epochs(evaluated_store, able) == curves


def test_what_was_never_evaluated_has_no_record(mixed_store: Store, whole_test: TestSet) -> None:
    assert read_evaluation(mixed_store, find_run(mixed_store, ABLE), whole_test.data.digest) is None


@pytest.mark.parametrize("name", ["predictions.npz", "evaluation.json"])
@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"], ids=["empty", "junk", "cut"])
def test_a_damaged_record_is_named_with_the_way_out(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet, name: str, content: bytes
) -> None:
    artifact(evaluated_store, able, whole_test, name).write_bytes(content)
    with pytest.raises(StoreError, match=rf"{ABLE}.*{name}.*--again"):
        read_evaluation(evaluated_store, able, whole_test.data.digest)


def test_a_model_of_logits_that_was_recorded_is_not_evaluated(command: Run, mixed_store: Store) -> None:
    path = model_file(mixed_store, find_run(mixed_store, ABLE))
    keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)
    mixed_store.client.set_tag(find_run(mixed_store, ABLE).run_id, Tag.MODEL_SHA256, sha256_of(path))
    code, _, err = command("evaluate", ABLE)
    assert code == 2
    (line,) = err.splitlines()
    assert "expected probabilities" in line
    assert "make a softmax the last layer" in line
    assert evaluations_of(mixed_store, ABLE) == 0


@pytest.mark.parametrize(
    "facts",
    ["[]", "{}", "null", "{without}", "{evaluated}", "{median_ms}"],
)
def test_a_record_that_lacks_something_is_one_line_and_exit_code_2(
    command: Run, evaluated_store: Store, able: RunRecord, whole_test: TestSet, facts: str
) -> None:
    path = artifact(evaluated_store, able, whole_test, "evaluation.json")
    whole = json.loads(path.read_text())
    changed = {
        "{without}": {key: value for key, value in whole.items() if key != "p99_ms"},
        "{evaluated}": whole | {"evaluated": 7},
        "{median_ms}": whole | {"median_ms": "fast"},
    }
    path.write_text(json.dumps(changed[facts]) if facts in changed else facts)
    code, _, err = command("evaluate", ABLE)
    assert code == 2
    (line,) = err.splitlines()
    assert "evaluation.json" in line
    assert "--again" in line


def test_predictions_of_another_shape_are_a_damaged_record(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    path = artifact(evaluated_store, able, whole_test, "predictions.npz")
    np.savez_compressed(path, probabilities=np.zeros((3, 10), np.float32), labels=np.zeros(2, np.uint8))
    with pytest.raises(StoreError, match=r"damaged .*received \(3, 10\) and \(2,\)"):
        read_evaluation(evaluated_store, able, whole_test.data.digest)


def test_predictions_with_a_damaged_byte_are_a_damaged_record(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    path = artifact(evaluated_store, able, whole_test, "predictions.npz")
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(StoreError, match="--again"):
        read_evaluation(evaluated_store, able, whole_test.data.digest)


def test_a_record_in_local_time_of_an_earlier_version_names_the_same_moment(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet
) -> None:
    record = read_evaluation(evaluated_store, able, whole_test.data.digest)
    assert record is not None
    path = artifact(evaluated_store, able, whole_test, "evaluation.json")
    local = record.evaluated.astimezone().replace(tzinfo=None).isoformat()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"evaluated": local}))
    again = read_evaluation(evaluated_store, able, whole_test.data.digest)
    assert again is not None
    assert (again.evaluated, again.evaluated.tzinfo) == (record.evaluated, UTC)


def test_a_sweep_does_not_need_its_test_set_but_an_evaluation_does(command: Run, finished_uri: str) -> None:
    code, _, err = command("evaluate", "small/0")
    assert code == 2
    (line,) = err.splitlines()
    assert "small.npz" in line


def test_a_test_set_of_other_data_does_not_belong_to_a_run(
    evaluated_store: Store, able: RunRecord, whole_test: TestSet, small_npz: Path
) -> None:
    whole_test.check_belongs_to(able)
    other = TestSet(whole_test.name, "elsewhere", whole_test.data, training_digest="0" * 64)
    with pytest.raises(
        DataError, match=rf"elsewhere: not the data of run {ABLE}: .*{whole_test.training_digest}.*0000"
    ):
        other.check_belongs_to(able)
