"""Explanation of a run: its validation images, its model, its plots in MLflow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from experiments import SweepResult, open_store
from experiments.explanation import explain_run
from experiments.tracking.datasets import load_validation
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import DataError, ModelError
from mnist_core.interpretation import plots
from mnist_core.plotting import PlotSpec


def test_the_images_are_the_validation_images_of_the_run(finished_sweep: SweepResult, small_npz: Path) -> None:
    source = DataSource(Origin.GIVEN, small_npz)
    assert finished_sweep.best is not None
    images = load_validation(source, finished_sweep.best)
    assert len(images) == 200
    tags = {**finished_sweep.best.tags, "validation": "0.2"}
    by_share = load_validation(source, replace(finished_sweep.best, tags=tags))
    np.testing.assert_array_equal(by_share.images, images.images)
    other = load_validation(source, replace(finished_sweep.best, tags={**tags, "split_seed": "1"}))
    assert not np.array_equal(other.images, images.images)


def test_plots_are_logged_to_the_run_and_drawn_from_its_own_curves(
    finished_sweep: SweepResult, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = plots._plot_specs
    wanted = ("learning_curves", "first_layer_weights")
    monkeypatch.setattr(
        plots, "_plot_specs", lambda *given: [sketch for sketch in everything(*given) if sketch.name in wanted]
    )
    run = finished_sweep.ranked[-1]
    found = explain_run(open_store(finished_sweep.tracking_uri), run, DataSource(Origin.GIVEN, small_npz))
    assert [picture.name for picture in found.drawn] == list(wanted)
    assert found.missing == []
    logged = MlflowClient(finished_sweep.tracking_uri).list_artifacts(run.run_id, "insight")
    assert {artifact.path for artifact in logged} == {f"insight/{name}.png" for name in wanted}


def test_a_plot_that_cannot_be_drawn_does_not_prevent_the_others(
    finished_sweep: SweepResult, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OverflowError("too much")

    everything = plots._plot_specs
    monkeypatch.setattr(
        plots,
        "_plot_specs",
        lambda *given: [PlotSpec("broken", "Broken", broken), next(iter(everything(*given)))],  # type: ignore[arg-type]
    )
    found = explain_run(
        open_store(finished_sweep.tracking_uri), finished_sweep.ranked[-1], DataSource(Origin.GIVEN, small_npz)
    )
    assert [(picture.name, picture.problem) for picture in found.missing] == [("broken", "too much")]
    assert [picture.name for picture in found.drawn] == ["learning_curves"]


def test_explaining_a_run_on_other_data_is_refused(finished_sweep: SweepResult, other_npz: Path) -> None:
    with pytest.raises(DataError, match=r"not the data of run small/trial-\d+.*Give the right one by --data"):
        explain_run(
            open_store(finished_sweep.tracking_uri), finished_sweep.ranked[0], DataSource(Origin.GIVEN, other_npz)
        )


def test_a_run_without_a_model_is_not_explained(finished_sweep: SweepResult, small_npz: Path) -> None:
    bare = replace(finished_sweep.ranked[0], model_id=None)
    with pytest.raises(ModelError, match="expected a model that is READY"):
        explain_run(open_store(finished_sweep.tracking_uri), bare, DataSource(Origin.GIVEN, small_npz))
