"""Personal tokens."""

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.people_part import Part, active_person, dossier_of
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import NotFound
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.personal_token import PersonalToken
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Right

_KNOWN = frozenset(Permission)


class TokensPart(Part):
    """The part of `Sessions` that is about programs, on SQL."""

    async def add_token(self, token: PersonalToken, digest: bytes) -> None:
        """See the port."""
        await self._database.run(_add, self._tables, token, digest)

    async def token(self, token_id: str) -> tuple[PersonalToken, bytes, Dossier] | None:
        """See the port."""
        return await self._database.read(_found, self._tables, token_id)

    async def tokens(self, user_id: str) -> list[PersonalToken]:
        """See the port."""
        return await self._database.read(_tokens, self._tables, user_id)

    async def revoke_token(self, user_id: str, token_id: str) -> None:
        """See the port."""
        await self._database.run_first(_revoke, self._tables, user_id, token_id)


def _add(connection: Connection, tables: PeopleTables, token: PersonalToken, digest: bytes) -> None:
    active_person(connection, tables, token.user_id)
    values = {
        "token_id": token.token_id,
        "user_id": token.user_id,
        "name": token.name,
        "digest": digest,
        "limits": [word for right in token.limits for word in (*right.target, " ".join(sorted(right.permissions)))],
        "created_unix_ms": token.created_unix_ms,
        "ends_unix_ms": token.ends_unix_ms,
        "used_unix_ms": token.used_unix_ms,
        "standing": token.standing,
    }
    connection.execute(insert(tables.tokens).values(**values))


def _found(connection: Connection, tables: PeopleTables, token_id: str) -> tuple[PersonalToken, bytes, Dossier] | None:
    row = connection.execute(select(tables.tokens).where(tables.tokens.c.token_id == token_id)).one_or_none()
    if row is None:
        return None
    dossier = dossier_of(connection, tables, row.user_id)
    return None if dossier is None else (_token(row), row.digest, dossier)


def _tokens(connection: Connection, tables: PeopleTables, user_id: str) -> list[PersonalToken]:
    own = select(tables.tokens).where(tables.tokens.c.user_id == user_id).order_by(tables.tokens.c.token_id)
    return [_token(row) for row in connection.execute(own)]


def _revoke(connection: Connection, tables: PeopleTables, user_id: str, token_id: str) -> None:
    same = (tables.tokens.c.user_id == user_id) & (tables.tokens.c.token_id == token_id)
    if not connection.execute(update(tables.tokens).where(same).values(standing=Standing.REMOVED)).rowcount:
        raise NotFound("There is no such token.", param="token_id")


def _token(row: Row[tuple[object, ...]]) -> PersonalToken:
    """A permission that this release does not know is one that nobody has."""
    words = row.limits
    limits = tuple(
        Right(frozenset(map(Permission, _KNOWN & set(words[n + 2].split()))), Target(words[n], words[n + 1]))
        for n in range(0, len(words), 3)
    )
    return PersonalToken(
        row.token_id,
        row.user_id,
        row.name,
        row.created_unix_ms,
        row.ends_unix_ms,
        limits,
        row.used_unix_ms,
        Standing(row.standing),
    )
