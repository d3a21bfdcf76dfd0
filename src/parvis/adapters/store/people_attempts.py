"""Failures in a row, counted before they are known to be failures."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from parvis.adapters.store.people_part import Part
from parvis.adapters.store.people_tables import PeopleTables
from parvis.domain.identity.lockout import FORGOTTEN_MS, Failures, Subject, counted, locked_until


class AttemptsPart(Part):
    """`Attempts` on SQL."""

    async def attempt(self, subjects: Sequence[Subject], now_unix_ms: int) -> int:
        """See the port."""
        return await self._database.run(_attempt, self._tables, subjects, now_unix_ms)

    async def forgive(self, subject: Subject, *, attempts: int | None = None) -> None:
        """See the port."""
        await self._database.run(_forgive, self._tables, subject, attempts)


def _attempt(connection: Connection, tables: PeopleTables, subjects: Sequence[Subject], now_unix_ms: int) -> int:
    known = {subject: _failures(connection, tables, subject) for subject in subjects}
    until = max(locked_until(subject.rule, failures, now_unix_ms) for subject, failures in known.items())
    if until:
        return until
    forgotten = tables.failures.c.last_unix_ms <= now_unix_ms - FORGOTTEN_MS
    connection.execute(delete(tables.failures).where(forgotten))
    for subject, failures in known.items():
        _put(connection, tables, subject, counted(failures, now_unix_ms))
    return 0


def _forgive(connection: Connection, tables: PeopleTables, subject: Subject, attempts: int | None) -> None:
    failures = _failures(connection, tables, subject)
    if attempts is None or failures.count <= attempts:
        connection.execute(delete(tables.failures).where(tables.failures.c.subject == subject.name))
    else:
        _put(connection, tables, subject, Failures(failures.count - attempts, failures.last_unix_ms))


def _failures(connection: Connection, tables: PeopleTables, subject: Subject) -> Failures:
    row = connection.execute(select(tables.failures).where(tables.failures.c.subject == subject.name)).one_or_none()
    return Failures() if row is None else Failures(row.in_a_row, row.last_unix_ms)


def _put(connection: Connection, tables: PeopleTables, subject: Subject, failures: Failures) -> None:
    values = {"in_a_row": failures.count, "last_unix_ms": failures.last_unix_ms}
    same = tables.failures.c.subject == subject.name
    if not connection.execute(update(tables.failures).where(same).values(**values)).rowcount:
        connection.execute(insert(tables.failures).values(subject=subject.name, **values))
