"""A small HTTP load generator: requests over connections that stay open, each response timed."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Call:
    """One POST request."""

    path: str
    kind: str
    body: bytes

    def encoded(self, port: int) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {self.kind}\r\n"
        return f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body


@dataclass
class Outcome:
    """The result of a load: seconds of each response in the order of their ends, and the number of errors."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    wall: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.wall

    def milliseconds(self, percentile: float) -> float:
        return 1e3 * float(np.percentile(self.seconds, percentile))


def load(
    port: int, calls: Sequence[Call], connections: int, keep_going: Callable[[Outcome], bool], warm_up: int = 0
) -> Outcome:
    """Send the calls in turn over so many connections for as long as ``keep_going`` returns True."""
    if warm_up:
        load(port, calls, connections, lambda outcome: len(outcome.seconds) < warm_up)
    return asyncio.run(_load(port, [call.encoded(port) for call in calls], connections, keep_going))


async def _load(port: int, requests: list[bytes], connections: int, keep_going: Callable[[Outcome], bool]) -> Outcome:
    outcome, started = Outcome(), time.perf_counter()

    async def send(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in itertools.islice(itertools.cycle(requests), first, None):
            if not keep_going(outcome):
                break
            sent = time.perf_counter()
            writer.write(request)
            outcome.errors += await _status(reader) != 200
            outcome.seconds.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(send(index) for index in range(connections)))
    outcome.wall = time.perf_counter() - started
    return outcome


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
    return int(head.split(maxsplit=2)[1])
