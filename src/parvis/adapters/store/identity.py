"""Organisations, tenants and keys."""

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.tables import api_keys, organisations, tenants
from parvis.core.errors import BadRequest, Conflict, NotFound
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.tenant import Tenant


class Identity(Room):
    """`IdentityStore` on SQL."""

    async def create_organisation(self, organisation_id: str, name: str) -> None:
        """See the port."""
        await self.database.run(_create_organisation, organisation_id, name)

    async def create_tenant(self, tenant_id: str, organisation_id: str, name: str, *, credit_unlimited: bool) -> None:
        """See the port."""
        await self.database.run(_create_tenant, Tenant(tenant_id, organisation_id, name, credit_unlimited))

    async def tenants(self) -> list[Tenant]:
        """See the port."""
        return await self.database.read(_tenants)

    async def add_key(self, key: ApiKey, created_unix_ms: int) -> None:
        """See the port."""
        await self.database.run(_add_key, key, created_unix_ms)

    async def keys(self) -> list[ApiKey]:
        """See the port."""
        return await self.database.read(_keys)

    async def revoke_key(self, key_id: str) -> None:
        """See the port."""
        await self.database.run_first(_revoke_key, key_id)


def tenant_of(connection: Connection, tenant_id: str) -> Tenant:
    """Raises NotFound."""
    row = connection.execute(select(tenants).where(tenants.c.tenant_id == tenant_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no tenant '{tenant_id}'.")
    return _tenant(row)


def _create_organisation(connection: Connection, organisation_id: str, name: str) -> None:
    if _has_organisation(connection, organisation_id):
        raise Conflict(f"There is an organisation '{organisation_id}' already.")
    connection.execute(insert(organisations).values(organisation_id=organisation_id, name=name))


def _create_tenant(connection: Connection, tenant: Tenant) -> None:
    if ":" in tenant.tenant_id:
        raise BadRequest("A tenant's id has no colon: it is a part of the names of accounts.", param="tenant_id")
    if not _has_organisation(connection, tenant.organisation_id):
        raise NotFound(f"There is no organisation '{tenant.organisation_id}'.")
    if connection.execute(select(tenants.c.name).where(tenants.c.tenant_id == tenant.tenant_id)).first():
        raise Conflict(f"There is a tenant '{tenant.tenant_id}' already.")
    connection.execute(
        insert(tenants).values(
            tenant_id=tenant.tenant_id,
            organisation_id=tenant.organisation_id,
            name=tenant.name,
            credit_unlimited=tenant.credit_unlimited,
        )
    )


def _tenants(connection: Connection) -> list[Tenant]:
    return [_tenant(row) for row in connection.execute(select(tenants).order_by(tenants.c.tenant_id))]


def _tenant(row: Row[tuple[object, ...]]) -> Tenant:
    return Tenant(row.tenant_id, row.organisation_id, row.name, row.credit_unlimited)


def _add_key(connection: Connection, key: ApiKey, created_unix_ms: int) -> None:
    if tenant_of(connection, key.tenant_id).organisation_id != key.organisation_id:
        raise NotFound(f"Organisation '{key.organisation_id}' has no tenant '{key.tenant_id}'.")
    if connection.execute(select(api_keys.c.name).where(api_keys.c.key_id == key.key_id)).first():
        raise Conflict(f"There is a key '{key.key_id}' already.")
    connection.execute(
        insert(api_keys).values(
            key_id=key.key_id,
            organisation_id=key.organisation_id,
            tenant_id=key.tenant_id,
            name=key.name,
            digests=[digest.hex() for digest in key.digests],
            models=key.models,
            active=key.active,
            created_unix_ms=created_unix_ms,
        )
    )


def _keys(connection: Connection) -> list[ApiKey]:
    return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.key_id))]


def _key(row: Row[tuple[object, ...]]) -> ApiKey:
    digests = tuple(bytes.fromhex(digest) for digest in row.digests)
    return ApiKey(row.key_id, row.organisation_id, row.tenant_id, row.name, digests, row.models, row.active)


def _revoke_key(connection: Connection, key_id: str) -> None:
    revoked = connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(active=False))
    if not revoked.rowcount:
        raise NotFound(f"There is no key '{key_id}'.")


def _has_organisation(connection: Connection, organisation_id: str) -> bool:
    found = select(organisations.c.name).where(organisations.c.organisation_id == organisation_id)
    return connection.execute(found).first() is not None
