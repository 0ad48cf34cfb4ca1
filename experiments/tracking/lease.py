"""The lease on a sweep: the right of one process at a time, on whichever machine, to drive it.

MLflow has no compare-and-swap on tags, but a parameter of a run can be set only once: another value is refused, on
SQLite and PostgreSQL alike by the primary key of the parameters' table. So generation *n* of the lease is the parameter
``lease_n`` of the parent run, and whoever sets it first holds it. Its holder renews it by a tag from a thread of its
own. A lease whose tag has not changed for ``EXPIRY_SECONDS`` of the observer's clock has expired: clocks of two
machines are never compared.

The holder reads the generation before each write of the recorder, and once more before the result of a model. So a
driver that was replaced, for example after an hour of sleep, completes at most the one write that it had begun.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from experiments.tracking.provenance import Driver
from experiments.tracking.records import SweepRecord, SweepState, Tag
from experiments.tracking.store import Store
from mnist_core.errors import StoreError, SweepInUseError
from mnist_core.messages import OnMessage

RENEW_SECONDS = 5.0
# Longer than MLflow's own retries of a request, so that no lease is lost while a server restarts.
EXPIRY_SECONDS = 60.0
POLL_SECONDS = 0.5
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
    """The lease on a sweep as its parent run records it.

    Args:
        sweep: its name.
        generation: the highest one claimed; 0 where there is none, as in stores of earlier versions.
        holder: as in :class:`Lease`; empty for generation 0.
        renewed: a value that changes while the holder runs.
        released: True once the holder has given it back.
    """

    sweep: str
    generation: int
    holder: str
    renewed: str
    released: bool

    @property
    def driver(self) -> Driver | None:
        """The process that holds it; None where the parameter has another format."""
        return Driver.parse(self.holder.rpartition(" ")[0])

    @property
    def title(self) -> str:
        """The holder as messages name it."""
        return f"process {self.driver.pid} on {self.driver.host}" if self.driver else self.holder

    @property
    def is_free(self) -> bool:
        """True if the next generation may be claimed at once: released, or its driver on this machine has ended."""
        return self.released or (self.driver is not None and self.driver.is_here and not self.driver.is_alive)


def read_lease(store: Store, run_id: str) -> LeaseState:
    """Read the present lease on a sweep."""
    with store.errors("reading the lease on the sweep"):
        data = store.client.get_run(run_id).data
    claims = {int(match[1]): data.params[key] for key in data.params if (match := re.fullmatch(r"lease_(\d+)", key))}
    generation = max(claims, default=0)
    holder = claims.get(generation, "")
    released = bool(holder) and data.tags.get(Tag.LEASE_RELEASED) == holder
    name = data.tags.get(Tag.SWEEP, run_id)
    return LeaseState(name, generation, holder, data.tags.get(Tag.LEASE_RENEWED, ""), released)


def free_generation(store: Store, sweep: SweepRecord, take_over: bool, on_message: OnMessage) -> int:
    """The generation by which a sweep can be claimed; waits up to ``EXPIRY_SECONDS`` for a lease to expire.

    Args:
        store: that holds the sweep.
        sweep: to be driven.
        take_over: claim it although another process may drive it.
        on_message: called with one line before waiting.

    Raises:
        SweepInUseError: another process drives it.
    """
    state = read_lease(store, sweep.run_id)
    if not take_over:
        if state.generation == 0:
            _check_unleased(sweep)
        elif not state.is_free:
            on_message(
                f"sweep {sweep.name}: waiting for the lease of {state.title} to expire, {EXPIRY_SECONDS:.0f} s at most"
            )
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
    """Give a lease back, so that it can be claimed without waiting."""
    with store.errors("giving back the lease on the sweep"):
        store.client.set_tag(lease.run_id, Tag.LEASE_RELEASED, lease.holder)


def set_once(store: Store, run_id: str, key: str, value: str) -> str:
    """Set a parameter of a run unless it is set already, and return its value.

    All processes that call this at once get the same value.
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
    """A lease that is renewed while a block runs, and given back at its end.

    Args:
        store: open for writing.
        lease: just claimed.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease
        self._taken: LeaseState | None = None
        self._is_left_to_expire = False
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
        """True once another process is known to have claimed the sweep; reads no store."""
        return self._taken is not None

    def verify(self) -> None:
        """Check that this is still the valid lease, by one read of the parent run.

        Raises:
            SweepInUseError: another process has claimed the sweep since.
            StoreError: the store cannot be read, so nothing may be written.
        """
        if self._taken is None:
            state = read_lease(self._store, self.run_id)
            if state.holder != self._lease.holder:
                self._taken = state
        if self._taken is not None:
            raise SweepInUseError(
                f"sweep {self._taken.sweep}: {self._taken.title} took it over; trials that this process was "
                "running are not recorded and are tried again there"
            )

    def leave_to_expire(self) -> None:
        """Do not give the lease back at the end: a write of its holder goes on, and nobody else may write meanwhile."""
        self._is_left_to_expire = True

    def release(self) -> None:
        """End the renewals and give the lease back if it is still held. Where the store fails, the lease expires."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(RENEW_SECONDS)
        if not (self.is_lost or self._is_left_to_expire):
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
            # A failure here is tried again; each writer verifies the lease itself.
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
        time.sleep(POLL_SECONDS)
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
