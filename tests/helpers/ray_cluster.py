"""A Ray cluster on hosts of a private network: what ``docs/scaling.md`` tells users to type, typed by tests."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.helpers.hosts import ROOT, Host, Hosts

STARTED = "Ray runtime started"
START_SECONDS = 60.0
NETWORK = "10.77.0.0/24"
# A test needs no more; by default Ray takes all cores of the machine, and a third of its memory, for each host.
HEAD_SIZE = "--object-store-memory=100000000"
NODE_SIZE = "--num-cpus=1 --object-store-memory=100000000"
MNIST_SEARCH = (sys.executable, "-c", "from experiments.cli.main import main; main()")


def documented(title: str) -> str:
    """Commands of the block in ``docs/scaling.md`` that begins with this title."""
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"^```sh\n# {title}\n(.*?)\n```$", text, re.M | re.S)
    return str(block)


class RayCluster:
    """A context manager: a head without room for trials, on whose host sweeps are driven, and nodes with one core each.

    Each host has a packet filter that opens the documented ports alone.

    Args:
        folder: for the output of all programs, and the working folder of the head's host, ``driver``.
        readable: files and folders that the head's host sees besides.
        token: False has Ray ask nobody for a token, against the documentation.
        head_size: options by which the head's host takes part.
    """

    def __init__(
        self, folder: Path, readable: Sequence[Path] = (), token: bool = True, head_size: str = HEAD_SIZE
    ) -> None:
        self.folder, self._readable = folder, readable
        self._has_token, self._token = token, ""
        self._before = "" if token else "env RAY_AUTH_MODE=disabled "
        self._head_size = head_size
        self.driver = folder / "driver"
        self.driver.mkdir()
        self._programs = folder / "programs"
        self._programs.mkdir()
        program = self._programs / "ray"
        program.write_text(
            f"#!/bin/sh\nexec {sys.executable} -c 'from ray.scripts.scripts import main; main()' \"$@\"\n"
        )
        program.chmod(0o755)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._hosts = self._stack.enter_context(Hosts())
        self.head = self._make("head", self._readable, [self.driver])
        if self._has_token:
            self.give_token()
        self.start_head()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def give_token(self) -> None:
        """Make the token on the head's host, and give it to hosts that are added from now on."""
        self._shell(self.head, documented("the token, in ~/.ray/auth_token"))
        self._token = self._shell(self.head, "cat ~/.ray/auth_token")

    @property
    def address(self) -> str:
        """Address of the head, as users write it."""
        return f"{self.head.address}:6379"

    def start_head(self) -> None:
        """Start the head's processes, and wait until they have started."""
        self._ray = self._start(self.head, f"{self._before}{documented('the head')} {self._head_size}")
        self._ray.wait_for(STARTED, START_SECONDS)

    def kill_head(self) -> None:
        """Kill the processes that keep the list of nodes, and those that start workers on the head's host."""
        self._shell(self.head, "kill -9 $(pgrep -f '[g]cs/gcs_server|[r]aylet/raylet')")
        self._ray.stop()

    def add(
        self, *names: str, environment: Mapping[str, str] | None = None, readable: Sequence[Path] = ()
    ) -> list[Host]:
        """Make hosts and start a node on each."""
        hosts = [self._make(name, readable) for name in names]
        for host in hosts if self._token else ():
            self._shell(host, f"mkdir -p ~/.ray && umask 077 && echo {self._token.strip()} > ~/.ray/auth_token")
        self.join(*hosts, environment=environment)
        return hosts

    def join(self, *hosts: Host, environment: Mapping[str, str] | None = None) -> None:
        """Start a node on each host."""
        command = f"{self._before}{documented('a node')} {NODE_SIZE}"
        for started in [self._start(host, command, environment) for host in hosts]:
            started.wait_for(STARTED, START_SECONDS)

    def end_ray(self, host: Host) -> None:
        """End what is left of Ray on a host."""
        self._shell(host, documented("end Ray on this host"))

    def sweep(self, *words: str, environment: Mapping[str, str] | None = None, without: Sequence[str] = ()) -> Program:
        """Start ``mnist-search sweep`` on the head's host.

        Args:
            words: the rest of the command.
            environment: further variables.
            without: documented variables that are not set.
        """
        output = self.folder / f"sweep-{time.monotonic_ns()}.txt"
        unset = "".join(f"unset {name}; " for name in without)
        command = shlex.join([*MNIST_SEARCH, "sweep", *words])
        process = self.head.start(
            *("sh", "-c", f"{documented('settings of every host')}\n{unset}exec {command}"),
            output=output,
            folder=self.driver,
            environment={**self._variables(self.head), "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        )
        sweep = Program(process, output)
        self._stack.callback(sweep.stop)
        return sweep

    def _make(self, name: str, readable: Sequence[Path] = (), writable: Sequence[Path] = ()) -> Host:
        host = self._hosts.add(name, [self._programs, *readable], writable)
        self._shell(host, documented("packet filter"))
        return host

    def _start(self, host: Host, command: str, environment: Mapping[str, str] | None = None) -> Program:
        output = self.folder / f"{host.name}-{time.monotonic_ns()}.log"
        script = f"{documented('settings of every host')}\nexec {command}"
        variables = {**self._variables(host), **(environment or {})}
        process = host.start("sh", "-c", script, output=output, environment=variables)
        started = Program(process, output)
        self._stack.callback(started.stop)
        return started

    def _shell(self, host: Host, script: str) -> str:
        done = host.run("sh", "-ec", script, environment=self._variables(host))
        assert done.returncode == 0, f"{script}\n{done.stderr}"
        return done.stdout

    def _variables(self, host: Host) -> dict[str, str]:
        head = getattr(self, "head", host).address
        path = f"{self._programs}:{os.environ['PATH']}"
        return {"HEAD": head, "ADDRESS": host.address, "NETWORK": NETWORK, "PATH": path}


class Program:
    """A program that runs on a host."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self._process, self._output = process, output

    @property
    def text(self) -> str:
        """Everything that it has printed."""
        return self._output.read_text()

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Wait until it has printed a text."""
        end = time.monotonic() + seconds
        while text not in self.text:
            if self._process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"expected {text!r} within {seconds:g} s, received:\n{self.text}")
            time.sleep(0.1)

    def end(self, seconds: float = 180) -> int:
        """Wait for its end and return its exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"expected the end within {seconds:g} s, received:\n{self.text}") from None

    def stop(self) -> None:
        """End it from outside, where it still runs."""
        self._process.kill()
        self._process.wait(30)
