"""The hosts of these tests are as separate as machines are."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hosts import ROOT, Host, Hosts
from tests.helpers.ray_cluster import NETWORK, documented

pytestmark = pytest.mark.cluster

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()"
LISTEN = """
import socket, sys, time
listener = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with Hosts() as made:
        yield made


def reaches(host: Host, address: str, port: int = 7000) -> bool:
    return host.run(sys.executable, "-c", CONNECT, address, str(port)).returncode == 0


def listen(host: Host, folder: Path, port: int = 7000) -> None:
    output = folder / f"listener-{port}.txt"
    host.start(sys.executable, "-c", LISTEN, str(port), output=output)
    while "ready" not in output.read_text():
        time.sleep(0.05)


def test_a_host_sees_no_files_of_this_machine_but_the_installation(hosts: Hosts, tmp_path: Path) -> None:
    seen, hidden, own = tmp_path / "seen", tmp_path / "hidden", tmp_path / "own"
    for folder in (seen, hidden, own):
        folder.mkdir()
        (folder / "file").touch()
    host = hosts.add("one", readable=[seen], writable=[own])
    assert host.run("sh", "-c", f"find {tmp_path} -type f | sort").stdout.splitlines() == [
        f"{own}/file",
        f"{seen}/file",
    ]
    assert host.run("ls", str(ROOT)).stdout.split() == ["experiments", "mnist_core", "search", "serving"]
    assert host.run("touch", f"{own}/new", f"{seen}/new", f"{ROOT}/search/new").returncode == 1
    assert [(folder / "new").exists() for folder in (own, seen, ROOT / "search")] == [True, False, False]
    assert host.run("ls", "-A", str(Path.home())).stdout.split() in ([], [".pyenv"])
    assert host.run("touch", "/tmp/mark").returncode == 0
    assert hosts.add("two").run("ls", "/tmp/mark").returncode == 2


def test_hosts_reach_each_other_and_nothing_else(hosts: Hosts, tmp_path: Path) -> None:
    one, two = hosts.add("one"), hosts.add("two")
    assert [host.run("hostname").stdout for host in (one, two)] == ["one\n", "two\n"]
    listen(one, tmp_path)
    assert reaches(two, one.address)
    with socket.create_server(("127.0.0.1", 0)) as here:
        assert not reaches(two, *here.getsockname())
    assert "unreachable" in two.run(sys.executable, "-c", CONNECT, "192.0.2.1", "80").stderr


def test_the_documented_packet_filter_never_closes_ssh_and_closes_what_it_does_not_name(
    hosts: Hosts, tmp_path: Path
) -> None:
    one, two = hosts.add("one"), hosts.add("two")
    for port in (22, 6379, 7000):
        listen(one, tmp_path, port)
    for command in documented("packet filter").splitlines():
        done = one.run("sh", "-c", command, environment={"NETWORK": NETWORK})
        assert done.returncode == 0, done.stderr
        assert reaches(two, one.address, 22), command
    assert reaches(two, one.address, 6379)
    assert not reaches(two, one.address, 7000)


def test_a_cut_host_is_silent_until_it_is_restored(hosts: Hosts, tmp_path: Path) -> None:
    one, two = hosts.add("one"), hosts.add("two")
    listen(one, tmp_path)
    one.cut()
    assert not reaches(two, one.address)
    assert reaches(one, "127.0.0.1")
    one.restore()
    # The kernel tells others of a cable after up to a second, and asks again for addresses that did not answer.
    assert any(reaches(two, one.address) for _ in range(5))


def test_a_killed_host_takes_its_programs_with_it(hosts: Hosts, tmp_path: Path) -> None:
    host = hosts.add("one")
    program = host.start("sleep", "600", output=tmp_path / "sleep.txt")
    host.kill()
    assert program.wait(10) != 0
    host.kill()


def test_hosts_end_with_their_context(tmp_path: Path) -> None:
    with Hosts() as hosts:
        program = hosts.add("one").start("sleep", "600", output=tmp_path / "sleep.txt")
    assert program.wait(10) != 0
