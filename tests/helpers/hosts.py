"""Hosts of a private network on this machine: namespaces of network, mounts, processes and names for each.

A host sees the system, the Python environment and the packages of this project, all read-only, and a memory file system
of its own for everything else: no home folder, no temporary files, no working folder of another host. It has an address
in a network that no other program can reach and that leads nowhere else. Everything ends with the process that made it,
also if that is killed: the first process of each host ends when its standard input is closed, and the kernel then ends
the others and removes the network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).parents[2]
TOOLS = ("ip", "mount", "nft", "nsenter", "pivot_root", "unshare")
SYSTEM = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/sbin", "/sys", "/usr")
PACKAGES = ("mnist_core", "search", "serving", "experiments")
PREFIX = "10.77.0."
HOME = "/home/node"


def missing() -> str:
    """Return why there can be no hosts here, in one line; empty where there can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "hosts of network namespaces need root"
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"hosts of network namespaces need {', '.join(absent)} (Debian: iproute2, nftables, util-linux)"
    commands = ["mount --make-rprivate /", "ip link add a0 type bridge", "ip link add a1 type veth peer name a2"]
    script = " && ".join([*commands, "nft add table inet a"])
    tried = subprocess.run(["unshare", "-muinpf", "sh", "-c", script], capture_output=True, text=True)
    return f"namespaces are refused here: {tried.stderr.strip()}" if tried.returncode else ""


def visible_folders() -> list[Path]:
    """Folders of the Python environment and of this project's packages, outermost first."""
    folders = {Path(sys.prefix), Path(sys.base_prefix), *(ROOT / name for name in PACKAGES)}
    folders |= {Path(name) for name in sys.path if Path(name).name == "site-packages"}
    # An environment can name packages of another one.
    folders = {folder for folder in folders if folder.is_dir() and not folder.is_relative_to("/usr")}
    return sorted(folder for folder in folders if not any(folder != one and one in folder.parents for one in folders))


class Host:
    """One host. It exists until ``kill``.

    Args:
        name: name that programs on it see.
        address: its IPv4 address.
        process: the process whose end is the end of the host.
        switch: process id that has the other end of its cable.
    """

    def __init__(self, name: str, address: str, process: subprocess.Popen[str], switch: int) -> None:
        self.name, self.address = name, address
        self._process, self._switch = process, switch
        (self._init,) = (child.pid for child in psutil.Process(process.pid).children())

    def command(self, *words: str, folder: str | Path = "/", environment: Mapping[str, str] | None = None) -> list[str]:
        """Return a command that runs ``words`` on this host, in an environment that has nothing of this one's."""
        plain = {"PATH": os.environ["PATH"], "HOME": HOME, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        settings = [f"{name}={value}" for name, value in {**plain, **(environment or {})}.items()]
        enter = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", f"--wdns={folder}"]
        return [*enter, "env", "-i", *settings, *words]

    def start(self, *words: str, output: Path, **where: Any) -> subprocess.Popen[str]:
        """Start a command on this host; what it prints is added to a file."""
        with output.open("a") as file:
            return subprocess.Popen(
                self.command(*words, **where), stdin=subprocess.DEVNULL, stdout=file, stderr=file, text=True
            )

    def run(self, *words: str, timeout: float = 120, **where: Any) -> subprocess.CompletedProcess[str]:
        """Run a command on this host to its end."""
        return subprocess.run(self.command(*words, **where), capture_output=True, text=True, timeout=timeout)

    def cut(self) -> None:
        """Pull its network cable."""
        _ip(self._switch, f"link set dev {self.name} down")

    def restore(self) -> None:
        """Plug the cable in again."""
        _ip(self._switch, f"link set dev {self.name} up")

    def kill(self) -> None:
        """End all of its processes at once, as a power cut does. Safe to call twice."""
        self.begin_to_end()
        self._process.wait(30)

    def begin_to_end(self) -> None:
        """Do the same without waiting for it."""
        self._process.stdin.close()  # type: ignore[union-attr]
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)


class Hosts:
    """A context manager that makes hosts and ends them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._hosts: list[Host] = []

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mnist-hosts-")))
        self._switch = _wait_for_end_of_input(
            ["unshare", "--net"], "ip link add switch type bridge; ip link set switch up"
        )
        self._stack.callback(_end, self._switch)
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:  # the kernel takes a second for each, but all at once
            host.begin_to_end()
        self._stack.close()

    def add(self, name: str, readable: Sequence[Path] = (), writable: Sequence[Path] = ()) -> Host:
        """Make a host.

        Args:
            name: of at most 15 characters.
            readable: further files and folders of this machine that it sees at their places.
            writable: folders that it may write to as well.
        """
        address = f"{PREFIX}{len(self._hosts) + 1}"
        root = self._folder / name
        root.mkdir()
        namespaces = ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"]
        process = _wait_for_end_of_input(namespaces, _set_up(root, name, address, readable, writable))
        self._stack.callback(_end, process)
        host = Host(name, address, process, self._switch.pid)
        self._hosts.append(host)
        self._stack.callback(host.kill)
        _ip(self._switch.pid, f"link add name {name} type veth peer name eth0 netns {host._init}")
        _ip(self._switch.pid, f"link set dev {name} master switch up")
        for command in ("link set lo up", f"address add {address}/24 dev eth0", "link set eth0 up"):
            _ip(host._init, command)
        return host


def _ip(process: int, command: str) -> None:
    """Run a command of ``ip`` in the network of a process."""
    subprocess.run(["nsenter", "-t", str(process), "-n", "ip", *command.split()], check=True)


def _wait_for_end_of_input(namespaces: Sequence[str], script: str) -> subprocess.Popen[str]:
    """Run a script in new namespaces; its shell then stays until its standard input ends, which holds them."""
    # A first process that ignores SIGCHLD leaves no zombies.
    command = [*namespaces, "sh", "-c", f"set -e\n{script}\necho ready\ntrap '' CHLD\nexec cat > /dev/null"]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        if process.stdout is None or process.stdout.readline() != "ready\n":
            _end(process)
            errors.seek(0)
            raise RuntimeError(f"{shlex.join(namespaces)}: {errors.read()}")
    return process


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.kill()
    process.wait(30)


def _set_up(root: Path, name: str, address: str, readable: Sequence[Path], writable: Sequence[Path]) -> str:
    """Script that makes the file systems of a host under ``root`` and makes that the root of all."""
    base = shlex.quote(str(root))
    lines = ["mount --make-rprivate /", f"mount -t tmpfs -o mode=755 host {base}", f"cd {base}"]
    lines += ["mkdir -p -m 1777 tmp var/tmp", f"mkdir -p proc dev old run root .{HOME}"]
    for folder in SYSTEM:
        if Path(folder).is_symlink():
            lines.append(f"ln -s {Path(folder).readlink()} .{folder}")
        elif Path(folder).is_dir():
            lines += _bind(Path(folder), "ro")
    for path in (*visible_folders(), *readable):
        lines += _bind(path, "ro")
    for path in writable:
        lines += _bind(path, "rw")
    lines += ["mount --rbind /dev dev", "mount -t tmpfs -o mode=1777 shm dev/shm", "mount -t proc proc proc"]
    lines += [f"printf '127.0.0.1 localhost\\n{address} {name}\\n' > run/hosts", "mount --bind run/hosts etc/hosts"]
    lines += [f"hostname {name}", "pivot_root . old", "cd /", "umount -l /old", "rmdir /old"]
    return "\n".join(lines)


def _bind(path: Path, mode: str) -> list[str]:
    here, there = shlex.quote(str(path)), shlex.quote(f".{path}")
    make = f"mkdir -p {there}" if path.is_dir() else f"mkdir -p $(dirname {there}) && touch {there}"
    bound = [make, f"mount --rbind {here} {there}"]
    return [*bound, f"mount -o remount,bind,{mode} {there}"] if mode == "ro" else bound
