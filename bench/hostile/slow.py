"""slowhttptest, a tool that others wrote, against the inference listener: four ways of being slow.

    python bench/hostile/slow.py

Starts the service with a fake engine on loopback, asks it good questions all the while, prints a table with a verdict,
and exits with 1 when one is bad. Two minutes. slowhttptest is Debian's; as root it is installed if it is missing.
"""

import asyncio
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from parvis.testing.caller import Caller, chat
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, served_by, service

APT_LINE = "apt-get install --no-install-recommends slowhttptest"
CONNECTIONS, PER_SECOND = 1_000, 500
SECONDS = 25
CALM_S = 10.0
DEADLINE_S = 5
"""Of head, body, silence and stall, so that the end of each can be seen."""
GROWTH_BYTES_MAX = 100_000_000
GOOD_AT_ONCE = 4
GOOD_PAUSE_S = 0.03
SETTINGS = {f"PARVIS_INFERENCE__{name}_S_MAX": str(DEADLINE_S) for name in ("HEAD", "BODY", "IDLE", "STALL")}


@dataclass(frozen=True)
class Mode:
    """One way of being slow. `ends`: who is thrown out sees it, so nobody may be inside at the end."""

    name: str
    options: tuple[str, ...]
    ends: bool


MODES = (
    Mode("slow heads", ("-H", "-i", "2"), ends=True),
    Mode("slow bodies", ("-B", "-i", "2", "-s", "8192"), ends=True),
    Mode("slow reads", ("-X", "-k", "10", "-w", "10", "-y", "20", "-n", "2", "-z", "5"), ends=False),
    Mode("ranges", ("-R", "-a", "5", "-b", "2000"), ends=True),
)


@dataclass(frozen=True)
class Good:
    """What good clients saw."""

    took_s: list[float]
    failed: int

    @property
    def p99_ms(self) -> float:
        return 1000 * sorted(self.took_s)[len(self.took_s) * 99 // 100]


@dataclass(frozen=True)
class Result:
    """What one mode came to."""

    mode: Mode
    good: Good
    opened: int
    inside_at_end: int
    away: int
    growth_bytes: int

    def faults(self) -> list[str]:
        found = []
        if self.good.failed:
            found.append(f"{self.good.failed} good requests failed")
        if self.away:
            found.append(f"away to slowhttptest's own probe for {self.away} s")
        if self.mode.ends and self.inside_at_end:
            found.append(f"{self.inside_at_end} slow clients are still inside")
        if self.opened < CONNECTIONS // 2:  # the tool ends early when all that it opened were closed
            found.append(f"only {self.opened} connections were opened")
        if self.growth_bytes > GROWTH_BYTES_MAX:
            found.append("the gateway grew too much")
        return found


def install() -> str:
    """Where slowhttptest is. As root it is installed if it is missing; otherwise the line to type is named."""
    found = shutil.which("slowhttptest")
    if found:
        return found
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        raise SystemExit(f"slowhttptest is missing; type as root: {APT_LINE}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], [*APT_LINE.split()[1:], "--yes", "-qq", "-o", "Dpkg::Use-Pty=0"]):
        subprocess.run([apt, *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    return install()


async def ask(running: Service, until: asyncio.Event) -> Good:
    """Good clients, whole answers and streams in turn, until told to stop."""
    took_s: list[float] = []
    failed = 0

    async def one_after_another(caller: Caller) -> None:
        nonlocal failed
        while not until.is_set():
            started_s = time.monotonic()
            seen = await caller.ask("/v1/chat/completions", chat("@tokens=8 Hi.", stream=len(took_s) % 2 == 0))
            took_s.append(time.monotonic() - started_s)
            failed += not seen.answered
            await asyncio.sleep(GOOD_PAUSE_S)

    async with Caller(running.port, running.api_key) as caller:
        await asyncio.gather(*(one_after_another(caller) for _ in range(GOOD_AT_ONCE)))
    return Good(took_s, failed)


async def calm(running: Service) -> Good:
    """Good clients alone."""
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(CALM_S, over.set)
    return await ask(running, over)


async def attacked(running: Service, program: str, mode: Mode, folder: Path) -> Result:
    """Good clients beside slow ones of this kind."""
    [gateway] = running.pids("gateway")
    before_bytes = resident_bytes(gateway)
    prefix = folder / mode.name.replace(" ", "-")
    size = ("-c", str(CONNECTIONS), "-r", str(PER_SECOND), "-l", str(SECONDS), "-p", "3")
    url = f"http://127.0.0.1:{running.port}/v1/models"
    over = asyncio.Event()
    asking = asyncio.create_task(ask(running, over))
    tool = await asyncio.create_subprocess_exec(
        program, *mode.options, *size, "-u", url, "-g", "-o", str(prefix), stdout=asyncio.subprocess.DEVNULL
    )
    if await tool.wait():
        raise SystemExit(f"slowhttptest failed: {' '.join(mode.options)}")
    growth_bytes = resident_bytes(gateway) - before_bytes
    over.set()
    rows = list(csv.DictReader(prefix.with_suffix(".csv").open()))
    opened = max(int(row["Closed"]) + int(row["Connected"]) for row in rows)
    away = sum(int(row["Service Available"]) == 0 for row in rows)
    inside = await connections(running) if mode.ends else 0
    return Result(mode, await asking, opened, inside, away, growth_bytes)


async def connections(running: Service) -> int:
    """How many clients are inside, less ours, when the last deadline has passed."""
    await asyncio.sleep(DEADLINE_S + 3)
    text = await asyncio.to_thread(lambda: running.operator.get("/metrics").text)
    line = next(line for line in text.splitlines() if line.startswith("parvis_connections "))
    return max(0, int(float(line.split()[1])) - GOOD_AT_ONCE)


def resident_bytes(pid: int) -> int:
    """The memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def told(result: Result) -> str:
    """One line of the table."""
    good = result.good
    verdict = "; ".join(result.faults()) or "good"
    return (
        f"{result.mode.name:12} {result.opened:6} {len(good.took_s):7} {good.failed:7} {good.p99_ms:8.1f}"
        f" {result.growth_bytes / 1e6:7.1f}  {verdict}"
    )


async def run(running: Service, program: str, folder: Path) -> bool:
    """Measure and print all; whether it is good."""
    print(f"{'':12} {'opened':>6} {'asked':>7} {'failed':>7} {'p99 ms':>8} {'MB more':>7}  verdict")
    quiet = await calm(running)
    print(f"{'nobody else':12} {0:6} {len(quiet.took_s):7} {quiet.failed:7} {quiet.p99_ms:8.1f}")
    results = []
    for mode in MODES:
        results.append(await attacked(running, program, mode, folder))
        print(told(results[-1]), flush=True)
    return not any(result.faults() for result in results)


def main() -> None:
    """Run the tool against a service of its own."""
    program = install()
    with tempfile.TemporaryDirectory(prefix="parvis-slow-") as name, fake_engine() as engine:
        home = Path(name) / "home"
        with service(home, engines={"fake": served_by(engine)}, env=SETTINGS) as running:
            good = asyncio.run(run(running, program, Path(name)))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
