"""A look at this machine: what engines may use of it. Linux; elsewhere it is the least that is sure.

Files are read and nothing is run. What a container may use is often less than the machine has, so the bounds of its
control group count too (cgroup v2, or v1).
"""

import os
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from parvis.domain.fleet.layout import Machine

ROOT = Path("/")
_FLAGS = {"avx2": "AVX2", "avx512f": "AVX-512", "amx_tile": "AMX"}
_GPUS = {"NVIDIA": ("proc/driver/nvidia/version", "dev/nvidia0"), "AMD": ("dev/kfd",)}
_LEAST_BYTES = 1 << 30
"""Taken to be there where nothing says how much memory there is."""
_UNBOUNDED_BYTES = 1 << 60
"""From so much on, cgroup v1 means: no bound."""


def look(root: Path = ROOT) -> Machine:
    """What there is. `root` is another one in tests."""
    flags = _figure(root / "proc/cpuinfo", "flags")
    return Machine(
        cores=_cores(root),
        memory_bytes=_memory_bytes(root),
        instruction_sets=frozenset(name for flag, name in _FLAGS.items() if flag in flags),
        gpus=tuple(maker for maker, paths in _GPUS.items() if any((root / path).exists() for path in paths)),
        openvino=find_spec("openvino_genai") is not None,
    )


def _cores(root: Path) -> int:
    """Those that we may run on, or fewer where the group gets less time than they have; a part of one is none."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = ([*_first(root / "sys/fs/cgroup/cpu.max").split(), "", ""])[:2]
    quota = quota or _first(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = period or _first(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdecimal() and period.isdecimal() and int(period):
        cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def _memory_bytes(root: Path) -> int:
    whole = next((int(word) * 1024 for word in _figure(root / "proc/meminfo", "MemTotal") if word.isdecimal()), 0)
    bounds = (_first(root / "sys/fs/cgroup" / name) for name in ("memory.max", "memory/memory.limit_in_bytes"))
    known = [int(bound) for bound in bounds if bound.isdecimal() and int(bound) < _UNBOUNDED_BYTES]
    return min([*known, *([whole] if whole else [])], default=_LEAST_BYTES)


def _first(path: Path) -> str:
    """The first line; empty where there is none."""
    try:
        return (path.read_text().splitlines() or [""])[0].strip()
    except OSError:
        return ""


def _figure(path: Path, name: str) -> Collection[str]:
    """The words after `name :` in a file that has one fact a line."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    return next((rest.split() for head, _, rest in (line.partition(":") for line in lines) if head.strip() == name), [])
