"""Usage over time: from roll-ups where days are asked for, from the requests themselves otherwise."""

from itertools import groupby

from sqlalchemy import ColumnElement, Connection, Subquery, func, literal, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity_tables import api_keys
from parvis.adapters.store.ingest import SUMS
from parvis.adapters.store.tables import rollups, usage
from parvis.adapters.store.usage import summed, totalled
from parvis.domain.metering.buckets import Bucket, Split, UsageQuestion, Width
from parvis.domain.metering.totals import day_of

_COLUMNS: dict[Split, str] = {"project": "project_id", "user": "owner_id", "key": "key_id", "model": "model_id"}


class UsageBuckets(Room):
    """The part of `UsageStore` that is about time, on SQL."""

    async def usage_buckets(self, question: UsageQuestion) -> list[Bucket]:
        """See the port."""
        return await self.database.read(_buckets, question)


def _buckets(connection: Connection, question: UsageQuestion) -> list[Bucket]:
    names = tuple(_COLUMNS[name] for name in question.split_by)
    rows = connection.execute(summed(_source(question), ("bucket", *names))).all()
    return [
        Bucket(number * question.width.ms, tuple(totalled(row[1:], len(names)) for row in grouped))
        for number, grouped in groupby(rows, key=lambda row: int(row[0]))
    ]


def _source(question: UsageQuestion) -> Subquery:
    """One row for each roll-up or request that is asked for, with its bucket, its key's project and owner."""
    if question.width is Width.DAY and question.operations is None:
        table, bucket = rollups, rollups.c.day.expression
        sums: list[ColumnElement[int]] = [rollups.c[name] for name in SUMS]
        asked = [rollups.c.day >= day_of(question.since_unix_ms), rollups.c.day < day_of(question.until_unix_ms)]
    else:
        table, bucket = usage, usage.c.started_unix_ms // question.width.ms
        sums = [literal(1).label("requests"), *(usage.c[name] for name in SUMS[1:])]
        started = usage.c.started_unix_ms
        asked = [started >= question.since_unix_ms, started < question.until_unix_ms]
        if question.operations is not None:
            asked.append(usage.c.operation.in_(question.operations))
    project, owner = (func.coalesce(column, "") for column in (api_keys.c.project_id, api_keys.c.owner_id))
    asked += [
        column.in_(wanted)
        for column, wanted in (
            (table.c.tenant_id, question.tenant_ids),
            (table.c.key_id, question.key_ids),
            (table.c.model_id, question.model_ids),
            (project, question.project_ids),
            (owner, question.user_ids),
        )
        if wanted is not None
    ]
    same_key = (api_keys.c.tenant_id == table.c.tenant_id) & (api_keys.c.key_id == table.c.key_id)
    shown = [bucket.label("bucket"), table.c.key_id, table.c.model_id, project.label("project_id")]
    columns = [*shown, owner.label("owner_id"), *sums]
    return select(*columns).select_from(table.outerjoin(api_keys, same_key)).where(*asked).subquery()
