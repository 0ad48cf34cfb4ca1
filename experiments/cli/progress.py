"""What a sweep looks like while it runs: live in a terminal, one line for each trial in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from experiments.cli.console import COLOURS
from experiments.formatting import format_params
from search.trial import Trial, TrialResult, TrialState

if TYPE_CHECKING:
    from mnist_core.metrics import EpochMetrics
    from search.resume import ResumeState
    from search.spec import SweepSpec

# Columns of a terminal from which bars and parameters of running trials find room.
ROOMY = 110


@dataclass
class SweepProgress:
    """What has become of the trials so far, and which is the best."""

    counts: dict[TrialState, int] = field(default_factory=dict)
    best: tuple[Trial, TrialResult] | None = None

    def add(self, trial: Trial, result: TrialResult, spec: SweepSpec) -> None:
        """Count one result in."""
        self.counts[result.state] = self.counts.get(result.state, 0) + 1
        if result.state is not TrialState.COMPLETE or result.best is None:
            return
        value = result.best.value(spec.metric)
        held = self.best[1].best if self.best else None
        if held is None or spec.metric.direction.better(value, held.value(spec.metric)):
            self.best = (trial, result)

    @property
    def finished(self) -> int:
        """How many have a result."""
        return sum(self.counts.values())

    def words(self) -> str:
        """``12 complete · 3 pruned · 0 failed``."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
        return " · ".join(f"{self.counts.get(state, 0)} {state.value}" for state in states)


def line_of(trial: Trial, result: TrialResult, spec: SweepSpec) -> Text:
    """A finished trial in one line."""
    line = Text(f"{trial.name}  ")
    line.append(f"{result.state.value:<8}", style=COLOURS[result.state])
    if result.best and result.best_epoch:
        line.append(f"  {spec.objective} {result.best.value(spec.metric):.4f}")
        line.append(f"  epoch {result.best_epoch} of {len(result.history)}")
    line.append(f"  {format_params(trial.point)}  {result.training_seconds + result.saving_seconds:.1f} s")
    if result.error:
        line.append(f"  {gist(result.error)}", style="red")
    return line


def gist(error: str) -> str:
    """The line of an error that says most: its first, or its last where the first only announces it."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return lines[-1] if lines[0].endswith(":") else lines[0]


class PlainDisplay:
    """One line for each trial. An :class:`search.sweep.Observer`, and a context manager around the sweep."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tally = SweepProgress()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is left open."""

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """Take in what earlier calls have done."""
        self._spec = spec
        for past in history.finished:
            self._tally.add(past.trial, past.result, spec)
        if history.finished:
            self._console.print(f"resumed with {self._tally.finished} of {spec.target} trials done")

    def trial_started(self, trial: Trial) -> None:
        """Nothing to say yet."""

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """Nothing to say yet."""

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """Say that an attempt came to nothing."""
        self._console.print(f"{trial.name}  lost: {cause}", soft_wrap=True)

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """Say what became of the trial."""
        self._tally.add(trial, result, self._spec)
        line = line_of(trial, result, self._spec)
        line.append(f"  [{self._tally.finished}/{self._spec.target}]")
        self._console.print(line, soft_wrap=True)


class LiveDisplay(PlainDisplay):
    """The same lines, and below them what is running now."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        roomy = console.width >= ROOMY
        self._whole = Progress(
            TextColumn("[bold]sweep    "),
            *([BarColumn(30)] if roomy else []),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(compact=True),
            *([TextColumn("{task.fields[counts]}")] if roomy else []),
            console=console,
            speed_estimate_period=3600,
        )
        self._each = Progress(
            TextColumn("{task.description}"),
            *([BarColumn(30)] if roomy else []),
            TextColumn("epoch {task.completed}/{task.total}"),
            TextColumn("{task.fields[value]}"),
            *([TextColumn("[dim]{task.fields[point]}")] if roomy else []),
            console=console,
        )
        self._bars: dict[int, TaskID] = {}
        self._sweep_bar: TaskID | None = None
        self._live = Live(console=console, get_renderable=self.picture, refresh_per_second=4)

    def __exit__(self, *exception: object) -> None:
        """Stop drawing."""
        # What runs no longer has no place on the last picture.
        for bar in self._bars.values():
            self._each.remove_task(bar)
        self._bars.clear()
        self._live.stop()

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """Begin to draw."""
        super().sweep_started(spec, history)
        done = self._tally.finished
        self._sweep_bar = self._whole.add_task("sweep", total=spec.target, completed=done, counts=self._tally.words())
        self._live.start()

    def trial_started(self, trial: Trial) -> None:
        """Give the trial a bar."""
        self._drop(trial)
        self._bars[trial.number] = self._each.add_task(
            trial.name, total=trial.training.epochs, value="warming up", point=format_params(trial.point)
        )

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """Move the trial's bar."""
        value = f"{self._spec.objective} {metrics.value(self._spec.metric):.4f}"
        self._each.update(self._bars[trial.number], completed=epoch, value=value)

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """Take the bar away, and say why."""
        self._drop(trial)
        super().trial_lost(trial, cause)

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """Turn the bar into a line."""
        self._drop(trial)
        super().trial_ended(trial, result)
        if self._sweep_bar is not None:
            self._whole.update(self._sweep_bar, completed=self._tally.finished, counts=self._tally.words())

    def _drop(self, trial: Trial) -> None:
        bar = self._bars.pop(trial.number, None)
        if bar is not None:
            self._each.remove_task(bar)

    def picture(self) -> Group:
        """What is drawn below the lines: a bar for each running trial, the sweep's bar, the best so far."""
        best = Text("best      ", style="bold")
        if self._tally.best:
            trial, result = self._tally.best
            assert result.best is not None
            best.append(f"{trial.name}  {self._spec.objective} {result.best.value(self._spec.metric):.4f}  ", "green")
            best.append(format_params(trial.point), "not bold")
        else:
            best.append("none yet", "not bold dim")
        return Group(self._each, self._whole, best)
