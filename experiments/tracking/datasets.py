"""Data sets as they are recorded with sweeps and runs, so that runs on different data are never compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.tracking.records import RunRecord, Tag
from mnist_core.data.download import download_mnist
from mnist_core.data.images import LabelledImages, split, validation_count
from mnist_core.data.sources import DataSource, Origin, dataset_name, find_data
from mnist_core.errors import DataError
from mnist_core.messages import OnMessage
from search.preflight import check_images
from search.spec import DataSpec, SweepSpec

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

# A length that the UI shows well; the whole digest is in the tags and the profile.
SHOWN_DIGEST = 12


@dataclass(frozen=True)
class DataRecord:
    """The data set of a sweep as it is recorded.

    Args:
        name: such as ``mnist``.
        digest: SHA-256 of the training images.
        origin: one of :class:`mnist_core.data.sources.Origin`.
        location: its path, or the name of its function.
        size: number of training images before the split.
        validation: the held-out part as the sweep states it, a share or a count.
        split_seed: of the split.
    """

    name: str
    digest: str
    origin: str
    location: str
    size: int
    validation: int | float
    split_seed: int

    def tags(self) -> dict[str, str]:
        """Tags for the sweep and each of its runs."""
        return {
            Tag.DATASET: self.name,
            Tag.DATASET_DIGEST: self.digest,
            Tag.DATASET_ORIGIN: self.origin,
            Tag.DATASET_LOCATION: self.location,
            Tag.DATASET_SIZE: str(self.size),
            Tag.VALIDATION: str(self.validation),
            Tag.SPLIT_SEED: str(self.split_seed),
        }

    def as_input(self) -> DatasetInput:
        """The data set as a dataset input of MLflow."""
        return dataset_input(self.name, self.digest, self.location, self.size, "training")


def dataset_input(name: str, digest: str, location: str, size: int, context: str) -> DatasetInput:
    """A dataset input of MLflow.

    Args:
        name: such as ``mnist``.
        digest: SHA-256, of which the beginning is shown.
        location: its path.
        size: number of images.
        context: its use: ``training`` or ``testing``.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=name,
        digest=digest[:SHOWN_DIGEST],
        source_type="local",
        source=json.dumps({"uri": location}),
        profile=json.dumps({"num_rows": size, "sha256": digest}),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", context)])


def locate(
    given: Path | None, on_message: OnMessage, tags: Mapping[str, str] | None = None, function: str = ""
) -> DataSource:
    """Find the data set to use: the one that the user names; else that of a recorded sweep or run; else the usual one.

    Args:
        given: a path from the user.
        on_message: called with one line where the embedded sample is used.
        tags: of the sweep or run whose data set it should be.
        function: the user's function that returns the data of a sweep, if any.

    Raises:
        DataError: a given path holds no data set.
    """
    if function and given is None:
        return DataSource(Origin.FUNCTION, function=function)
    return (_recorded(tags) if tags and given is None else None) or find_data(given, download_mnist, on_message)


def _recorded(tags: Mapping[str, str]) -> DataSource | None:
    origin, location = tags.get(Tag.DATASET_ORIGIN), tags.get(Tag.DATASET_LOCATION)
    if origin == Origin.FUNCTION.value and location:
        return DataSource(Origin.FUNCTION, function=location)
    if origin == Origin.SAMPLE.value:
        return DataSource(Origin.SAMPLE)
    if origin == Origin.GIVEN.value and location and Path(location).exists():
        return DataSource(Origin.GIVEN, Path(location))
    return None


def split_of(tags: Mapping[str, str]) -> DataSpec:
    """The split and the digest of the data of a recorded sweep or run."""
    share = tags[Tag.VALIDATION]
    return DataSpec(
        validation=int(share) if share.isdecimal() else float(share),
        seed=int(tags[Tag.SPLIT_SEED]),
        digest=tags[Tag.DATASET_DIGEST],
    )


def validation_images(tags: Mapping[str, str]) -> int:
    """Number of validation images of a recorded sweep or run."""
    return validation_count(int(tags[Tag.DATASET_SIZE]), split_of(tags).validation)


def check_trained_on(run: RunRecord, digest: str, location: str) -> None:
    """Check that training images are those that a run was trained on.

    Raises:
        DataError: their digest is another.
    """
    if digest != (wanted := run.tags[Tag.DATASET_DIGEST]):
        raise DataError(
            f"{location}: not the data of run {run.title}: expected training images with digest {wanted}, received "
            f"{digest}. Give the right one by --data"
        )


def load_validation(source: DataSource, run: RunRecord) -> LabelledImages:
    """Load the validation images of a run, those of its recorded metrics.

    Args:
        source: of the data set.
        run: a trial, whose tags have the digest of its data and the split.

    Raises:
        DataError: the data cannot be read, or are not those of the run.
    """
    training, wanted = source.load_training(), split_of(run.tags)
    check_trained_on(run, training.digest, source.location)
    return split(training, wanted.validation, wanted.seed).validation


def describe_data(source: DataSource, spec: SweepSpec) -> DataRecord:
    """Read the training images and describe them for the record.

    Raises:
        DataError: they cannot be read, are not those of the sweep, or are too few for its validation part.
        SpecError: they are too small for a network of its space.
    """
    return describe_images(source, source.load_training(), spec)


def describe_images(source: DataSource, training: LabelledImages, spec: SweepSpec) -> DataRecord:
    """Describe training images that are read already for the record.

    Raises:
        DataError: they are not those of the sweep, or are too few for its validation part.
        SpecError: they are too small for a network of its space.
    """
    if spec.data.digest not in ("", training.digest):
        raise DataError(
            f"{source.location}: not the data of this sweep: expected digest {spec.data.digest}, received "
            f"{training.digest}. Give the right one by --data"
        )
    validation_count(len(training), spec.data.validation)
    check_images(spec, training.shape)
    return DataRecord(
        name=dataset_name(source, training),
        digest=training.digest,
        origin=source.origin.value,
        location=source.location,
        size=len(training),
        validation=spec.data.validation,
        split_seed=spec.data.seed,
    )
