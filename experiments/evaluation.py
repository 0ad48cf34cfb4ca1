"""Evaluation of runs on the test set: compute, record with the run and its model, and read back.

The probabilities are recorded; all metrics follow from them by :mod:`mnist_core.classification`.
"""

from __future__ import annotations

import csv
import json
import re
import tempfile
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from experiments.tracking.artifacts import fetch_file, fetch_model
from experiments.tracking.datasets import SHOWN_DIGEST, check_trained_on, dataset_input
from experiments.tracking.queries import search_runs
from experiments.tracking.records import RunRecord, Tag
from experiments.tracking.store import Store
from mnist_core.classification import CONFIDENCE, RESAMPLES, Evaluation, evaluate_predictions
from mnist_core.data.images import LabelledImages
from mnist_core.data.sources import DataSource, dataset_name
from mnist_core.errors import DataError, StoreError
from mnist_core.runtime import tensorflow_import

if TYPE_CHECKING:
    from mnist_core.models.saved_model import Latency

FOLDER = "evaluation"
# Digest where a test set has no training images beside it.
NO_TRAINING = "none"
# Of a data set's name within the name of a metric, which MLflow limits to 250 characters.
MAX_NAME_LENGTH = 100
RECORD, PREDICTIONS = "evaluation.json", "predictions.npz"


@dataclass(frozen=True, eq=False)
class TestSet:
    """The test part of a data set.

    Args:
        name: of the data set.
        location: its path.
        data: the test images and labels.
        training_digest: of the training images of the same data set; ``NO_TRAINING`` where there are none.
    """

    __test__ = False  # no class of tests for pytest

    name: str
    location: str
    data: LabelledImages
    training_digest: str

    @classmethod
    def load(cls, source: DataSource) -> TestSet:
        """Read the test set. Only code that evaluates a run may do so.

        Raises:
            DataError: the data cannot be read.
        """
        if source.is_feedback:
            return cls("feedback", source.location, source.load_test(), NO_TRAINING)
        training = source.load_training()
        return cls(dataset_name(source, training), source.location, source.load_test(), training.digest)

    def check_belongs_to(self, run: RunRecord) -> None:
        """Check that this is the test part of the data set that the run was trained on.

        Raises:
            DataError: it is not.
        """
        check_trained_on(run, self.training_digest, self.location)


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """The recorded evaluation of a run on a test set.

    Args:
        dataset: name of the data set.
        digest: SHA-256 of the test images.
        evaluated: time of the evaluation, UTC.
        median_ms: median time for one image, in milliseconds.
        p99_ms: 99th percentile of the time for one image, in milliseconds.
        model_bytes: size of the model file.
        probabilities: shape ``(n, 10)``, float32.
        labels: shape ``(n,)``, uint8.
    """

    dataset: str
    digest: str
    evaluated: datetime
    median_ms: float
    p99_ms: float
    model_bytes: int
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]

    @property
    def predicted(self) -> npt.NDArray[np.intp]:
        """The predicted label of each image, shape ``(n,)``."""
        predicted: npt.NDArray[np.intp] = self.probabilities.argmax(axis=1)
        return predicted

    @cached_property
    def metrics(self) -> Evaluation:
        """The metrics of the probabilities.

        Raises:
            NonFiniteError: a probability is not finite.
        """
        return evaluate_predictions(self.probabilities, self.labels)


def evaluate_run(store: Store, run: RunRecord, test: TestSet) -> EvaluationRecord:
    """Evaluate a run on the test set and record its metrics with the run and its model.

    Raises:
        DataError: the images are of another size than those that the model takes.
        ModelError: the model is missing or not the one that was logged.
        NonFiniteError: its probabilities are not all finite.
    """
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        return evaluate_model_file(store, run, fetch_model(store, run, Path(folder)), test)


def evaluate_model_file(store: Store, run: RunRecord, path: Path, test: TestSet) -> EvaluationRecord:
    """Evaluate a run whose model has been fetched and verified already, and record its metrics.

    Raises:
        DataError: the images are of another size than those that the model takes.
        NonFiniteError: its probabilities are not all finite.
    """
    with tensorflow_import():
        from mnist_core.models import saved_model

    model = saved_model.load_model(path)
    try:
        probabilities = saved_model.predict(model, test.data.images)
    except DataError as error:
        raise DataError(f"{test.location}: {error}") from error
    record = _record(
        test,
        probabilities,
        saved_model.latency(model, test.data.images[0]),
        path.stat().st_size,
    )
    _write(store, run, test, record)
    return record


def read_evaluation(store: Store, run: RunRecord, digest: str) -> EvaluationRecord | None:
    """Read the recorded evaluation of a run on the test set of that digest; None where there is none.

    Raises:
        StoreError: it is recorded, but cannot be read.
    """
    place = _artifact_folder(digest)
    with store.errors(f"reading the evaluation of run {run.title}"):
        if not any(file.path == f"{place}/{RECORD}" for file in store.client.list_artifacts(run.run_id, place)):
            return None
    with tempfile.TemporaryDirectory(prefix="mnist-search-") as folder:
        root = f"runs:/{run.run_id}/{place}"
        try:
            facts = json.loads(fetch_file(store, f"{root}/{RECORD}", Path(folder)).read_text(encoding="utf-8"))
            with np.load(fetch_file(store, f"{root}/{PREDICTIONS}", Path(folder))) as archive:
                record = _parse(facts, archive["probabilities"], archive["labels"])
        except (ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
            raise StoreError(
                f"run {run.title}: its record ({RECORD}, {PREDICTIONS}) is damaged ({error}); evaluate it --again"
            ) from error
    return record if record.digest == digest else None


def _parse(
    facts: Mapping[str, Any], probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8]
) -> EvaluationRecord:
    """Parse the content of the files of an evaluation.

    Raises:
        ValueError: a value or shape is invalid.
        KeyError: a value is missing.
        TypeError: a value has another type.
    """
    if labels.ndim != 1 or probabilities.shape != (len(labels), 10):
        shapes = f"{probabilities.shape} and {labels.shape}"
        raise ValueError(f"expected probabilities of shape (n, 10) and labels of shape (n,), received {shapes}")
    return EvaluationRecord(
        dataset=facts["dataset"],
        digest=facts["digest"],
        # Earlier versions wrote local time, without an offset.
        evaluated=datetime.fromisoformat(facts["evaluated"]).astimezone(UTC),
        median_ms=float(facts["median_ms"]),
        p99_ms=float(facts["p99_ms"]),
        model_bytes=int(facts["model_bytes"]),
        probabilities=probabilities,
        labels=labels,
    )


def count_evaluated(store: Store, run: RunRecord, digest: str) -> int:
    """Number of other runs of the same sweep that were evaluated on these test images.

    Selecting among them by these metrics would tune on the test set.
    """
    parent = run.tags["mlflow.parentRunId"]
    with store.errors("counting evaluations"):
        found = search_runs(store, f"tags.`mlflow.parentRunId` = '{parent}' AND tags.{Tag.TEST_DIGEST} = '{digest}'")
    return sum(other.info.run_id != run.run_id for other in found)


def _artifact_folder(digest: str) -> str:
    return f"{FOLDER}/{digest[:SHOWN_DIGEST]}"


def _record(test: TestSet, probabilities: npt.NDArray[np.float32], timed: Latency, size: int) -> EvaluationRecord:
    return EvaluationRecord(
        dataset=test.name,
        digest=test.data.digest,
        evaluated=datetime.now(UTC).replace(microsecond=0),
        median_ms=timed.median,
        p99_ms=timed.p99,
        model_bytes=size,
        probabilities=probabilities,
        labels=test.data.labels,
    )


def _write(store: Store, run: RunRecord, test: TestSet, record: EvaluationRecord) -> None:
    """Write the files first and the record last, so that a record is always complete."""
    own = test.training_digest == run.tags[Tag.DATASET_DIGEST]
    files, metrics = _files(test, record), _metrics(record, _prefix(test, own))
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    points = [
        Metric(
            name,
            value,
            now,
            0,
            model_id=run.model_id,
            dataset_name=record.dataset,
            dataset_digest=record.digest[:SHOWN_DIGEST],
            run_id=run.run_id,
        )
        for name, value in metrics.items()
    ]
    tags = [RunTag(Tag.TEST_DATASET, record.dataset), RunTag(Tag.TEST_DIGEST, record.digest)] if own else []
    with (
        store.errors(f"recording the evaluation of run {run.title}"),
        tempfile.TemporaryDirectory(prefix="mnist-search-") as folder,
    ):
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        client, place = store.client, _artifact_folder(record.digest)
        client.log_inputs(
            run.run_id,
            datasets=[dataset_input(record.dataset, record.digest, test.location, len(test.data), "testing")],
        )
        client.log_artifacts(run.run_id, folder, place)
        client.log_batch(run.run_id, metrics=points, tags=tags)
        client.log_text(run.run_id, json.dumps(_facts(record), indent=1), f"{place}/{RECORD}")


def _prefix(test: TestSet, own: bool) -> str:
    """Beginning of the metrics' names, so that metrics on other data never replace those on the run's own test set."""
    if own or test.training_digest == NO_TRAINING:
        return "test" if own else "feedback"
    return f"on_{re.sub('[^A-Za-z0-9_.-]', '-', test.name)[:MAX_NAME_LENGTH]}"


def _metrics(record: EvaluationRecord, part: str) -> dict[str, float]:
    headline = record.metrics.headline()
    return {
        **{f"{part}_{name}": estimate.value for name, estimate in headline.items()},
        f"{part}_accuracy_low": headline["accuracy"].low,
        f"{part}_accuracy_high": headline["accuracy"].high,
        "latency_ms": record.median_ms,
        "model_bytes": record.model_bytes,
    }


def _facts(record: EvaluationRecord) -> Mapping[str, object]:
    return {
        "dataset": record.dataset,
        "digest": record.digest,
        "evaluated": record.evaluated.isoformat(),
        "median_ms": record.median_ms,
        "p99_ms": record.p99_ms,
        "model_bytes": record.model_bytes,
        "intervals": f"{CONFIDENCE:.0%}; accuracy: Wilson score; others: bootstrap percentiles, {RESAMPLES} resamples",
        **asdict(record.metrics),
    }


def _files(test: TestSet, record: EvaluationRecord) -> dict[str, bytes]:
    from mnist_core.interpretation.plots import render_evaluation_plots

    predictions = BytesIO()
    np.savez_compressed(predictions, probabilities=record.probabilities, labels=record.labels)
    table = StringIO()
    rows = csv.DictWriter(table, ["label", "images", "precision", "recall", "f1"])
    rows.writeheader()
    rows.writerows(asdict(one) for one in record.metrics.classes)
    plots = render_evaluation_plots(record.metrics, test.data, record.probabilities)
    return {
        PREDICTIONS: predictions.getvalue(),
        "per_class.csv": table.getvalue().encode(),
        **{plot.file: plot.png for plot in plots if plot.png},
    }
