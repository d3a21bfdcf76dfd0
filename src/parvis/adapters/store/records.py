"""The record of privileged acts."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.record_tables import record, record_objects
from parvis.core.errors import BadRequest
from parvis.domain.audit.entry import Entry, Step
from parvis.domain.audit.query import ENTRIES_MAX, EntryPage, EntryQuery


class Records(Room):
    """`RecordStore` on SQL."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """See the port."""
        await self.database.run_first(_append, entries)

    async def entries(self, query: EntryQuery) -> EntryPage:
        """See the port."""
        if not 1 <= query.limit <= ENTRIES_MAX:
            raise BadRequest(f"A page has 1 to {ENTRIES_MAX} entries, not {query.limit}.", param="limit")
        return await self.database.read(_entries, query)


def _append(connection: Connection, entries: Sequence[Entry]) -> None:
    for entry in entries:
        connection.execute(insert(record).values({column.name: getattr(entry, column.name) for column in record.c}))
        for object_id in set(entry.objects.values()):
            connection.execute(insert(record_objects).values(object_id=object_id, entry_id=entry.entry_id))


def _entries(connection: Connection, query: EntryQuery) -> EntryPage:
    newer = query.before is not None
    order = record.c.entry_id.asc() if newer else record.c.entry_id.desc()
    asked = select(record).where(*_narrowed(query)).order_by(order).limit(query.limit + 1)
    found = [_entry(row) for row in connection.execute(asked).mappings()]
    page = found[: query.limit]
    following = page[-1].entry_id if len(found) > query.limit else None
    return EntryPage(tuple(reversed(page) if newer else page), following)


def _narrowed(query: EntryQuery) -> Iterator[ColumnElement[bool]]:
    if query.organisation_id is not None:
        yield record.c.organisation_id == query.organisation_id
    if query.tenant_ids is not None:
        yield record.c.tenant_id.in_(query.tenant_ids)
    for column, wanted in ((record.c.actor, query.actors), (record.c.action, query.actions)):
        if wanted:
            yield column.in_(wanted)
    if query.steps:
        yield record.c.step.in_(query.steps)
    if query.object_ids:
        about = select(record_objects.c.entry_id).where(record_objects.c.object_id.in_(query.object_ids))
        yield record.c.entry_id.in_(about)
    if query.since_unix_ms is not None:
        yield record.c.at_unix_ms >= query.since_unix_ms
    if query.until_unix_ms is not None:
        yield record.c.at_unix_ms < query.until_unix_ms
    yield from _beyond(query)


def _beyond(query: EntryQuery) -> Iterator[ColumnElement[bool]]:
    if query.after is not None:
        yield record.c.entry_id < query.after
    if query.before is not None:
        yield record.c.entry_id > query.before


def _entry(row: RowMapping) -> Entry:
    values: dict[str, Any] = {**row, "step": Step(row["step"])}
    return Entry(**values)
