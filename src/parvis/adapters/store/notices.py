"""Notices: made once, listed, and followed until they have arrived."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity import tenant_of
from parvis.adapters.store.identity_tables import api_keys
from parvis.adapters.store.keys import read_key_row
from parvis.adapters.store.notice_tables import notice_dispatches, notice_targets, notices
from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.notice import Dispatch, Notice, NoticeKind, NoticeTarget, TargetKind
from parvis.domain.identity.succession import moments


class Notices(Room):
    """`NoticeStore` on SQL."""

    async def keys_to_tell(self, now_unix_ms: int, limit: int) -> list[ApiKey]:
        """See the port."""
        return await self.database.read(_keys_to_tell, now_unix_ms, limit)

    async def tell(self, key_id: str, notices: Sequence[Notice], now_unix_ms: int) -> int:
        """See the port."""
        return await self.database.run(_tell, key_id, notices, now_unix_ms)

    async def notices_page(self, tenant_ids: Sequence[str] | None, after: str | None, limit: int) -> list[Notice]:
        """See the port."""
        return await self.database.read(_notices_page, tenant_ids, after, limit)

    async def dispatches(self, notice_ids: Sequence[str]) -> list[Dispatch]:
        """See the port."""
        return await self.database.read(_dispatches, notice_ids)

    async def dispatches_due(self, now_unix_ms: int, limit: int) -> list[tuple[Dispatch, Notice, NoticeTarget]]:
        """See the port."""
        return await self.database.read(_dispatches_due, now_unix_ms, limit)

    async def put_dispatch(self, dispatch: Dispatch) -> None:
        """See the port."""
        await self.database.run(_put_dispatch, dispatch)

    async def add_target(self, target: NoticeTarget, most: int) -> None:
        """See the port."""
        await self.database.run(_add_target, target, most)

    async def targets(self, tenant_ids: Sequence[str] | None) -> list[NoticeTarget]:
        """See the port."""
        return await self.database.read(_targets, tenant_ids)

    async def remove_target(self, target_id: str) -> None:
        """See the port."""
        await self.database.run(_remove_target, target_id)


def _keys_to_tell(connection: Connection, now_unix_ms: int, limit: int) -> list[ApiKey]:
    waiting = select(api_keys).where(api_keys.c.tell_unix_ms <= now_unix_ms).order_by(api_keys.c.tell_unix_ms)
    return [read_key_row(row) for row in connection.execute(waiting.limit(limit))]


def _tell(connection: Connection, key_id: str, made: Sequence[Notice], now_unix_ms: int) -> int:
    new = keep_notices(connection, made, now_unix_ms)
    _lay_away(connection, key_id, now_unix_ms)
    return new


def keep_notices(connection: Connection, made: Sequence[Notice], now_unix_ms: int) -> int:
    """Those that are not known yet, each with a dispatch to every target of its tenant; how many they were."""
    new = [notice for notice in made if not _is_known(connection, notice)]
    for notice in new:
        connection.execute(insert(notices).values(**asdict(notice)))
        whose = select(notice_targets.c.target_id).where(notice_targets.c.tenant_id == notice.tenant_id)
        for target_id in connection.scalars(whose).all():
            waiting = asdict(Dispatch(notice.notice_id, target_id, next_unix_ms=now_unix_ms))
            connection.execute(insert(notice_dispatches).values(tenant_id=notice.tenant_id, **waiting))
    return len(new)


def _is_known(connection: Connection, notice: Notice) -> bool:
    same = (
        (notices.c.kind == notice.kind)
        & (notices.c.subject == notice.subject)
        & (notices.c.moment_unix_ms == notice.moment_unix_ms)
    )
    return connection.scalar(select(notices.c.notice_id).where(same)) is not None


def _lay_away(connection: Connection, key_id: str, now_unix_ms: int) -> None:
    """By the key as it is now, not as it was when the notices were made. Gateways need not hear of it."""
    same = api_keys.c.key_id == key_id
    row = connection.execute(select(api_keys).where(same)).one_or_none()
    if row is not None:
        later = (at for at, _ in moments(read_key_row(row)) if at > now_unix_ms)
        connection.execute(update(api_keys).where(same).values(tell_unix_ms=next(later, None)))


def _notices_page(
    connection: Connection, tenant_ids: Sequence[str] | None, after: str | None, limit: int
) -> list[Notice]:
    rows = select(notices).order_by(notices.c.notice_id.desc()).limit(limit)
    if tenant_ids is not None:
        rows = rows.where(notices.c.tenant_id.in_(tenant_ids))
    if after is not None:
        rows = rows.where(notices.c.notice_id < after)
    return [_notice(row) for row in connection.execute(rows)]


def _dispatches(connection: Connection, notice_ids: Sequence[str]) -> list[Dispatch]:
    order = notice_dispatches.c.notice_id, notice_dispatches.c.target_id
    rows = select(notice_dispatches).where(notice_dispatches.c.notice_id.in_(notice_ids)).order_by(*order)
    return [_dispatch(row) for row in connection.execute(rows)]


def _dispatches_due(
    connection: Connection, now_unix_ms: int, limit: int
) -> list[tuple[Dispatch, Notice, NoticeTarget]]:
    waiting = select(notice_dispatches).where(notice_dispatches.c.next_unix_ms <= now_unix_ms)
    found = connection.execute(waiting.order_by(notice_dispatches.c.next_unix_ms).limit(limit)).all()
    told = _by(connection, notices.c.notice_id, {row.notice_id for row in found})
    where = _by(connection, notice_targets.c.target_id, {row.target_id for row in found})
    return [
        (_dispatch(row), _notice(told[row.notice_id]), _target(where[row.target_id]))
        for row in found
        if row.target_id in where
    ]


def _by(connection: Connection, column: Any, ids: set[str]) -> dict[str, Row[Any]]:
    rows = connection.execute(select(column.table).where(column.in_(ids)))
    return {getattr(row, column.name): row for row in rows}


def _put_dispatch(connection: Connection, dispatch: Dispatch) -> None:
    same = (notice_dispatches.c.notice_id == dispatch.notice_id) & (notice_dispatches.c.target_id == dispatch.target_id)
    connection.execute(update(notice_dispatches).where(same).values(**asdict(dispatch)))


def _add_target(connection: Connection, target: NoticeTarget, most: int) -> None:
    tenant_of(connection, target.tenant_id)
    own = notice_targets.c.tenant_id == target.tenant_id
    if (connection.scalar(select(func.count()).select_from(notice_targets).where(own)) or 0) >= most:
        raise Conflict(f"The tenant '{target.tenant_id}' has {most} targets of notices; more cannot be.")
    same = own & (notice_targets.c.kind == target.kind) & (notice_targets.c.address == target.address)
    if connection.scalar(select(notice_targets.c.target_id).where(same)) is not None:
        raise Conflict("The notices of this tenant go there already.")
    connection.execute(insert(notice_targets).values(**asdict(target)))


def _targets(connection: Connection, tenant_ids: Sequence[str] | None) -> list[NoticeTarget]:
    rows = select(notice_targets).order_by(notice_targets.c.target_id)
    if tenant_ids is not None:
        rows = rows.where(notice_targets.c.tenant_id.in_(tenant_ids))
    return [_target(row) for row in connection.execute(rows)]


def _remove_target(connection: Connection, target_id: str) -> None:
    connection.execute(delete(notice_dispatches).where(notice_dispatches.c.target_id == target_id))
    if not connection.execute(delete(notice_targets).where(notice_targets.c.target_id == target_id)).rowcount:
        raise NotFound(f"There is no target '{target_id[:100]}'.")


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        row.notice_id,
        NoticeKind(row.kind),
        row.organisation_id,
        row.tenant_id,
        row.subject,
        row.name,
        row.moment_unix_ms,
        row.due_unix_ms,
        row.ends_unix_ms,
        row.created_unix_ms,
        row.amount_pico_euro,
        row.limit_pico_euro,
    )


def _target(row: Row[Any]) -> NoticeTarget:
    return NoticeTarget(
        row.target_id,
        row.organisation_id,
        row.tenant_id,
        TargetKind(row.kind),
        row.address,
        row.language,
        row.sealed,
        row.created_unix_ms,
    )


def _dispatch(row: Row[Any]) -> Dispatch:
    return Dispatch(row.notice_id, row.target_id, row.attempts, row.next_unix_ms, row.sent_unix_ms, row.problem)
