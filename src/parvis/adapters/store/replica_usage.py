"""Usage by who computed it, for the comparison with the engines' own counters."""

from sqlalchemy import Connection, case, func, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.tables import usage
from parvis.core.tokens import TokenCount
from parvis.domain.metering.comparison import Booked
from parvis.domain.metering.records import Outcome


class ReplicaUsage(Room):
    """`ReplicaStore` on SQL."""

    async def booked_on(self, replica_id: str, since_unix_ms: int) -> Booked:
        """See the port. Reads the rows of the span, whoever computed them."""
        return await self.database.read(_booked_on, replica_id, since_unix_ms)


def _booked_on(connection: Connection, replica_id: str, since_unix_ms: int) -> Booked:
    sums = [func.coalesce(func.sum(usage.c[name]), 0) for name in (*TokenCount._fields, "estimated")]
    cut = func.coalesce(func.sum(case((usage.c.outcome == Outcome.COMPLETED, 0), else_=1)), 0)
    where = usage.c.replica_id == replica_id, usage.c.started_unix_ms >= since_unix_ms
    row = connection.execute(select(func.count(), *sums, cut).where(*where)).one()
    requests, *tokens, estimated, cut_requests = (int(value) for value in row)
    return Booked(requests, TokenCount(*tokens), estimated, cut_requests)
