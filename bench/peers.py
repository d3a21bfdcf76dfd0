"""Prepare the machine for a run: compile the native programs, install the peers. Safe to repeat.

usage: peers.py [TARGET...]

Python peers get an environment each under the scratch folder, from requirement files with hashes; nginx, HAProxy
and the compiler are the distribution's. What is in place and unchanged is left alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

from places import LOAD, MOCK, NATIVE, PEERS, SCRATCH

PYTHON_PEERS = ("envoy", "vllm-router", "sglang-router", "litellm")
DEBIAN_PEERS = {"nginx": "nginx-light", "haproxy": "haproxy"}
HEADERS = {"libc6-dev": Path("/usr/include/stdio.h"), "libssl-dev": Path("/usr/include/openssl/ssl.h")}
POLICY = Path("/usr/sbin/policy-rc.d")


def say(text: str) -> None:
    """One line of progress."""
    print(f"bench: {text}", flush=True)


def program(name: str) -> str | None:
    """A peer's program: its own environment's, or the system's, also where an ordinary user's PATH does not lead."""
    own = SCRATCH / name / "bin" / name
    return str(own) if own.exists() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def missing_packages(names: Iterable[str]) -> list[str]:
    """Debian packages that are needed for these targets and are not there."""
    compiler = [] if shutil.which("gcc") else ["gcc"]
    headers = [package for package, header in HEADERS.items() if not header.exists()]
    return compiler + headers + [DEBIAN_PEERS[name] for name in names if name in DEBIAN_PEERS and not program(name)]


def install_packages(packages: Sequence[str]) -> None:
    """Install from Debian as root; otherwise name the line to type."""
    if not packages:
        return
    line = f"apt-get install --no-install-recommends {' '.join(packages)}"
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise SystemExit(f"bench: {', '.join(packages)} missing; type as root: {line}")
    say(f"installing {', '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([apt, "update", "-qq"], check=True, env=environment)
    own_policy = forbid_services()
    try:
        command = [apt, *line.split()[1:], "--yes", "-qq", "-o", "Dpkg::Use-Pty=0"]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    finally:
        if own_policy:
            POLICY.unlink()


def forbid_services() -> bool:
    """Keep packages from starting their services (Debian policy-rc.d, status 101); True when this wrote it."""
    if POLICY.exists():
        return False
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    return True


def compile_native(source: Path, program: Path, *libraries: str) -> None:
    """Compile one C file unless its program is newer. Another run may do so at the same time."""
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return
    say(f"compiling {source.name}")
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", fresh, source, *libraries], check=True)
    fresh.replace(program)


def install_python_peer(name: str) -> None:
    """Build the environment of one peer from `peers/NAME.txt`; its mark holds the digest of that file."""
    requirements, home = PEERS / f"{name}.txt", SCRATCH / name
    mark, digest = (home / "installed", hashlib.sha256(requirements.read_bytes()).hexdigest())
    if mark.exists() and mark.read_text() == digest:
        return
    say(f"installing {name} (a minute or two)")
    venv.create(home, clear=True, with_pip=True, symlinks=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", requirements], check=True)
    mark.write_text(digest)


def prepare(targets: Sequence[str]) -> None:
    """Bring in place what these targets need."""
    if sys.platform != "linux" or not {0, 1} <= os.sched_getaffinity(0):
        raise SystemExit("bench: the bench needs Linux and its first two cores")
    peers = list(dict.fromkeys(name.removesuffix("-tls") for name in targets))
    install_packages(missing_packages(peers))
    compile_native(NATIVE / "mock.c", MOCK)
    compile_native(NATIVE / "load.c", LOAD, "-lssl", "-lcrypto")
    for name in peers:
        if name in PYTHON_PEERS:
            install_python_peer(name)
    say("peers are in place")


if __name__ == "__main__":
    prepare(sys.argv[1:])
