"""Section "Hosts": the trials and training time of each machine, where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from experiments.formatting import pluralize
from experiments.reporting.plot_style import WIDTH
from experiments.reporting.sections.section import Section, Table
from experiments.reporting.timeline import SweepTimeline
from experiments.tracking.records import Tag
from mnist_core.plotting import BLUE, PlotSpec, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Hosts with a row and a bar of their own; the others are added up.
MAX_HOSTS = 20


@dataclass(frozen=True)
class HostShare:
    """The part of a sweep that ran in one place.

    Args:
        host: name of the machine.
        device: ``CPU``, or the name of the GPU.
        trials: number of attempts that ended there.
        epochs: that they trained.
        seconds: of training.
    """

    host: str
    device: str
    trials: int
    epochs: int
    seconds: float

    def plus(self, other: HostShare) -> HostShare:
        """The sum of two, under the names of this one."""
        trials, epochs = self.trials + other.trials, self.epochs + other.epochs
        return HostShare(self.host, self.device, trials, epochs, self.seconds + other.seconds)


def host_shares(timeline: SweepTimeline) -> list[HostShare]:
    """The share of each host and device, the longest training first; beyond ``MAX_HOSTS`` added up at the end.

    Attempts that do not say where they ran are left out: lost ones, and those of earlier versions.
    """
    found: dict[tuple[str, str], HostShare] = {}
    for trial in timeline.trials:
        if (host := trial.run.tags.get(Tag.HOST)) is not None:
            key = (host, trial.run.tags.get(Tag.DEVICE, ""))
            metrics = trial.run.metrics
            share = HostShare(*key, 1, int(metrics.get("epochs_run", 0)), metrics.get("training_seconds", 0.0))
            found[key] = found[key].plus(share) if key in found else share
    ordered = sorted(found.values(), key=lambda share: (-share.seconds, share.host, share.device))
    others = ordered[MAX_HOSTS:]
    if not others:
        return ordered
    total = HostShare(f"{len(others):,} others", "", 0, 0, 0.0)
    for share in others:
        total = total.plus(share)
    return [*ordered[:MAX_HOSTS], total]


def host_sections(timeline: SweepTimeline) -> list[Section]:
    """The section, its plot not drawn yet; none for a sweep that ran in one place."""
    shares = host_shares(timeline)
    if len(shares) < 2:
        return []
    plot = PlotSpec("hosts", "Training time by host", partial(draw_hosts, shares))
    return [Section(plot, hosts_caption(timeline, shares), hosts_table(shares))]


def hosts_caption(timeline: SweepTimeline, shares: Sequence[HostShare]) -> str:
    """The host and device that trained most, and the number of attempts of which no host is known."""
    first, total = shares[0], sum(share.seconds for share in shares)
    unknown = len(timeline.trials) - sum(share.trials for share in shares)
    left_out = f" {pluralize(unknown, 'attempt')} did not record a host." if unknown else ""
    name = f"{first.host} ({first.device})" if first.device else first.host
    return f"{name} did {first.seconds / (total or 1):.0%} of {total:,.0f} seconds of training.{left_out}"


def hosts_table(shares: Sequence[HostShare]) -> Table:
    """Trials, epochs and seconds by host and device."""
    rows = [
        (share.host, share.device, f"{share.trials:,}", f"{share.epochs:,}", f"{share.seconds:,.1f}")
        for share in shares
    ]
    return Table("Trials by host", ("host", "device", "trials", "epochs", "seconds of training"), rows)


def draw_hosts(shares: Sequence[HostShare]) -> Figure:
    """A bar of training seconds for each host and device."""
    figure = new_figure(WIDTH, 1.3 + 0.35 * len(shares))
    axes = figure.subplots()
    names = [f"{share.host} ({share.device})" if share.device else share.host for share in shares]
    bars = axes.barh(names, [share.seconds for share in shares], color=BLUE)
    axes.bar_label(bars, [pluralize(share.trials, "trial") for share in shares], padding=4)
    axes.invert_yaxis()
    longest = max(share.seconds for share in shares) or 1
    axes.set(xlabel="seconds of training", xlim=(0, 1.25 * longest), title="Training time by host")
    return figure
