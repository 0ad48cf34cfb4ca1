"""Configuration of the site. Everything is built from the working tree, without network."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.ext import napoleon
from sphinx.ext.napoleon.docstring import GoogleDocstring

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "mnist-search"
author = "the authors of mnist-search"
copyright = "the authors of mnist-search, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
highlight_language = "none"  # of blocks that name no language
suppress_warnings = ["config.cache"]

html_theme = "furo"
html_title = "mnist-search"
html_copy_source = False
html_show_sphinx = False
# Furo's default fonts are those of the system; nothing is loaded from elsewhere.
html_theme_options = {"navigation_with_keys": True}

autodoc_member_order = "bysource"
# Defaults as they are written in the source, not as their values print.
autodoc_preserve_defaults = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

nitpicky = True
# Without network there is no inventory of other projects: names of the standard library and of other libraries
# cannot be resolved. Of this project's own modules only those on the page are documented.
nitpick_ignore_regex = [
    (r"py:.*", r"(np|npt|numpy|pd|pandas|keras|tensorflow|optuna|mlflow|matplotlib|rich|typer|fastapi)(\..*)?"),
    (r"py:.*", r"(collections|datetime|enum|pathlib|typing|threading|types|contextlib)(\..*)?"),
    # tests/test_docs.py resolves these references, in all docstrings.
    (r"py:.*", r"(mnist_core|search|serving|experiments)\..*"),
    (r"py:(meth|attr)", r"[A-Za-z]+\.[a-z_]+"),
    # Types as they stand in signatures, by their short names.
    (r"py:class", r"[A-Za-z_]+"),
]


MAX_DEFAULT = 30
EMPTY = inspect.Parameter.empty


class ModuleList(Directive):
    """The members of several modules, each under its name: ``.. module-list:: a.b c.d``."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Parse one ``automodule`` for each module."""
        lines: list[str] = []
        for name in self.arguments[0].split():
            lines += [f".. rubric:: {name}", "", f".. automodule:: {name}", "   :members:", ""]
        return self.parse_lines(lines)

    def parse_lines(self, lines: list[str]) -> list[nodes.Node]:
        """Parse reStructuredText."""
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, source="conf.py"), self.content_offset, parent)
        return parent.children


class PublicNames(ModuleList):
    """Everything that a module's ``__all__`` names: ``.. public-names:: experiments``."""

    def run(self) -> list[nodes.Node]:
        """Parse one ``autofunction`` or ``autoclass`` for each name."""
        (name,) = self.arguments
        module = importlib.import_module(name)
        lines = [f".. py:module:: {name}", ""]
        for public in sorted(module.__all__, key=lambda name: (name[0].isupper(), name)):  # calls before classes
            value = getattr(module, public)
            kind = "autoclass" if inspect.isclass(value) else "autofunction" if callable(value) else "autodata"
            lines += [f".. {kind}:: {name}.{public}", ""]
            if kind == "autoclass" and not issubclass(value, BaseException):
                lines[-1:] = ["   :members:", ""]
        return self.parse_lines(lines)


class PlainDocstring(GoogleDocstring):
    """A docstring whose words before a colon are no type, as Napoleon takes them in those of properties."""

    def _consume_inline_attribute(self) -> tuple[str, list[str]]:
        return "", type(self)(list(self._consume_to_end()), self._config).lines()


def skip_constants(app: Sphinx, what: str, name: str, value: object, skip: bool, options: object) -> bool | None:
    """Leave out module-level constants, which would be shown with their values; None leaves the others as they are."""
    return True if what == "module" and not callable(value) else None


def shorten_defaults(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Show ``…`` for long defaults of a dataclass, whose constructor has no source to take them from."""
    if not (inspect.isclass(value) and is_dataclass(value)):
        return None
    parameters = [
        f"{one.name}=…" if len(repr(one.default)) > MAX_DEFAULT else str(one.replace(annotation=EMPTY))
        for one in inspect.signature(value).parameters.values()
    ]
    return f"({', '.join(parameters)})", returns


def setup(app: Sphinx) -> None:
    """Add the two directives, and the two events on what is documented."""
    napoleon.GoogleDocstring = PlainDocstring
    app.connect("autodoc-process-signature", shorten_defaults)
    app.connect("autodoc-skip-member", skip_constants)
    app.add_directive("module-list", ModuleList)
    app.add_directive("public-names", PublicNames)
