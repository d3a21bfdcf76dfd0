"""Prepare the machine for a run: compile the native programs, install the peers. Safe to repeat.

Python peers get an environment each under the scratch folder, from requirement files with hashes; nginx
is the distribution's. A peer that is in place and unchanged is left alone.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from places import LOAD, MOCK, NATIVE, PEERS, SCRATCH

PYTHON_PEERS = ("envoy", "litellm")
APT_LINE = "apt-get install --no-install-recommends nginx-light"
POLICY = Path("/usr/sbin/policy-rc.d")


def say(text: str) -> None:
    """One line of progress."""
    print(f"bench: {text}", flush=True)


def compile_native(source: Path, program: Path) -> None:
    """Compile one C file unless its program is newer."""
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SystemExit("bench: a C compiler is missing; type: apt-get install gcc libc6-dev")
    say(f"compiling {source.name}")
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", program, source], check=True)


def install_python_peer(name: str) -> None:
    """Build the environment of one peer from `peers/NAME.txt`; its mark holds the digest of that file."""
    requirements, home = PEERS / f"{name}.txt", SCRATCH / name
    mark, digest = home / "installed", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == digest:
        return
    say(f"installing {name} (a minute or two)")
    venv.create(home, clear=True, with_pip=True, symlinks=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", requirements], check=True)
    mark.write_text(digest)


def nginx() -> str | None:
    """The nginx program, also where an ordinary user's PATH does not lead."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def install_nginx() -> None:
    """Install nginx from Debian as root; otherwise name the line to type."""
    if nginx():
        return
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise SystemExit(f"bench: nginx is missing; type as root: {APT_LINE}")
    say("installing nginx")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([apt, "update", "-qq"], check=True, env=environment)
    own_policy = forbid_services()
    try:
        command = [apt, *APT_LINE.split()[1:], "--yes", "-qq", "-o", "Dpkg::Use-Pty=0"]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    finally:
        if own_policy:
            POLICY.unlink()


def forbid_services() -> bool:
    """Keep a package from starting its service (Debian policy-rc.d, status 101); True when this wrote it."""
    if POLICY.exists():
        return False
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    return True


def prepare() -> None:
    """Bring everything in place."""
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("bench: the bench needs Linux and two cores")
    compile_native(NATIVE / "mock.c", MOCK)
    compile_native(NATIVE / "load.c", LOAD)
    install_nginx()
    for name in PYTHON_PEERS:
        install_python_peer(name)
    say("peers are in place")


if __name__ == "__main__":
    prepare()
