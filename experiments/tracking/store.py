"""The MLflow store: its address, the connection to it, its locks, and its errors in one line."""

from __future__ import annotations

import os
import re
import socket
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from experiments.tracking.new_database import create_database
from experiments.tracking.redaction import redact, redact_of
from experiments.tracking.server_check import check_access, check_server
from mnist_core.errors import MissingLibraryError, MnistSearchError, NotFoundError, StoreError
from mnist_core.runtime import imports_without

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

EXPERIMENT = "mnist-search"
# The UI shows its pages for training runs.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
SQLITE = "sqlite:///"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
# Packages that MLflow needs for some stores only, by the module that is imported: drivers, and signatures for AWS.
PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "pymysql",
    "pyodbc": "pyodbc",
    "pymssql": "pymssql",
    "boto3": "boto3",
    "requests_auth_aws_sigv4": "requests-auth-aws-sigv4",
}
# Of the errors of MLflow, and of the libraries by which it reaches databases, servers and object stores.
ERROR_PACKAGES = {
    *("mlflow", "sqlalchemy", "alembic", "sqlite3", "requests", "urllib3"),
    *("boto3", "botocore", "s3transfer", "azure", "google"),
}


@dataclass(frozen=True, repr=False)
class Store:
    """An open store.

    Args:
        uri: MLflow tracking URI.
        client: connected to it.
        experiment_id: of the experiment that holds all sweeps.
    """

    uri: str
    client: MlflowClient
    experiment_id: str

    def __repr__(self) -> str:
        return f"<Store {self.shown!r}>"

    @property
    def shown(self) -> str:
        """The URI without credentials, for messages."""
        return redact(self.uri)

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn errors of MLflow and of the libraries beneath it into a StoreError.

        Args:
            doing: the operation, as the message names it.
        """
        with _store_errors(self.uri, doing):
            yield

    @property
    def is_embedded(self) -> bool:
        """True if its database is a file that this process opens itself."""
        return database_of(self.uri) is not None

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold the lock on the registry of an embedded store, among processes of this machine."""
        with _file_lock(database_of(self.uri), ".registry.lock"):
            yield

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Hold the lock on names of sweeps of an embedded store, among processes of this machine."""
        with _file_lock(database_of(self.uri), ".names.lock"):
            yield

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Make this MLflow's default store while the block runs.

        MLflow's SQL registry looks logged models up in the default store, whichever store the registry is in.
        """
        import mlflow

        previous = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None  # type: ignore[no-untyped-call]
        environment = os.environ.get(URI_VARIABLE)
        mlflow.set_tracking_uri(self.uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(previous)  # type: ignore[arg-type]  # None unsets it
            # MLflow also sets the environment variable.
            os.environ.pop(URI_VARIABLE, None)
            if environment is not None:
                os.environ[URI_VARIABLE] = environment


def tracking_uri(uri: str | None = None) -> str:
    """The given URI, else ``MLFLOW_TRACKING_URI``, else ``mlruns/mlflow.db`` in the working directory.

    Raises:
        StoreError: it is of a kind that cannot be used.
    """
    uri = uri or os.environ.get(URI_VARIABLE) or f"{SQLITE}{Path('mlruns/mlflow.db').absolute()}"
    if uri.startswith("file:") or ("://" not in uri and not uri.startswith("databricks")):
        raise StoreError(
            f"{redact(uri)}: MLflow's file store is deprecated; expected a server (http://…) or {SQLITE}path/mlflow.db"
        )
    if database_of(uri) and (odd := set("?#%") & set(uri)):
        raise StoreError(
            f"{redact(uri)}: a database's path cannot hold {' '.join(sorted(odd))}; set MLFLOW_TRACKING_URI to another"
        )
    return uri


def database_of(uri: str) -> Path | None:
    """The file of an embedded store; None for another. The URI may name SQLite's driver: ``sqlite+pysqlite:///``."""
    match = re.match(r"sqlite(\+\w+)?:///(?P<path>.+)", uri)
    return Path(match["path"]).absolute() if match else None


def open_store(uri: str, create: bool = False) -> Store:
    """Connect to a store.

    Args:
        uri: MLflow tracking URI.
        create: create the SQLite file and the experiment where they are missing.

    Raises:
        StoreError: it cannot be reached or read, or its experiment was deleted.
        MissingLibraryError: it is a database whose driver is not installed.
        NotFoundError: it holds no sweeps, and ``create`` is off.
    """
    check_server(uri)
    database = database_of(uri)
    if database and not create and not database.exists():
        raise NotFoundError(f"{database}: no store there yet; run a sweep first (mnist-search sweep quick)")
    set_mlflow_defaults()
    with _store_errors(uri, "opening the store"):
        if database and create:
            database.parent.mkdir(parents=True, exist_ok=True)
        from mlflow import MlflowClient

        check_access(uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        # MLflow fails where two processes create the same new database.
        with _file_lock(database, ".lock"):
            if database and not database.exists():
                create_database(database)
            client = MlflowClient(uri)
            experiment = client.get_experiment_by_name(name)
            if experiment is not None:
                _check_active(uri, experiment)
                return Store(uri, client, experiment.experiment_id)
            if not create:
                raise NotFoundError(
                    f"{redact(uri)}: no sweeps in experiment {name!r} yet; run one (mnist-search sweep quick)"
                )
            place = (database.parent / "artifacts").as_uri() if database else None
            return Store(uri, client, _create_experiment(client, name, place))


def _create_experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Create the experiment, or find it where another process has just created it; its id."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(name, artifact_location=artifacts, tags=EXPERIMENT_TAGS))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
            raise
        return str(found.experiment_id)


def _check_active(uri: str, experiment: Experiment) -> None:
    """Check that an experiment was not deleted: MLflow can neither write to it nor create it again under its name.

    Raises:
        StoreError: it was deleted.
    """
    if experiment.lifecycle_stage != "active":
        place = redact(uri)
        raise StoreError(
            f"{place}: experiment {experiment.name!r} was deleted; restore it by {URI_VARIABLE}={place} mlflow "
            f"experiments restore --experiment-id {experiment.experiment_id}, or name another in MLFLOW_EXPERIMENT_NAME"
        )


@contextmanager
def _file_lock(database: Path | None, name: str) -> Iterator[None]:
    """Hold a lock file beside the database, if that is a file in a writable folder."""
    if database is None or not os.access(database.parent, os.W_OK):
        yield
        return
    with FileLock(database.parent / name):
        yield


def set_mlflow_defaults() -> None:
    """Set environment variables of MLflow that the user has not set; call it before MLflow is imported.

    MLflow would retry for minutes without a message, draw progress bars for files of a kilobyte, and warn about
    signatures that are stated here and not inferred.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    # It would be printed for each run that ends, with the credentials of the server.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def import_mlflow_without_pandas() -> None:
    """Import MLflow as where pandas and PyArrow are not installed: it needs neither for a registry.

    Measured: a process has 68 MB less. MLflow has no data sets of pandas in it then, so this is for a command that does
    nothing else with its process. Nothing changes where MLflow is imported already.
    """
    set_mlflow_defaults()
    if "mlflow" in sys.modules:
        return
    with imports_without(("pandas", "pyarrow")):
        import mlflow  # noqa: F401


@contextmanager
def _store_errors(uri: str, doing: str) -> Iterator[None]:
    try:
        yield
    except MnistSearchError:
        raise
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise MissingLibraryError(
            f"{redact(uri)}: {doing}: needs the library {error.name}, not installed here: pip install "
            f"'{PACKAGES[error.name]}'"
        ) from error
    except Exception as error:
        if not _is_store_error(error):
            raise
        text = redact_of(str(error).strip().split("\n")[0], uri)
        if "out-of-date database schema" in text:
            text = (
                "written by another version of MLflow. If that was an older one, back it up and run "
                f"'mlflow db upgrade {redact(uri)}'; if it was a newer one, install that"
            )
        raise StoreError(f"{redact(uri)}: {doing}: {text or type(error).__name__}") from error


def _is_store_error(error: Exception) -> bool:
    roots = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return isinstance(error, OSError) or not roots.isdisjoint(ERROR_PACKAGES) or _is_of_a_setting(error)


def _is_of_a_setting(error: Exception) -> bool:
    """True if MLflow cannot read one of its environment variables, which it names: a bare ValueError."""
    innermost = deque(traceback.walk_tb(error.__traceback__), maxlen=1)
    return any(frame.f_globals.get("__name__") == "mlflow.environment_variables" for frame, _ in innermost)


def serve_ui(uri: str, port: int) -> None:
    """Replace this process by an MLflow server on 127.0.0.1; for a store on a server, print the address of its UI.

    Raises:
        StoreError: there is no store yet, or the port is taken.
    """
    if uri.startswith(("http://", "https://")):
        check_server(uri)
        print(f"The tracking server has its own UI: {redact(uri)}")
        return
    open_store(uri)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise StoreError(f"port {port} is taken ({error.strerror}); choose another with --port") from error
    print(f"MLflow UI: http://127.0.0.1:{port} (starts in some seconds; Ctrl-C ends it)", flush=True)
    # One user needs one worker and no job runners; the libraries' warnings are for their developers.
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    # Stated, since MLflow's default list also accepts look-alikes of these hosts.
    hosts = f"localhost:{port},127.0.0.1:{port}"
    # Arguments of a process can be read by all users of the machine, its environment cannot.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    network = ["--host", "127.0.0.1", "--port", str(port), "--allowed-hosts", hosts]
    os.execv(sys.executable, [*command, *network, "--uvicorn-opts", "--log-level warning"])
