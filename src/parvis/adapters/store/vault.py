"""Wrapped data keys."""

from sqlalchemy import Connection, delete, insert, select

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity import tenant_of
from parvis.adapters.store.tables import data_keys


class Vault(Room):
    """`VaultStore` on SQL."""

    async def data_key(self, tenant_id: str, purpose: str) -> tuple[int, bytes] | None:
        """See the port."""
        return await self.database.read(_data_key, tenant_id, purpose)

    async def put_data_key(self, tenant_id: str, purpose: str, version: int, wrapped: bytes) -> tuple[int, bytes]:
        """See the port."""
        return await self.database.run(_put_data_key, tenant_id, purpose, version, wrapped)

    async def destroy_data_keys(self, tenant_id: str) -> None:
        """See the port."""
        await self.database.run_first(_destroy_data_keys, tenant_id)


def _data_key(connection: Connection, tenant_id: str, purpose: str) -> tuple[int, bytes] | None:
    latest = (
        select(data_keys)
        .where(data_keys.c.tenant_id == tenant_id, data_keys.c.purpose == purpose)
        .order_by(data_keys.c.version.desc())
        .limit(1)
    )
    row = connection.execute(latest).one_or_none()
    return None if row is None else (row.version, row.wrapped)


def _put_data_key(
    connection: Connection, tenant_id: str, purpose: str, version: int, wrapped: bytes
) -> tuple[int, bytes]:
    tenant_of(connection, tenant_id)
    place = {"tenant_id": tenant_id, "purpose": purpose, "version": version}
    kept = connection.scalar(select(data_keys.c.wrapped).filter_by(**place))
    if kept is None:
        connection.execute(insert(data_keys).values(**place, wrapped=wrapped))
    return version, wrapped if kept is None else kept


def _destroy_data_keys(connection: Connection, tenant_id: str) -> None:
    connection.execute(delete(data_keys).where(data_keys.c.tenant_id == tenant_id))
