"""Rates and places in the database. Whatever a gateway trades at once is one transaction."""

import json
from collections.abc import Sequence

from sqlalchemy import BindParameter, Connection, Executable, bindparam, delete, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.dialect import clock_us
from parvis.adapters.store.rate_tables import rate_buckets, rate_places, rate_trades
from parvis.core.clock import Clock
from parvis.core.errors import Conflict
from parvis.domain.quota.gcra import Bucket, give_back, take
from parvis.domain.quota.limit import Rate, Window
from parvis.domain.quota.slices import Limited, Returned, Slice, Want, allow, is_places, take_places

_LONGEST_US = Window.DAY.ms * 1000
"""After so long without a visit every bucket is full."""

_NAMED: BindParameter[str] = bindparam("named")
_RUN: BindParameter[str] = bindparam("run")
_FIGURES: dict[str, BindParameter[int]] = {name: bindparam(name) for name in Bucket._fields}
_NEW_STATE = insert(rate_buckets).values(bucket=_NAMED, **_FIGURES)
_STATE = update(rate_buckets).where(rate_buckets.c.bucket == _NAMED).values(**_FIGURES)
_NEW_PLACES = insert(rate_places).values(bucket=_NAMED, incarnation=_RUN, places=bindparam("places"))
_PLACES = (
    update(rate_places)
    .where(rate_places.c.bucket == _NAMED, rate_places.c.incarnation == _RUN)
    .values(places=bindparam("places"))
)


class Rates(Room):
    """`RateStore` on SQL. It goes before what waits to be written: somebody's request waits for it."""

    async def trade_rates(
        self, incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited]
    ) -> list[Slice]:
        """See the port."""
        return await self.database.run_first(trade, incarnation, number, unused, wants, self._clock)

    async def keep_places(self, incarnations: Sequence[str]) -> None:
        """See the port. Here places never lapse: they are freed when the run's journal has been read to its end."""

    async def free_places(self, incarnation: str) -> None:
        """See the port."""
        await self.database.run(free_places, incarnation)


def trade(
    connection: Connection,
    incarnation: str,
    number: int,
    unused: Sequence[Returned],
    wants: Sequence[Limited],
    clock: Clock,
) -> list[Slice]:
    """One trade, in a transaction that others wait for."""
    same = rate_trades.c.incarnation == incarnation
    last = connection.execute(select(rate_trades.c.number, rate_trades.c.answer).where(same)).one_or_none()
    if last is not None and number <= last.number:
        if number < last.number:
            raise Conflict(f"Trade {number} of gateway run '{incarnation}' is over.")
        return [Slice(*slice_) for slice_ in json.loads(last.answer)]
    buckets = {one.unused.bucket for one in unused} | {one.want.bucket for one in wants}
    now_us = clock_us(connection, clock.unix_ms())
    book = _Book(connection, incarnation, buckets, now_us)
    for returned in unused:
        book.give_back(returned)
    answer = [book.take(one) for one in wants]
    book.write()
    told = {"number": number, "answer": json.dumps(answer)}
    if last is None:
        connection.execute(insert(rate_trades).values(incarnation=incarnation, **told))
        _tidy(connection, now_us)
    else:
        connection.execute(update(rate_trades).where(same).values(**told))
    return answer


def free_places(connection: Connection, incarnation: str) -> None:
    """A run has ended, and its journal was read to the end."""
    for table in (rate_places, rate_trades):
        connection.execute(delete(table).where(table.c.incarnation == incarnation))


def _tidy(connection: Connection, now_us: int) -> None:
    """Buckets that must have been full for a day need no row. Each run looks once."""
    connection.execute(delete(rate_buckets).where(rate_buckets.c.seen_us < now_us - 2 * _LONGEST_US))


class _Book:
    """The rows that one trade touches."""

    def __init__(self, connection: Connection, incarnation: str, buckets: set[str], now_us: int) -> None:
        self._connection = connection
        self._incarnation = incarnation
        self._now_us = now_us
        places = {bucket for bucket in buckets if is_places(bucket)}
        self._states = _states(connection, buckets - places)
        self._places = _places(connection, places)
        self._known = set(self._states)
        self._known_places = {bucket for bucket in places if incarnation in self._places[bucket]}
        self._changed: set[str] = set()

    def give_back(self, returned: Returned) -> None:
        unused, rate = returned
        bucket = unused.bucket
        if is_places(bucket):
            held = self._places[bucket].get(self._incarnation, 0)
            self._hold(bucket, min(unused.amount, held))
        elif rate is not None:
            self._states[bucket] = give_back(self._states.get(bucket), self._now_us, rate, unused)
            self._changed.add(bucket)

    def take(self, wanted: Limited) -> Slice:
        want, rate, places_max = wanted
        if rate is not None:
            return self._take(want, rate)
        if not is_places(want.bucket):
            return allow(want, self._now_us)
        held = self._places[want.bucket]
        if places_max is None:
            granted = allow(want, self._now_us)
        else:
            others = [places for run, places in held.items() if run != self._incarnation]
            granted = take_places(held.get(self._incarnation, 0), others, places_max, want, self._now_us)
        self._hold(want.bucket, granted.granted)
        return granted

    def write(self) -> None:
        """What has changed: one statement for each kind, however many buckets."""
        places = sorted(bucket for bucket in self._changed if is_places(bucket))
        states = sorted(self._changed.difference(places))
        self._write(_NEW_STATE, [self._state(bucket) for bucket in states if bucket not in self._known])
        self._write(_STATE, [self._state(bucket) for bucket in states if bucket in self._known])
        self._write(_NEW_PLACES, [self._own(bucket) for bucket in places if bucket not in self._known_places])
        self._write(_PLACES, [self._own(bucket) for bucket in places if bucket in self._known_places])

    def _take(self, want: Want, rate: Rate) -> Slice:
        self._states[want.bucket], slice_ = take(self._states.get(want.bucket), self._now_us, rate, want)
        self._changed.add(want.bucket)
        return slice_

    def _hold(self, bucket: str, places: int) -> None:
        self._places[bucket][self._incarnation] = places
        self._changed.add(bucket)

    def _write(self, statement: Executable, rows: list[dict[str, object]]) -> None:
        if rows:
            self._connection.execute(statement, rows)

    def _state(self, bucket: str) -> dict[str, object]:
        return {"named": bucket, **self._states[bucket]._asdict()}

    def _own(self, bucket: str) -> dict[str, object]:
        return {"named": bucket, "run": self._incarnation, "places": self._places[bucket][self._incarnation]}


def _states(connection: Connection, buckets: set[str]) -> dict[str, Bucket]:
    if not buckets:
        return {}
    rows = connection.execute(select(rate_buckets).where(rate_buckets.c.bucket.in_(sorted(buckets))))
    return {row.bucket: Bucket(row.seen_us, row.debt_ns, row.interval_ns) for row in rows}


def _places(connection: Connection, buckets: set[str]) -> dict[str, dict[str, int]]:
    """Places of each bucket, by the run that holds them."""
    held: dict[str, dict[str, int]] = {bucket: {} for bucket in buckets}
    if buckets:
        for row in connection.execute(select(rate_places).where(rate_places.c.bucket.in_(sorted(buckets)))):
            held[row.bucket][row.incarnation] = row.places
    return held
