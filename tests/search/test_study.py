"""Trials of any engine as an Optuna study, and Optuna's plots of it."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import optuna
import pytest
from matplotlib import style as matplotlib_style
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from experiments.reporting import optuna_plots
from mnist_core.plotting import style
from search.spec import SweepSpec
from search.spec_file import parse_spec
from search.study import importances, shown_distributions, to_study
from search.trial import Outcome, TrialState

GRID = """
name = "grid"
engine = "keras-tuner"
sampler = "grid"
objective = "{objective}"
[space]
hidden_size = [64, 128, 256]
learning_rate = [3e-4, 1e-3, 3e-3]
dropout = [0.0, 0.2, 0.4]
"""


def grid(objective: str = "val_accuracy") -> SweepSpec:
    return parse_spec(GRID.format(objective=objective))


def gridded(spec: SweepSpec) -> optuna.Study:
    """A study of the whole grid, whose value depends on the learning rate, less on the size, and not on the dropout."""
    trials = {}
    for number, point in enumerate(spec.space.grid()):
        value = 0.9 + float(point["learning_rate"]) * 10 + float(point["hidden_size"]) / 1e5
        trials[number] = (point, Outcome(TrialState.COMPLETE, (value,), (value - 0.1, value)))
    return to_study(spec, trials)


def test_trials_keep_their_numbers_states_and_curves() -> None:
    spec = grid()
    point = spec.space.grid()[0]
    outcomes = {
        1: Outcome(TrialState.COMPLETE, (0.9,), (0.8, 0.9)),
        2: Outcome(TrialState.PRUNED, (0.7,), (0.7,)),
        3: Outcome(TrialState.FAILED),
        5: Outcome(TrialState.COMPLETE, (float("nan"),)),
    }
    study = to_study(spec, {number: (point, outcome) for number, outcome in outcomes.items()})
    states = optuna.trial.TrialState
    assert [trial.state for trial in study.trials] == [
        *(states.FAIL, states.COMPLETE, states.PRUNED, states.FAIL, states.FAIL, states.FAIL)
    ]
    assert study.best_trial.number == 1
    assert study.trials[1].params == dict(point)
    assert study.trials[1].intermediate_values == {1: 0.8, 2: 0.9}
    assert study.trials[2].intermediate_values == {1: 0.7}


def test_a_loss_is_minimised() -> None:
    assert to_study(grid("val_loss"), {}).direction is optuna.study.StudyDirection.MINIMIZE


def test_listed_numbers_lie_on_an_axis_and_words_do_not() -> None:
    text = 'name = "x"\ntrials = 1\n[space]\nhidden_size = [64, 128, 256]\ndropout = [0.0, 0.2, 0.4]\n'
    text += 'learning_rate = [1e-4, 1e-3]\nhidden_layers = [1]\narchitecture = ["mlp"]\n'
    assert shown_distributions(parse_spec(text).space) == {
        "hidden_size": IntDistribution(64, 256, log=True),
        "dropout": FloatDistribution(0.0, 0.4),
        "learning_rate": FloatDistribution(1e-4, 1e-3),
        "hidden_layers": CategoricalDistribution([1]),
        "architecture": CategoricalDistribution(["mlp"]),
    }


def test_importances_of_a_grid_name_the_parameters_that_matter() -> None:
    found = importances(gridded(grid()))
    assert next(iter(found)) == "learning_rate"
    assert sum(found.values()) == pytest.approx(1)
    assert found["dropout"] < 0.1


def test_importances_need_a_difference() -> None:
    spec = grid()
    same = {number: (point, Outcome(TrialState.COMPLETE, (0.9,))) for number, point in enumerate(spec.space.grid())}
    with pytest.raises(ValueError, match="two complete trials of different value"):
        importances(to_study(spec, same))


@pytest.fixture(scope="module")
def study() -> optuna.Study:
    return gridded(grid())


def test_parallel_coordinates_have_true_log_axes(study: optuna.Study) -> None:
    with style():
        figure = optuna_plots.draw_parallel_coordinates(study, "validation accuracy")
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    scales = [axes.get_yscale() for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert labels == ["validation accuracy", "dropout", "hidden_size", "learning_rate"]
    assert scales == ["linear", "linear", "log", "log"]


def test_slices_share_the_values_and_show_each_parameter_on_its_scale(study: optuna.Study) -> None:
    with style():
        axes = optuna_plots.draw_slices(study, "validation accuracy").axes[:3]
    assert [(each.get_xlabel(), each.get_xscale()) for each in axes] == [
        ("dropout", "linear"),
        ("hidden_size", "log"),
        ("learning_rate", "log"),
    ]


def test_contours_show_each_pair_once(study: optuna.Study) -> None:
    with style():
        figure = optuna_plots.draw_contours(study, "value", ["learning_rate", "hidden_size", "dropout"])
    shown = [{axes.get_xlabel(), axes.get_ylabel()} for axes in figure.axes[:9] if axes.get_visible()]
    assert len(shown) == 3
    assert all(pair in shown for pair in ({"learning_rate", "hidden_size"}, {"learning_rate", "dropout"}))


def test_the_best_so_far_never_gets_worse(study: optuna.Study) -> None:
    with style():
        (line,) = optuna_plots.draw_history(study, "value").axes[0].lines
    values = list(line.get_ydata())
    assert values == sorted(values)
    assert values[-1] == study.best_value


def test_drawing_leaves_neither_figures_nor_another_style_nor_another_backend(study: optuna.Study) -> None:
    plt.switch_backend("svg")
    figures, theirs = plt.get_fignums(), dict(matplotlib_style.library["ggplot"])
    with style():
        face = mpl.rcParams["axes.facecolor"]
        optuna_plots.draw_importances(study, "value")
        assert mpl.rcParams["axes.facecolor"] == face
    assert mpl.get_backend() == "svg"
    assert plt.get_fignums() == figures
    assert dict(matplotlib_style.library["ggplot"]) == theirs
    plt.switch_backend("agg")
