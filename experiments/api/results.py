"""Values that the calls of :mod:`experiments.api` return, where no other module defines them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import overload

from experiments import comparison
from experiments.ensembling import Ensemble
from experiments.evaluation import EvaluationRecord
from experiments.formatting import Displayed, TextTable, format_number, pluralize
from experiments.ranking import Configuration
from experiments.registry.champion_history import ChampionChange
from experiments.result_tables import (
    configurations_table,
    ensemble_table,
    evaluation_tables,
    runs_table,
    sweeps_table,
    versions_table,
)
from experiments.selection import Selection
from experiments.tracking.records import RunRecord, SweepRecord, VersionRecord
from mnist_core.data.images import LabelledImages


@dataclass(frozen=True, repr=False)
class SweepList(Displayed, Sequence[SweepRecord]):
    """The sweeps of a store, newest first.

    Args:
        sweeps: their parent runs.
        location: URI of the store, without credentials.
        shipped: the sweeps that come with this package: name to description.
    """

    sweeps: Sequence[SweepRecord]
    location: str
    shipped: Mapping[str, str]

    @overload
    def __getitem__(self, index: int) -> SweepRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SweepRecord]: ...
    def __getitem__(self, index: int | slice) -> SweepRecord | Sequence[SweepRecord]:
        """A sweep by its place in the list."""
        return self.sweeps[index]

    def __len__(self) -> int:
        return len(self.sweeps)

    def _title(self) -> str:
        return f"{pluralize(len(self), 'sweep')} in {self.location}"

    def _tables(self) -> Sequence[TextTable]:
        return (sweeps_table(self.sweeps),)


@dataclass(frozen=True, repr=False)
class RunList(Displayed, Sequence[RunRecord]):
    """The runs of a sweep: the selectable ones best first, then the others.

    Args:
        sweep: their parent run.
        ranked: the selectable runs, best first.
        others: the rest.
        searched: names of the searched parameters.
        tracking_uri: of the store.
        total: number of runs of the sweep; there are more than are listed where a limit was given.
    """

    sweep: SweepRecord
    ranked: Sequence[RunRecord]
    others: Sequence[RunRecord]
    searched: Sequence[str]
    tracking_uri: str
    total: int

    @overload
    def __getitem__(self, index: int) -> RunRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RunRecord]: ...
    def __getitem__(self, index: int | slice) -> RunRecord | Sequence[RunRecord]:
        """A run by its place in the list."""
        return [*self.ranked, *self.others][index]

    def __len__(self) -> int:
        return len(self.ranked) + len(self.others)

    def _title(self) -> str:
        listed = f"{len(self):,} of " if len(self) < self.total else ""
        return f"{listed}{pluralize(self.total, 'run')} of sweep {self.sweep.name}"

    def _tables(self) -> Sequence[TextTable]:
        return (runs_table(self.ranked, self.others, self.searched),)


@dataclass(frozen=True, repr=False)
class VersionList(Displayed, Sequence[VersionRecord]):
    """The versions of a registered model, newest first.

    Args:
        versions: all of them.
        changes: of its champion, oldest first.
        pending: a change that was interrupted; the next promotion or rollback completes it.
    """

    versions: Sequence[VersionRecord]
    changes: Sequence[ChampionChange]
    pending: ChampionChange | None

    @overload
    def __getitem__(self, index: int) -> VersionRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[VersionRecord]: ...
    def __getitem__(self, index: int | slice) -> VersionRecord | Sequence[VersionRecord]:
        """A version by its place in the list."""
        return self.versions[index]

    def __len__(self) -> int:
        return len(self.versions)

    def _title(self) -> str:
        return pluralize(len(self), "version")

    def _tables(self) -> Sequence[TextTable]:
        return (versions_table(self.versions),)


@dataclass(frozen=True, repr=False)
class SweepSelection(Displayed, Selection):
    """A selection with the sweep that it was made in.

    Args:
        sweep: the parent run.
        searched: names of the searched parameters.
        objectives: of a sweep with several; empty for one.
        front: the Pareto front of those objectives, in the order of the ranking; empty for one objective.
        tracking_uri: of the store.
    """

    sweep: SweepRecord
    searched: Sequence[str]
    objectives: Sequence[str]
    front: Sequence[Configuration]
    tracking_uri: str

    @property
    def run(self) -> RunRecord:
        """The chosen run."""
        return self.chosen.run

    @property
    def full_reason(self) -> str:
        """The reason with the sweep and the rule, as promotion records it."""
        return f"of sweep {self.sweep.name}, by rule {self.rule.value}: {self.reason}"

    def table(self, top: int = 5) -> TextTable:
        """The first configurations, or the front of several objectives; the chosen one is always listed."""
        listed = list(self.front if self.objectives else self.ranked[:top])
        if self.chosen not in listed:
            listed.append(self.chosen)
        return configurations_table(listed, self.searched, self)

    def _title(self) -> str:
        return f"{self.rule.value}: {self.run.title}, id {self.run.run_id}: {self.reason}"

    def _tables(self) -> Sequence[TextTable]:
        return (self.table(),)


@dataclass(frozen=True, repr=False, eq=False)
class RunEvaluation(Displayed, EvaluationRecord):
    """The record of an evaluation, with the run.

    Args:
        run: that was evaluated.
        is_new: False where the record was read from the store.
        other_runs: of the same sweep that were evaluated on the same test set.
        tracking_uri: of the store.
    """

    run: RunRecord
    is_new: bool
    other_runs: int
    tracking_uri: str

    @classmethod
    def of(
        cls, record: EvaluationRecord, run: RunRecord, is_new: bool, other_runs: int, tracking_uri: str
    ) -> RunEvaluation:
        """The evaluation of a run from its record."""
        values = {field.name: getattr(record, field.name) for field in fields(EvaluationRecord)}
        return cls(**values, run=run, is_new=is_new, other_runs=other_runs, tracking_uri=tracking_uri)

    def _title(self) -> str:
        return f"{self.run.title} on the {len(self.labels):,} test images of {self.dataset}"

    def _tables(self) -> Sequence[TextTable]:
        return evaluation_tables(self)


@dataclass(frozen=True, repr=False, eq=False)
class EnsembleResult(Displayed):
    """An ensemble, and the run that holds it if it was registered.

    Args:
        ensemble: its members and their probabilities.
        run: that can be evaluated and promoted; None where the ensemble was not registered.
        tracking_uri: of the store.
    """

    ensemble: Ensemble
    run: RunRecord | None
    tracking_uri: str

    def _title(self) -> str:
        accuracy = format_number(self.ensemble.accuracy.value)
        kept = f", registered as {self.run.title}" if self.run else ""
        return f"mean of {len(self.ensemble.members)} runs of {self.ensemble.sweep.name}: accuracy {accuracy}{kept}"

    def _tables(self) -> Sequence[TextTable]:
        return (ensemble_table(self.ensemble),)


@dataclass(frozen=True, repr=False)
class SweepComparison(Displayed, Sequence[comparison.SweepMeasures]):
    """Sweeps in comparison.

    Args:
        sweeps: one comparison for each.
        differences: reasons why their accuracies are not comparable, one sentence each.
    """

    sweeps: Sequence[comparison.SweepMeasures]
    differences: Sequence[str]

    @overload
    def __getitem__(self, index: int) -> comparison.SweepMeasures: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[comparison.SweepMeasures]: ...
    def __getitem__(self, index: int | slice) -> comparison.SweepMeasures | Sequence[comparison.SweepMeasures]:
        """A sweep by its place in the call."""
        return self.sweeps[index]

    def __iter__(self) -> Iterator[comparison.SweepMeasures]:
        return iter(self.sweeps)

    def __len__(self) -> int:
        return len(self.sweeps)

    def table(self) -> TextTable:
        """A column for each sweep, a row for each measure."""
        names = [each.name for each in self.sweeps]
        return TextTable(("", *names), comparison.comparison_rows(self.sweeps), right=names)

    def _title(self) -> str:
        return "; ".join(self.differences)

    def _tables(self) -> Sequence[TextTable]:
        return (self.table(),)


@dataclass(frozen=True, repr=False)
class Rollback(Displayed):
    """A rollback that was carried out.

    Args:
        champion: the version that is champion again.
        replaced: the version that was champion before.
    """

    champion: VersionRecord
    replaced: VersionRecord

    def _title(self) -> str:
        return f"{self.champion.title} is champion again, instead of version {self.replaced.version}"

    def _tables(self) -> Sequence[TextTable]:
        return (versions_table((self.champion, self.replaced)),)


@dataclass(frozen=True, repr=False, eq=False)
class DataPreview(Displayed):
    """The training images that a sweep would use.

    Args:
        name: of the data set, such as ``mnist``.
        origin: how it was found.
        location: where it lies.
        training: all training images, before the split.
    """

    name: str
    origin: str
    location: str
    training: LabelledImages

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the images and of the labels."""
        arrays = {"images": self.training.images, "labels": self.training.labels}
        return {name: hashlib.sha256(array.data).hexdigest() for name, array in arrays.items()}

    def _title(self) -> str:
        height, width = self.training.shape
        return f"{self.name} ({self.origin}): {len(self.training):,} images of {height} × {width} pixels"

    def _tables(self) -> Sequence[TextTable]:
        rows = [("location", self.location), ("digest", self.training.digest), *self.digests.items()]
        return (TextTable(("", ""), rows),)
