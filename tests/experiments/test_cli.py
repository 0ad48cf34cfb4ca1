"""The commands as a user meets them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sweeps import SMALL

from experiments import SweepResult, cli
from mnist_core.errors import SpecError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs mnist-search with the given words; its exit code, output and errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnist-search", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_runs_are_listed_best_first_with_each_searched_parameter(
    command: Run, swept: SweepResult, swept_uri: str
) -> None:
    code, out, _ = command("runs", "small")
    assert code == 0
    header, *rows = out.splitlines()
    assert header.split()[:5] == ["rank", "run", "state", "hidden_size", "learning_rate"]
    assert header.split()[5:] == ["best", "epoch", "val", "accuracy", "val", "loss", "seconds"]
    assert [row.split()[1] for row in rows if row.split()[0] == "1"] == [swept.best.name if swept.best else None]
    assert len(rows) == 4
    assert f"{swept.ranked[0].best('val_accuracy'):.4f}" in rows[0]


def test_a_sweep_may_be_named_by_the_start_of_its_run_id(command: Run, swept: SweepResult, swept_uri: str) -> None:
    assert command("runs", swept.sweep.run_id[:8])[:2] == command("runs", "small")[:2]


def test_sweeps_lists_those_that_ship_and_those_in_the_store(command: Run, swept: SweepResult, swept_uri: str) -> None:
    code, out, _ = command("sweeps")
    assert code == 0
    for name in ("bayesian", "grid", "quick"):
        assert f"  {name} " in out
    (row,) = (line for line in out.splitlines() if line.strip().startswith("small"))
    assert {"finished", "optuna", "tpe", "4", swept.sweep.run_id[:8]} <= set(row.split())


def test_sweeps_without_a_store_makes_none(command: Run) -> None:
    code, out, _ = command("sweeps")
    assert code == 0
    assert "none yet" in out
    assert not Path("mlruns").exists()


@pytest.mark.parametrize("words", [["runs", "small"], ["sweeps"]], ids=" ".join)
def test_reading_a_store_loads_no_tensorflow(words: list[str], swept_uri: str) -> None:
    code = (
        "import sys; from experiments.cli import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "finished" in done.stdout or "complete" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_data_shows_what_would_be_used_and_leaves_the_test_set_unread(command: Run, small_npz: Path) -> None:
    code, out, _ = command("data", "--data", str(small_npz))
    assert code == 0
    assert "small (given)" in out
    assert "1,000 images of 28 × 28 pixels" in out
    assert "left unread" in out
    assert "█" in out


def test_a_sweep_in_a_pipe_prints_one_plain_line_for_each_trial(small_npz: Path, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    words = ["sweep", "small.toml", "--trials", "2", "--workers", "1", "--set", "training.epochs=1"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *words, "--data", str(small_npz)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if "[1/2]" in line or "[2/2]" in line] == ["trial-000", "trial-001"]
    assert "\x1b" not in done.stdout
    (best,) = (line for line in lines if line.startswith("best run: "))
    assert best.startswith(("best run: trial-000, id ", "best run: trial-001, id "))
    for words_to_come in ("mnist-search ui", "mnist-search runs small", "mnist-search sweep --resume small --trials 4"):
        assert any(line.endswith(words_to_come) for line in lines)


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
    "negative workers": (["--workers", "-1"], ["workers: expected 1 or more, received -1"]),
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
    "ui without a store": (["ui"], ["no store there yet"]),
}


@pytest.mark.parametrize(("words", "wanted"), BAD_WORDS.values(), ids=BAD_WORDS.keys())
def test_mistaken_words_are_one_clear_line_too(command: Run, words: list[str], wanted: list[str]) -> None:
    code, _, err = command(*words)
    assert code == 2
    (line,) = err.splitlines()
    for part in wanted:
        assert part in line


def test_an_unknown_sweep_is_one_clear_line(command: Run, swept_uri: str) -> None:
    code, _, err = command("runs", "smal")
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "did you mean 'small'?" in err


def test_a_server_that_is_not_there_is_one_clear_line(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    for words in (["sweep", "quick"], ["runs", "quick"], ["sweeps"], ["sweep", "--resume", "quick"], ["ui"]):
        code, _, err = command(*words)
        assert code == 2
        assert len(err.splitlines()) == 1
        assert f"http://127.0.0.1:{port}: no tracking server answers there" in err


def test_a_taken_port_is_named_with_the_way_out(command: Run, swept_uri: str) -> None:
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
    assert cli.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-5s", "0", "0m", "1e3", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="--timeout: expected a time such as 90s, 10m or 2h"):
        cli.parse_duration(text)
