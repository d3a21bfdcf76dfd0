"""What Linux tells about running processes: their tree, processor time, memory and cores.

Processor time comes from process CPU clocks (nanoseconds, all threads), not from tick counts.
Every function takes process ids and passes over those that have ended.
"""

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of a cpu line in /proc/stat that are nobody's work: idle and iowait. The kernel measures these two to
# the microsecond and only samples the others, which misleads about work that wakes by a timer.
IDLE_FIELDS = (4, 5)


@dataclass(frozen=True)
class Memory:
    """Resident memory in MiB. `pss` divides shared pages among their users, `rss` counts them whole."""

    pss_mib: float
    rss_mib: float


def tree(root: int) -> list[int]:
    """`root` and all its descendants, parents first."""
    pids = [root]
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                pids += map(int, (task / "children").read_text().split())
    return pids


def command_line(pid: int) -> str:
    """The words of a process's command, separated by spaces; empty when it has ended."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_text(errors="replace").replace("\0", " ")
    return ""


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds used so far. The clock id is the kernel's MAKE_PROCESS_CPUCLOCK(pid, SCHED)."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2)
    return total


def idle_core_s(core: int) -> float:
    """Seconds that `core` has idled (proc_stat(5); steps of 10 ms)."""
    for line in (PROC / "stat").read_text().splitlines():
        fields = line.split()
        if fields[0] == f"cpu{core}":
            return sum(int(fields[i]) for i in IDLE_FIELDS) / TICKS_PER_S
    raise RuntimeError(f"no core {core} on this machine")


def memory(pids: Iterable[int]) -> Memory:
    """Sum over the processes, from smaps_rollup."""
    kib = {"Pss:": 0, "Rss:": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                name, *values = line.split()
                if name in kib:
                    kib[name] += int(values[0])
    return Memory(kib["Pss:"] / 1024, kib["Rss:"] / 1024)


def pin(pids: Iterable[int], core: int) -> None:
    """Bind every thread of the processes to one core; threads and children to come inherit it."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in (PROC / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(task.name), {core})


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes started inside begin bound to one core."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send one signal to each process."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def send_all_but(awake: Collection[int], everyone: Iterable[Iterable[int]]) -> None:
    """Freeze all processes but these, and let these go on."""
    for pids in everyone:
        send([pid for pid in pids if pid not in awake], signal.SIGSTOP)
    send(awake, signal.SIGCONT)


def wait_quiet(pids: list[int], patience_s: float = 30.0) -> bool:
    """Wait until the processes use less than a tenth of a core, so that leftovers of earlier work end.

    False when they still did after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        before = cpu_s(pids)
        time.sleep(0.2)
        if cpu_s(pids) - before < 0.02:
            return True
    return False


def stop(root: int, patience_s: float = 10.0) -> None:
    """End `root`, which may be frozen, by SIGTERM; what is left of its tree after `patience_s` by SIGKILL."""
    pids = tree(root)
    send(pids[:1], signal.SIGTERM)
    send(pids, signal.SIGCONT)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and any(command_line(pid) for pid in pids):
        time.sleep(0.1)
    send([pid for pid in pids if command_line(pid)], signal.SIGKILL)
