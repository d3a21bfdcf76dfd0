"""Requests that must happen once, and what they were answered."""

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.record_tables import repetitions
from parvis.domain.audit.once import Claim, Earlier, Kept


class Repetitions(Room):
    """`RepetitionStore` on SQL."""

    async def claim(self, claim: Claim, *, forget_unix_ms: int, lost_unix_ms: int) -> Earlier | None:
        """See the port."""
        return await self.database.run(_claim, claim, forget_unix_ms, lost_unix_ms)

    async def keep_answer(self, claim: Claim, kept: Kept) -> None:
        """See the port."""
        await self.database.run(_keep_answer, claim, kept)

    async def release(self, claim: Claim) -> None:
        """See the port."""
        await self.database.run(_release, claim)


def _claim(connection: Connection, claim: Claim, forget_unix_ms: int, lost_unix_ms: int) -> Earlier | None:
    at = repetitions.c.at_unix_ms
    gone = or_(at < forget_unix_ms, and_(at < lost_unix_ms, repetitions.c.status.is_(None)))
    connection.execute(delete(repetitions).where(gone))
    row = connection.execute(select(repetitions).where(_same(claim))).one_or_none()
    if row is not None:
        return Earlier(row.fingerprint, None if row.status is None else Kept(row.status, row.body, row.made))
    values = {"fingerprint": claim.fingerprint, "at_unix_ms": claim.at_unix_ms, "made": ""}
    named = {"principal": claim.principal, "idempotency_key": claim.idempotency_key}
    connection.execute(insert(repetitions).values(**named, **values))
    return None


def _keep_answer(connection: Connection, claim: Claim, kept: Kept) -> None:
    answer = {"status": kept.status, "body": kept.body, "made": kept.made}
    connection.execute(update(repetitions).where(_own(claim)).values(answer))


def _release(connection: Connection, claim: Claim) -> None:
    connection.execute(delete(repetitions).where(_own(claim)))


def _same(claim: Claim) -> ColumnElement[bool]:
    return and_(repetitions.c.principal == claim.principal, repetitions.c.idempotency_key == claim.idempotency_key)


def _own(claim: Claim) -> ColumnElement[bool]:
    """A claim that was lost and taken by another is not ours any more."""
    return and_(_same(claim), repetitions.c.at_unix_ms == claim.at_unix_ms, repetitions.c.status.is_(None))
