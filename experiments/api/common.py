"""Types, defaults and conversions that all calls share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from mnist_core.errors import MnistSearchError, SpecError
from mnist_core.messages import OnMessage

if TYPE_CHECKING:
    from experiments.api.results import EnsembleResult, RunEvaluation, RunList, SweepSelection
    from experiments.candidates import Candidate
    from experiments.explanation import RunExplanation
    from experiments.registry.promotion import Promotion
    from experiments.reproduction import Reproduction
    from experiments.sweep_result import SweepResult
    from experiments.tracking.records import RunRecord, SweepRecord, VersionRecord
    from mnist_core.data.sources import DataSource

    SweepTarget: TypeAlias = str | SweepRecord | SweepResult | RunList | SweepSelection
    RunTarget: TypeAlias = (
        str
        | RunRecord
        | VersionRecord
        | SweepResult
        | SweepSelection
        | Candidate
        | RunEvaluation
        | RunExplanation
        | Reproduction
        | Promotion
        | EnsembleResult
    )

Named = TypeVar("Named", bound=Enum)


def enum_member(kind: type[Named], value: Named | str, argument: str) -> Named:
    """The member of an enum that a value is or names.

    Raises:
        SpecError: there is none of that name.
    """
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise SpecError(f"{argument}: expected one of {known}, received {value!r}") from None


def find_source(data: str | Path | None, tags: Mapping[str, str] | None, on_message: OnMessage) -> DataSource:
    """The named data, else that of the recorded sweep or run, else what is found."""
    from experiments.tracking.datasets import locate

    return locate(Path(data) if data is not None else None, on_message, tags)


@contextmanager
def writing_to(option: str, path: Path) -> Iterator[None]:
    """Turn an error of the system about a file or folder that the user named into a SpecError.

    Args:
        option: that names it, such as ``--out``.
        path: as given by the user.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, MnistSearchError):
            raise
        within = f" at {error.filename}" if error.filename and str(error.filename) != str(path) else ""
        raise SpecError(
            f"{option} {path}: cannot be written{within} ({error.strerror or error}); choose another place"
        ) from error
