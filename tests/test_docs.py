"""Tests of README and docs: commands are named, examples run, links resolve, docstrings refer to what exists."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import typer.main

from experiments import launch, run_sweep
from experiments.cli.main import app
from experiments.sweep_files import SHIPPED
from experiments.tracking.records import Tag
from experiments.tracking.trial_runs import trial_metrics
from mnist_core.hyperparameters import Augmentation, EarlyStopping, Hyperparameters, TrainingConfig
from search.budget import StopRules
from search.spec import DataSpec, SweepSpec
from search.spec_file import parse_spec
from search.testing.values import result_of
from serving.model_manager import ModelManager
from serving.prometheus import ServiceMetrics
from tests.helpers.served_process import UniformPredictor
from tests.helpers.serving_fakes import FolderModelSource
from tests.helpers.sweeps import TrainedOnce

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PACKAGES = ("mnist_core", "search", "serving", "experiments")
MAX_README_LINES = 180

CODE = re.compile(r"`([a-z_A-Z]+)`")

RUN_ON_SAMPLE = "run on: embedded sample"
RUN_ELSEWHERE = "run by a test of its own"


@dataclass(frozen=True)
class Example:
    """A block of Python in a page.

    Args:
        page: path relative to the root.
        mark: the comment before the block, which says how it is tested; empty where there is none.
        code: its text.
    """

    page: str
    mark: str
    code: str


def blocks(page: str, language: str) -> list[str]:
    """Texts of the blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.S)


def examples() -> list[Example]:
    """All Python blocks of all pages."""
    pattern = r"(?:<!-- ([^>]*) -->\n)?```python\n(.*?)```"
    return [Example(page, mark, code) for page, text in TEXTS.items() for mark, code in re.findall(pattern, text, re.S)]


def test_the_readme_is_short() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= MAX_README_LINES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_described_and_has_a_help_text(name: str) -> None:
    assert f"mnist-search {name}" in TEXTS["docs/commands.md"]
    assert f"`{name}" in TEXTS["README.md"] or f"mnist-search {name}" in TEXTS["README.md"]
    assert COMMANDS[name].help


def test_every_call_in_the_reference_and_the_changelog_exists() -> None:
    import experiments

    calls = re.findall(r"^\| .* \| (.*) \|$", TEXTS["docs/api.md"], re.M)[2:]
    renamed = TEXTS["CHANGELOG.md"].partition("| before | now |")[2].partition("\n\n")[0]
    named = {name for line in [*calls, *re.findall(r"\| ([^|]*) \|$", renamed, re.M)] for name in CODE.findall(line)}
    assert len(named) > len(COMMANDS) / 2
    assert named - set(experiments.__all__) == set()


def test_every_option_has_a_help_text() -> None:
    bare = [
        f"{name} {option.name}" for name, command in COMMANDS.items() for option in command.params if not option.help
    ]
    assert bare == []


def prose(page: str) -> str:
    """The text of a page without its blocks."""
    return re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.M | re.S)


def calls_in_the_pages() -> Iterator[tuple[str, str]]:
    """Command and further words of each call of mnist-search in a block, or in code within a sentence."""
    for page, text in TEXTS.items():
        block_lines = re.findall(r"^mnist-search (\S+)([^#\n]*)", text, re.M)
        yield from [*block_lines, *re.findall(r"`(?:mnist-search )?([a-z]+)( [^`]*--[^`]*)`", prose(page))]


def test_every_option_in_the_pages_exists() -> None:
    found = [(name, option) for name, words in calls_in_the_pages() for option in re.findall(r"--[a-z0-9-]+", words)]
    # `nohup make …` and the like are commands of others.
    ours = [(name, option) for name, option in found if name in COMMANDS]
    assert len({name for name, _ in ours}) > len(COMMANDS) / 2
    known = {
        (name, spelling)
        for name, command in COMMANDS.items()
        for option in command.params
        for spelling in (*option.opts, *option.secondary_opts)
    }
    assert set(ours) - known == set()
    assert {name for name, _ in found} - set(COMMANDS) <= {"uv", "COMMAND", "mlflow"}


def test_every_option_that_stands_alone_in_the_pages_exists() -> None:
    known = {spelling for command in COMMANDS.values() for option in command.params for spelling in option.opts}
    alone = {option for text in TEXTS.values() for option in re.findall(r"`(--[a-z0-9-]+)[^`]*`", text)}
    assert alone
    assert alone - known <= {"--help"}


def test_every_command_is_in_the_table_of_calls() -> None:
    table = TEXTS["docs/api.md"].partition("| command | call |")[2].partition("\n\n")[0]
    named = {code.split()[0] for line in table.splitlines() for code in re.findall(r"`([^`]*)`", line.split(" | ")[0])}
    assert {name for name in COMMANDS if name not in named} == set()


PATH = r"`((?:mnist_core|search|serving|experiments|benchmarks|docs|tests|\.ci)/[\w/.-]*)`"


def test_every_path_of_the_repository_in_the_pages_exists() -> None:
    named = {path for text in TEXTS.values() for path in re.findall(PATH, text)}
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_key_of_a_sweep_file_is_described() -> None:
    tables = (SweepSpec, DataSpec, Hyperparameters, TrainingConfig, Augmentation, EarlyStopping, StopRules)
    # `data = "module:function"` is how the function is written.
    names = {field.name for table in tables for field in fields(table)} - {"function"}
    described = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", prose("docs/sweep-files.md")))))
    assert names - described == set()


def test_every_metric_and_tag_of_a_trial_is_described() -> None:
    names = trial_metrics(result_of(0.5)).keys() | {Tag.STATE, Tag.STOP_REASON, Tag.TRIAL_NUMBER, Tag.ATTEMPT}
    assert {name for name in names if f"`{name}`" not in TEXTS["docs/mlflow.md"]} == set()


def test_every_metric_of_the_service_is_described(tmp_path: Path) -> None:
    manager = ModelManager(FolderModelSource(tmp_path / "models"), lambda file, litert: UniformPredictor())
    names = set(re.findall(r"^# TYPE (mnist_\w+)", ServiceMetrics(manager).render().decode(), re.M))
    names = {name for name in names if not name.endswith("_created")}
    assert names
    assert {name for name in names if f"`{name}`" not in TEXTS["docs/serving.md"]} == set()


def test_every_contract_suite_is_described() -> None:
    suites = {
        node.name
        for path in (ROOT / "search" / "testing").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Contract")
    }
    assert suites
    assert {name for name in suites if f"{name}`" not in TEXTS["docs/custom-searcher.md"]} == set()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_make_names_the_pythons_that_the_pinned_tensorflow_is_built_for(version: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    pretend = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 0); exec(sys.argv[1])"
    python.write_text(
        f"#!/bin/sh\n[ \"$1\" = -V ] && echo 'Python {version}.0' && exit\n"
        f"[ \"$1\" = -c ] && exec '{sys.executable}' -c '{pretend}' \"$2\"\nexit 9\n"
    )
    python.chmod(0o755)
    command = ["make", f"PYTHON={python}", "install"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert f"Python 3.11, 3.12 or 3.13 is needed; {python} is Python {version}.0" in done.stdout
    assert not (tmp_path / ".venv").exists()
    assert "Python 3.11, 3.12 or 3.13" in TEXTS["README.md"]


def test_every_make_target_is_described_in_contributing() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert {name for name in targets if f"make {name}`" not in TEXTS["CONTRIBUTING.md"]} == {"help", "clean"}


def test_every_sampler_and_pruner_is_described() -> None:
    from search.engines import PRUNERS, SAMPLERS

    names = {name for known in (SAMPLERS, PRUNERS) for group in known.values() for name in group}
    assert {name for name in names if f"`{name}`" not in TEXTS["docs/sweep-files.md"]} == set()


@pytest.mark.parametrize("page", TEXTS)
def test_every_relative_link_and_image_exists(page: str) -> None:
    targets = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", TEXTS[page])
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).is_file()] == []


def test_every_page_of_docs_is_in_the_table_of_contents() -> None:
    names = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {name for name in names if f"\n{name}\n" not in TEXTS["docs/index.md"]} == set()


@pytest.mark.parametrize("page", TEXTS)
def test_every_toml_block_parses(page: str) -> None:
    for text in blocks(page, "toml"):
        if "name" in tomllib.loads(text):
            parse_spec(text)


def test_the_sweep_file_in_the_docs_is_the_one_that_ships() -> None:
    text = next(block for block in blocks("docs/sweep-files.md", "toml") if 'name = "bayesian"' in block)
    shipped = (SHIPPED / "bayesian.toml").read_text()
    assert parse_spec(text) == parse_spec(shipped)
    assert tomllib.loads(text) == tomllib.loads(shipped)


def test_every_python_block_says_how_it_is_tested() -> None:
    marks = {example.mark for example in examples()}
    assert marks <= {RUN_ON_SAMPLE, RUN_ELSEWHERE}
    assert RUN_ON_SAMPLE in marks


def run_blocks(page: str, mark: str) -> None:
    """Run the blocks of a page that bear the mark, one after the other in one namespace."""
    module = types.ModuleType("example")
    for example in examples():
        if (example.page, example.mark) == (page, mark):
            exec(compile(example.code, page, "exec"), module.__dict__)


def pages_with(mark: str) -> list[str]:
    """Pages that have a block with the mark."""
    return sorted({example.page for example in examples() if example.mark == mark})


@pytest.mark.usefixtures("store_at_hand")
@pytest.mark.parametrize("page", pages_with(RUN_ON_SAMPLE))
def test_examples_run_on_digits_of_the_sample(page: str, whole_npz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A quarter of the embedded sample, without an attempt to download.
    monkeypatch.setenv("MNIST_DATA", str(whole_npz))
    monkeypatch.setattr(launch, "make_executor", lambda execution, context, *others: TrainedOnce(context))
    run_blocks(page, RUN_ON_SAMPLE)


def test_the_worked_example_of_a_custom_model_works(
    tmp_path: Path, small_npz: Path, new_store: Callable[[], str]
) -> None:
    (module,) = (block for block in blocks("docs/custom-models.md", "python") if "# garments.py" in block)
    (sweep,) = (block for block in blocks("docs/custom-models.md", "toml") if "# garments.toml" in block)
    (tmp_path / "garments.py").write_text(module, encoding="utf-8")
    spec = parse_spec(sweep, ["trials=1", "training.epochs=1", "training.early_stopping.patience=1"])
    (run,) = run_sweep(spec, data=small_npz, workers=1, tracking_uri=new_store(), report=False).ranked
    assert run.params["function"] == "garments:residual"
    assert 0 < run.value("val_accuracy") < 1


def test_the_worked_example_of_a_custom_searcher_passes_the_contract(tmp_path: Path) -> None:
    for code in blocks("docs/custom-searcher.md", "python"):
        name = re.match(r"# (\w+\.py)\n", code)
        assert name
        (tmp_path / name[1]).write_text(code, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout.splitlines()[-1])


BENCHMARK = r"benchmarks/\w+\.py"


def test_every_benchmark_that_is_named_exists() -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    texts = [*TEXTS.values(), *(path.read_text(encoding="utf-8") for path in [*sources, ROOT / "Makefile"])]
    named = {name for text in texts for name in re.findall(BENCHMARK, text)}
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


ROLES = r":(?:class|func|meth|mod|data|attr|exc):`~?([^`<>]+)`"


def references() -> Iterator[tuple[str, str, str]]:
    """File, module and target of each cross-reference in the docstrings and comments of the packages."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            for target in re.findall(ROLES, path.read_text(encoding="utf-8")):
                yield path.relative_to(ROOT).as_posix(), module, target


def members(module: str) -> set[str] | None:
    """Dotted names that a module of the packages defines or imports; None where there is no such module."""
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not source.is_file():
        return None
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def resolves(module: str, target: str) -> bool:
    """True if a target is a module, a name of one, or a name of the module that refers to it."""
    if members(target) is not None:
        return True
    parts = target.split(".")
    if parts[0] not in PACKAGES:
        return parts[0] in (members(module) or set())
    for end in range(len(parts) - 1, 0, -1):
        if (names := members(".".join(parts[:end]))) is not None:
            return all(part in names for part in parts[end:])
    return False


def test_every_reference_in_a_docstring_resolves() -> None:
    found = list(references())
    assert found
    assert [(path, target) for path, module, target in found if not resolves(module, target)] == []
