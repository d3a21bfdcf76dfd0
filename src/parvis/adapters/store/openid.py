"""Sign-in by OpenID Connect: providers, links, visits."""

from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from parvis.adapters.store.database import Room
from parvis.adapters.store.identity_tables import organisations
from parvis.adapters.store.openid_tables import openid_links, openid_providers, openid_visits
from parvis.core.errors import NotFound, Unavailable
from parvis.domain.identity.openid import Provider, RoleMapping, Visit
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Role

VISITS_MAX = 10_000
VISITS_PER_ADDRESS_MAX = 100
"""Who goes to a provider is back within minutes, or not at all: more are never on their way in earnest."""


class OpenIds(Room):
    """`OpenIdStore` on SQL."""

    async def put_provider(self, provider: Provider, sealed_secret: bytes | None) -> None:
        """See the port."""
        await self.database.run(_put_provider, provider, sealed_secret)

    async def provider(self, organisation_id: str) -> tuple[Provider, bytes] | None:
        """See the port."""
        return await self.database.read(_provider, organisation_id)

    async def remove_provider(self, organisation_id: str) -> None:
        """See the port."""
        await self.database.run_first(_remove_provider, organisation_id)

    async def link(self, organisation_id: str, issuer: str, subject: str) -> str | None:
        """See the port."""
        return await self.database.read(_link, organisation_id, issuer, subject)

    async def subject(self, organisation_id: str, issuer: str, user_id: str) -> str | None:
        """See the port."""
        return await self.database.read(_subject, organisation_id, issuer, user_id)

    async def put_link(self, organisation_id: str, issuer: str, subject: str, user_id: str) -> None:
        """See the port."""
        await self.database.run(_put_link, organisation_id, issuer, subject, user_id)

    async def unlink(self, organisation_id: str, user_id: str) -> None:
        """See the port."""
        await self.database.run_first(_unlink, organisation_id, user_id)

    async def put_visit(self, visit: Visit, now_unix_ms: int) -> None:
        """See the port."""
        await self.database.run(_put_visit, visit, now_unix_ms)

    async def take_visit(self, state_digest: bytes, now_unix_ms: int) -> Visit | None:
        """See the port."""
        return await self.database.run(_take_visit, state_digest, now_unix_ms)


def _put_provider(connection: Connection, provider: Provider, sealed_secret: bytes | None) -> None:
    organisation_id = provider.organisation_id
    known = select(organisations.c.name).where(organisations.c.organisation_id == organisation_id)
    if connection.execute(known).first() is None:
        raise NotFound(f"There is no organisation '{organisation_id}'.")
    before = _provider(connection, organisation_id)
    kept = b"" if before is None else before[1]
    values = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "sealed_secret": kept if sealed_secret is None else sealed_secret,
        "required": provider.required,
        "rules": _rules(provider),
    }
    if before is None:
        connection.execute(insert(openid_providers).values(organisation_id=organisation_id, **values))
        return
    ours = openid_providers.c.organisation_id == organisation_id
    connection.execute(update(openid_providers).where(ours).values(**values))
    if before[0].issuer != provider.issuer:
        _forget(connection, organisation_id)


def _provider(connection: Connection, organisation_id: str) -> tuple[Provider, bytes] | None:
    ours = openid_providers.c.organisation_id == organisation_id
    row = connection.execute(select(openid_providers).where(ours)).one_or_none()
    return None if row is None else (_read(row), row.sealed_secret)


def _remove_provider(connection: Connection, organisation_id: str) -> None:
    _forget(connection, organisation_id)
    connection.execute(delete(openid_providers).where(openid_providers.c.organisation_id == organisation_id))


def _forget(connection: Connection, organisation_id: str) -> None:
    """Who is linked to a provider or on the way to it."""
    for table in (openid_links, openid_visits):
        connection.execute(delete(table).where(table.c.organisation_id == organisation_id))


def _link(connection: Connection, organisation_id: str, issuer: str, subject: str) -> str | None:
    place = {"organisation_id": organisation_id, "issuer": issuer, "subject": subject}
    return connection.scalar(select(openid_links.c.user_id).filter_by(**place))


def _subject(connection: Connection, organisation_id: str, issuer: str, user_id: str) -> str | None:
    place = {"organisation_id": organisation_id, "issuer": issuer, "user_id": user_id}
    return connection.scalar(select(openid_links.c.subject).filter_by(**place))


def _put_link(connection: Connection, organisation_id: str, issuer: str, subject: str, user_id: str) -> None:
    ours = (openid_links.c.organisation_id == organisation_id) & (openid_links.c.issuer == issuer)
    same = (openid_links.c.subject == subject) | (openid_links.c.user_id == user_id)
    connection.execute(delete(openid_links).where(ours & same))
    place = {"organisation_id": organisation_id, "issuer": issuer, "subject": subject}
    connection.execute(insert(openid_links).values(**place, user_id=user_id))


def _unlink(connection: Connection, organisation_id: str, user_id: str) -> None:
    ours = (openid_links.c.organisation_id == organisation_id) & (openid_links.c.user_id == user_id)
    connection.execute(delete(openid_links).where(ours))


def _put_visit(connection: Connection, visit: Visit, now_unix_ms: int) -> None:
    connection.execute(delete(openid_visits).where(openid_visits.c.ends_unix_ms <= now_unix_ms))
    count = select(func.count()).select_from(openid_visits)
    from_there = count.where(openid_visits.c.address == visit.address)
    full = connection.scalar(count) or 0, connection.scalar(from_there) or 0
    if full[0] >= VISITS_MAX or full[1] >= VISITS_PER_ADDRESS_MAX:
        raise Unavailable("Too many people are signing in at this moment. Try again in a minute.", retry_after_s=60)
    values = {column.name: getattr(visit, column.name) for column in openid_visits.c}
    connection.execute(insert(openid_visits).values(**values))


def _take_visit(connection: Connection, state_digest: bytes, now_unix_ms: int) -> Visit | None:
    this = openid_visits.c.state_digest == state_digest
    row = connection.execute(select(openid_visits).where(this)).mappings().one_or_none()
    if row is None or not connection.execute(delete(openid_visits).where(this)).rowcount:
        return None
    return Visit(**row) if now_unix_ms < row["ends_unix_ms"] else None


def _rules(provider: Provider) -> dict[str, Any]:
    return {
        "scopes": provider.scopes,
        "groups_claim": provider.groups_claim,
        "mappings": [(mapping.value, mapping.role, *mapping.target) for mapping in provider.mappings],
        "domains": provider.domains,
        "vouches_for_factor": provider.vouches_for_factor,
        "acr_values": provider.acr_values,
    }


def _read(row: Row[Any]) -> Provider:
    rules = row.rules
    return Provider(
        row.organisation_id,
        row.issuer,
        row.client_id,
        tuple(rules["scopes"]),
        rules["groups_claim"],
        tuple(RoleMapping(value, Role(role), Target(*place)) for value, role, *place in rules["mappings"]),
        tuple(rules["domains"]),
        rules["vouches_for_factor"],
        tuple(rules["acr_values"]),
        row.required,
    )
