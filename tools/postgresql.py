"""A PostgreSQL server of one's own on 127.0.0.1: made in a folder, started, and stopped."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from tools.ports import free_port

USER = "mlflow"
"""Name of the role that owns the databases, and has all rights on this server."""
PACKAGE = "postgresql"
DEBIAN = Path("/usr/lib/postgresql")
PROGRAMS = ("initdb", "pg_ctl", "createdb")
START_SECONDS = 60


class ServerError(Exception):
    """A server that cannot be started; its text is one line that says why and what to do."""


@dataclass(frozen=True)
class Owner:
    """The user of the system that runs PostgreSQL, which refuses to run as root.

    Args:
        name: as in the list of users.
        uid: its number.
        gid: the number of its group.
    """

    name: str
    uid: int
    gid: int

    @classmethod
    def find(cls) -> Owner:
        """The user of this process; where that is root, ``postgres``, else ``nobody``."""
        if os.geteuid():
            entry = pwd.getpwuid(os.geteuid())
        else:
            known = {entry.pw_name: entry for entry in pwd.getpwall()}
            entry = known.get("postgres") or known["nobody"]
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    def run(self, *command: str | Path, **settings: Any) -> subprocess.CompletedProcess[str]:
        """Run a program as this user and return its output; it reads nothing from the terminal."""
        if os.geteuid() != self.uid:
            settings |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(
            [str(word) for word in command],
            **({"text": True, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "check": False} | settings),
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,  # a Ctrl-C at the terminal is not for it
        )

    def can_enter(self, folder: Path) -> bool:
        """True if this user can reach the files of a folder."""
        return self.run("test", "-x", folder).returncode == 0


@dataclass(frozen=True)
class PostgreSQL:
    """A running server.

    Args:
        programs: folder of ``psql``, ``pg_dump`` and the others.
        folder: of its data, its log and its password.
        port: on 127.0.0.1.
        password: of the role ``mlflow``.
    """

    programs: Path
    folder: Path
    port: int
    password: str

    def uri(self, database: str) -> str:
        """Address of one of its databases, with the password, as SQLAlchemy reads it."""
        return f"postgresql+psycopg://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"


def find_programs() -> Path:
    """The folder of PostgreSQL's programs: of Debian's newest version, else of those on the path.

    Raises:
        ServerError: they are not installed.
    """
    versions = sorted(DEBIAN.glob("*/bin"), key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))])
    on_path = shutil.which("pg_ctl")
    for folder in (*reversed(versions), *([Path(on_path).resolve().parent] if on_path else [])):
        if all((folder / name).is_file() for name in PROGRAMS):
            return folder
    raise ServerError(f"PostgreSQL is not installed: apt-get install {PACKAGE} (or run with --store sqlite)")


def data_folder(wanted: Path, owner: Owner) -> Path:
    """The folder, or, where the owner cannot enter those above it, one in ``/var/tmp`` with a name made of its path."""
    wanted = wanted.absolute()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if owner.can_enter(wanted.parent):
        return wanted
    temporary = Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(gettempdir())
    return temporary / f"mnist-search-postgresql-{sha256(str(wanted).encode()).hexdigest()[:12]}"


@contextmanager
def running_postgresql(folder: Path, databases: Sequence[str], port: int = 0) -> Iterator[PostgreSQL]:
    """Start a server and stop it at the end; its data stay. It listens on 127.0.0.1 only, and asks for a password.

    Args:
        folder: of its data; made where it is missing. See :func:`data_folder` for the place that is used.
        databases: made where they are missing.
        port: 0 for any free one.

    Raises:
        ServerError: PostgreSQL is not installed, the folder holds something else, or the server does not start.
    """
    programs, owner = find_programs(), Owner.find()
    folder = data_folder(folder, owner)
    _make_private(folder, owner)
    data, control = folder / "data", programs / "pg_ctl"
    if not data.exists():
        _initialize(programs, folder, owner)
    # A server that outlived the process which had started it.
    owner.run(control, "stop", "-D", data, "-m", "fast")
    server = PostgreSQL(programs, folder, port or free_port(), (folder / "password").read_text().strip())
    # Clients come over TCP: the path of a socket file may have 107 characters, which deep folders exceed.
    options = f"-c listen_addresses=127.0.0.1 -c port={server.port} -c unix_socket_directories="
    log = folder / "log"
    started = owner.run(
        *(control, "start", "-w", "-t", str(START_SECONDS), "-D", data, "-l", log, "-o", options),
        stdout=subprocess.DEVNULL,  # the server keeps it open
    )
    try:
        if started.returncode:
            raise ServerError(f"PostgreSQL did not start; {log} ends with: {_last_line(log)}")
        for name in databases:
            _create_database(server, name, owner)
        yield server
    finally:
        owner.run(control, "stop", "-D", data, "-m", "fast")


def _make_private(folder: Path, owner: Owner) -> None:
    """Make the folder for the owner alone.

    Raises:
        ServerError: it exists and is another user's, as anybody could have made it in ``/var/tmp``.
    """
    try:
        folder.mkdir(mode=0o700)
        os.chown(folder, owner.uid, owner.gid)
    except FileExistsError:
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != owner.uid:
            raise ServerError(f"{folder}: expected a folder of the user {owner.name}; remove it or move it") from None


def _initialize(programs: Path, folder: Path, owner: Owner) -> None:
    """Make the data; a start that was interrupted leaves none."""
    unfinished, password = folder / "unfinished", folder / "password"
    shutil.rmtree(unfinished, ignore_errors=True)
    password.unlink(missing_ok=True)
    descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(24) + "\n")
    os.chown(password, owner.uid, owner.gid)
    made = owner.run(
        *(programs / "initdb", "-D", unfinished, "-U", USER, "--auth=scram-sha-256", f"--pwfile={password}"),
        *("--encoding=UTF8", "--locale=C.UTF-8"),
    )
    if made.returncode:
        raise ServerError(f"{folder}: PostgreSQL's initdb failed: {(made.stdout.strip().splitlines() or ['?'])[-1]}")
    unfinished.rename(folder / "data")


def _create_database(server: PostgreSQL, name: str, owner: Owner) -> None:
    environment = {**os.environ, "PGPASSWORD": server.password}
    address = ("-h", "127.0.0.1", "-p", str(server.port), "-U", USER, "--no-password")
    made = owner.run(server.programs / "createdb", *address, name, env=environment)
    if made.returncode and "already exists" not in made.stdout:
        raise ServerError(f"PostgreSQL could not create the database {name}: {made.stdout.strip()}")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1] if lines else "nothing"
