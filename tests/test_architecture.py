"""Tests of the structure: directions of imports, names, docstrings, and the modules that quick commands load."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
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
# Packages that may import a library; others are free.
LIBRARIES = {
    "tensorflow": {"mnist_core"},
    "keras": {"mnist_core"},
    "optuna": {"search", "experiments"},  # for the plots of the report
    "keras_tuner": {"search"},
    "mlflow": {"experiments"},
    "matplotlib": {"mnist_core", "experiments"},
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


# Within a package, a folder or file may import what stands in its own row or above it. Files that are named nowhere are
# leaves: they import none of these.
LAYERS = {
    "mnist_core": (("data",), ("classification", "models"), ("training",), ("interpretation",)),
    "experiments": (
        ("tracking",),
        ("ranking",),
        ("selection",),
        ("ranked_runs", "result_tables"),
        ("candidates", "ensembling", "evaluation", "explanation", "reproduction"),
        ("registry", "reporting", "sweep_result"),
        ("comparison", "launch"),
        ("confirmation",),  # launches a sweep
        ("api",),
        ("cli",),
    ),
}
# Neither imports the other.
STRANGERS = ({"training", "interpretation"},)
EXCEPTIONS = {
    # The values of a model build it, and import the factory, which brings TensorFlow, only then.
    ("mnist_core/hyperparameters.py", "models"),
}
# Of `experiments`, modules that only start the program or list its names.
ENTRANCES = {"__init__", "__main__"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a file that are executed: all but the blocks below ``if TYPE_CHECKING``."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from running(child)


def imported_modules(path: Path) -> set[str]:
    """Dotted names of all that a file imports when it runs, inside functions as well; types aside."""
    found = set()
    for node in running(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def roots(modules: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


FILES = [(package, path) for package in PACKAGES for path in sorted((ROOT / package).glob("**/*.py"))]
IDS = [path.relative_to(ROOT).as_posix() for _, path in FILES]


def test_no_import_is_relative() -> None:
    """The tests below read dotted names."""
    relative = [
        name
        for (_, path), name in zip(FILES, IDS, strict=True)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


@pytest.mark.parametrize(("package", "path"), FILES, ids=IDS)
def test_imports_run_one_way(package: str, path: Path) -> None:
    found = roots(imported_modules(path))
    assert found & set(PACKAGES) <= MAY_IMPORT[package] | {package}
    assert {root for root in found & set(LIBRARIES) if package not in LIBRARIES[root]} == set()


def part_of(package: str, path: Path) -> str:
    """The folder or the file of a package that a module belongs to."""
    return path.relative_to(ROOT / package).parts[0].removesuffix(".py")


def layer_of(package: str, part: str) -> int | None:
    return next((number for number, names in enumerate(LAYERS[package]) if part in names), None)


@pytest.mark.parametrize(
    ("package", "path"),
    [(package, path) for package, path in FILES if package in LAYERS],
    ids=[name for (package, _), name in zip(FILES, IDS, strict=True) if package in LAYERS],
)
def test_layers_import_no_higher_layer(package: str, path: Path) -> None:
    own = part_of(package, path)
    if own in ENTRANCES:
        return
    layer = layer_of(package, own)
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith(f"{package}.")} - {own}
    higher = {
        part
        for part in parts
        if (other := layer_of(package, part)) is not None
        and (layer is None or other > layer or any({own, part} <= pair for pair in STRANGERS))
    }
    assert {part for part in higher if (path.relative_to(ROOT).as_posix(), part) not in EXCEPTIONS} == set()


def test_every_layer_exists() -> None:
    parts = {package: {part_of(package, path) for one, path in FILES if one == package} for package in LAYERS}
    missing = {name for package, rows in LAYERS.items() for row in rows for name in row if name not in parts[package]}
    assert missing == set()


def test_only_the_command_line_imports_rich_and_typer() -> None:
    users = {
        name for (_, path), name in zip(FILES, IDS, strict=True) if roots(imported_modules(path)) & {"rich", "typer"}
    }
    assert users
    assert {name for name in users if not name.startswith("experiments/cli/")} == set()


def test_only_searchers_and_the_plots_of_studies_import_optuna() -> None:
    users = {name for (_, path), name in zip(FILES, IDS, strict=True) if "optuna" in roots(imported_modules(path))}
    assert {name for name in users if not name.startswith("search/")} == {"experiments/reporting/optuna_plots.py"}


def public_calls() -> set[str]:
    """Public functions of ``experiments``, by the list that the package gives."""
    import experiments

    return {name for name in experiments.__all__ if name[0].islower()}


def test_no_submodule_of_experiments_has_the_name_of_a_public_call() -> None:
    assert public_calls()
    assert {part_of(package, path) for package, path in FILES if package == "experiments"} & public_calls() == set()


DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

SHARED_NAMES: dict[str, str] = {}
"""Public names that several modules define, each with the reason."""


def public_definitions() -> dict[str, set[str]]:
    """Files by the name of each public class or function that they define at their top level."""
    found: dict[str, set[str]] = {}
    for (_, path), name in zip(FILES, IDS, strict=True):
        for node in parsed(path).body:
            if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(name)
    return found


def test_no_two_public_classes_or_functions_share_a_name() -> None:
    """Apart from a command, its call and the function below it, which are one operation on three levels."""
    shared = {
        name: sorted(files)
        for name, files in public_definitions().items()
        if len(files) > 1 and not (name in public_calls() and all(file.startswith("experiments/") for file in files))
    }
    assert {name: files for name, files in shared.items() if name not in SHARED_NAMES} == {}
    assert set(SHARED_NAMES) <= set(shared)


FORBIDDEN_OPENINGS = re.compile(r"(What|How|Which|Whether|Who|Where|Let|See that|Take in)\b")


ALL_FILES = sorted(
    path for folder in (*PACKAGES, "tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_begin_with_a_noun_phrase_or_an_imperative(path: Path) -> None:
    """Those of modules, classes and functions, and the texts below constants and fields."""
    texts = [
        node.value.value.strip()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert [text.splitlines()[0] for text in texts if FORBIDDEN_OPENINGS.match(text)] == []


# A factor of the longest time, for example, is no limit.
NAMES_OF_LIMITS = re.compile(r"_?(MOST|LEAST|LONGEST|SHORTEST|LARGEST|SMALLEST)_(?!\w*FACTOR$)")


def test_limits_are_named_min_and_max() -> None:
    names = {
        (name, node.id)
        for (_, path), name in zip(FILES, IDS, strict=True)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Name) and NAMES_OF_LIMITS.match(node.id)
    }
    assert names == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_ships_its_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    data = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    assert "py.typed" in data["*"]


def test_the_test_set_is_read_by_the_evaluation_alone_and_its_unlabelled_images_by_the_check_of_exports() -> None:
    readers = {
        name
        for (_, path), name in zip(FILES, IDS, strict=True)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr == "load_test"
    }
    assert readers == {"experiments/evaluation.py", "experiments/registry/version_export.py"}
    assert "load_test().images" in (ROOT / "experiments" / "registry" / "version_export.py").read_text()


def loaded_after(statements: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after the statements."""
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


def test_a_command_ends_without_a_last_search_for_garbage() -> None:
    """It would take most of a second after MLflow was imported. Exit functions run in the reverse order."""
    first = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 10_000))"
    code = f"{first}\n{COMMAND.format(arguments=['--help'])}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


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


def test_a_test_bears_its_group_where_groups_are_handed_to_processes(request: pytest.FixtureRequest) -> None:
    grouped = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@tests/test_architecture.py") == grouped
