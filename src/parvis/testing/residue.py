"""Everything that a service writes down or shows, as (place, bytes): what a search for leaks must go through."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

Place = tuple[str, bytes]
ITEMS_MAX = 5
"""Of each list, so many items are also asked for one by one."""


def files(folder: Path) -> Iterator[Place]:
    """Every file below a folder, with its name: logs, database, journal, and whatever else is there."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder.parent))
        yield f"name of {name}", name.encode()
        if path.is_file():
            data = _read(path)
            yield f"file {name}", b"" if data is None else data


def processes(named: Iterable[tuple[str, int]]) -> Iterator[Place]:
    """What the kernel shows of processes: arguments, environment, names of threads, files that were deleted."""
    for name, pid in named:
        proc = Path(f"/proc/{pid}")
        for path in (proc / "cmdline", proc / "environ", *proc.glob("task/*/comm")):
            data = _read(path)
            if data is not None:
                yield f"{path.name} of {name}", data
        yield from _deleted_files(name, proc)


def _deleted_files(name: str, proc: Path) -> Iterator[Place]:
    for link in proc.glob("fd/*"):
        try:
            target = str(link.readlink())
            wanted = target.endswith(" (deleted)") and stat.S_ISREG(link.stat().st_mode)
        except OSError:  # it was closed just now
            continue
        data = _read(link) if wanted else None
        if data is not None:
            yield f"open file {target} of {name}", data


def pages(name: str, client: httpx.Client) -> Iterator[Place]:
    """Every page that a listener of the administration shows to this client, by its own description of itself."""
    description: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()
    for path, verbs in description["paths"].items():
        if "get" in verbs:
            for address in _addresses(path, client):
                yield f"{name} {path}", client.get(address).content


def _addresses(path: str, client: httpx.Client) -> list[str]:
    """The path itself, or with its last part filled by what the list above it shows."""
    above, braces, _ = path.partition("/{")
    if not braces:
        return [path]
    items = client.get(above).json().get("data", [])
    return [f"{above}/{item['id']}" for item in items[:ITEMS_MAX] if "id" in item]


def tables(url: str) -> Iterator[Place]:
    """Every row of every table of a PostgreSQL database."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in names:
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            rows = connection.execute(query).fetchall()
            yield f"table {name}", "\n".join(row for (row,) in rows).encode()


def _read(path: Path) -> bytes | None:
    """None when it has gone meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return None
