"""The lease on a sweep: the right of one process at a time, on whichever machine, to drive it.

MLflow has no compare-and-swap on tags, but a run's parameter can be set once only: another value is refused, on SQLite
and PostgreSQL alike by the primary key of the parameters' table. So generation *n* of the lease is the parameter
``lease_n`` of the parent run, and whoever sets it first holds it. Its holder renews it by a tag from a thread of its
own. A holder whose tag has not changed for ``EXPIRY_SECONDS`` of the observer's clock is taken for gone: clocks of two
machines are never compared.

The holder looks at the generation before each write of the recorder's, and a model's result is preceded by another
look. So a driver that was replaced, after it slept for an hour say, writes at most the one thing that it had begun.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from experiments.tracking.provenance import Driver
from experiments.tracking.records import SweepRecord, SweepState, Tag
from experiments.tracking.store import Store
from mnist_core.errors import StoreError, SweepInUseError

RENEW_SECONDS = 5.0
# Longer than MLflow's own retries of a request, so that a server that is started again costs nobody the lease.
EXPIRY_SECONDS = 60.0
LOOK_SECONDS = 0.5
FIRST_GENERATION = 1


@dataclass(frozen=True)
class Lease:
    """The right to drive a sweep.

    Args:
        run_id: of the parent run.
        generation: counts from 1; the highest one is valid.
        holder: the driver and a token of its own: ``host pid started token``.
    """

    run_id: str
    generation: int
    holder: str


@dataclass(frozen=True)
class LeaseState:
    """What the parent run says of its lease.

    Args:
        sweep: its name.
        generation: the highest that was claimed; 0 where none was, as in stores of earlier versions.
        holder: as in :class:`Lease`; empty for generation 0.
        renewed: changes while the holder is at work.
        released: whether the holder has given it back.
    """

    sweep: str
    generation: int
    holder: str
    renewed: str
    released: bool

    @property
    def driver(self) -> Driver | None:
        """The process that holds it; None where the parameter is not of our making."""
        return Driver.parse(self.holder.rpartition(" ")[0])

    @property
    def title(self) -> str:
        """The holder, for people."""
        return f"process {self.driver.pid} on {self.driver.host}" if self.driver else self.holder

    @property
    def is_free(self) -> bool:
        """Whether the next generation may be claimed without waiting: given back, or its driver died here."""
        return self.released or (self.driver is not None and self.driver.is_here and not self.driver.is_alive)


def read_lease(store: Store, run_id: str) -> LeaseState:
    """The lease on a sweep, as it is now."""
    with store.errors("reading the lease on the sweep"):
        data = store.client.get_run(run_id).data
    claims = {int(match[1]): data.params[key] for key in data.params if (match := re.fullmatch(r"lease_(\d+)", key))}
    generation = max(claims, default=0)
    holder = claims.get(generation, "")
    released = bool(holder) and data.tags.get(Tag.LEASE_RELEASED) == holder
    name = data.tags.get(Tag.SWEEP, run_id)
    return LeaseState(name, generation, holder, data.tags.get(Tag.LEASE_RENEWED, ""), released)


def free_generation(store: Store, sweep: SweepRecord, take_over: bool, say: Callable[[str], None]) -> int:
    """The generation by which a sweep can be claimed, after waiting for a lease to expire if it may have.

    Args:
        store: that holds the sweep.
        sweep: to be driven.
        take_over: do not ask whether somebody drives it.
        say: told in one line what is waited for.

    Raises:
        SweepInUseError: another process drives it.
    """
    state = read_lease(store, sweep.run_id)
    if not take_over:
        if state.generation == 0:
            _check_unleased(sweep)
        elif not state.is_free:
            say(f"sweep {sweep.name}: waiting for a sign of {state.title}, {EXPIRY_SECONDS:.0f} s at most")
            _wait_for_expiry(store, sweep, state)
    return state.generation + 1


def claim(store: Store, run_id: str, generation: int) -> Lease:
    """Take a generation of the lease.

    Raises:
        SweepInUseError: another process took it first.
    """
    lease = Lease(run_id, generation, f"{Driver.this()} {uuid4().hex[:12]}")
    if set_once(store, run_id, f"lease_{generation}", lease.holder) != lease.holder:
        state = read_lease(store, run_id)
        raise SweepInUseError(f"sweep {state.sweep}: {state.title} took it first; leave it to that process")
    return lease


def release(store: Store, lease: Lease) -> None:
    """Give a lease back, so that the next one to ask need not wait."""
    with store.errors("giving back the lease on the sweep"):
        store.client.set_tag(lease.run_id, Tag.LEASE_RELEASED, lease.holder)


def set_once(store: Store, run_id: str, key: str, value: str) -> str:
    """Set a parameter of a run unless it is set already; the value that it has from now on.

    Of any number of processes that do so at once, all are told the same value.
    """
    from mlflow.exceptions import MlflowException

    with store.errors(f"setting {key}"):
        try:
            store.client.log_param(run_id, key, value)
        except MlflowException:
            # Refused, or done by a request whose reply was lost: what is recorded decides.
            held: str | None = store.client.get_run(run_id).data.params.get(key)
            if held is None:
                raise
            return held
    return value


class HeldLease:
    """A lease that is renewed while the block runs, and given back at its end.

    Args:
        store: open for writing.
        lease: just claimed.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease
        self._taken: LeaseState | None = None
        self._ended = threading.Event()
        # A daemon: a store that does not answer keeps no process from ending.
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def run_id(self) -> str:
        """Of the parent run."""
        return self._lease.run_id

    @property
    def generation(self) -> int:
        """Of the lease."""
        return self._lease.generation

    @property
    def is_lost(self) -> bool:
        """Whether another process is known to have claimed the sweep since; no question to the store."""
        return self._taken is not None

    def verify(self) -> None:
        """Ask the store whether this is still the valid lease; one read of the parent run.

        Raises:
            SweepInUseError: another process has claimed the sweep since.
            StoreError: the store does not say, so nothing may be written.
        """
        if self._taken is None:
            state = read_lease(self._store, self.run_id)
            if state.holder != self._lease.holder:
                self._taken = state
        if self._taken is not None:
            raise SweepInUseError(
                f"sweep {self._taken.sweep}: {self._taken.title} took it over; what this process was running is not "
                "recorded and is tried again there"
            )

    def release(self) -> None:
        """End the renewals and give the lease back, if it is still held. A store that fails leaves it to expire."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(RENEW_SECONDS)
        if not self.is_lost:
            with suppress(StoreError):
                release(self._store, self._lease)

    def __enter__(self) -> HeldLease:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _renew(self) -> None:
        count = 0
        while not self._ended.wait(RENEW_SECONDS):
            # What fails here is tried again; whoever writes meanwhile asks for itself.
            with suppress(StoreError):
                try:
                    self.verify()
                except SweepInUseError:
                    return
                count += 1
                with self._store.errors("renewing the lease on the sweep"):
                    self._store.client.set_tag(self.run_id, Tag.LEASE_RENEWED, f"{self.generation} {count}")


def _wait_for_expiry(store: Store, sweep: SweepRecord, first: LeaseState) -> None:
    deadline = time.monotonic() + EXPIRY_SECONDS
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        now = read_lease(store, sweep.run_id)
        if now.generation == first.generation and now.is_free:
            return
        if now != first:
            raise SweepInUseError(
                f"sweep {sweep.name}: {now.title} is driving it; end that first, or give --take-over if it hangs"
            )


def _check_unleased(sweep: SweepRecord) -> None:
    """Refuse a sweep that an earlier version, which knew no lease, may be driving."""
    driver = Driver.parse(sweep.tags.get(Tag.DRIVER, ""))
    if sweep.state is not SweepState.RUNNING or driver is None:
        return
    if not driver.is_here:
        raise SweepInUseError(
            f"sweep {sweep.name}: process {driver.pid} on {driver.host} may still be driving it; "
            "if it is gone, give --take-over"
        )
    if driver.is_alive:
        raise SweepInUseError(
            f"sweep {sweep.name}: process {driver.pid} is driving it; end that first, or give --take-over if it hangs"
        )
