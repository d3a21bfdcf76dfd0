"""People and their grants. No transaction of these leaves a place without an active owner that had one."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from parvis.adapters.store.identity_tables import organisations
from parvis.adapters.store.keys import revoke_keys_of, tell_of_keys_of
from parvis.adapters.store.people_part import (
    Part,
    active_person,
    dossier_of,
    forget_proofs,
    found_person,
    grant_of,
    grants_of,
    person_of,
    withdraw_links,
)
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.invitation import InvitationState
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.owners import orphaned
from parvis.domain.identity.person import Person, same_email
from parvis.domain.identity.role import Grant, clash


class GrantsPart(Part):
    """The part of `PeopleStore` that is about people and what they were granted."""

    async def add_person(self, person: Person, grants: Sequence[Grant] = ()) -> None:
        """See the port."""
        await self._database.run(add_person, self._tables, person, grants)

    async def put_person(self, person: Person) -> None:
        """See the port."""
        await self._database.run_first(_put_person, self._tables, person)

    async def person(self, user_id: str) -> Person | None:
        """See the port."""
        return await self._database.read(found_person, self._tables, user_id)

    async def person_by_email(self, email: str) -> Person | None:
        """See the port."""
        return await self._database.read(_by_email, self._tables, email)

    async def people(self, organisation_id: str | None = None) -> list[Person]:
        """See the port."""
        return await self._database.read(_people, self._tables, organisation_id)

    async def dossier(self, user_id: str) -> Dossier | None:
        """See the port."""
        return await self._database.read(dossier_of, self._tables, user_id)

    async def add_grant(self, grant: Grant) -> None:
        """See the port."""
        await self._database.run(add_grant, self._tables, grant)

    async def remove_grant(self, grant_id: str) -> Grant:
        """See the port."""
        return await self._database.run_first(_remove_grant, self._tables, grant_id)

    async def grant(self, grant_id: str) -> Grant | None:
        """See the port."""
        return await self._database.read(_grant, self._tables, grant_id)

    async def grants(self, user_id: str | None = None, organisation_id: str | None = None) -> list[Grant]:
        """See the port."""
        return await self._database.read(_grants, self._tables, user_id, organisation_id)


def add_person(connection: Connection, tables: PeopleTables, person: Person, grants: Iterable[Grant]) -> None:
    """A part of a transaction. Raises what the port says."""
    if found_person(connection, tables, person.user_id) is not None:
        raise Conflict(f"There is a user '{person.user_id}' already.")
    same = select(organisations.c.name).where(organisations.c.organisation_id == person.organisation_id)
    if person.organisation_id and connection.execute(same).first() is None:
        raise NotFound(f"There is no organisation '{person.organisation_id}'.")
    _check_email(connection, tables, person)
    connection.execute(insert(tables.people).values(**_values(person), password_hash=""))
    for grant in grants:
        add_grant(connection, tables, grant)


def add_grant(connection: Connection, tables: PeopleTables, grant: Grant) -> None:
    """A part of a transaction. Raises what the port says."""
    active_person(connection, tables, grant.user_id)
    held = grants_of(connection, tables, [grant.user_id])
    if any((other.role, other.target) == (grant.role, grant.target) for other in held):
        raise Conflict(f"They have the role '{grant.role}' there already.", code="already_granted")
    excluding = clash(grant.role, grant.target, held)
    if excluding is not None:
        raise Conflict(
            f"'{grant.role}' and '{excluding.role}' exclude one another. Withdraw '{excluding.role}' first.",
            code="incompatible_roles",
        )
    connection.execute(insert(tables.grants).values(**_grant_values(grant)))
    withdraw_links(connection, tables, grant.user_id)  # they were given to who had as much as this person then


def _put_person(connection: Connection, tables: PeopleTables, person: Person) -> None:
    before = found_person(connection, tables, person.user_id)
    if before is None or before.standing is Standing.REMOVED:
        raise NotFound(f"There is no user '{person.user_id}'.", param="user_id")
    if person.standing is not Standing.ACTIVE:
        if before.standing is Standing.ACTIVE:
            _refuse_orphans(connection, tables, grants_of(connection, tables, [person.user_id]))
        _take_away(connection, tables, person)
    if person.standing is not Standing.REMOVED and same_email(person.email) != same_email(before.email):
        _check_email(connection, tables, person)
        withdraw_links(connection, tables, person.user_id)  # they were mailed to the other address
    own = tables.people.c.user_id == person.user_id
    seen = {"last_seen_unix_ms": before.last_seen_unix_ms}
    connection.execute(update(tables.people).where(own).values(**_values(person) | seen))
    if person.standing is not before.standing:
        tell_of_keys_of(connection, person.user_id)


def _take_away(connection: Connection, tables: PeopleTables, person: Person) -> None:
    """Sessions of who is not active; and whatever else who is removed had."""
    own = [tables.sessions, tables.challenges]
    if person.standing is Standing.REMOVED:
        own = [tables.grants, tables.tokens]
        forget_proofs(connection, tables, person.user_id)
        withdraw_links(connection, tables, person.user_id)
        by = tables.invitations.c.invited_by.in_((f"user {person.user_id}", f"operator {person.user_id}"))
        asked = by & (tables.invitations.c.state == InvitationState.PENDING)
        revoke_keys_of(connection, person.user_id)
        connection.execute(update(tables.invitations).where(asked).values(state=InvitationState.WITHDRAWN))
    for table in own:
        connection.execute(delete(table).where(table.c.user_id == person.user_id))


def _refuse_orphans(connection: Connection, tables: PeopleTables, leaving: Sequence[Grant]) -> None:
    """Raises Conflict when these are the last that somebody active has somewhere."""
    places = {grant.target.organisation_id for grant in leaving}
    joined = tables.grants.join(tables.people, tables.grants.c.user_id == tables.people.c.user_id)
    active = (tables.people.c.standing == Standing.ACTIVE) & tables.grants.c.organisation_id.in_(places)
    standing = [grant_of(row) for row in connection.execute(select(tables.grants).select_from(joined).where(active))]
    place = orphaned(standing, leaving)
    if place is not None:
        raise Conflict(
            f"'{place.tenant_id or place.organisation_id}' would have no owner. Make somebody else an owner first.",
            code="last_owner",
        )


def _remove_grant(connection: Connection, tables: PeopleTables, grant_id: str) -> Grant:
    found = _grant(connection, tables, grant_id)
    if found is None:
        raise NotFound(f"There is no grant '{grant_id}'.", param="grant_id")
    holder = found_person(connection, tables, found.user_id)
    if holder is not None and holder.standing is Standing.ACTIVE:
        _refuse_orphans(connection, tables, [found])
    connection.execute(delete(tables.grants).where(tables.grants.c.grant_id == grant_id))
    return found


def _grant(connection: Connection, tables: PeopleTables, grant_id: str) -> Grant | None:
    row = connection.execute(select(tables.grants).where(tables.grants.c.grant_id == grant_id)).one_or_none()
    return None if row is None else grant_of(row)


def _grants(
    connection: Connection, tables: PeopleTables, user_id: str | None, organisation_id: str | None
) -> list[Grant]:
    rows = select(tables.grants).order_by(tables.grants.c.grant_id)
    if user_id is not None:
        rows = rows.where(tables.grants.c.user_id == user_id)
    if organisation_id is not None:
        rows = rows.where(tables.grants.c.organisation_id == organisation_id)
    return [grant_of(row) for row in connection.execute(rows)]


def _by_email(connection: Connection, tables: PeopleTables, email: str) -> Person | None:
    same = select(tables.people).where(tables.people.c.email_same == same_email(email))
    row = connection.execute(same).one_or_none()
    return None if row is None else person_of(row)


def _people(connection: Connection, tables: PeopleTables, organisation_id: str | None) -> list[Person]:
    rows = select(tables.people).order_by(tables.people.c.user_id)
    if organisation_id is not None:
        rows = rows.where(tables.people.c.organisation_id == organisation_id)
    return [person_of(row) for row in connection.execute(rows)]


def _check_email(connection: Connection, tables: PeopleTables, person: Person) -> None:
    if _by_email(connection, tables, person.email) is not None:
        raise Conflict(f"Somebody signs in with '{person.email}' already.", code="email_taken", param="email")


def _values(person: Person) -> dict[str, object]:
    return {
        "user_id": person.user_id,
        "organisation_id": person.organisation_id,
        "email": person.email,
        "email_same": None if person.standing is Standing.REMOVED else same_email(person.email),
        "name": person.name,
        "standing": person.standing,
        "language": person.language,
        "created_unix_ms": person.created_unix_ms,
        "last_seen_unix_ms": person.last_seen_unix_ms,
    }


def _grant_values(grant: Grant) -> dict[str, object]:
    return {
        "grant_id": grant.grant_id,
        "user_id": grant.user_id,
        "role": grant.role,
        "organisation_id": grant.target.organisation_id,
        "tenant_id": grant.target.tenant_id,
        "granted_by": grant.granted_by,
        "granted_unix_ms": grant.granted_unix_ms,
    }
