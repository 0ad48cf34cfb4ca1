"""The progress of a sweep: live bars in a terminal, one line for each trial in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
)
from rich.text import Text

from experiments.cli.console import COLOURS
from experiments.cli.time_left import TimeLeft, TimeLeftColumn
from experiments.formatting import format_params, pluralize
from mnist_core.messages import main_line
from search.trial import Trial, TrialResult, TrialState

if TYPE_CHECKING:
    from mnist_core.metrics import EpochMetrics
    from search.executors.base import WorkerStatus
    from search.resume import ResumeState
    from search.spec import SweepSpec

# Columns of a terminal that hold the bars and the parameters of running trials as well.
MIN_WIDTH_OF_BARS = 110
# Hosts that are named; of further ones the number is shown.
MAX_HOSTS = 4


@dataclass
class SweepProgress:
    """Counts of the finished trials by state, and the best complete one."""

    counts: dict[TrialState, int] = field(default_factory=dict)
    best: tuple[Trial, TrialResult] | None = None

    def add(self, trial: Trial, result: TrialResult, spec: SweepSpec) -> None:
        """Count one result."""
        self.counts[result.state] = self.counts.get(result.state, 0) + 1
        if result.state is not TrialState.COMPLETE or result.best is None:
            return
        value = result.best.value(spec.metric)
        current = self.best[1].best if self.best else None
        if current is None or spec.metric.direction.better(value, current.value(spec.metric)):
            self.best = (trial, result)

    @property
    def finished(self) -> int:
        """Number of trials with a result."""
        return sum(self.counts.values())

    def text(self) -> str:
        """``12 complete · 3 pruned · 0 failed``."""
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED)
        return " · ".join(f"{self.counts.get(state, 0)} {state.value}" for state in states)


def result_line(trial: Trial, result: TrialResult, spec: SweepSpec) -> Text:
    """A finished trial in one line."""
    line = Text(f"{trial.name}  ")
    line.append(f"{result.state.value:<8}", style=COLOURS[result.state])
    if result.best and result.best_epoch:
        line.append(f"  {spec.objective} {result.best.value(spec.metric):.4f}")
        line.append(f"  epoch {result.best_epoch} of {len(result.history)}")
    line.append(f"  {format_params(trial.point)}  {result.training_seconds + result.saving_seconds:.1f} s")
    if result.error:
        line.append(f"  {main_line(result.error)}", style="red")
    return line


def format_hosts(hosts: Mapping[str, int]) -> str:
    """``4 on node-a, 2 on node-b``: the number of workers by host, those with the most first."""
    if not hosts:
        return "none"
    ordered = sorted(hosts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{count} on {host}" for host, count in ordered[:MAX_HOSTS]]
    if further := ordered[MAX_HOSTS:]:
        shown.append(f"{sum(count for _, count in further):,} on {pluralize(len(further), 'other host')}")
    return ", ".join(shown)


class PlainDisplay:
    """One line for each trial. An :class:`search.sweep.Observer`, and a context manager around the sweep."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = SweepProgress()
        self._hosts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing has to be closed."""

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """Count the trials that earlier calls finished."""
        self._spec = spec
        for finished in history.finished:
            self._progress.add(finished.trial, finished.result, spec)
        if history.finished:
            self._console.print(f"resumed with {self._progress.finished} of {spec.target} trials done")

    def workers_changed(self, workers: Sequence[WorkerStatus]) -> None:
        """Print the workers that joined or left, and the number by host where there are several hosts."""
        hosts = Counter(worker.host for worker in workers)
        joined, left = hosts - self._hosts, self._hosts - hosts
        is_spread = len(hosts | self._hosts) > 1
        self._hosts = hosts
        if is_spread:
            changes = [f"{format_hosts(some)} {verb}" for some, verb in ((joined, "joined"), (left, "left")) if some]
            line = f"workers: {format_hosts(hosts)}  ({'; '.join(changes)})"
            self._console.print(line, soft_wrap=True, markup=False)

    def trial_started(self, trial: Trial) -> None:
        """Nothing is printed yet."""

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """Nothing is printed yet."""

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """Print that an attempt was lost."""
        self._console.print(f"{trial.name}  lost: {cause}", soft_wrap=True)

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """Print the result of the trial."""
        self._progress.add(trial, result, self._spec)
        line = result_line(trial, result, self._spec)
        line.append(f"  [{self._progress.finished}/{self._spec.target}]")
        self._console.print(line, soft_wrap=True)


class LiveDisplay(PlainDisplay):
    """The same lines, and below them a bar for each running trial."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        is_wide = console.width >= MIN_WIDTH_OF_BARS
        self._time_left = TimeLeft()
        self._sweep_bars = Progress(
            TextColumn("[bold]sweep    "),
            *([BarColumn(30)] if is_wide else []),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeLeftColumn(self._time_left.seconds),
            *([TextColumn("{task.fields[counts]}")] if is_wide else []),
            console=console,
        )
        self._trial_bars = Progress(
            TextColumn("{task.description}"),
            *([BarColumn(30)] if is_wide else []),
            TextColumn("epoch {task.completed}/{task.total}"),
            TextColumn("{task.fields[value]}"),
            # Values of the user's are shown, in which square brackets are no markup.
            *([TextColumn("{task.fields[point]}", style="dim", markup=False)] if is_wide else []),
            console=console,
        )
        self._bars: dict[int, TaskID] = {}
        self._sweep_bar: TaskID | None = None
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4)

    def __exit__(self, *exception: object) -> None:
        """Remove the bars and stop the live display."""
        # Trials that were running when the sweep ended would stay on the screen.
        for bar in self._bars.values():
            self._trial_bars.remove_task(bar)
        self._bars.clear()
        self._live.stop()

    def sweep_started(self, spec: SweepSpec, history: ResumeState) -> None:
        """Start the live display."""
        super().sweep_started(spec, history)
        self._time_left.sweep_started(spec, history)
        done = self._progress.finished
        self._sweep_bar = self._sweep_bars.add_task(
            "sweep", total=spec.target, completed=done, counts=self._progress.text()
        )
        self._live.start()

    def trial_started(self, trial: Trial) -> None:
        """Add a bar for the trial."""
        self._remove_bar(trial)
        self._time_left.trial_started(trial.number)
        self._bars[trial.number] = self._trial_bars.add_task(
            trial.name, total=trial.training.epochs, value="warming up", point=format_params(trial.point)
        )

    def epoch_ended(self, trial: Trial, epoch: int, metrics: EpochMetrics) -> None:
        """Advance the trial's bar."""
        self._time_left.epoch_ended()
        value = f"{self._spec.objective} {metrics.value(self._spec.metric):.4f}"
        self._trial_bars.update(self._bars[trial.number], completed=epoch, value=value)

    def trial_lost(self, trial: Trial, cause: str) -> None:
        """Remove the bar, and print the cause."""
        self._time_left.trial_lost(trial.number)
        self._remove_bar(trial)
        super().trial_lost(trial, cause)

    def trial_ended(self, trial: Trial, result: TrialResult) -> None:
        """Replace the bar by a line."""
        self._remove_bar(trial)
        self._time_left.trial_ended(trial.number)
        super().trial_ended(trial, result)
        if self._sweep_bar is not None:
            self._sweep_bars.update(self._sweep_bar, completed=self._progress.finished, counts=self._progress.text())

    def _remove_bar(self, trial: Trial) -> None:
        bar = self._bars.pop(trial.number, None)
        if bar is not None:
            self._trial_bars.remove_task(bar)

    def render(self) -> Group:
        """The part below the lines: a bar for each running trial, the sweep's bar, the best trial so far."""
        best = Text("best      ", style="bold")
        if self._progress.best:
            trial, result = self._progress.best
            assert result.best is not None
            best.append(f"{trial.name}  {self._spec.objective} {result.best.value(self._spec.metric):.4f}  ", "green")
            best.append(format_params(trial.point), "not bold")
        else:
            best.append("none yet", "not bold dim")
        workers = [Text(f"workers   {format_hosts(self._hosts)}")] if len(self._hosts) > 1 else []
        return Group(self._trial_bars, self._sweep_bars, *workers, best)
