"""The report of a sweep: its plots, its artifacts in MLflow, its page in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from experiments import LaunchOptions, SweepResult, open_store, parse_spec, run_sweep
from experiments.reporting import reports
from experiments.reporting.reports import DESCRIPTION, SweepReport, make_report, report_sweep
from experiments.reporting.sections import timeline as timeline_section
from mnist_core.metrics import EpochMetrics
from search.executors.base import InProcessExecutor
from search.trial import TrialState
from tests.helpers.sweep_texts import SMALL
from tests.helpers.synthetic_sweeps import many_trials, run, timeline

CHROMIUM = Path("/usr/bin/chromium")
PLOTS = [
    *("history", "importances", "parallel_coordinates", "slices", "contours"),
    *("curves", "tradeoffs", "timeline", "time"),
]


@pytest.fixture(scope="module")
def reported(finished_sweep: SweepResult) -> SweepReport:
    """The report of a real sweep, logged to it."""
    return report_sweep(open_store(finished_sweep.tracking_uri), finished_sweep.sweep)


def test_every_plot_of_a_real_sweep_is_drawn(reported: SweepReport) -> None:
    assert reported.missing == []
    assert [plot.name for plot in reported.plots] == PLOTS


def test_plots_page_and_description_are_on_the_parent_run(finished_sweep: SweepResult, reported: SweepReport) -> None:
    client = MlflowClient(finished_sweep.tracking_uri)
    files = {Path(artifact.path).name for artifact in client.list_artifacts(finished_sweep.sweep.run_id, "report")}
    assert files == {f"{name}.png" for name in PLOTS} | {"report.html"}
    description = client.get_run(finished_sweep.sweep.run_id).data.tags[DESCRIPTION]
    assert finished_sweep.best is not None
    assert (
        f"- **best**: {finished_sweep.best.name}, val_accuracy {finished_sweep.best.value('val_accuracy'):.4f}"
        in description
    )
    assert "`report/report.html`" in description


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Any]:
    """A page of a headless browser without a network."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser.new_context(offline=True).new_page()
        browser.close()


def test_the_page_opens_offline_without_errors(reported: SweepReport, browser_page: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(reported.page, encoding="utf-8")
    errors: list[str] = []
    browser_page.on("console", lambda message: errors.append(message.text))
    browser_page.on("pageerror", lambda error: errors.append(str(error)))
    browser_page.on("requestfailed", lambda request: errors.append(request.url[:80]))
    browser_page.goto((tmp_path / "report.html").as_uri())
    assert errors == []
    loaded = browser_page.eval_on_selector_all("img", "all => all.every(one => one.naturalWidth > 500)")
    assert loaded
    assert browser_page.locator("img").count() == len(PLOTS)
    assert browser_page.get_by_role("heading", level=2).all_inner_texts() == [
        *(plot.title for plot in reported.plots),
        "All trials",
    ]
    for width in (400, 1000):
        browser_page.set_viewport_size({"width": width, "height": 800})
        assert browser_page.evaluate("document.documentElement.scrollWidth") == width


def test_the_page_loads_nothing_and_describes_every_plot(reported: SweepReport) -> None:
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', reported.page) == []
    assert len(re.findall(r'<img [^>]*alt="[^"]{20,}"', reported.page)) == len(PLOTS)
    ids = set(re.findall(r'id="([^"]+)"', reported.page))
    assert set(re.findall(r'href="#([^"]+)"', reported.page)) <= ids


def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make reports of captions and tables alone, which takes no time."""
    monkeypatch.setattr(
        reports, "render_plot", lambda spec: reports.RenderedPlot(spec.name, spec.title, problem="left out")
    )


def test_texts_of_trials_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    failed = run(1, None, state=TrialState.FAILED)
    object.__setattr__(failed, "error", "<script>alert('x')</script> & more")
    page = make_report(timeline([run(0), failed])).page
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more" in page


def test_the_table_of_all_trials_has_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    without_plots(monkeypatch)
    sweep = many_trials(40)
    page = make_report(sweep).page
    assert all(trial.run.name in page for trial in sweep.trials)
    assert f"{len(sweep.trials)} attempts, best first" in page


def test_a_plot_that_cannot_be_drawn_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr(timeline_section, "draw_timeline", broken)
    report = make_report(timeline([run(0, None, state=TrialState.FAILED)]))
    assert {plot.name for plot in report.missing} == set(PLOTS) - {"time"}
    assert report.page.count("Not drawn: out of memory.") == 1
    assert report.page.count("Not drawn: needs 1 complete trial, found 0.") == 3
    assert "No trial completed." in report.page
    assert "not drawn: Optimization history" in report.summary


def test_one_parameter_has_no_pairs() -> None:
    text = 'name = "one"\ntrials = 3\n[space]\ndropout = { low = 0.0, high = 0.5 }\n'
    runs = [run(number, 0.9 + number / 100, params={"dropout": f"0.{number}"}) for number in range(3)]
    report = make_report(timeline(runs, text=text))
    problems = {plot.name: plot.problem for plot in report.missing}
    assert problems == {"contours": "only one parameter was searched", "curves": "no trial ended an epoch"}


class SweepInProcess:
    """Launch options of a small sweep in this process, and the messages of its run."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.messages: list[str] = []
        self.launch = LaunchOptions(
            data=data,
            on_message=self.messages.append,
            executor=lambda context, workers: InProcessExecutor(context),
            **settings,
        )


TINY = SMALL.replace("trials = 4", "trials = 2").replace("epochs = 3", "epochs = 1")


@pytest.mark.usefixtures("store_at_hand")
def test_a_sweep_ends_with_its_report_and_records_its_tracking_time(
    small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_plots(monkeypatch)
    sweep = SweepInProcess(small_npz)
    result = run_sweep(parse_spec(TINY), sweep.launch)
    run = MlflowClient(result.tracking_uri).get_run(result.sweep.run_id)
    assert DESCRIPTION in run.data.tags
    assert run.data.metrics["tracking_seconds"] == pytest.approx(result.tracking_seconds)
    assert sweep.messages[-1].startswith(
        "not in the report: Optimization history (left out), Parameter importances (left out), "
    )


@pytest.mark.usefixtures("store_at_hand")
def test_a_report_that_cannot_be_made_fails_no_sweep(small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("out of ink")

    monkeypatch.setattr(reports, "render_page", broken)
    without_plots(monkeypatch)
    sweep = SweepInProcess(small_npz)
    result = run_sweep(parse_spec(TINY), sweep.launch)
    assert result.best is not None
    assert sweep.messages[-1] == "no report: out of ink; draw it by: mnist-search report small"


class StopAfter:
    """An observer that asks for the end of the sweep once a trial has ended, as Ctrl-C does."""

    def __init__(self) -> None:
        self.asked = False

    def sweep_started(self, *what: object) -> None: ...
    def trial_started(self, *what: object) -> None: ...
    def epoch_ended(self, trial: object, epoch: int, metrics: EpochMetrics) -> None: ...
    def trial_lost(self, *what: object) -> None: ...

    def trial_ended(self, *what: object) -> None:
        self.asked = True


@pytest.mark.usefixtures("store_at_hand")
def test_an_interrupted_sweep_draws_no_report(small_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(reports, "render_plot", lambda spec: drawn.append(spec.name))
    stop = StopAfter()
    sweep = SweepInProcess(small_npz, observers=[stop], stop=lambda: stop.asked)
    run_sweep(parse_spec(TINY), sweep.launch)
    assert drawn == []
    assert not [line for line in sweep.messages if "report" in line]


def test_drawing_ends_when_stop_returns_true() -> None:
    with pytest.raises(InterruptedError):
        make_report(many_trials(4), stop=lambda: True)
