"""The sweeps that ship, by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_core.errors import SpecError, did_you_mean

if TYPE_CHECKING:
    from search.spec import SweepSpec

SHIPPED = Path(__file__).parent / "sweeps"


def load_spec(file_or_name: str | Path, overrides: Iterable[str] = ()) -> SweepSpec:
    """Read a sweep: a TOML file, or one of those that ship by its name.

    Args:
        file_or_name: a path as it is, or ``"quick"``, say.
        overrides: settings that win over the file's, each as ``key=value`` or ``table.key=value``.

    Raises:
        SpecError: there is neither, or it is not a sweep.
    """
    # Late: this module is loaded for `--help`, which has no use for what checks a sweep.
    from search import spec_file

    path, shipped = Path(file_or_name), SHIPPED / f"{file_or_name}.toml"
    if path.is_file() or not shipped.is_file():
        if not path.exists():
            known = [path.stem for path in SHIPPED.glob("*.toml")]
            raise SpecError(f"{file_or_name}: no such sweep file{did_you_mean(str(file_or_name), known)}")
        return spec_file.read_spec_file(path, overrides)
    return spec_file.read_spec_file(shipped, overrides)
