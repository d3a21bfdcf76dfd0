"""How fast journals become books: real segments of many requests into SQLite and into PostgreSQL, on one core.

usage: ingest.py [--requests 50000] [--rate 5000] [--seconds 10] [--keys 100] [--stores sqlite,postgresql]

Two figures for each database. `filled`: the journal is written beforehand, and booked as fast as it goes. `live`:
another process writes so many requests each second, control's loop follows it, and the lag is the age of the oldest
request of each booking when that is durable. What books and the database's server share one core; the writer has
another. Processor time is of both together.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parvis.adapters.journal.folder import SEGMENT, make_locked
from parvis.adapters.journal.frames import frame
from parvis.adapters.journal.reader import JournalReader
from parvis.adapters.journal.segment import Segment
from parvis.adapters.store.store import SqlStore
from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.billing.price import PriceList, cost
from parvis.domain.billing.transfer import tenant_account
from parvis.domain.metering.records import Closed, Operation, Outcome, Record, Settled, Started, UsageRecord
from parvis.domain.quota.budget import budget_account, month_of
from parvis.flows.ingest import Ingest
from parvis.testing.postgres import new_database, postgres

BOOKING_CORE, WRITING_CORE = 0, 1
CLOSED_AT_ONCE = 20
ASLEEP_S = 0.05
"""Between two looks into the journal, as in control."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PRICES = PriceList("p1", "*", 0, 900_000, 900_000, 4_000_000, 21_000_000)
TENANTS = 4


class Writer:
    """A gateway run that only writes."""

    def __init__(self, folder: Path, keys: int) -> None:
        make_locked(folder)
        self._folder, self._keys = folder, keys
        self._sequence = self._segments = self._number = 0
        self._segment = Segment(folder / SEGMENT.format(0))
        self._open: list[str] = []

    def requests(self, many: int) -> None:
        """Whole requests, from start to end; every other one streamed."""
        for _ in range(many):
            self._number += 1
            started, settled = request(self._number, self._keys, self._folder.name)
            self._append(started)
            self._append(settled)
            if not started.streamed:
                self._open.append(started.request_id)
            if len(self._open) >= CLOSED_AT_ONCE:
                self.close()

    def close(self) -> None:
        """What was not streamed has been handed over."""
        self._append(Closed(tuple(self._open)))
        self._open = []

    def _append(self, record: Record) -> None:
        self._sequence += 1
        data = frame(self._sequence, record)
        if not self._segment.fits(len(data)):
            self._segments += 1
            self._segment = Segment(self._folder / SEGMENT.format(self._segments))
        self._segment.append(data)


def request(number: int, keys: int, run: str) -> tuple[Started, Settled]:
    """One of so many keys, held against the budget of its key."""
    now = time.time_ns() // 1_000_000
    tokens = TokenCount(200 + number % 50, number % 7, 90 + number % 60, number % 3)
    due = cost(tokens, PRICES).pico_euro
    key = number % keys
    budgets = (budget_account(f"key:{key}", month_of(now)),)
    started = Started(
        request_id=f"req_{run}_{number}",
        organisation_id="org",
        tenant_id=f"tenant{key % TENANTS}",
        key_id=str(key),
        model_id=f"model{number % 2}",
        operation=Operation.CHAT,
        replica_id="replica",
        price_version=PRICES.version,
        held_pico_euro=due * 2,
        streamed=number % 2 == 0,
        started_unix_ms=now,
        project_id="project",
        owner_id=f"user{key % 50}",
        budgets=budgets,
    )
    settled = Settled(started.request_id, Outcome.COMPLETED, tokens, billed_pico_euro=due, total_ms=900)
    return started, settled


def write_live(folder: Path, keys: int, rate: int, seconds: float) -> None:
    """In a process of its own: so many requests each second, evenly."""
    os.sched_setaffinity(0, {WRITING_CORE})
    writer, begin, written = Writer(folder, keys), time.monotonic(), 0
    while (passed := time.monotonic() - begin) < seconds:
        due = int(passed * rate) - written
        writer.requests(due)
        written += due
        if due:
            writer.close()
        time.sleep(0.004)


async def prepared(url: str, keys: int, runs: Sequence[str]) -> SqlStore:
    """A store with tenants, and leases that cover everything."""
    store = SqlStore(url)
    await store.open()
    await store.create_organisation("org", "Organisation")
    await store.add_prices(PRICES)
    for number in range(TENANTS):
        await store.create_tenant(f"tenant{number}", "org", "Tenant", credit_unlimited=True)
    for run in runs:
        for number in range(TENANTS):
            whole = Money.euro(10**6)
            await store.lend(tenant_account(f"tenant{number}"), run, whole, whole, f"{run} {number}")
    month = month_of(time.time_ns() // 1_000_000)
    for key in range(keys):
        for run in runs:
            await store.lend(budget_account(f"key:{key}", month), run, Money.euro(1), Money.euro(10), f"{run} k{key}")
    return store


async def filled(url: str, folder: Path, keys: int, requests: int, pids: Sequence[int]) -> dict[str, Any]:
    """As fast as it goes."""
    store = await prepared(url, keys, ["filled"])
    writer = Writer(folder / "filled", keys)
    writer.requests(requests)
    writer.close()
    ingest = Ingest(JournalReader(folder / "filled"), store)
    begin, cpu = time.monotonic(), cpu_s(pids)
    await ingest.step()
    seconds, used = time.monotonic() - begin, cpu_s(pids) - cpu
    [total] = await store.usage(None)
    if total.requests != requests:
        raise RuntimeError(f"{total.requests} of {requests} requests were booked")
    await store.close()
    return {
        "requests": requests,
        "per_s": round(requests / seconds),
        "per_cpu_s": round(requests / used),
        "cpu_us_each": round(used / requests * 1e6, 1),
    }


async def live(url: str, folder: Path, keys: int, rate: int, seconds: float, pids: Sequence[int]) -> dict[str, Any]:
    """Control's loop beside a gateway that lives."""
    store = await prepared(url, keys, ["live"])
    writer = multiprocessing.get_context("spawn").Process(
        target=write_live, args=(folder / "live", keys, rate, seconds)
    )
    lags: list[float] = []

    def booked(records: Sequence[UsageRecord]) -> None:
        lags.append(time.time() - min(record.started.started_unix_ms for record in records) / 1000)

    writer.start()
    while not (folder / "live").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    ingest, cpu, begin = Ingest(JournalReader(folder / "live"), store, booked), cpu_s(pids), time.monotonic()
    while writer.is_alive():
        await ingest.step()
        await asyncio.sleep(ASLEEP_S)
    share = (cpu_s(pids) - cpu) / (time.monotonic() - begin)
    await ingest.step()
    [total] = await store.usage(None)
    writer.join()
    if differences := await store.check():
        raise RuntimeError(f"the books do not add up: {differences[:3]}")
    await store.close()
    return {
        "rate": rate,
        "requests": total.requests,
        "lag_s_max": round(max(lags), 3),
        "lag_s_mean": round(sum(lags) / len(lags), 3),
        "core_share": round(share, 2),
    }


def cpu_s(pids: Sequence[int]) -> float:
    """Processor time of this process, of these, and of their children."""
    return time.process_time() + sum(_of(pid) for pid in pids)


def _of(pid: int) -> float:
    """One process' and its children's, those that have ended included."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if pid in (int(stat.parent.name), int(fields[1])):
            total += (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return total


@contextmanager
def server() -> Iterator[tuple[str, list[int]]]:
    """PostgreSQL on our core, and its main process."""
    before = set(_children())
    with postgres() as url:
        yield url, sorted(set(_children()) - before)


def _children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


async def measured(url: str, folder: Path, said: argparse.Namespace, pids: Sequence[int], fresh: str) -> None:
    """Both figures, printed."""
    name = url.partition(":")[0]
    print(json.dumps({"store": name, "filled": await filled(url, folder, said.keys, said.requests, pids)}), flush=True)
    figures = await live(fresh, folder, said.keys, said.rate, said.seconds, pids)
    print(json.dumps({"store": name, "live": figures}), flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--stores", default="sqlite,postgresql")
    said = parser.parse_args()
    os.sched_setaffinity(0, {BOOKING_CORE})
    with tempfile.TemporaryDirectory(prefix="parvis-ingest-") as scratch:
        for store in said.stores.split(","):
            folder = Path(scratch) / store
            folder.mkdir()
            if store == "sqlite":
                first, second = (f"sqlite:///{folder}/{name}.db" for name in ("filled", "live"))
                asyncio.run(measured(first, folder, said, [], second))
            else:
                with server() as (url, pids):
                    asyncio.run(measured(new_database(url), folder, said, pids, new_database(url)))


if __name__ == "__main__":
    main()
