"""The part of a report on the hosts of a sweep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.reporting.sections.hosts import MAX_HOSTS, host_sections, host_shares
from experiments.reporting.timeline import workers_of
from experiments.result_tables import runs_table
from experiments.tracking.records import RunRecord, Tag
from mnist_core.plotting import render_plot
from tests.helpers.synthetic_sweeps import SPEC, run, timeline


def on(host: str, number: int, device: str = "CPU") -> RunRecord:
    made = run(number, training_seconds=4.0, epochs_run=3)
    return replace(made, tags={**made.tags, Tag.HOST: host, Tag.DEVICE: device})


def test_trials_epochs_and_seconds_are_added_up_by_host_and_device() -> None:
    runs = [on("node-b", 0), on("node-a", 1), on("node-b", 2), on("node-b", 3, "GPU"), run(4)]
    (section,) = host_sections(timeline(runs))
    assert section.table is not None
    assert section.table.rows == [
        ("node-b", "CPU", "2", "6", "8.0"),
        ("node-a", "CPU", "1", "3", "4.0"),
        ("node-b", "GPU", "1", "3", "4.0"),
    ]
    assert section.caption == "node-b (CPU) did 50% of 16 seconds of training. 1 attempt did not record a host."
    assert render_plot(section.plot).png


@pytest.mark.parametrize(
    ("runs", "caption"),
    [
        ([("a", "CPU"), ("b", "CPU"), ("b", "CPU")], "b (CPU) did 67% of 12 seconds of training."),
        ([("a", ""), ("b", "GPU")], "a did 50% of 8 seconds of training."),
        ([("a", "CPU"), ("b", "GPU"), None, None], "a (CPU) did 50% of 8 seconds of training. 2 attempts did not"),
    ],
)
def test_the_caption_names_the_place_that_trained_most(runs: list[tuple[str, str] | None], caption: str) -> None:
    made = [on(place[0], number, place[1]) if place else run(number) for number, place in enumerate(runs)]
    (section,) = host_sections(timeline(made))
    assert section.caption.removesuffix(" record a host.") == caption


def test_the_caption_of_a_sweep_that_trained_for_no_time_has_no_share_to_tell() -> None:
    idle = [replace(on(host, number), metrics={}) for number, host in enumerate(("a", "b"))]
    (section,) = host_sections(timeline(idle))
    assert section.caption == "a (CPU) did 0% of 0 seconds of training."


def test_the_caption_counts_the_seconds_of_hosts_without_a_row() -> None:
    (section,) = host_sections(timeline([on(f"node-{number:02}", number) for number in range(2 * MAX_HOSTS)]))
    assert section.caption == "node-00 (CPU) did 2% of 160 seconds of training."


def test_a_sweep_that_ran_in_one_place_has_no_such_section() -> None:
    assert host_sections(timeline([on("here", 0), on("here", 1)])) == []
    assert host_sections(timeline([run(0)])) == []


def test_of_a_thousand_hosts_most_are_added_up() -> None:
    shares = host_shares(timeline([on(f"node-{number:04}", number) for number in range(1000)]))
    assert len(shares) == MAX_HOSTS + 1
    assert (shares[-1].host, shares[-1].trials) == ("980 others", 980)


def test_on_a_cluster_the_workers_are_as_many_as_trials_ran_at_a_time() -> None:
    runs = [run(number, began=0.0, ended=10.0) for number in range(3)] + [run(3, began=10.0, ended=20.0)]
    on_ray = SPEC + '[execution]\nexecutor = "ray"\n'
    assert workers_of(timeline(runs, workers=1, text=on_ray)) == 3
    assert workers_of(timeline(runs, workers=8, text=on_ray)) == 8
    assert workers_of(timeline(runs, workers=1)) == 1


def test_the_table_of_runs_names_hosts_where_there_are_several() -> None:
    table = runs_table([on("node-a", 0), on("node-b", 1)], [run(2)], [])
    assert table.columns[-1] == "host"
    assert [row[-1] for row in table.rows] == ["node-a", "node-b", ""]
    assert "host" not in runs_table([on("node-a", 0), on("node-a", 1)], [run(2)], []).columns
