"""A sweep's data set as it is recorded, so that runs on different data can never be compared unawares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments.records import RunRecord, Tag
from mnist_core.data import LabelledImages, split, validation_count
from mnist_core.errors import DataError
from mnist_core.sources import DataSource, name_of
from search.spec import SweepSpec

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
            Tag.DATASET_SIZE: str(self.size),
            Tag.VALIDATION: str(self.validation),
            Tag.SPLIT_SEED: str(self.split_seed),
        }

    def as_input(self) -> DatasetInput:
        """As MLflow's own dataset input."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=self.name,
            digest=self.digest[:SHOWN_DIGEST],
            source_type="local",
            source=json.dumps({"uri": self.location}),
            profile=json.dumps({"num_rows": self.size, "sha256": self.digest}),
        )
        return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])


def held_out(source: DataSource, run: RunRecord) -> LabelledImages:
    """The validation images of a run: the same that it was chosen by.

    Args:
        source: where the data set lies now.
        run: a trial, whose tags say which data it was trained on and how they were divided.

    Raises:
        DataError: the data cannot be read, or are not those of the run.
    """
    training = source.load_training()
    if training.digest != (wanted := run.tags[Tag.DATASET_DIGEST]):
        raise DataError(
            f"{source.location}: not the data of run {run.title}: expected digest {wanted}, received "
            f"{training.digest}. Give the right one by --data"
        )
    validation = run.tags[Tag.VALIDATION]
    share = int(validation) if validation.isdigit() else float(validation)
    return split(training, share, int(run.tags[Tag.SPLIT_SEED])).validation


def describe(source: DataSource, spec: SweepSpec) -> DataRecord:
    """Read the training images and say what they are.

    Raises:
        DataError: they cannot be read, are not what the sweep asks for, or are too few for its validation part.
    """
    training = source.load_training()
    if spec.data.digest not in ("", training.digest):
        raise DataError(
            f"{source.location}: not the data of this sweep: expected digest {spec.data.digest}, received "
            f"{training.digest}. Give the right one by --data"
        )
    validation_count(len(training), spec.data.validation)
    return DataRecord(
        name=name_of(source, training),
        digest=training.digest,
        origin=source.origin.value,
        location=source.location,
        size=len(training),
        validation=spec.data.validation,
        split_seed=spec.data.seed,
    )
