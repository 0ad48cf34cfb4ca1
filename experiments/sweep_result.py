"""The result of one call that ran or resumed a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from experiments import ranking
from experiments.formatting import Displayed, TextTable
from experiments.result_tables import configurations_table, runs_table
from experiments.tracking.records import RunRecord, SweepRecord
from search.spec import SweepSpec
from search.sweep import EndReason

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class SweepResult(Displayed):
    """The result of a sweep.

    Args:
        tracking_uri: of its store.
        sweep: its parent run.
        spec: the sweep as it was run.
        ending: reason for the end of this call.
        runs: all attempts at all trials, those of earlier calls included.
        exit_code: 128 plus the number of the signal that ended it, by the convention of shells; else 0.
        tracking_seconds: wall time that this call spent on recording, most of it while trials went on.
        tracking_wait_seconds: the part of its wall time for which this call waited for that.
    """

    tracking_uri: str
    sweep: SweepRecord
    spec: SweepSpec
    ending: EndReason
    runs: Sequence[RunRecord]
    exit_code: int
    tracking_seconds: float
    tracking_wait_seconds: float = 0.0

    @property
    def cause(self) -> str:
        """The budget that ended the sweep, in a few words; empty where none did."""
        return self.spec.stop.describe(self.ending, self.spec.objective)

    def __repr__(self) -> str:
        best = f"{self.best.name} {self.best.value(self.spec.objective):.4f}" if self.best else "none"
        return f"<SweepResult {self.sweep.name!r} {self.ending.value}, {len(self.runs)} runs, best {best}>"

    def _title(self) -> str:
        return f"sweep {self.sweep.name} {self.ending.value}, {len(self.runs)} runs"

    def _tables(self) -> Sequence[TextTable]:
        return (best_table(self),) if self.best else ()

    @property
    def ranked(self) -> list[RunRecord]:
        """The runs that may win, best first; by the means of their configurations where they differ by seeds alone."""
        return ranking.rank(self.runs, self.spec.objective)

    @property
    def best(self) -> RunRecord | None:
        """The best run; None where no trial completed."""
        return ranking.best_run(self.runs, self.spec.objective)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row for each run, best first: name, state, parameters (numbers as such), metrics, run_id, model_id."""
        import pandas as pd

        runs = self.ranked + ranking.unranked(self.runs, self.spec.objective)
        rows = [
            {"name": run.name, "number": run.number, "state": run.state.value}
            | dict(run.params)
            | dict(run.metrics)
            | {"run_id": run.run_id, "model_id": run.model_id, "error": run.error}
            for run in runs
        ]
        table = pd.DataFrame(rows)
        for name in dict.fromkeys(name for run in runs for name in run.params):
            with suppress(ValueError):  # words, not numbers
                table[name] = pd.to_numeric(table[name])
        return table


def best_table(result: SweepResult, top: int = 5) -> TextTable:
    """The best runs of a sweep; its best configurations where several of its runs differ by their seeds alone."""
    ranked, searched = ranking.configurations(result.runs, result.spec.objective), list(result.spec.space.domains)
    if len(ranked) < len(result.ranked):
        return configurations_table(ranked[:top], searched)
    return runs_table(result.ranked[:top], [], searched)
