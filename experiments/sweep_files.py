"""Sweep files: those that ship, by name, and those of the user."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_core.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from search.spec import SweepSpec

SHIPPED = Path(__file__).parent / "sweeps"


def load_spec(file_or_name: str | Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """Read a sweep file, given by its path or by the name of a shipped one.

    Args:
        file_or_name: a path, or a name such as ``"quick"``.
        overrides: settings that replace those of the file, each as ``key=value`` or ``table.key=value``.

    Raises:
        SpecError: there is no such file, or it is not a valid sweep file.
    """
    # Late: `--help` loads this module, and does not need the checks of a sweep.
    from search import spec_file

    path, shipped = Path(file_or_name), SHIPPED / f"{file_or_name}.toml"
    if path.is_file() or not shipped.is_file():
        if not path.exists():
            known = [path.stem for path in SHIPPED.glob("*.toml")]
            raise SpecError(f"{file_or_name}: no such sweep file{did_you_mean(str(file_or_name), known)}")
        return spec_file.read_spec_file(path, overrides)
    return spec_file.read_spec_file(shipped, overrides)
