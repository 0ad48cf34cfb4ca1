"""All errors that a user can cause or meet, in one tree.

    MnistSearchError
    ├── DataError (ValueError)             a data set is missing, unreadable, truncated or altered
    ├── ParameterError (ValueError)        a hyperparameter or training setting is out of its range
    ├── SpecError (ValueError)             a sweep file or an option asks for something that cannot be run
    ├── ModelError (ValueError)            a saved model is missing, altered, or cannot be loaded
    ├── PictureError (ValueError)          a picture is broken, too large, or of a format that is not read
    ├── MissingLibraryError (ImportError)  a library that only some commands need is not installed
    ├── NonFiniteError (ArithmeticError)   a loss or a weight became infinite or not a number
    ├── NotFoundError (LookupError)        no sweep or run of that name
    ├── SweepInUseError (RuntimeError)     another process is driving this sweep
    ├── WorkerError (RuntimeError)         worker processes cannot be started
    └── StoreError (RuntimeError)          the tracking store cannot be reached, read or written

Each message names the argument or file, the expected and the received value, and a remedy. The command
line prints it as one line and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MnistSearchError(Exception):
    """Base of all errors of this project."""


class DataError(MnistSearchError, ValueError):
    """A data set is missing, unreadable, truncated or altered."""


class ParameterError(MnistSearchError, ValueError):
    """A hyperparameter or training setting is out of its range."""


class SpecError(MnistSearchError, ValueError):
    """A sweep file or an option asks for something that cannot be run."""


class ModelError(MnistSearchError, ValueError):
    """A saved model is missing, altered, or cannot be loaded."""


class PictureError(MnistSearchError, ValueError):
    """A picture is broken, too large, or of a format that is not read."""


class MissingLibraryError(MnistSearchError, ImportError):
    """A library that only some commands need is not installed."""


class NonFiniteError(MnistSearchError, ArithmeticError):
    """A loss or a weight became infinite or not a number during training."""


class NotFoundError(MnistSearchError, LookupError):
    """No sweep or run of that name in the store."""


class SweepInUseError(MnistSearchError, RuntimeError):
    """Another process is driving this sweep."""


class WorkerError(MnistSearchError, RuntimeError):
    """Worker processes cannot be started."""


class StoreError(MnistSearchError, RuntimeError):
    """The tracking store cannot be reached, read or written."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: `` (did you mean 'x'?)`` for the nearest known word, or the list of known words."""
    known = sorted(known)
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {nearest[0]!r}?)" if nearest else f" (known: {', '.join(known)})"
