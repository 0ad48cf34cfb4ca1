"""The direction of imports, and what the quick commands may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("mnist_core", "search", "serving", "experiments")
MAY_IMPORT = {
    "mnist_core": set(),
    "search": {"mnist_core"},
    "serving": {"mnist_core"},
    "experiments": {"mnist_core", "search", "serving"},
}
# Libraries that belong to one room.
AT_HOME = {
    "tensorflow": {"mnist_core"},
    "keras": {"mnist_core"},
    "optuna": {"search", "experiments"},  # whose report draws with it
    "keras_tuner": {"search"},
    "mlflow": {"experiments"},
    "matplotlib": {"mnist_core", "search", "experiments"},
    "jinja2": {"experiments"},
    "ai_edge_litert": {"mnist_core"},
    "onnxruntime": {"mnist_core"},
    "fastapi": {"serving"},
    "uvicorn": {"serving"},
    "prometheus_client": {"serving"},
    "PIL": {"serving"},
    "typer": {"experiments"},
    "rich": {"experiments"},
}


def imported_roots(path: Path) -> set[str]:
    """First names of all that a file imports when it runs, however deep inside it; types aside."""
    return {name.partition(".")[0] for node in running(ast.parse(path.read_text())) for name in names(node)}


def running(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from running(child)


def names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return []


FILES = [(package, path) for package in PACKAGES for path in sorted((ROOT / package).glob("**/*.py"))]


@pytest.mark.parametrize(("package", "path"), FILES, ids=[f"{package}/{path.name}" for package, path in FILES])
def test_imports_run_one_way(package: str, path: Path) -> None:
    roots = imported_roots(path)
    assert roots & set(PACKAGES) <= MAY_IMPORT[package] | {package}
    assert {root for root in roots & set(AT_HOME) if package not in AT_HOME[root]} == set()


def test_the_test_set_is_read_by_the_evaluation_alone_and_its_unlabelled_images_by_the_check_of_exports() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for package, path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "load_test"
    }
    assert readers == {"experiments/evaluation.py", "experiments/registry/version_export.py"}
    assert "load_test().images" in (ROOT / "experiments" / "registry" / "version_export.py").read_text()


def loaded_after(statements: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after the statements."""
    code = f"{statements}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


COMMAND = """
import sys
from experiments.cli.main import main
sys.argv = ["mnist-search", *{arguments!r}]
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (["--help"], {"tensorflow", "keras", "mlflow", "optuna", "numpy"}),
        (["sweep", "--help"], {"tensorflow", "keras", "mlflow", "optuna", "numpy"}),
        (["serve", "--help"], {"tensorflow", "keras", "mlflow", "fastapi", "numpy"}),
        (["sweeps"], {"tensorflow", "keras"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_and_lists_load_nothing_heavy(arguments: list[str], forbidden: set[str]) -> None:
    assert loaded_after(COMMAND.format(arguments=arguments)) & forbidden == set()


def test_the_data_command_loads_no_tensorflow(small_npz: Path) -> None:
    arguments = ["data", "--data", str(small_npz)]
    assert not loaded_after(COMMAND.format(arguments=arguments)) & {"tensorflow", "keras", "mlflow"}


def test_the_driver_of_an_optuna_sweep_loads_no_tensorflow() -> None:
    statements = """
import experiments.launch
from search.searchers.factory import make_searcher
from search.spec_file import parse_spec
make_searcher(parse_spec("name = 'x'\\ntrials = 1\\n[space]\\ndropout = [0.0, 0.1]")).ask()
"""
    loaded = loaded_after(statements)
    assert "optuna" in loaded
    assert not loaded & {"tensorflow", "keras", "keras_tuner"}
