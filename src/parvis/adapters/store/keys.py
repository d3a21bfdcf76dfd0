"""API keys: kept, compared and swapped, and told to those who must know of a change."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity import effective_tenants, next_version, tenant_of, version_of
from parvis.adapters.store.identity_tables import api_keys, key_uses
from parvis.adapters.store.limits import changed_limits
from parvis.adapters.store.people_tables import TABLES
from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.api_key import ApiKey, KeySecret
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Realm
from parvis.domain.identity.rotation import Schedule
from parvis.domain.identity.scope import Endpoint, KeyScope
from parvis.domain.identity.succession import moments
from parvis.flows.ports import Changes, KeyUse


class Keys(Room):
    """The part of `IdentityStore` that is about keys, on SQL."""

    async def add_key(self, key: ApiKey) -> None:
        """See the port."""
        await self.database.run(_add_key, key)

    async def keys(self) -> list[ApiKey]:
        """See the port."""
        return await self.database.read(_keys)

    async def key(self, key_id: str) -> ApiKey | None:
        """See the port."""
        return await self.database.read(_found, key_id)

    async def keys_page(self, tenant_ids: Sequence[str] | None, after: str | None, limit: int) -> list[ApiKey]:
        """See the port."""
        return await self.database.read(_keys_page, tenant_ids, after, limit)

    async def keys_in_force(self, after: str | None, limit: int) -> list[ApiKey]:
        """See the port."""
        return await self.database.read(_keys_in_force, after, limit)

    async def keys_owned(self, user_id: str) -> list[ApiKey]:
        """See the port."""
        return await self.database.read(_keys_owned, user_id)

    async def swap_key(self, before: ApiKey, after: ApiKey) -> None:
        """See the port."""
        await self.database.run_first(_swap_key, before, after)

    async def revoke_key(self, key_id: str) -> None:
        """See the port."""
        await self.database.run_first(_revoke_key, key_id)

    async def changes(self, after: int) -> Changes:
        """See the port."""
        return await self.database.read(_changes, after)

    async def note_uses(self, uses: Sequence[KeyUse]) -> None:
        """See the port."""
        await self.database.run(_note_uses, uses)

    async def uses(self, key_ids: Sequence[str]) -> list[KeyUse]:
        """See the port."""
        return await self.database.read(_uses, key_ids)


def _add_key(connection: Connection, key: ApiKey) -> None:
    if tenant_of(connection, key.tenant_id).organisation_id != key.organisation_id:
        raise NotFound(f"Organisation '{key.organisation_id}' has no tenant '{key.tenant_id}'.")
    if _found(connection, key.key_id):
        raise Conflict(f"There is a key '{key.key_id}' already.")
    connection.execute(insert(api_keys).values(**_values(key), version=next_version(connection)))


def _keys(connection: Connection) -> list[ApiKey]:
    return [read_key_row(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.key_id))]


def _found(connection: Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
    return None if row is None else read_key_row(row)


def _keys_page(connection: Connection, tenant_ids: Sequence[str] | None, after: str | None, limit: int) -> list[ApiKey]:
    rows = select(api_keys).order_by(api_keys.c.key_id).limit(limit)
    if tenant_ids is not None:
        rows = rows.where(api_keys.c.tenant_id.in_(tenant_ids))
    if after is not None:
        rows = rows.where(api_keys.c.key_id > after)
    return [read_key_row(row) for row in connection.execute(rows)]


def _keys_owned(connection: Connection, user_id: str) -> list[ApiKey]:
    rows = select(api_keys).where(api_keys.c.owner_id == user_id).order_by(api_keys.c.key_id)
    return [read_key_row(row) for row in connection.execute(rows)]


def revoke_keys_of(connection: Connection, user_id: str) -> None:
    """A part of the transaction in which a person is removed: their own keys go with them."""
    for key in _keys_owned(connection, user_id):
        if key.active:
            _swap_key(connection, key, replace(key, active=False))


def tell_of_keys_of(connection: Connection, user_id: str) -> None:
    """A part of the transaction in which a person is suspended or resumed: gateways hear of their keys."""
    own = api_keys.c.owner_id == user_id
    if connection.execute(select(api_keys.c.key_id).where(own).limit(1)).first() is not None:
        connection.execute(update(api_keys).where(own).values(version=next_version(connection)))


def _swap_key(connection: Connection, before: ApiKey, after: ApiKey) -> None:
    found = _found(connection, before.key_id)
    if found is None:
        raise NotFound(f"There is no key '{before.key_id}'.")
    if found != before:
        raise Conflict(f"The key '{before.key_id}' has changed meanwhile. Read it again.")
    same = api_keys.c.key_id == before.key_id
    connection.execute(update(api_keys).where(same).values(**_values(after), version=next_version(connection)))


def _revoke_key(connection: Connection, key_id: str) -> None:
    found = _found(connection, key_id)
    if found is None:
        raise NotFound(f"There is no key '{key_id}'.")
    if found.active:
        _swap_key(connection, found, replace(found, active=False))


def _changes(connection: Connection, after: int) -> Changes:
    changed = select(api_keys).where(api_keys.c.version > after).order_by(api_keys.c.version, api_keys.c.key_id)
    keys = [read_key_row(row) for row in connection.execute(changed)]
    tenants = tuple(effective_tenants(connection, after))
    return Changes(version_of(connection), _in_force(connection, keys), tenants, changed_limits(connection, after))


def _keys_in_force(connection: Connection, after: str | None, limit: int) -> list[ApiKey]:
    return list(_in_force(connection, _keys_page(connection, None, after, limit)))


def _in_force(connection: Connection, keys: Sequence[ApiKey]) -> tuple[ApiKey, ...]:
    """Keys as gateways see them: those of a suspended person rest with their owner."""
    if not any(key.owner_id for key in keys):
        return tuple(keys)
    users = TABLES[Realm.CUSTOMER].people
    resting = set(connection.scalars(select(users.c.user_id).where(users.c.standing == Standing.SUSPENDED)))
    return tuple(replace(key, active=False) if key.owner_id in resting else key for key in keys)


def _note_uses(connection: Connection, uses: Sequence[KeyUse]) -> None:
    for use in uses:
        key = _found(connection, use.key_id)
        if key is None:
            continue
        same = (key_uses.c.key_id == use.key_id) & (key_uses.c.made_unix_ms == use.made_unix_ms)
        known = connection.scalar(select(key_uses.c.last_unix_ms).where(same))
        if known is None:
            row = {"tenant_id": key.tenant_id, "key_id": use.key_id, "made_unix_ms": use.made_unix_ms}
            connection.execute(insert(key_uses).values(**row, last_unix_ms=use.last_unix_ms))
        elif known < use.last_unix_ms:
            connection.execute(update(key_uses).where(same).values(last_unix_ms=use.last_unix_ms))


def _uses(connection: Connection, key_ids: Sequence[str]) -> list[KeyUse]:
    rows = select(key_uses).where(key_uses.c.key_id.in_(key_ids)).order_by(key_uses.c.key_id, key_uses.c.made_unix_ms)
    return [KeyUse(row.key_id, row.made_unix_ms, row.last_unix_ms) for row in connection.execute(rows)]


def _values(key: ApiKey) -> dict[str, object]:
    schedule = key.schedule
    spans = () if schedule is None else (schedule.every_ms, schedule.overlap_ms, schedule.notice_ms, schedule.grace_ms)
    return {
        "key_id": key.key_id,
        "organisation_id": key.organisation_id,
        "tenant_id": key.tenant_id,
        "name": key.name,
        "digests": [secret.digest.hex() for secret in key.secrets],
        "secrets_made": [secret.made_unix_ms for secret in key.secrets],
        "secrets_end": [secret.ends_unix_ms for secret in key.secrets],
        "models": key.scope.models_allowed,
        "models_denied": key.scope.models_denied,
        "endpoints": key.scope.endpoints,
        "addresses": key.scope.addresses,
        "active": key.active,
        "ends_unix_ms": key.ends_unix_ms,
        "schedule": spans,
        "project_id": key.project_id,
        "tags": key.tags,
        "owner_id": key.owner_id,
        "created_unix_ms": key.created_unix_ms,
        "due_unix_ms": key.due_unix_ms,
        "tell_unix_ms": next(iter(moments(key)), (None,))[0],
    }


def read_key_row(row: Row[tuple[object, ...]]) -> ApiKey:
    """A row of the release before has digests alone: their secrets were made with the key and do not end."""
    secrets = zip_longest(row.digests, row.secrets_made[: len(row.digests)], row.secrets_end[: len(row.digests)])
    return ApiKey(
        row.key_id,
        row.organisation_id,
        row.tenant_id,
        row.name,
        tuple(
            KeySecret(bytes.fromhex(digest), row.created_unix_ms if made is None else made, ends)
            for digest, made, ends in secrets
        ),
        KeyScope(row.models, row.models_denied, tuple(map(Endpoint, row.endpoints)), row.addresses),
        row.active,
        row.ends_unix_ms,
        Schedule(*row.schedule) if row.schedule else None,
        row.project_id,
        row.tags,
        row.owner_id,
        row.created_unix_ms,
        row.due_unix_ms,
    )
