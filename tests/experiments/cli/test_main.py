"""The commands, from their words to output, exit code and errors."""

from __future__ import annotations

import errno
import functools
import socket
import subprocess
import sys
from multiprocessing.spawn import get_preparation_data
from pathlib import Path
from types import ModuleType

import pytest

from experiments import SweepResult, find_sweep, launch, open_store, read_runs, tracking_uri
from experiments.cli import console
from experiments.cli.main import main
from mnist_core.errors import SpecError
from search.durations import parse_duration
from search.executors.base import InProcessExecutor
from search.trial import TrialState
from tests.helpers.sweep_texts import MIXED, SMALL
from tests.helpers.sweeps import Run, TrainedOnce


def test_runs_are_listed_best_first_with_each_searched_parameter(
    command: Run, finished_sweep: SweepResult, finished_uri: str
) -> None:
    code, out, _ = command("runs", "small")
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split()[:5] == ["rank", "run", "state", "hidden_size", "learning_rate"]
    assert header.split()[5:] == ["best", "epoch", "val", "accuracy", "val", "loss", "seconds"]
    assert [row.split()[1] for row in rows if row.split()[0] == "1"] == [
        finished_sweep.best.name if finished_sweep.best else None
    ]
    assert len(rows) == 4
    assert f"{finished_sweep.ranked[0].value('val_accuracy'):.4f}" in rows[0]


def test_a_sweep_may_be_named_by_the_start_of_its_run_id(
    command: Run, finished_sweep: SweepResult, finished_uri: str
) -> None:
    assert command("runs", finished_sweep.sweep.run_id[:8])[:2] == command("runs", "small")[:2]


def test_sweeps_lists_those_that_ship_and_those_in_the_store(
    command: Run, finished_sweep: SweepResult, finished_uri: str
) -> None:
    code, out, _ = command("sweeps")
    assert code == 0
    for name in ("bayesian", "grid", "quick"):
        assert f"  {name} " in out
    (row,) = (line for line in out.splitlines() if line.strip().startswith("small"))
    assert {"finished", "optuna", "tpe", "4", finished_sweep.sweep.run_id[:8]} <= set(row.split())


def test_sweeps_without_a_store_makes_none(command: Run) -> None:
    code, out, _ = command("sweeps")
    assert code == 0
    assert "none yet" in out
    assert not Path("mlruns").exists()


def test_data_shows_the_training_images_and_leaves_the_test_set_unread(command: Run, small_npz: Path) -> None:
    code, out, _ = command("data", "--data", str(small_npz))
    assert code == 0
    assert "small (given)" in out
    assert "1,000 images of 28 × 28 pixels" in out
    assert "left unread" in out
    assert "█" in out


@pytest.fixture
def trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps of the commands train in this process."""
    in_process = functools.partial(launch.LaunchOptions, executor=lambda context, workers: TrainedOnce(context))
    monkeypatch.setattr(launch, "LaunchOptions", in_process)


ONE_EPOCH = ("--trials", "2", "--workers", "1", "--set", "training.epochs=1", "--no-report")


@pytest.mark.usefixtures("store_at_hand", "trained_once")
def test_a_sweep_in_a_pipe_prints_one_plain_line_for_each_trial(command: Run, small_npz: Path) -> None:
    Path("small.toml").write_text(SMALL)
    code, out, err = command("sweep", "small.toml", *ONE_EPOCH, "--data", str(small_npz))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if "[1/2]" in line or "[2/2]" in line] == ["trial-000", "trial-001"]
    assert "\x1b" not in out
    (best,) = (line for line in lines if line.startswith("best run: "))
    assert best.startswith(("best run: trial-000, id ", "best run: trial-001, id "))
    for hint in ("mnist-search ui", "mnist-search runs small", "mnist-search sweep --resume small --trials 4"):
        assert any(line.endswith(hint) for line in lines)


BAD_SWEEPS = {
    "unknown key": (["--set", "epochs=3"], ["epochs: unknown key"]),
    "unknown setting": (["--set", "training.epoch=3"], ["training.epoch: unknown key", "did you mean 'epochs'?"]),
    "unknown parameter": (["--set", "space.hiden_size=[8]"], ["space.hiden_size", "did you mean 'hidden_size'?"]),
    "wrong type": (["--set", "training.epochs=ten"], ["training.epochs", "expected an integer", "'ten'"]),
    "low above high": (["--set", "space.hidden_size.low=99"], ["space.hidden_size", "low below high", "low = 99"]),
    "log from 0": (["--set", "space.learning_rate.low=0"], ["space.learning_rate", "low above 0", "log"]),
    "grid without values": (["--set", "sampler=grid"], ["space.hidden_size", "a grid needs values", "list them"]),
    "no trials": (["--set", "trials=0"], ["trials: expected how many points"]),
    "no trials by option": (["--trials", "0"], ["--trials: expected 1 or more, received 0"]),
    "unknown sampler": (["--set", "sampler=tpee"], ["no sampler 'tpee'", "did you mean 'tpe'?"]),
    "time without a unit that is known": (["--timeout", "10x"], ["--timeout", "10m", "'10x'"]),
    "negative workers": (["--workers", "-1"], ["workers: expected 1 or more, or 0", "received -1"]),
    "no such data": (["--data", "nowhere"], ["nowhere: no such file or folder"]),
    "a folder without MNIST": (["--data", "."], ["no MNIST in this folder", "train-images-idx3-ubyte"]),
    "override without a value": (["--set", "trials"], ["--set: expected key=value", "'trials'"]),
}


@pytest.mark.parametrize(("words", "wanted"), BAD_SWEEPS.values(), ids=BAD_SWEEPS.keys())
def test_a_mistake_is_one_clear_line_exit_code_2_and_nothing_recorded(
    command: Run, words: list[str], wanted: list[str]
) -> None:
    Path("small.toml").write_text(SMALL)
    code, out, err = command("sweep", "small.toml", *words)
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("mnist-search: ")
    for part in wanted:
        assert part in line
    assert not Path("mlruns").exists()


BAD_WORDS = {
    "unknown file": (["sweep", "bayesan"], ["bayesan: no such sweep file", "did you mean 'bayesian'?"]),
    "neither file nor resume": (["sweep"], ["expected either FILE_OR_NAME or --resume"]),
    "both file and resume": (["sweep", "quick", "--resume", "quick"], ["expected either FILE_OR_NAME or --resume"]),
    "resume without a store": (["sweep", "--resume", "quick"], ["no store there yet"]),
    "runs without a store": (["runs", "quick"], ["no store there yet"]),
    "address without ray": (["sweep", "quick", "--address", "auto"], ["--address: expected executor = 'ray' with it"]),
    "max-workers below 0": (["sweep", "quick", "--max-workers", "-1"], ["workers: expected 1 or more"]),
    "ui without a store": (["ui"], ["no store there yet"]),
}


@pytest.mark.parametrize(("words", "wanted"), BAD_WORDS.values(), ids=BAD_WORDS.keys())
def test_wrong_arguments_are_one_clear_line_too(command: Run, words: list[str], wanted: list[str]) -> None:
    code, _, err = command(*words)
    assert code == 2
    (line,) = err.splitlines()
    for part in wanted:
        assert part in line


def test_an_unknown_sweep_is_one_clear_line(command: Run, finished_uri: str) -> None:
    code, _, err = command("runs", "smal")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "did you mean 'small'?" in err


def test_an_unreachable_server_is_one_clear_line(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    for words in (["sweep", "quick"], ["runs", "quick"], ["sweeps"], ["sweep", "--resume", "quick"], ["ui"]):
        code, _, err = command(*words)
        assert code == 2
        assert len(err.splitlines()) == 1
        assert f"http://127.0.0.1:{port}: no tracking server answers there" in err


def test_a_taken_port_is_named_with_the_option_to_change_it(command: Run, finished_uri: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        code, _, err = command("ui", "--port", str(port))
    assert code == 2
    assert f"port {port} is taken" in err
    assert "--port" in err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2m ", 120), ("0.5s", 0.5)]
)
def test_durations_are_read_as_written(text: str, seconds: float) -> None:
    assert parse_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-5s", "0", "0m", "1e3", "nan"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="--timeout: expected a time such as 90s, 10m or 2h"):
        parse_duration(text, "--timeout")


@pytest.mark.usefixtures("store_at_hand")
def test_a_reader_that_leaves_early_does_not_end_the_sweep(small_npz: Path, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    sweep = subprocess.Popen(
        [sys.executable, "-m", "experiments", "sweep", "small.toml", *ONE_EPOCH, "--data", str(small_npz)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert sweep.stdout is not None
    assert sweep.stderr is not None
    lines = [sweep.stdout.readline()]
    while lines[-1] and "[1/2]" not in lines[-1]:
        lines.append(sweep.stdout.readline())
    sweep.stdout.close()
    assert lines[-1].startswith("trial-000 ")
    assert "\x1b" not in "".join(lines)
    errors = sweep.stderr.read()
    sweep.stderr.close()
    assert (sweep.wait(), errors) == (0, "")
    store = open_store(tracking_uri())
    runs = read_runs(store, find_sweep(store, "small"))
    assert [run.state for run in runs] == [TrialState.COMPLETE] * 2


def full_disk(model: object, folder: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("store_at_hand")
def test_a_sweep_without_a_complete_trial_ends_with_exit_code_1(
    command: Run, small_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("small.toml").write_text(SMALL)
    monkeypatch.setattr(launch, "save_model", full_disk)
    in_process = functools.partial(launch.LaunchOptions, executor=lambda context, workers: InProcessExecutor(context))
    monkeypatch.setattr(launch, "LaunchOptions", in_process)
    code, out, err = command("sweep", "small.toml", "--data", str(small_npz), "--trials", "1", "--no-report")
    assert (code, err) == (1, "")
    assert "No space left on device" in out
    assert "no trial completed" in out
    assert "try again:   mnist-search sweep --resume small" in out


@pytest.mark.usefixtures("mixed_sweep", "store_at_hand", "trained_once")  # its trials are trained once for both
def test_a_failure_that_resuming_would_not_try_again_is_not_offered_for_it(command: Run, whole_npz: Path) -> None:
    Path("mixed.toml").write_text(MIXED)
    code, out, _ = command("sweep", "mixed.toml", "--data", str(whole_npz), "--no-report")
    assert code == 0
    assert "trial-003  failed" in out
    assert "try again" not in out


@pytest.mark.usefixtures("store_at_hand")
@pytest.mark.parametrize("calls", [True, False])
def test_workers_import_a_script_unless_it_is_the_command(calls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ModuleType("__main__")
    script.__file__, script.main = "/bin/script", main if calls else None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "__main__", script)
    monkeypatch.setattr(sys, "argv", ["mnist-search", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert ("init_main_from_path" in get_preparation_data("worker")) is not calls


def test_a_script_without_a_main_guard_ends_with_an_error_that_names_it(small_npz: Path, tmp_path: Path) -> None:
    call = f"run_sweep(parse_spec({SMALL!r}), LaunchOptions(data={str(small_npz)!r}, workers=1))"
    (tmp_path / "script.py").write_text(f"from experiments import LaunchOptions, parse_spec, run_sweep\n{call}\n")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WorkerError: no worker process could start" in done.stderr
    assert 'if __name__ == "__main__"' in done.stderr


def test_a_narrow_terminal_wraps_tables_but_cuts_nothing(
    command: Run, finished_sweep: SweepResult, finished_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = command("runs", "small")[1].splitlines()
    monkeypatch.setattr(console, "FILE_WIDTH", 40)
    assert [line.rstrip() for line in command("runs", "small")[1].splitlines()] == [line.rstrip() for line in wide]
