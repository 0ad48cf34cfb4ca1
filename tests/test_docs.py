"""The README says what is there: its commands, its words, its sweep file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer.main

from experiments import LaunchOptions, run_sweep
from experiments.cli.main import app
from experiments.sweep_files import SHIPPED
from search.engines import PRUNERS, SAMPLERS
from search.spec_file import parse_spec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def blocks(language: str) -> list[str]:
    """What the README shows in that language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme_and_has_a_help_text(name: str) -> None:
    assert f"mnist-search {name}" in README
    assert COMMANDS[name].help


def test_every_option_has_a_help_text() -> None:
    bare = [
        f"{name} {option.name}" for name, command in COMMANDS.items() for option in command.params if not option.help
    ]
    assert bare == []


def test_every_word_of_make_is_described_in_contributing() -> None:
    words = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {word for word in words if f"make {word}`" not in contributing} == {"help", "clean"}


def test_the_sweep_file_in_the_readme_is_the_one_that_ships() -> None:
    text = next(block for block in blocks("toml") if 'name = "bayesian"' in block)
    assert parse_spec(text) == parse_spec((SHIPPED / "bayesian.toml").read_text())
    assert tomllib.loads(text) == tomllib.loads((SHIPPED / "bayesian.toml").read_text())


def test_the_worked_example_of_an_own_model_works(tmp_path: Path, small_npz: Path) -> None:
    (module,) = (block for block in blocks("python") if "# garments.py" in block)
    (sweep,) = (block for block in blocks("toml") if "# garments.toml" in block)
    (tmp_path / "garments.py").write_text(module, encoding="utf-8")
    spec = parse_spec(sweep, ["trials=1", "training.epochs=1", "training.early_stopping.patience=1"])
    launch = LaunchOptions(data=small_npz, workers=1, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", report=False)
    (run,) = run_sweep(spec, launch).ranked
    assert run.params["function"] == "garments:residual"
    assert 0 < run.value("val_accuracy") < 1


def test_every_sampler_and_pruner_is_in_the_readme() -> None:
    words = {word for known in (SAMPLERS, PRUNERS) for names in known.values() for word in names}
    assert {word for word in words if not re.search(rf"\b{word}\b", README)} == set()


def test_every_picture_and_page_that_the_readme_shows_is_there() -> None:
    targets = re.findall(r"\]\(([^):]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []
