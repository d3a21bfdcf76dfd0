"""Under which conditions a run was made: machine, kernel, disk, versions."""

import datetime as dt
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from peers import DEBIAN_PEERS, PYTHON_PEERS, program
from places import PEERS

SYNCS = 400
SYNC_BYTES = 4096
INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
)
ENGINE_PACKAGES = ("xllamacpp", "openvino", "openvino-genai")


def processor() -> str:
    """The processor's name as the kernel knows it."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def memory_gib() -> float:
    """Installed memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def python_build() -> str:
    """Which Python runs the product, and how it was compiled."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    tuned = [name for name, option in (("PGO", "--enable-optimizations"), ("LTO", "--with-lto")) if option in options]
    return f"{platform.python_version()}, {platform.python_compiler()}, {' and '.join(tuned) or 'not optimised'}"


def disk_sync() -> str:
    """Time to append 4 KiB and `fdatasync`, where the product's journal lies: a whole answer waits for one of these."""
    times: list[int] = []
    with tempfile.TemporaryFile(prefix="parvis-bench-", buffering=0) as file:
        for _ in range(SYNCS):
            start = time.perf_counter_ns()
            file.write(bytes(SYNC_BYTES))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter_ns() - start) // 1000)
    times.sort()
    return f"p50 {times[SYNCS // 2]:,} µs, p99 {times[SYNCS * 99 // 100]:,} µs (4 KiB appended, {SYNCS} times)"


def debian_version(name: str) -> str:
    """What `NAME -v` says."""
    found = program(name)
    if found is None:
        return "missing"
    said = subprocess.run([found, "-v"], capture_output=True, text=True, check=True)
    number = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return number[0] if number else "unknown"


def locked_version(name: str) -> str:
    """The version of a Python peer, from its lock."""
    found = re.search(rf"^{name}(?:-server)?==(\S+)", (PEERS / f"{name}.txt").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def parvis_version() -> str:
    """The version of the installed product, and whether what a request walks through is compiled in it."""
    try:
        version = importlib.metadata.version("parvis")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    found = importlib.util.find_spec("parvis.api.inference.connection")
    interpreted = found is None or str(found.origin).endswith(".py")
    return f"{version} ({'interpreted' if interpreted else 'compiled'})"


def instruction_sets() -> str:
    """Those of the processor that engines of language models make use of."""
    found = re.search(r"^flags\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    return ", ".join(name for name in INSTRUCTION_SETS if name in flags) or "none that we know of"


def conditions() -> dict[str, str]:
    """Name and value of each condition, in reading order."""
    peers = {name: debian_version(name) for name in DEBIAN_PEERS}
    peers |= {name: locked_version(name) for name in PYTHON_PEERS}
    return _with_versions(peers)


def engine_conditions() -> dict[str, str]:
    """The same, for engines: what the processor can do, and no peers."""
    engines = {}
    for name in ENGINE_PACKAGES:
        try:
            engines[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            engines[name] = "not installed"
    return {**_with_versions(engines), "instruction sets": instruction_sets()}


def _with_versions(others: dict[str, str]) -> dict[str, str]:
    return {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{memory_gib():.0f} GiB",
        "kernel": platform.release(),
        "Python": python_build(),
        "disk, fdatasync": disk_sync(),
        "versions": ", ".join(f"{name} {version}" for name, version in {"parvis": parvis_version(), **others}.items()),
        "load before the run": f"{os.getloadavg()[0]:.2f}",
    }
