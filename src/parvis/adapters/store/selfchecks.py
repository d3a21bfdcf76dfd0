"""The books' view of themselves: what was checked, up to where, and what was found."""

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from parvis.adapters.store.bulk import append
from parvis.adapters.store.database import Room
from parvis.adapters.store.ledger_tables import bookings, self_checks, verified
from parvis.adapters.store.selfcheck import (
    accounts_wrong,
    check,
    check_whole,
    moved,
    requests_wrong,
    rest_wrong,
)
from parvis.domain.billing.books import Checked

SENTENCES_MAX = 1000
"""What is kept of a check; one that finds more has found enough."""


class SelfChecks(Room):
    """The part of `LedgerStore` that is about checking it, on SQL."""

    async def check(self) -> list[str]:
        """See the port."""
        return await self.database.read(check)

    async def check_new(self, whole_after_ms: int) -> Checked:
        """See the port."""
        found = await self.database.read(_check_new, self._clock.unix_ms(), whole_after_ms)
        await self.database.run(_keep, found)
        return found.checked

    async def last_check(self) -> Checked | None:
        """See the port."""
        last = await self.database.read(_last)
        return None if last is None else last.checked


class _Found(NamedTuple):
    """How far was checked, what transfers make of accounts up to there, and what was found."""

    booking: int
    made: Mapping[str, int]
    checked: Checked


def _check_new(connection: Connection, now: int, whole_after_ms: int) -> _Found:
    booking = int(connection.scalar(select(bookings.c.number)) or 0)
    last = _last(connection)
    if last is None or last.checked.whole_unix_ms + whole_after_ms <= now:
        made = moved(connection, -1)
        wrong = check_whole(connection, made)
        return _Found(booking, made, Checked(now, now, tuple(wrong)[:SENTENCES_MAX]))
    made = moved(connection, last.booking)
    made.update(_verified(connection))
    # a request is looked at once between two whole checks; everything else is looked at again
    before = [sentence for sentence in last.checked.differences if sentence.startswith("request ")]
    fresh = chain(accounts_wrong(connection, made), requests_wrong(connection, last.booking), rest_wrong(connection))
    wrong_now = dict.fromkeys(chain(before, fresh))
    return _Found(booking, made, Checked(now, last.checked.whole_unix_ms, tuple(wrong_now)[:SENTENCES_MAX]))


def _last(connection: Connection) -> _Found | None:
    row = connection.execute(select(self_checks)).one_or_none()
    if row is None:
        return None
    return _Found(row.booking, {}, Checked(row.at_unix_ms, row.whole_unix_ms, row.differences))


def _verified(connection: Connection) -> dict[str, int]:
    return {row.account: row.balance for row in connection.execute(select(verified))}


def _keep(connection: Connection, found: _Found) -> None:
    connection.execute(delete(verified))
    append(
        connection, verified, ("account", "balance"), [(name, str(made)) for name, made in found.made.items() if made]
    )
    connection.execute(delete(self_checks))
    checked = found.checked
    values = {
        "id": 1,
        "booking": found.booking,
        "at_unix_ms": checked.at_unix_ms,
        "whole_unix_ms": checked.whole_unix_ms,
        "differences": checked.differences,
    }
    connection.execute(insert(self_checks).values(**values))
