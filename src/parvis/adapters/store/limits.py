"""Tiers and limits: kept, told to gateways, and asked by who lends money."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, literal, or_, select, true, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity import next_version
from parvis.adapters.store.identity_tables import tenants
from parvis.adapters.store.limit_tables import limits, tiers
from parvis.core.money import Money
from parvis.domain.identity.place import Target
from parvis.domain.quota.limit import (
    NO_LIMITS,
    Level,
    Limits,
    Metric,
    Rate,
    SubjectLimits,
    Tier,
    Window,
    notice_amounts,
    overlay,
    read_subject,
    subject,
)

AT_ONCE = 500
"""Names in one query."""


class LimitRoom(Room):
    """The part of `LimitStore` that is about what was set and what is in force, on SQL."""

    async def tiers(self) -> list[Tier]:
        """See the port."""
        return await self.database.read(_tiers)

    async def put_tier(self, tier: Tier) -> None:
        """See the port."""
        await self.database.run_first(_put_tier, tier)

    async def put_limits(self, limits: SubjectLimits) -> None:
        """See the port."""
        await self.database.run_first(_put_limits, limits)

    async def limits_set(self, subjects: Sequence[str]) -> dict[str, Limits]:
        """See the port."""
        return await self.database.read(_limits_set, subjects)

    async def limits_page(self, places: Sequence[Target] | None, after: str | None, limit: int) -> list[SubjectLimits]:
        """See the port."""
        return await self.database.read(_limits_page, places, after, limit)

    async def limits_in_force(self, subjects: Sequence[str] | None = None) -> dict[str, Limits]:
        """See the port."""
        return await self.database.read(_limits_in_force, subjects)

    async def limits_watched(self) -> list[SubjectLimits]:
        """See the port."""
        return await self.database.read(_limits_watched)


def monthly_limit(connection: Connection, named: str) -> Money | None:
    """How much this subject may spend in a month, as of now; None: there is no such limit."""
    return _limits_in_force(connection, [named]).get(named, NO_LIMITS).monthly


def changed_limits(connection: Connection, after: int) -> tuple[tuple[str, Limits], ...]:
    """What gateways must learn: subjects whose limits are others since this version, and what holds for them now."""
    rows = connection.execute(select(limits).where(limits.c.version > after).order_by(limits.c.subject)).all()
    told = {row.subject: read_limits(row.limits) for row in rows if row.level != Level.CONTRACT}
    moved = select(tenants.c.tenant_id).select_from(tenants.outerjoin(tiers, tenants.c.tier_id == tiers.c.tier_id))
    since = or_(tenants.c.version > after, tiers.c.version > after)
    whose = {*connection.scalars(moved.where(since)), *(row.tenant_id for row in rows if row.level == Level.CONTRACT)}
    for part in _parts(sorted(whose)):
        told |= _contracts(connection, tenants.c.tenant_id.in_(part))
    return tuple(told.items())


def write_limits(value: Limits) -> dict[str, Any]:
    """As JSON: amounts as the text of whole pico-euro, which no reader rounds; nothing of what is not limited."""
    said: dict[str, Any] = {}
    if value.rates:
        said["rates"] = [[rate.metric, rate.window, rate.amount] for rate in value.rates]
    if value.concurrent_max is not None:
        said["concurrent_max"] = value.concurrent_max
    for name, amount in (("monthly", value.monthly), ("monthly_notice", value.monthly_notice)):
        if amount is not None:
            said[name] = str(amount.pico_euro)
    if value.notice_percents != NO_LIMITS.notice_percents:
        said["notice_percents"] = list(value.notice_percents)
    return said


def read_limits(said: Mapping[str, Any]) -> Limits:
    """The other way."""
    monthly, notice = (Money(int(said[name])) if name in said else None for name in ("monthly", "monthly_notice"))
    return Limits(
        tuple(Rate(Metric(metric), Window(window), amount) for metric, window, amount in said.get("rates", ())),
        said.get("concurrent_max"),
        monthly,
        notice,
        tuple(said.get("notice_percents", NO_LIMITS.notice_percents)),
    )


def _tiers(connection: Connection) -> list[Tier]:
    return [_tier(row) for row in connection.execute(select(tiers).order_by(tiers.c.tier_id))]


def _tier(row: Row[Any]) -> Tier:
    return Tier(row.tier_id, row.name, row.name_fr, read_limits(row.limits), row.priority, Money(row.entry_credit))


def _put_tier(connection: Connection, tier: Tier) -> None:
    values = {
        "name": tier.name,
        "name_fr": tier.name_fr,
        "limits": write_limits(tier.limits),
        "priority": tier.priority,
        "entry_credit": tier.entry_credit.pico_euro,
        "version": next_version(connection),
    }
    if not connection.execute(update(tiers).where(tiers.c.tier_id == tier.tier_id).values(**values)).rowcount:
        connection.execute(insert(tiers).values(tier_id=tier.tier_id, **values))


def _put_limits(connection: Connection, given: SubjectLimits) -> None:
    values = {
        "level": read_subject(given.subject)[0],
        "organisation_id": given.organisation_id,
        "tenant_id": given.tenant_id,
        "limits": write_limits(given.limits),
        "version": next_version(connection),
    }
    if not connection.execute(update(limits).where(limits.c.subject == given.subject).values(**values)).rowcount:
        connection.execute(insert(limits).values(subject=given.subject, **values))


def _limits_set(connection: Connection, subjects: Sequence[str]) -> dict[str, Limits]:
    found: dict[str, Limits] = {}
    for part in _parts(subjects):
        rows = connection.execute(select(limits.c.subject, limits.c.limits).where(limits.c.subject.in_(part)))
        found |= {row.subject: read_limits(row.limits) for row in rows}
    return _where_something_is(found)


def _limits_page(
    connection: Connection, places: Sequence[Target] | None, after: str | None, limit: int
) -> list[SubjectLimits]:
    rows = select(limits).where(limits.c.limits != {}).order_by(limits.c.subject).limit(limit)
    if places is not None:
        rows = rows.where(or_(*(_lies_in(place) for place in places)) if places else ~true())
    if after is not None:
        rows = rows.where(limits.c.subject > after)
    return [_own(row) for row in connection.execute(rows)]


def _lies_in(place: Target) -> ColumnElement[bool]:
    parts = zip((limits.c.organisation_id, limits.c.tenant_id), place, strict=True)
    return and_(true(), *(column == one_id for column, one_id in parts if one_id))


def _limits_in_force(connection: Connection, subjects: Sequence[str] | None) -> dict[str, Limits]:
    if subjects is None:
        others = select(limits.c.subject, limits.c.limits).where(limits.c.level != Level.CONTRACT)
        own = {row.subject: read_limits(row.limits) for row in connection.execute(others)}
        return _where_something_is(own | _contracts(connection, true()))
    prefix = subject(Level.CONTRACT, "")
    found = _limits_set(connection, [named for named in subjects if not named.startswith(prefix)])
    for part in _parts([named.removeprefix(prefix) for named in subjects if named.startswith(prefix)]):
        found |= _contracts(connection, tenants.c.tenant_id.in_(part))
    return _where_something_is(found)


def _limits_watched(connection: Connection) -> list[SubjectLimits]:
    others = connection.execute(select(limits).where(limits.c.level != Level.CONTRACT))
    contracts = _contracts(connection, true())
    whose = {row.tenant_id: row.organisation_id for row in connection.execute(select(tenants))}
    found = [_own(row) for row in others]
    for named, held in contracts.items():
        tenant_id = read_subject(named)[1]
        found.append(SubjectLimits(named, whose[tenant_id], tenant_id, held))
    return [one for one in found if notice_amounts(one.limits)]


def _contracts(connection: Connection, which: ColumnElement[bool]) -> dict[str, Limits]:
    """Of tenants: what their tiers say, but for what was agreed apart."""
    named = literal(subject(Level.CONTRACT, "")) + tenants.c.tenant_id
    joined = tenants.outerjoin(tiers, tenants.c.tier_id == tiers.c.tier_id)
    columns = tenants.c.tenant_id, tiers.c.limits.label("sold"), tiers.c.priority, limits.c.limits.label("agreed")
    rows = select(*columns).select_from(joined.outerjoin(limits, limits.c.subject == named)).where(which)
    return {
        subject(Level.CONTRACT, row.tenant_id): _contract(row.sold, row.priority, row.agreed)
        for row in connection.execute(rows)
    }


def _contract(sold: Mapping[str, Any] | None, priority: int | None, agreed: Mapping[str, Any] | None) -> Limits:
    wide, own = (NO_LIMITS if said is None else read_limits(said) for said in (sold, agreed))
    wide = replace(wide, priority=priority or 0)
    return wide if own == NO_LIMITS else overlay(wide, own)


def _own(row: Row[Any]) -> SubjectLimits:
    return SubjectLimits(row.subject, row.organisation_id, row.tenant_id, read_limits(row.limits))


def _where_something_is(found: Mapping[str, Limits]) -> dict[str, Limits]:
    return {named: held for named, held in sorted(found.items()) if held != NO_LIMITS}


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))
