"""The direction of imports between the folders of the package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "mnist_core"
MAY_IMPORT = {
    "data": {"data"},
    "models": {"data", "models"},
    "training": {"data", "models", "training"},
    "interpretation": {"data", "models", "interpretation"},
}


def imported_folders(path: Path) -> set[str]:
    """Folders of the package that a file imports from, also within functions and for type checkers."""
    modules = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[1] for module in modules if module.startswith("mnist_core.")} & set(MAY_IMPORT)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_from_those_below_it(folder: str) -> None:
    files = sorted((PACKAGE / folder).glob("*.py"))
    assert len(files) > 1
    assert {path.name: imported_folders(path) - MAY_IMPORT[folder] for path in files} == {
        path.name: set() for path in files
    }


def test_importing_the_models_folder_imports_nothing_else() -> None:
    tree = ast.parse((PACKAGE / "models" / "__init__.py").read_text())
    assert [type(node) for node in tree.body] == [ast.Expr]
