"""The connection to a Ray cluster: its address, its token, the code that nodes need, and its nodes."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import ray

from mnist_core.errors import SpecError, WorkerError
from mnist_core.runtime import without_stderr
from search.execution import Execution
from search.executors.local import usable_cores
from search.executors.processes import interrupts_pending
from search.executors.ray_token import TOKEN_HELP, asks_for_token, check_token, other_machines, sends_token

AUTO = "auto"
CONNECT_SECONDS = 3.0
INIT_SECONDS = 16.0
WATCH_SECONDS = 1.0
SILENT_SECONDS = 20.0
SHUTDOWN_SECONDS = 10.0
ATTEMPTS = 5
RAY_UNITS = 10_000
ATTEMPTS_VARIABLE = "RAY_gcs_server_port_wait_time_s"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would end this process a minute after the head is lost, without its records having been closed.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning of Ray; its actors hide GPUs by themselves
}


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Args:
        id: Ray's.
        host: its name.
        address: of its raylet.
        alive: False where it was lost, or has left.
        cpus: cores that Ray may use on it.
        gpus: GPUs that Ray may use on it.
    """

    id: str
    host: str
    address: str
    alive: bool
    cpus: float
    gpus: float

    def room(self, execution: Execution) -> int:
        """Return the number of trials that fit on it at a time, if nobody else uses it."""
        asked = ((self.cpus, execution.cpus_per_trial), (self.gpus, execution.gpus_per_trial))
        # In the units in which Ray counts; 1 // 0.2 is 4.
        units = [(round(there * RAY_UNITS), round(each * RAY_UNITS)) for there, each in asked]
        return min(there // each for there, each in units if each) if self.alive else 0


class Cluster:
    """A connection to a cluster, and a thread that watches its nodes.

    Args:
        owned: True where Ray was started for this sweep, and ends with it.
    """

    def __init__(self, owned: bool) -> None:
        self._owned = owned
        self._nodes = read_nodes()
        self._answered = time.monotonic()
        self._closed = threading.Event()
        # In a thread, since the call does not return where the head is lost.
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes as last seen, those that were lost included.

        Raises:
            WorkerError: the head of the cluster has not answered for ``SILENT_SECONDS``.
        """
        if time.monotonic() - self._answered > SILENT_SECONDS:
            self.refresh()  # this process may have been stopped, and the watching thread with it
        silent = time.monotonic() - self._answered
        if silent > SILENT_SECONDS:
            raise WorkerError(
                f"the head of the Ray cluster has not answered for {silent:.0f} s; start it again, and resume the sweep"
            )
        return self._nodes

    def token_problem(self, node: Node) -> str:
        """Return why a node may not be used: no token is asked for, and it is another machine; else an empty text.

        Where this process asks for a token, workers that have none cannot reach it, also those on this machine.

        Raises:
            WorkerError: the head does not say whether it asks for one.
        """
        is_needed = sends_token() or other_machines([node.address])
        if not is_needed or self._asks_for_token:
            return ""
        return f"everybody who reaches its ports can run programs there, since Ray asks for no token; {TOKEN_HELP}"

    @cached_property
    def _asks_for_token(self) -> bool:
        return asks_for_token(ray.get_runtime_context().gcs_address)

    def refresh(self) -> None:
        """Wait for news of the nodes, at most for two looks."""
        answered, deadline = self._answered, time.monotonic() + 2 * WATCH_SECONDS
        while self._answered == answered and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        """Disconnect; Ray that was started for this sweep ends. Where the head is lost, do not wait for it.

        Ray ends a process whose threads use it while it shuts down: the watching one has ended before, and a signal to
        this one is raised afterwards.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        self._watcher.join(WATCH_SECONDS)
        if self._owned:
            with suppress(OSError):  # Ray on this host has ended already
                _within(SHUTDOWN_SECONDS, ray.shutdown, interruptible=False)

    def _watch(self) -> None:
        while not self._closed.wait(WATCH_SECONDS):
            try:
                self._nodes = read_nodes()
            except Exception:
                continue
            self._answered = time.monotonic()


def read_nodes() -> list[Node]:
    """Ask the head for the nodes. Hangs where the head is lost."""
    return [
        Node(
            id=node["NodeID"],
            host=node["NodeManagerHostname"],
            address=node["NodeManagerAddress"],
            alive=node["Alive"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
    ]


def connect(execution: Execution, modules: Iterable[str], withheld: Iterable[str]) -> Cluster:
    """Connect to the cluster that the sweep names, or start Ray on this machine.

    Where this process is connected already, as in a notebook, that connection is used and stays.

    Args:
        execution: with the address.
        modules: of the user's own, whose code the nodes get.
        withheld: environment variables that Ray's processes on this machine are started without.

    Raises:
        SpecError: the address or a module cannot be used.
        WorkerError: nothing answers there, a token is missing or wrong, or Ray is of another version.
    """
    os.environ |= {name: value for name, value in SETTINGS.items() if name not in os.environ}
    if ray.is_initialized():
        return Cluster(owned=False)
    address = check_address(execution.address)
    paths = [str(path) for path in module_paths(modules)]
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    if paths:
        options["runtime_env"] = {"py_modules": paths}
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    if address:
        _join(options, address)
    else:
        with _without(withheld):
            _start_here(
                {
                    **options,
                    "address": "local",
                    "num_cpus": usable_cores(),
                    "include_dashboard": False,
                    "_node_ip_address": "127.0.0.1",
                }
            )
    cluster = Cluster(owned=True)
    try:
        for node in cluster.nodes:
            if node.alive and (problem := cluster.token_problem(node)):
                raise WorkerError(f"{node.address}: {problem}")
    except WorkerError:
        cluster.close()
        raise
    return cluster


def check_address(address: str) -> str:
    """Return the address; nothing is connected to that no host may have, or that needs a token which is not there.

    Raises:
        SpecError: it is neither ``auto`` nor ``host:port``.
        WorkerError: nothing listens there, or it is another machine and there is no token.
    """
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or AUTO  # which Ray takes too
    if address in ("", AUTO):
        return address
    match = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:.]+\]|[^:/\s]+):(\d{1,5})", address)
    if not match or address.startswith("ray://") or not 0 < int(match[2]) < 2**16:
        raise SpecError(
            f"address: expected host:port of the head of a Ray cluster, such as 10.0.0.1:6379, or 'auto', received "
            f"{address!r}"
        )
    host, port = match[1].strip("[]"), int(match[2])
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as connection:
            check_token({connection.getpeername()[0]})
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WorkerError(
            f"address {address}: no Ray cluster answers there ({reason}); start its head by: ray start --head --port "
            f"{port}"
        ) from error
    return address


def module_paths(modules: Iterable[str]) -> list[Path]:
    """Return the file or folder of each top-level module, but for installed packages, which nodes must have as well.

    Raises:
        SpecError: one cannot be found, or has no source file.
    """
    found: dict[str, Path] = {}
    for module in modules:
        top = module.partition(".")[0]
        try:
            spec = importlib.util.find_spec(top)
        except ValueError:  # __main__ of a script has none
            spec = None
        if spec is None:
            raise SpecError(f"module {module}: cannot be found, so that its code cannot be sent to the cluster")
        places = list(spec.submodule_search_locations or [])
        path = Path(places[0] if places else spec.origin or "")
        if not path.exists() or (path.is_file() and path.suffix != ".py"):
            raise SpecError(
                f"module {module}: expected a .py file or a package of them, received {spec.origin}; its code cannot "
                "be sent to the cluster"
            )
        if not {"site-packages", "dist-packages"} & set(path.parts):
            found[top] = path
    return list(found.values())


def _start_here(options: dict[str, Any]) -> None:
    """Start Ray on this machine. Its processes end with the thread that started them, so it is this one.

    A Ctrl-C in the middle of that can crash Ray; it is held back until Ray has started, which then ends.
    """
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with interrupts_pending():
            ray.init(**options)
    except Exception as error:
        raise WorkerError(f"Ray cannot start on this machine: {_reason(error)}") from error
    except SystemExit as end:  # of Ray's handler of SIGTERM, whose exit code is the signal's number
        raise SystemExit(128 + signal.SIGTERM if end.code == signal.SIGTERM else end.code) from end
    except KeyboardInterrupt:
        ray.shutdown()
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)  # which Ray has taken


def _join(options: dict[str, Any], address: str) -> None:
    """Connect to a cluster, in a thread, since Ray waits long for a head that refuses it."""
    try:
        # Ray's compiled part prints each attempt, whatever its level.
        with _few_attempts(), without_stderr():
            done = _within(INIT_SECONDS, lambda: ray.init(**options, address=address))
    except Exception as error:
        raise WorkerError(f"address {address}: {_reason(error)}") from error
    if not done:
        raise WorkerError(
            f"address {address}: no answer within {INIT_SECONDS:.0f} s; is it Ray, and is its token that of this host?"
        )


def _reason(error: Exception) -> str:
    """Return the cause of a failed connection in one line, with a remedy."""
    text = str(error)
    refused = "InvalidAuthToken" in f"{text} {error.__cause__}" or "Unauthenticated" in text
    if refused or isinstance(error, ray.exceptions.AuthenticationError) or "token" in text.lower():
        return f"the token is missing or is not that of the cluster; {TOKEN_HELP}"
    if "ersion mismatch" in text:
        return f"another version of Ray or Python runs there: {' '.join(text.split())[:300]}"
    return " ".join(text.split())[:300] or type(error).__name__


def _within(seconds: float, call: Callable[[], Any], interruptible: bool = True) -> bool:
    """Run a call in a thread and wait for its end; False where it has not ended after so many seconds.

    Args:
        seconds: to wait.
        call: without arguments.
        interruptible: False waits for the end after an exception of a signal's handler too, which is raised then.

    Raises:
        Exception: what the call raised.
    """
    errors: list[Exception] = []
    # Not the thread's end: join() takes a thread for ended once it was interrupted by an exception.
    ended = threading.Event()

    def run() -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)
        finally:
            ended.set()

    try:
        threading.Thread(target=run, daemon=True).start()
        ended.wait(seconds)
    except BaseException:
        if not interruptible:
            ended.wait(seconds)
        raise
    if errors:
        raise errors[0]
    return ended.is_set()


@contextmanager
def _few_attempts() -> Iterator[None]:
    """Limit the attempts of Ray to reach a head within the block to ``ATTEMPTS``, a second apart, instead of 20."""
    is_set = ATTEMPTS_VARIABLE in os.environ
    os.environ.setdefault(ATTEMPTS_VARIABLE, str(ATTEMPTS))
    try:
        yield
    finally:
        if not is_set:
            del os.environ[ATTEMPTS_VARIABLE]


@contextmanager
def _without(names: Iterable[str]) -> Iterator[None]:
    """Take variables out of the environment within the block: Ray's processes copy all that is in ``os.environ``.

    Other threads of this process miss them meanwhile. A command starts its executor before it opens its store.
    """
    kept = {name: os.environ.pop(name) for name in tuple(names) if name in os.environ}
    try:
        yield
    finally:
        os.environ |= kept
