"""Trials on the machines of a Ray cluster, or on this machine by Ray.

One actor is one worker. Each has exactly one call outstanding, whose result brings the next epochs, or the end of its
trial; decisions go with the next call. Images travel once to each node, through Ray's object store; models come back
with the results. The nodes need no shared file system, no database and no credentials.
"""

from __future__ import annotations

import math
import os
import pickle
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError

from mnist_core.errors import ModelError, WorkerError
from mnist_core.messages import OnMessage
from search.execution import Execution
from search.executors import ray_actor
from search.executors.base import Decide, Ended, Finished, LossKind, Lost, WorkerStatus
from search.executors.hang_detection import SilenceWatch
from search.executors.local import TRIALS_PER_WORKER
from search.executors.node_health import NodeHealth, version_problem
from search.executors.ray_cluster import Cluster, Node, connect
from search.executors.ray_losses import cause_of
from search.executors.ray_messages import Done, EpochEnd, unpack
from search.trial import Trial, TrialResult, TrialState
from search.worker import WorkerContext
from search.worker_info import versions_here

ROOM_SECONDS = 15.0
MAX_FAILED_STARTS = 3
# Actors that no node has room for yet: a node that joins is used at once, and an autoscaler sees the demand.
WAITING_ACTORS = 1

cloudpickle.register_pickle_by_value(ray_actor)  # type: ignore[no-untyped-call]


@dataclass
class _Worker:
    """An actor, its outstanding call, and its trial."""

    actor: Any
    call: Any
    node: str = ""
    host: str = ""
    trial: Trial | None = None
    has_begun: bool = False  # its trial, as far as is known here
    silent_since: float = 0.0
    trials_left: int = TRIALS_PER_WORKER

    @property
    def is_ready(self) -> bool:
        return bool(self.node)


class RayExecutor:
    """Runs trials in actors of a Ray cluster, as many as there is room for at the moment.

    Nodes that join are used; the trial of a node that is lost is Lost with the kind NODE. A node with other versions,
    or on which workers die again and again, is left out. ``poll`` raises WorkerError where the head of the cluster does
    not answer any more, or no node is left.

    Args:
        context: settings of the workers; its images are read here and sent to the nodes.
        execution: address of the cluster, and the resources of a trial.
        max_workers: greatest number of workers.
        on_message: called with each line that the user should read.

    Raises:
        DataError: the images cannot be read.
        SpecError: the address is none, or a module of the user's own cannot be sent.
        WorkerError: the cluster cannot be reached, or has no room for a trial.
    """

    def __init__(self, context: WorkerContext, execution: Execution, max_workers: int, on_message: OnMessage) -> None:
        self._context, self._execution = context, execution
        self._max_workers, self._on_message = max_workers, on_message
        self._workers: list[_Worker] = []
        self._waiting: deque[Trial] = deque()
        self._silence = SilenceWatch(context.trial_timeout)
        self._health = NodeHealth()
        self._failed_starts = 0
        self._checked_nodes: set[str] = set()
        self._handed_back: set[tuple[int, int]] = set()
        self._error: WorkerError | None = None
        self._told_to_wait = self._closed = False
        training = context.source.load_training()
        self._cluster: Cluster = connect(execution, context.modules, context.withheld(os.environ))
        try:
            self._wait_for_room()
            self._images = [ray.put((training.images, training.labels, str(context.source.location)))]
            threads = max(1, math.floor(execution.cpus_per_trial))
            self._parts = pickle.dumps(replace(context, threads=threads))
            self._remote: Any = ray.remote(ray_actor.RayActor)
            self._started = time.monotonic()
            self._grow()
        except BaseException:
            self.close()
            raise

    @property
    def capacity(self) -> int:
        """The number of workers that are ready, and at least one: trials wait for the first."""
        return max(1, sum(worker.is_ready for worker in self._workers))

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        """The workers that are ready, each with its trial."""
        return [
            WorkerStatus(worker.host, worker.trial.number if worker.trial else None)
            for worker in self._workers
            if worker.is_ready
        ]

    def submit(self, trial: Trial) -> None:
        """Give the trial to a free worker, or keep it until there is one."""
        self._waiting.append(trial)
        self._assign()

    def poll(self, decide: Decide, timeout: float) -> Sequence[Ended]:
        """Handle the messages of the workers, and return the trials that ended.

        Raises:
            WorkerError: the head of the cluster is lost, or no node is left that can run a trial. Trials that ended
                before are returned first, and the next call raises it.
        """
        ended: list[Ended] = []
        if self._error is None:
            try:
                self._collect(decide, timeout, ended)
            except WorkerError as error:
                self._error = error
        if self._error is not None and not ended:
            raise self._error
        return ended

    def _collect(self, decide: Decide, timeout: float, ended: list[Ended]) -> None:
        for worker in self._ready_calls(timeout):
            try:
                ended += self._receive(worker, decide)
            except WorkerError as error:  # the results of the others are there
                self._error = error
        self._silence.look()
        for worker in list(self._workers):
            if worker.trial and self._silence.is_hung(worker.silent_since):
                ended += self._end_hung(worker)
        self._check_new_nodes()
        self._grow()
        self._assign()
        self._say_what_is_missing()

    def close(self) -> None:
        """End all workers at once, and disconnect."""
        if self._closed:
            return
        self._closed = True
        self._waiting.clear()
        for worker in self._workers:
            self._kill(worker)
        self._workers = []
        self._cluster.close()

    def _ready_calls(self, timeout: float) -> Iterator[_Worker]:
        """The workers that have something to tell; waits for the first of them."""
        by_call = {worker.call: worker for worker in self._workers if worker.call is not None}
        if not by_call:
            time.sleep(timeout)
            return
        try:
            ready, others = ray.wait(list(by_call), num_returns=1, timeout=timeout)
            if ready and others:
                ready += ray.wait(others, num_returns=len(others), timeout=0)[0]
        except OSError as error:  # the pipe to Ray's process on this host
            raise WorkerError(f"Ray on this host has ended ({error}); start it again, and resume the sweep") from error
        yield from (by_call[call] for call in ready)

    def _receive(self, worker: _Worker, decide: Decide) -> list[Ended]:
        try:
            received = ray.get(worker.call)
        except RayError as error:
            return self._handle_loss(worker, error)
        worker.call = None
        if not worker.is_ready:
            self._greet(worker, received)
            return []
        assert worker.trial is not None
        if not worker.has_begun:
            worker.has_begun, worker.call = True, worker.actor.messages.remote()
            return []
        self._silence.end_silence(worker.silent_since)
        worker.silent_since = self._silence.now
        keep_going = True
        for message in received:
            if isinstance(message, Done):
                return [self._finish(worker, message)]
            assert isinstance(message, EpochEnd)
            keep_going = decide(worker.trial, message.epoch, message.metrics)
        worker.call = worker.actor.go_on.remote(keep_going)
        return []

    def _greet(self, worker: _Worker, hello: dict[str, Any]) -> None:
        """Take a new worker in, or leave out its node where it would not train alike."""
        node, host = hello["node"], hello["host"]
        problem = version_problem(dict(hello["versions"]), dict(versions_here())) or hello["problem"]
        if problem:
            self._end(worker)
            self._leave_out(node, host, problem)
            return
        if self._health.is_left_out(node):  # placed before its node was left out
            self._end(worker)
            return
        worker.node, worker.host = node, host
        self._failed_starts = 0

    def _finish(self, worker: _Worker, done: Done) -> Ended:
        trial, worker.trial = worker.trial, None
        assert trial is not None
        self._health.record_result(worker.node)
        worker.trials_left -= 1
        if worker.trials_left <= 0 or self._health.is_left_out(worker.node):
            self._end(worker)
        folder = self._context.staging / f"{trial.number}-{trial.attempt}"
        try:
            return Finished(trial, unpack(done, folder))
        except (ModelError, OSError) as error:
            failed = TrialResult(
                TrialState.FAILED,
                history=done.result.history,
                training_seconds=done.result.training_seconds,
                error=f"{type(error).__name__}: {error}",
                worker=done.result.worker,
            )
            return Finished(trial, failed)

    def _handle_loss(self, worker: _Worker, error: RayError) -> list[Ended]:
        """Remove a worker whose call has failed; its trial, if it has one, is lost."""
        self._end(worker)
        kind, cause = cause_of(error, worker.host, worker.is_ready, lambda: self._is_alive(worker.node))
        if not worker.is_ready:
            if kind is LossKind.WORKER:
                self._fail_start(cause)
            return []
        if worker.trial and self._can_hand_back(worker):  # it died before it got the trial
            self._waiting.appendleft(worker.trial)
            return []
        if kind is LossKind.WORKER and worker.trial and self._health.record_death(worker.node, worker.trial.number):
            self._leave_out(worker.node, worker.host, f"its workers die again and again ({cause})")
        return [Lost(worker.trial, cause, kind)] if worker.trial else []

    def _can_hand_back(self, worker: _Worker) -> bool:
        """True once for each attempt that has not begun; one that ends its worker at once may have begun unseen."""
        assert worker.trial is not None
        attempt = worker.trial.number, worker.trial.attempt
        if worker.has_begun or attempt in self._handed_back:
            return False
        self._handed_back.add(attempt)
        return True

    def _is_alive(self, node: str) -> bool:
        if not any(one.id == node and one.alive for one in self._cluster.nodes):
            return False
        self._cluster.refresh()
        return any(one.id == node and one.alive for one in self._cluster.nodes)

    def _end_hung(self, worker: _Worker) -> list[Ended]:
        assert worker.trial is not None
        self._end(worker)
        cause = (
            f"the trial reported nothing for {self._silence.limit:,.6g} s, and its worker on {worker.host} was ended"
        )
        return [Lost(worker.trial, cause)]

    def _fail_start(self, cause: str) -> None:
        self._failed_starts += 1
        if not any(one.is_ready for one in self._workers) and self._failed_starts >= MAX_FAILED_STARTS:
            raise WorkerError(f"no worker could start ({cause})")

    def _leave_out(self, node: str, host: str, problem: str) -> None:
        if self._health.leave_out(node):
            self._on_message(f"{host} is left out: {problem}")
        for worker in [one for one in self._workers if one.node == node and one.trial is None]:
            self._end(worker)
        if not any(self._rooms().values()):
            raise WorkerError(
                f"no node of the Ray cluster is left that can run a trial; the last was {host}: {problem}"
            )

    def _check_new_nodes(self) -> None:
        """Leave out nodes that have joined and must not be used."""
        for node in self._cluster.nodes:
            if node.alive and node.id not in self._checked_nodes:
                self._checked_nodes.add(node.id)
                if problem := self._cluster.token_problem(node):
                    self._leave_out(node.id, node.host, problem)

    def _rooms(self) -> dict[str, int]:
        """The number of trials that fit on each node that is used."""
        return {
            node.id: node.room(self._execution)
            for node in self._cluster.nodes
            if node.alive and not self._health.is_left_out(node.id)
        }

    def _grow(self) -> None:
        """Ask for as many workers as fit on the nodes that there are, and one more where nodes may join."""
        waiting = WAITING_ACTORS if self._execution.address else 0
        wanted = min(self._max_workers, sum(self._rooms().values()) + waiting)
        while len(self._workers) < wanted:
            self._workers.append(self._start_worker())

    def _start_worker(self) -> _Worker:
        left_out = self._health.left_out
        options: dict[str, Any] = {
            "num_cpus": self._execution.cpus_per_trial,
            "num_gpus": self._execution.gpus_per_trial,
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        if left_out:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(left_out))})"}
        actor = self._remote.options(**options).remote(self._parts, self._images, self._execution.gpus_per_trial > 0)
        return _Worker(actor, actor.hello.remote())

    def _assign(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.is_ready and worker.trial is None:
                worker.trial, worker.silent_since = self._waiting.popleft(), self._silence.now
                worker.has_begun = False
                worker.call = worker.actor.start.remote(worker.trial)

    def _wait_for_room(self) -> None:
        """Wait for a node that a trial fits on.

        Raises:
            WorkerError: there is none after ``ROOM_SECONDS``.
        """
        deadline = time.monotonic() + (ROOM_SECONDS if self._execution.address else 0)
        while not any(self._rooms().values()):
            if time.monotonic() >= deadline:
                raise WorkerError(
                    f"no node of the Ray cluster has room for a trial: asked {_asked(self._execution)}, there is "
                    f"{_there(self._cluster.nodes)}"
                )
            time.sleep(0.2)

    def _say_what_is_missing(self) -> None:
        if any(worker.is_ready for worker in self._workers):
            self._started, self._told_to_wait = time.monotonic(), False
        if self._told_to_wait or time.monotonic() - self._started < 2 * ROOM_SECONDS:
            return
        self._told_to_wait = True
        self._on_message(
            f"no worker is ready: each asks for {_asked(self._execution)}, there is "
            f"{_there(self._cluster.nodes)}, which others may be using"
        )

    def _end(self, worker: _Worker) -> None:
        """End a worker and forget it; :meth:`_grow` asks for another."""
        self._kill(worker)
        self._workers.remove(worker)

    def _kill(self, worker: _Worker) -> None:
        with suppress(Exception):  # its node, or the head, is gone already
            ray.kill(worker.actor, no_restart=True)


def _asked(execution: Execution) -> str:
    return f"{execution.cpus_per_trial:g} CPUs and {execution.gpus_per_trial:g} GPUs"


def _there(nodes: Sequence[Node]) -> str:
    alive = [node for node in nodes if node.alive]
    texts = [f"{node.cpus:g} CPUs and {node.gpus:g} GPUs on {node.host}" for node in alive[:4]]
    more = [f"{len(alive) - 4} more nodes"] if len(alive) > 4 else []
    return ", ".join(texts + more) or "no node"
