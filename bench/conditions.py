"""Under which conditions a run was made: machine, kernel, versions."""

import datetime as dt
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

from peers import PYTHON_PEERS, nginx
from places import PEERS


def processor() -> str:
    """The processor's name as the kernel knows it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def memory_gib() -> float:
    """Installed memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def nginx_version() -> str:
    """What `nginx -v` says."""
    program = nginx()
    if program is None:
        return "missing"
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


def locked_version(name: str) -> str:
    """The version of a Python peer, from its lock."""
    found = re.search(rf"^{name}(?:-server)?==(\S+)", (PEERS / f"{name}.txt").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def parvis_version() -> str:
    """The version of the installed product."""
    try:
        return importlib.metadata.version("parvis")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def conditions() -> dict[str, str]:
    """Name and value of each condition, in reading order."""
    peers = {name: locked_version(name) for name in PYTHON_PEERS}
    versions = {"parvis": parvis_version(), "nginx": nginx_version(), **peers}
    return {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "load before the run": f"{os.getloadavg()[0]:.2f}",
    }
