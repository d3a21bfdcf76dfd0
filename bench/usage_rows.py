"""How long usage pages and exports take when there are ten million requests.

    python bench/usage_rows.py [--rows 10000000] [--folder DIRECTORY]

Fills a SQLite store with a month of requests (its usage and its roll-ups, as ingest would have left them, without
transfers), then asks for every kind of page through the store, and prints seconds: of the clock, and of the CPU, which
others on the machine disturb less. A filled folder is used again.
"""

import argparse
import asyncio
import resource
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from parvis.adapters.store.store import SqlStore
from parvis.api.web.table_files import Format, table_writer
from parvis.domain.catalog.builtin import entry
from parvis.domain.metering.buckets import Split, UsageQuestion, Width
from parvis.domain.metering.export import REQUEST_COLUMNS, usage_columns
from parvis.domain.metering.totals import GroupBy
from parvis.flows.exports import export_requests, export_usage
from parvis.flows.usage import usage_report
from parvis.flows.usage_over_time import COMPLETIONS, usage_page

ROWS = 10_000_000
DAYS = 30
KEYS = 1_000
TENANTS = 20
"""The first has half of the keys."""
MODELS = 5
START_UNIX_MS = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000
GOAL_S = 1.0

USAGE = """
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :rows),
drawn AS MATERIALIZED (
  SELECT n, abs(random()) % :keys AS k, abs(random()) % :models AS m, 20 + abs(random()) % 2000 AS input,
    abs(random()) % 500 AS cached, 1 + abs(random()) % 400 AS output, (abs(random()) % 10 = 0) * 200 AS reasoning,
    :start + n * :span / :rows AS at
  FROM number
)
INSERT INTO usage (
  tenant_id, request_id, incarnation, organisation_id, key_id, model_id, operation, replica_id, price_version, held,
  streamed, started_unix_ms, day, outcome, input, cached, output, reasoning, estimated, billed, written_off,
  first_byte_ms, total_ms
)
SELECT 't' || CASE WHEN k < :keys / 2 THEN 0 ELSE k % :tenants END, 'req_' || printf('%026d', n), 'gw_1', 'org',
  'k' || k, 'model-' || m, CASE m WHEN 0 THEN 'embedding' ELSE 'chat' END, 'r1', 'v1', '99000000000', n % 2, at,
  at / :day, 'completed', input, cached, output, reasoning, n % 100 = 0,
  CAST(input * 900000 + cached * 900000 + output * 4000000 + reasoning * 21000000 AS TEXT), '0', 80, 900
FROM drawn
"""
ROLLUPS = """
INSERT INTO rollups
SELECT tenant_id, day, key_id, model_id, count(*), sum(input), sum(cached), sum(output), sum(reasoning), sum(estimated),
  CAST(sum(CAST(billed AS INTEGER)) AS TEXT), CAST(sum(CAST(written_off AS INTEGER)) AS TEXT)
FROM usage GROUP BY 1, 2, 3, 4
"""


async def fill(path: Path, rows: int) -> None:
    """A store with this many requests in it. Minutes for ten million."""
    store = SqlStore(f"sqlite:///{path}")
    await store.open()
    await store.create_organisation("org", "Organisation")
    for number in range(TENANTS):
        await store.create_tenant(f"t{number}", "org", f"Tenant {number}", credit_unlimited=True)
    await store.close()
    with sqlite3.connect(path, isolation_level=None) as books:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "temp_store=MEMORY", "cache_size=-2000000"):
            books.execute(f"PRAGMA {pragma}")
        later = books.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'usage' AND sql > ''"
        )
        indexes = later.fetchall()
        books.execute("BEGIN")
        for name, _ in indexes:
            books.execute(f"DROP INDEX {name}")
        books.execute("INSERT INTO incarnations (incarnation, position, opened_unix_ms) VALUES ('gw_1', 0, 0)")
        numbers = {"rows": rows, "keys": KEYS, "models": MODELS, "tenants": TENANTS, "start": START_UNIX_MS}
        books.execute(USAGE, {**numbers, "span": DAYS * DAY_MS, "day": DAY_MS})
        books.execute(ROLLUPS)
        for _, statement in indexes:
            books.execute(statement)
        books.execute("COMMIT")
        books.execute("ANALYZE")
        books.execute("PRAGMA journal_mode=WAL")


def questions(store: SqlStore) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every kind of page, at its largest."""
    since, until, noon = START_UNIX_MS, START_UNIX_MS + DAYS * DAY_MS, DAY_MS // 2
    all_tenants = tuple(f"t{number}" for number in range(TENANTS))

    def buckets(
        width: Width, count: int, *split_by: Split, completions: bool = False
    ) -> Callable[[], Awaitable[object]]:
        first = since if width is Width.DAY else since + 10 * DAY_MS
        question = UsageQuestion(
            tenant_ids=all_tenants,
            since_unix_ms=first,
            until_unix_ms=until,
            width=width,
            split_by=split_by,
            operations=COMPLETIONS if completions else None,
        )
        return lambda: usage_page(store, question, count)

    def export(form: Format, *groups: GroupBy) -> Callable[[], Awaitable[object]]:
        async def written() -> None:
            with tempfile.TemporaryFile() as file:
                writer = table_writer(form, file, usage_columns(groups))
                await export_usage(store, None, groups, since, until, writer)
                writer.close()

        return written

    return {
        "export of a month by key, CSV": export("csv", "key"),
        "export of a month by key, Parquet": export("parquet", "key"),
        "export of a month by tag, CSV": export("csv", "tag"),
        "export of a month by key and day, CSV": export("csv", "key", "day"),
        "a month by key": lambda: usage_report(store, None, ("key",), since, until),
        "a month by project and day": lambda: usage_report(store, None, ("project", "day"), since, until),
        "all time by tenant": lambda: usage_report(store, None, ("tenant",), None, None),
        "a month from noon to noon, by model": lambda: usage_report(
            store, None, ("model",), since + noon, until - noon
        ),
        "one tenant, from noon to noon, by key": lambda: usage_report(
            store, "t0", ("key",), since + noon, until - noon
        ),
        "page of 31 days": buckets(Width.DAY, 31),
        "page of days, chats only": buckets(Width.DAY, 31, completions=True),
        "page of days by key and model": buckets(Width.DAY, 31, "key", "model"),
        "page of days by project, chats only": buckets(Width.DAY, 31, "project", completions=True),
        "page of 168 hours": buckets(Width.HOUR, 168),
        "page of hours by key and model": buckets(Width.HOUR, 168, "key", "model"),
        "page of hours, chats only": buckets(Width.HOUR, 168, completions=True),
        "page of 1440 minutes": buckets(Width.MINUTE, 1440),
        "page of minutes by key and model": buckets(Width.MINUTE, 1440, "key", "model"),
        "newest 1000 requests": lambda: store.requests(None, None, 1000),
        "newest 1000 requests of a tenant": lambda: store.requests("t7", None, 1000),
        "one request": lambda: store.request(f"req_{ROWS // 2:026d}"),
    }


async def measure(path: Path) -> None:
    """Ask each question once, and print how long it took."""
    store = SqlStore(f"sqlite:///{path}")
    await store.open()
    for number in range(MODELS):
        await store.put_model(entry(f"model-{number}", engine="engine", context_tokens=8192, embedding=number == 0))
    for name, ask in questions(store).items():
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        await ask()
        took_s, took_cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
        late = "" if took_s < GOAL_S else f"  over {GOAL_S:.0f} s"
        print(f"{took_s:8.3f} s, {took_cpu_s:.3f} s of CPU  {name}{late}", flush=True)
    print(f"most memory of the pages: {_most_mib()} MiB")
    with tempfile.TemporaryFile() as file:
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        writer = table_writer("csv", file, REQUEST_COLUMNS)
        await export_requests(store, ("t0",), START_UNIX_MS, START_UNIX_MS + DAY_MS, writer)
        writer.close()
        took_s, took_cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
        print(f"{took_s:8.3f} s, {took_cpu_s:.3f} s of CPU  a tenant's requests of a day, {file.tell()} bytes of CSV")
    await store.close()
    print(f"most memory ever used: {_most_mib()} MiB")


def _most_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    """Fill unless that was done, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--folder", type=Path, help="where the store is kept; by default it goes when all is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parvis-usage-") as scratch:
        path = (given.folder or Path(scratch)) / "usage.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            started_s = time.perf_counter()
            asyncio.run(fill(path, given.rows))
            print(f"{given.rows} requests in {time.perf_counter() - started_s:.0f} s, {path.stat().st_size >> 20} MiB")
        asyncio.run(measure(path))


if __name__ == "__main__":
    main()
