"""Inference requests that must be served once, and their sealed answers."""

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, tuple_, update

from parvis.adapters.store.claim_tables import claims
from parvis.adapters.store.database import Room
from parvis.adapters.store.tables import incarnations
from parvis.domain.metering.claim import Claim, ClaimState, Earlier, Verdict, judge


class Claims(Room):
    """`ClaimStore` on SQL."""

    async def take_claim(self, claim: Claim) -> Verdict:
        """See the port."""
        return await self.database.run(_take, claim)

    async def claim_of(self, ask: str) -> Claim | None:
        """See the port."""
        return await self.database.read(_claim_of, ask)

    async def keep_claimed(self, claim: Claim, sealed: bytes | None) -> None:
        """See the port."""
        await self.database.run(_keep, claim, sealed)

    async def free_claim(self, claim: Claim) -> None:
        """See the port."""
        await self.database.run(_free, claim)

    async def answer_claimed(self, claim: Claim) -> bytes | None:
        """See the port."""
        return await self.database.read(_answer, claim)

    async def forget_claims(self, before_unix_ms: int, limit: int) -> int:
        """See the port."""
        return await self.database.run(_forget, before_unix_ms, limit)


def _take(connection: Connection, claim: Claim) -> Verdict:
    earlier = _earlier(connection, claim)
    verdict = judge(claim, earlier)
    if verdict is Verdict.RUN:
        if earlier is not None:
            connection.execute(delete(claims).where(_same(claim)))
        connection.execute(
            insert(claims).values(
                tenant_id=claim.tenant_id,
                idempotency_key=claim.idempotency_key,
                fingerprint=claim.fingerprint,
                ask=claim.ask,
                incarnation=claim.incarnation,
                at_unix_ms=claim.at_unix_ms,
                state=ClaimState.RUNNING,
            )
        )
    return verdict


def _earlier(connection: Connection, claim: Claim) -> Earlier | None:
    """What stands under its key. A run that returned its leases has ended, and all that it wrote was booked."""
    shown = (claims.c.fingerprint, claims.c.ask, claims.c.state, claims.c.at_unix_ms, incarnations.c.returned_unix_ms)
    run = incarnations.c.incarnation == claims.c.incarnation
    asked = select(*shown).select_from(claims.outerjoin(incarnations, run)).where(_same(claim))
    row = connection.execute(asked).one_or_none()
    if row is None:
        return None
    ended = row.returned_unix_ms is not None
    return Earlier(row.fingerprint, row.ask, ClaimState(row.state), ended, row.at_unix_ms)


def _claim_of(connection: Connection, ask: str) -> Claim | None:
    shown = (claims.c.tenant_id, claims.c.idempotency_key, claims.c.fingerprint, claims.c.ask, claims.c.incarnation)
    asked = select(*shown, claims.c.at_unix_ms).where(claims.c.ask == ask, claims.c.state == ClaimState.RUNNING)
    row = connection.execute(asked).one_or_none()
    return None if row is None else Claim(*row)


def _keep(connection: Connection, claim: Claim, sealed: bytes | None) -> None:
    state = ClaimState.NOT_KEPT if sealed is None else ClaimState.KEPT
    connection.execute(update(claims).where(_own(claim)).values(state=state, answer=sealed))


def _free(connection: Connection, claim: Claim) -> None:
    connection.execute(delete(claims).where(_own(claim)))


def _answer(connection: Connection, claim: Claim) -> bytes | None:
    return connection.scalar(select(claims.c.answer).where(_same(claim)))


def _forget(connection: Connection, before_unix_ms: int, limit: int) -> int:
    key = (claims.c.tenant_id, claims.c.idempotency_key)
    old = select(*key).where(claims.c.at_unix_ms < before_unix_ms).limit(limit)
    return connection.execute(delete(claims).where(tuple_(*key).in_(old))).rowcount


def _same(claim: Claim) -> ColumnElement[bool]:
    return and_(claims.c.tenant_id == claim.tenant_id, claims.c.idempotency_key == claim.idempotency_key)


def _own(claim: Claim) -> ColumnElement[bool]:
    """A claim that was lost and taken by another is not ours any more."""
    return and_(_same(claim), claims.c.ask == claim.ask, claims.c.state == ClaimState.RUNNING)
