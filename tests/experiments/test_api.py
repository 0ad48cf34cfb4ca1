"""The calls behind the commands: names or values as arguments, and results that show themselves."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import experiments
from experiments import (
    LaunchOptions,
    SweepResult,
    best,
    choose_candidate,
    compare,
    confirm,
    ensemble,
    evaluate,
    explain,
    explain_champion,
    export,
    inspect_data,
    list_runs,
    list_sweeps,
    list_versions,
    load_spec,
    parse_spec,
    promote,
    report,
    reproduce,
    resume_sweep,
    rollback,
    run_sweep,
    serve,
)
from experiments.registry.gate import Verdict
from experiments.selection import SelectionRule
from experiments.sweep_files import SHIPPED
from experiments.tracking.store import Store
from mnist_core.errors import DataError, NotFoundError, SpecError, StoreError
from mnist_core.interpretation import plots
from search.executors.base import InProcessExecutor
from serving.app import Settings
from tests.helpers.stores import copy_store
from tests.helpers.sweep_texts import SMALL
from tests.helpers.sweeps import Run

IN_PROCESS = LaunchOptions(executor=lambda context, workers: InProcessExecutor(context), report=False)


def shows(value: object, *texts: str) -> None:
    """The value's text and its HTML hold each of the texts."""
    html = value._repr_html_()  # type: ignore[attr-defined]
    for text in texts:
        assert text in repr(value)
        assert text in html


def test_every_public_name_is_importable_and_no_submodule_shadows_it() -> None:
    for name in experiments.__all__:
        assert getattr(experiments, name).__name__ == name
        assert importlib.util.find_spec(f"experiments.{name}") is None
    assert set(experiments.__all__) <= set(dir(experiments))


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'run_sweeps'"):
        _ = experiments.run_sweeps  # type: ignore[attr-defined]


def test_a_sweep_is_run_resumed_and_confirmed_by_name_path_spec_and_result(
    small_npz: Path, tmp_path: Path, new_store: Callable[[], str]
) -> None:
    lines: list[str] = []
    uri = new_store()
    (tmp_path / "small.toml").write_text(SMALL)
    first = run_sweep(
        tmp_path / "small.toml",
        IN_PROCESS,
        trials=1,
        settings={"training": {"epochs": 2}, "training.batch_size": 64},
        data=small_npz,
        timeout="10m",
        tracking_uri=uri,
        on_message=lines.append,
    )
    assert (first.spec.target, first.spec.training.epochs, first.spec.training.batch_size) == (1, 2, 64)
    assert first.tracking_uri == uri
    assert any("sweep small" in line for line in lines)
    # The result knows its store, so nothing has to name it again.
    more = resume_sweep(first, IN_PROCESS, trials=2, data=small_npz, on_message=lines.append)
    assert [run.number for run in more.runs] == [0, 1]
    confirmed = confirm(more, IN_PROCESS, top=1, seeds=2, data=small_npz, on_message=lines.append)
    assert confirmed.sweep.name == "small-confirmation"
    by_name = resume_sweep("small", IN_PROCESS, data=small_npz, tracking_uri=uri, on_message=lines.append)
    assert by_name.sweep.run_id == first.sweep.run_id
    spec = parse_spec(SMALL, ["name=other"])
    other = run_sweep(spec, IN_PROCESS, trials=1, data=small_npz, tracking_uri=uri, on_message=lines.append)
    assert (other.sweep.name, other.spec.target) == ("other", 1)
    assert [sweep.name for sweep in list_sweeps(tracking_uri=uri)] == ["other", "small-confirmation", "small"]


@pytest.mark.parametrize("settings", [{"training.epoch": 3}, ["training.epoch=3"], "training.epoch=3"])
def test_a_wrong_setting_is_refused_in_each_form(settings: dict[str, object] | list[str] | str) -> None:
    with pytest.raises(SpecError, match=r"training\.epoch: unknown key"):
        run_sweep("quick", settings=settings)


def test_a_setting_may_be_a_number_of_numpy_but_no_value_that_toml_lacks() -> None:
    with pytest.raises(SpecError, match=r"training\.epochs: expected an integer from 1 to 100000, received -3"):
        run_sweep("quick", settings={"training.epochs": np.int64(-3)})
    with pytest.raises(SpecError, match=r"^settings: training\.epochs: expected a value of TOML, received None$"):
        run_sweep("quick", settings={"training": {"epochs": None}})


def test_a_wrong_number_of_trials_or_a_wrong_sweep_is_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match=r"^--trials: expected 1 or more, received '3'$"):
        run_sweep("quick", trials="3")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"^sweep: expected a name, a path or a spec, received int$"):
        run_sweep(3)  # type: ignore[arg-type]


def test_a_timeout_may_be_a_text_or_seconds_and_is_checked() -> None:
    with pytest.raises(SpecError, match="--timeout: expected a time such as 90s"):
        run_sweep(load_spec("quick"), timeout="ten minutes")


def test_the_sweeps_of_a_store_are_listed_with_the_shipped_ones(finished_sweep: SweepResult) -> None:
    found = list_sweeps(tracking_uri=finished_sweep.tracking_uri)
    assert [sweep.run_id for sweep in found] == [finished_sweep.sweep.run_id]
    assert set(found.shipped) == {path.stem for path in SHIPPED.glob("*.toml")}
    shows(found, "1 sweep in sqlite", "small", finished_sweep.sweep.run_id[:8])


def test_where_no_store_is_there_no_sweeps_are_listed_and_none_is_made(tmp_path: Path) -> None:
    assert len(list_sweeps(tracking_uri=f"sqlite:///{tmp_path}/none.db")) == 0
    assert not (tmp_path / "none.db").exists()


def test_runs_are_listed_by_the_name_of_their_sweep_or_by_its_result(mixed_sweep: SweepResult) -> None:
    for found in (
        list_runs("mixed", tracking_uri=mixed_sweep.tracking_uri),
        list_runs(mixed_sweep),
        list_runs(mixed_sweep.sweep, tracking_uri=mixed_sweep.tracking_uri),
    ):
        assert [run.run_id for run in found.ranked] == [run.run_id for run in mixed_sweep.ranked]
        assert {run.run_id for run in found} == {run.run_id for run in mixed_sweep.runs}
        assert found[0].run_id == mixed_sweep.ranked[0].run_id
    shows(found, "trial-000", "val accuracy")


def test_the_best_run_is_selected_by_name_or_by_result(mixed_sweep: SweepResult) -> None:
    by_name, by_result = best("mixed", tracking_uri=mixed_sweep.tracking_uri), best(mixed_sweep, rule="one-se")
    assert by_name.run.run_id == mixed_sweep.ranked[0].run_id
    assert by_result.rule is SelectionRule.ONE_SE
    assert by_name.chosen in by_name.ranked
    shows(by_name, by_name.run.title, "chosen", by_name.reason)


def test_an_unknown_rule_is_refused_with_the_known_ones(mixed_sweep: SweepResult) -> None:
    with pytest.raises(SpecError, match="rule: expected one of best, one-se, smallest, received 'bets'"):
        best(mixed_sweep, rule="bets")


def test_a_bound_on_the_size_is_a_bound_on_the_weights(mixed_sweep: SweepResult) -> None:
    with pytest.raises(NotFoundError, match="no model of at most 3 weights"):
        best(mixed_sweep, max_model_size=3)


def test_results_lead_to_the_store_that_they_were_read_from(evaluated_sweep: Path, tmp_path: Path) -> None:
    store = copy_store(evaluated_sweep, tmp_path / "elsewhere")
    listed = list_runs("mixed", tracking_uri=store.uri)
    chosen = best(listed)
    evaluation = evaluate(chosen, on_message=lambda line: None)
    measured = ensemble(evaluation.run.tags["sweep"], top=2, tracking_uri=store.uri)
    assert {each.tracking_uri for each in (listed, chosen, evaluation, measured)} == {store.uri}
    assert promote(chosen, floor=0, explain=False).verdict is Verdict.PASSED
    assert promote(evaluation, floor=0, explain=False).already_champion
    assert not (tmp_path / "mlruns").exists()


def test_a_value_of_another_kind_is_refused(mixed_sweep: SweepResult) -> None:
    with pytest.raises(SpecError, match="sweep: expected a name, a sweep or the result of a call, received int"):
        list_runs(3, tracking_uri=mixed_sweep.tracking_uri)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="run: expected a name, a run or the result of a call, received SweepRecord"):
        evaluate(mixed_sweep.sweep, tracking_uri=mixed_sweep.tracking_uri)  # type: ignore[arg-type]


def test_a_run_is_evaluated_once_and_the_others_of_its_sweep_are_counted(evaluated_store: Store) -> None:
    lines: list[str] = []
    by_name = evaluate("mixed/trial-000", on_message=lines.append)
    assert not by_name.is_new
    assert by_name.other_runs == 2
    assert [line.partition(",")[0] for line in lines] == [
        "evaluated already",
        "2 other runs of this sweep were evaluated on this test set too: to choose among them by it is to tune on it",
    ]
    for target in (by_name, by_name.run, best("mixed", rule="best")):
        assert evaluate(target, on_message=lines.append).labels.shape == by_name.labels.shape
    shows(by_name, "mixed/trial-000 on the", "accuracy", "precision")


def test_an_evaluation_on_named_data_may_be_of_other_data_and_says_so(
    mixed_store: Store, whole_npz: Path, tmp_path: Path
) -> None:
    with np.load(whole_npz) as archive:
        arrays = dict(archive)
    arrays["x_train"][0, 0, 0] ^= 1
    np.savez_compressed(tmp_path / "changed.npz", **arrays)
    lines: list[str] = []
    evaluation = evaluate("mixed/trial-000", data=tmp_path / "changed.npz", on_message=lines.append)
    assert evaluation.is_new
    assert lines == [f"{tmp_path / 'changed.npz'}: other data than the run was trained on"]


def test_a_run_is_explained_from_its_name_or_its_evaluation(
    evaluated_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = plots._plot_specs
    monkeypatch.setattr(plots, "_plot_specs", lambda *given: list(everything(*given))[:1])
    explanation = explain(evaluate("mixed/trial-000", on_message=lambda line: None))
    assert explanation.run.title == "mixed/trial-000"
    shows(explanation, "mixed/trial-000", explanation.drawn[0].file)


def test_a_run_is_reproduced_with_a_line_for_each_epoch(finished_store: Store) -> None:
    lines: list[str] = []
    done = reproduce("small/0", on_message=lines.append)
    assert done.is_identical
    assert [line.split()[:2] for line in lines] == [["epoch", str(number)] for number in range(1, len(lines) + 1)]
    shows(done, "small/trial-000", "identical", "best epoch")


def test_a_report_is_logged_and_written_to_a_file(finished_store: Store, tmp_path: Path) -> None:
    made = report("small", out=tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == made.page
    shows(made, "report.html", made.plots[0].file)
    with pytest.raises(SpecError, match="expected a file, received a folder"):
        report("small", out=tmp_path)


def test_sweeps_are_compared_by_name_or_by_value(mixed_sweep: SweepResult, command: Run, mixed_store: Store) -> None:
    compared = compare(mixed_sweep, mixed_sweep.sweep)
    assert [each.name for each in compared] == ["mixed", "mixed"]
    assert compared.differences == []
    shows(compared, "best accuracy", "mixed")
    code, out, _ = command("compare", "mixed", "mixed")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [line.split() for line in repr(compared).splitlines()]


def test_an_ensemble_is_measured_and_registered_as_a_run(mixed_store: Store) -> None:
    measured = ensemble("mixed", top=2)
    assert measured.run is None
    shows(measured, "mean of 2", "best alone")
    with pytest.raises(NotFoundError, match=r"run: this EnsembleResult has none: .* was not registered"):
        evaluate(measured)
    registered = ensemble("mixed", top=2, register=True)
    assert registered.run is not None
    assert evaluate(registered, on_message=lambda line: None).run.run_id == registered.run.run_id


def test_a_selection_is_promoted_rolled_back_and_exported(evaluated_store: Store, tmp_path: Path) -> None:
    first = promote("mixed/trial-000", floor=0, explain=False)
    second = promote(best("mixed"), floor=0, margin=1, explain=False)
    assert (first.verdict, second.verdict) == (Verdict.PASSED, Verdict.PASSED)
    versions = list_versions()
    assert [version.version for version in versions] == [second.version.version, first.version.version][: len(versions)]
    shows(versions, "champion", "mixed/trial-000")
    shows(second, second.version.title, "passed")
    if not second.already_champion:
        undone = rollback(reason="a test")
        assert undone.champion.version == first.version.version
        shows(undone, f"{first.version.title} is champion again")
    for version in ("champion", first.version.version, first.version, first):
        exported = export(version, format="keras", output=tmp_path / "out")
        assert exported.path.is_file()
        assert exported.version.version == first.version.version
    shows(exported, first.version.title, "same prediction")
    with pytest.raises(SpecError, match="format: expected one of litert, onnx"):
        export(format="pickle")
    with pytest.raises(SpecError, match=r"version: expected a number, an alias, .* received VersionList"):
        export(versions)  # type: ignore[arg-type]


def test_a_new_champion_is_explained_and_an_error_of_that_is_only_reported(
    evaluated_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_images(*arguments: object) -> None:
        raise DataError("no images")

    monkeypatch.setattr("experiments.explanation.load_validation", no_images)
    lines: list[str] = []
    promotion = promote("mixed/trial-000", floor=0, on_message=lines.append)
    assert promotion.verdict is Verdict.PASSED
    assert lines == [
        f"no plots: no images; to plot them: mnist-search explain {promotion.version.run_id}",
    ]
    assert promote(promotion, floor=0, on_message=lines.append).already_champion
    assert len(lines) == 1
    assert explain_champion(promotion, on_message=lines.append) is None


def test_the_candidate_of_a_sweep_is_the_one_that_promote_takes(mixed_sweep: SweepResult) -> None:
    of_result, of_selection = choose_candidate(mixed_sweep), choose_candidate(best(mixed_sweep))
    assert of_result == of_selection
    assert of_result.reason.startswith("of sweep mixed, by rule best: ")
    named = choose_candidate(mixed_sweep.ranked[1], tracking_uri=mixed_sweep.tracking_uri)
    assert (named.run.run_id, named.reason) == (mixed_sweep.ranked[1].run_id, "named by the user")
    assert choose_candidate(named) is named


def test_the_data_is_shown_without_its_test_set(small_npz: Path) -> None:
    found = inspect_data(small_npz)
    assert found.name == "small"
    assert len(found.training) == 1000
    shows(found, "1,000 images of 28 × 28 pixels", found.digests["labels"])


def test_one_further_host_name_may_be_given_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[Settings] = []
    monkeypatch.setattr("mnist_core.runtime.configure", lambda threads: None)
    monkeypatch.setattr("serving.app.create_app", lambda manager, given: settings.append(given))
    monkeypatch.setattr("serving.server.run", lambda app, listener: listener.close())
    for names in ("digits.example", ["digits.example"]):
        serve(port=0, allowed_hosts=names, tracking_uri=f"sqlite:///{tmp_path}/none.db", on_message=lambda line: None)
    assert [given.hosts[-1] for given in settings] == ["digits.example"] * 2


def test_the_port_is_not_opened_for_a_store_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr("serving.server.listen", lambda *where: opened.append(where))
    with pytest.raises(StoreError, match="file store is deprecated"):
        serve(tracking_uri="file:runs")
    assert opened == []
