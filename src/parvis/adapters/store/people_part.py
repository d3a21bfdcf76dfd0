"""What the parts of a realm have in common: where its transactions run, its tables, and how a person is read."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, delete, select, update

from parvis.adapters.store.database import Database, Room
from parvis.adapters.store.identity_tables import organisations
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import NotFound
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.invitation import InvitationState
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.person import Person
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant, Role

_NOTHING_SHOWN = {"password_hash": "", "totp_sealed_seed": None, "totp_step": None, "totp_enrolled_unix_ms": None}


class Part:
    """Verbs of one realm, on the database of a store."""

    def __init__(self, room: Room, tables: PeopleTables) -> None:
        self._room = room
        self._tables = tables

    @property
    def _database(self) -> Database:
        return self._room.database


def found_person(connection: Connection, tables: PeopleTables, user_id: str) -> Person | None:
    """One, removed or not."""
    row = connection.execute(select(tables.people).where(tables.people.c.user_id == user_id)).one_or_none()
    return None if row is None else person_of(row)


def active_person(connection: Connection, tables: PeopleTables, user_id: str) -> Person:
    """Raises NotFound for who is not there, suspended or removed."""
    found = found_person(connection, tables, user_id)
    if found is None or found.standing is not Standing.ACTIVE:
        raise NotFound(f"There is no active user '{user_id}'.", param="user_id")
    return found


def dossier_of(connection: Connection, tables: PeopleTables, user_id: str) -> Dossier | None:
    """Person, grants, factors and the rules of the organisation."""
    row = connection.execute(select(tables.people).where(tables.people.c.user_id == user_id)).one_or_none()
    if row is None:
        return None
    has_factor = row.totp_sealed_seed is not None or has_passkey(connection, tables, user_id)
    person, grants = person_of(row), tuple(grants_of(connection, tables, [user_id]))
    if not person.organisation_id:
        return Dossier(person, grants, has_factor)
    same = organisations.c.organisation_id == person.organisation_id
    place = connection.execute(select(organisations.c.standing, organisations.c.second_factor).where(same)).one()
    return Dossier(person, grants, has_factor, Standing(place.standing), place.second_factor)


def has_passkey(connection: Connection, tables: PeopleTables, user_id: str) -> bool:
    """Whether a person has any."""
    own = select(tables.passkeys.c.credential_id).where(tables.passkeys.c.user_id == user_id).limit(1)
    return connection.execute(own).first() is not None


def forget_proofs(connection: Connection, tables: PeopleTables, user_id: str) -> None:
    """Nothing that a person showed opens anything any more, and nobody is signed in as them."""
    connection.execute(update(tables.people).where(tables.people.c.user_id == user_id).values(**_NOTHING_SHOWN))
    for table in (tables.passkeys, tables.recovery_codes, tables.challenges, tables.sessions):
        connection.execute(delete(table).where(table.c.user_id == user_id))


def withdraw_links(connection: Connection, tables: PeopleTables, user_id: str) -> None:
    """By which a person could set another password."""
    own = (tables.invitations.c.user_id == user_id) & (tables.invitations.c.state == InvitationState.PENDING)
    connection.execute(update(tables.invitations).where(own).values(state=InvitationState.WITHDRAWN))


def grants_of(connection: Connection, tables: PeopleTables, user_ids: Sequence[str]) -> list[Grant]:
    """Of these people, sorted by id."""
    own = select(tables.grants).where(tables.grants.c.user_id.in_(user_ids)).order_by(tables.grants.c.grant_id)
    return [grant_of(row) for row in connection.execute(own)]


def grant_of(row: Row[tuple[object, ...]]) -> Grant:
    """A row of the grants."""
    target = Target(row.organisation_id, row.tenant_id)
    return Grant(row.grant_id, row.user_id, Role(row.role), target, row.granted_by, row.granted_unix_ms)


def person_of(row: Row[tuple[object, ...]]) -> Person:
    """A row of the people, less what they sign in with."""
    return Person(
        row.user_id,
        row.organisation_id,
        row.email,
        row.name,
        Standing(row.standing),
        row.language,
        row.created_unix_ms,
        row.last_seen_unix_ms,
    )
