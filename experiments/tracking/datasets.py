"""A sweep's data set as it is recorded, so that runs on different data can never be compared unawares."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.tracking.records import RunRecord, Tag
from mnist_core.data.download import download_mnist
from mnist_core.data.images import LabelledImages, split, validation_count
from mnist_core.data.sources import DataSource, Origin, dataset_name, find_data
from mnist_core.errors import DataError
from search.preflight import check_images
from search.spec import DataSpec, SweepSpec

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

# As much as reads well in the UI; the whole digest is in the tags and the profile.
SHOWN_DIGEST = 12


@dataclass(frozen=True)
class DataRecord:
    """The data set of a sweep as it is recorded.

    Args:
        name: such as ``mnist``.
        digest: SHA-256 of the training images.
        origin: how it was come by.
        location: where it lies.
        size: number of training images before the split.
        validation: how many of them are held out, as the sweep says it: a share or a count.
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
        """For the sweep and each of its runs."""
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
        """As MLflow's own dataset input."""
        return dataset_input(self.name, self.digest, self.location, self.size, "training")


def dataset_input(name: str, digest: str, location: str, size: int, context: str) -> DatasetInput:
    """A data set as MLflow shows it beside a run.

    Args:
        name: such as ``mnist``.
        digest: SHA-256, of which the beginning is shown.
        location: where it lies.
        size: number of images.
        context: what it was used for: ``training`` or ``testing``.
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
    given: Path | None, say: Callable[[str], None], tags: Mapping[str, str] | None = None, function: str = ""
) -> DataSource:
    """The data to use: what the user names; else that of a recorded sweep or run where it lay; else what is found.

    Args:
        given: a path from the user.
        say: told in one line when the embedded sample has to do.
        tags: of the sweep or run whose data it should be.
        function: of the user's own that a sweep takes its data from, if any.

    Raises:
        DataError: a given path holds no data set.
    """
    if function and given is None:
        return DataSource(Origin.FUNCTION, function=function)
    return (_recorded(tags) if tags and given is None else None) or find_data(given, download_mnist, say)


def _recorded(tags: Mapping[str, str]) -> DataSource | None:
    origin, location = tags.get(Tag.DATASET_ORIGIN), tags.get(Tag.DATASET_LOCATION)
    if origin == Origin.FUNCTION.value and location:
        return DataSource(Origin.FUNCTION, function=location)
    if origin == Origin.SAMPLE.value:
        return DataSource(Origin.SAMPLE)
    there = origin == Origin.GIVEN.value and location and Path(location).exists()
    return DataSource(Origin.GIVEN, Path(location)) if there and location else None


def split_of(tags: Mapping[str, str]) -> DataSpec:
    """How the data of a recorded sweep or run was divided, and what it has to be."""
    share = tags[Tag.VALIDATION]
    return DataSpec(
        validation=int(share) if share.isdecimal() else float(share),
        seed=int(tags[Tag.SPLIT_SEED]),
        digest=tags[Tag.DATASET_DIGEST],
    )


def validation_images(tags: Mapping[str, str]) -> int:
    """How many images a recorded sweep or run was judged by."""
    return validation_count(int(tags[Tag.DATASET_SIZE]), split_of(tags).validation)


def check_trained_on(run: RunRecord, digest: str, location: str) -> None:
    """See that training images are those that a run was trained on.

    Raises:
        DataError: their digest is another.
    """
    if digest != (wanted := run.tags[Tag.DATASET_DIGEST]):
        raise DataError(
            f"{location}: not the data of run {run.title}: expected training images with digest {wanted}, received "
            f"{digest}. Give the right one by --data"
        )


def held_out(source: DataSource, run: RunRecord) -> LabelledImages:
    """The validation images of a run: the same that it was chosen by.

    Args:
        source: where the data set lies now.
        run: a trial, whose tags say which data it was trained on and how they were divided.

    Raises:
        DataError: the data cannot be read, or are not those of the run.
    """
    training, wanted = source.load_training(), split_of(run.tags)
    check_trained_on(run, training.digest, source.location)
    return split(training, wanted.validation, wanted.seed).validation


def describe_data(source: DataSource, spec: SweepSpec) -> DataRecord:
    """Read the training images and say what they are.

    Raises:
        DataError: they cannot be read, are not what the sweep asks for, or are too few for its validation part.
        SpecError: they are too small for a network of its space.
    """
    training = source.load_training()
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
