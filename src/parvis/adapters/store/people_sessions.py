"""Sessions of browsers."""

from sqlalchemy import Connection, Row, delete, insert, select, update

from parvis.adapters.store.people_part import Part, active_person, dossier_of
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import NotFound
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.session import LIFE_MS_MAX, Means, Session


class SessionsPart(Part):
    """The part of `Sessions` that is about browsers, on SQL."""

    async def add_session(self, session: Session, digest: bytes) -> None:
        """See the port."""
        await self._database.run(_add, self._tables, session, digest)

    async def session(self, digest: bytes) -> tuple[Session, Dossier] | None:
        """See the port."""
        return await self._database.read(_found, self._tables, digest)

    async def renew_session(self, session: Session, digest: bytes) -> None:
        """See the port."""
        await self._database.run(_change, self._tables, session.session_id, {**_values(session), "digest": digest})

    async def prove_session(self, session_id: str, proven_unix_ms: int) -> None:
        """See the port."""
        await self._database.run(_change, self._tables, session_id, {"proven_unix_ms": proven_unix_ms})

    async def sessions(self, user_id: str) -> list[Session]:
        """See the port."""
        return await self._database.read(_sessions, self._tables, user_id)

    async def end_session(self, user_id: str, session_id: str) -> None:
        """See the port."""
        await self._database.run_first(_end, self._tables, user_id, session_id)

    async def end_sessions(self, user_id: str, keep_session_id: str = "") -> None:
        """See the port."""
        await self._database.run_first(_end_all, self._tables, user_id, keep_session_id)

    async def note_seen(self, user_id: str, now_unix_ms: int, session_id: str = "", token_id: str = "") -> None:
        """See the port."""
        await self._database.run(_note_seen, self._tables, user_id, now_unix_ms, session_id, token_id)


def _add(connection: Connection, tables: PeopleTables, session: Session, digest: bytes) -> None:
    active_person(connection, tables, session.user_id)
    over = tables.sessions.c.created_unix_ms <= session.created_unix_ms - LIFE_MS_MAX
    connection.execute(delete(tables.sessions).where(over))
    connection.execute(insert(tables.sessions).values(**_values(session), digest=digest))


def _found(connection: Connection, tables: PeopleTables, digest: bytes) -> tuple[Session, Dossier] | None:
    row = connection.execute(select(tables.sessions).where(tables.sessions.c.digest == digest)).one_or_none()
    if row is None:
        return None
    dossier = dossier_of(connection, tables, row.user_id)
    return None if dossier is None else (_session(row), dossier)


def _change(connection: Connection, tables: PeopleTables, session_id: str, values: dict[str, object]) -> None:
    same = tables.sessions.c.session_id == session_id
    if not connection.execute(update(tables.sessions).where(same).values(**values)).rowcount:
        raise NotFound("This session has ended.")


def _sessions(connection: Connection, tables: PeopleTables, user_id: str) -> list[Session]:
    own = select(tables.sessions).where(tables.sessions.c.user_id == user_id).order_by(tables.sessions.c.session_id)
    return [_session(row) for row in connection.execute(own)]


def _end(connection: Connection, tables: PeopleTables, user_id: str, session_id: str) -> None:
    same = (tables.sessions.c.user_id == user_id) & (tables.sessions.c.session_id == session_id)
    if not connection.execute(delete(tables.sessions).where(same)).rowcount:
        raise NotFound("There is no such session.", param="session_id")


def _end_all(connection: Connection, tables: PeopleTables, user_id: str, keep_session_id: str) -> None:
    own = (tables.sessions.c.user_id == user_id) & (tables.sessions.c.session_id != keep_session_id)
    connection.execute(delete(tables.sessions).where(own))


def _note_seen(
    connection: Connection, tables: PeopleTables, user_id: str, now_unix_ms: int, session_id: str, token_id: str
) -> None:
    person, session, token = tables.people.c.user_id, tables.sessions.c.session_id, tables.tokens.c.token_id
    connection.execute(update(tables.people).where(person == user_id).values(last_seen_unix_ms=now_unix_ms))
    connection.execute(update(tables.sessions).where(session == session_id).values(seen_unix_ms=now_unix_ms))
    connection.execute(update(tables.tokens).where(token == token_id).values(used_unix_ms=now_unix_ms))


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(
        row.session_id,
        row.user_id,
        Means(row.means),
        row.complete,
        row.address,
        row.created_unix_ms,
        row.seen_unix_ms,
        row.proven_unix_ms,
    )


def _values(session: Session) -> dict[str, object]:
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "means": session.means,
        "complete": session.complete,
        "address": session.address,
        "created_unix_ms": session.created_unix_ms,
        "seen_unix_ms": session.seen_unix_ms,
        "proven_unix_ms": session.proven_unix_ms,
    }
