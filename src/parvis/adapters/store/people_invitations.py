"""Links: open until they are used, withdrawn, followed by another one, or over."""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, insert, select, update

from parvis.adapters.store.people_grants import add_person
from parvis.adapters.store.people_part import Part
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import Conflict, NotFound
from parvis.domain.identity.invitation import Invitation, InvitationState
from parvis.domain.identity.person import Person, same_email
from parvis.domain.identity.place import Target
from parvis.domain.identity.role import Grant, Role


class InvitationsPart(Part):
    """`Invitations` on SQL."""

    async def add_invitation(self, invitation: Invitation, digest: bytes) -> None:
        """See the port."""
        await self._database.run(_add, self._tables, invitation, digest)

    async def renew_invitation(self, invitation_id: str, digest: bytes, ends_unix_ms: int) -> None:
        """See the port."""
        await self._database.run(_renew, self._tables, invitation_id, digest, ends_unix_ms)

    async def withdraw_invitation(self, invitation_id: str) -> None:
        """See the port."""
        await self._database.run_first(_withdraw, self._tables, invitation_id)

    async def invitation(self, invitation_id: str) -> tuple[Invitation, bytes] | None:
        """See the port."""
        return await self._database.read(_found, self._tables, invitation_id)

    async def invitations(self, organisation_id: str | None = None) -> list[Invitation]:
        """See the port."""
        return await self._database.read(_all, self._tables, organisation_id)

    async def accept_invitation(
        self, invitation_id: str, digest: bytes, person: Person, grants: Sequence[Grant], password_hash: str
    ) -> None:
        """See the port."""
        await self._database.run(_accept, self._tables, invitation_id, digest, person, grants, password_hash)


def _add(connection: Connection, tables: PeopleTables, invitation: Invitation, digest: bytes) -> None:
    email = same_email(invitation.email)
    if connection.execute(select(tables.people.c.user_id).where(tables.people.c.email_same == email)).first():
        raise Conflict(f"Somebody signs in with '{invitation.email}' already.", code="email_taken", param="email")
    earlier = (tables.invitations.c.email_same == email) & (tables.invitations.c.state == InvitationState.PENDING)
    connection.execute(update(tables.invitations).where(earlier).values(state=InvitationState.WITHDRAWN))
    keep_link(connection, tables, invitation, digest)


def keep_link(connection: Connection, tables: PeopleTables, link: Invitation, digest: bytes) -> None:
    """A part of a transaction."""
    connection.execute(insert(tables.invitations).values(**_values(link), digest=digest))


def use_link(connection: Connection, tables: PeopleTables, invitation_id: str, digest: bytes) -> Invitation:
    """A part of a transaction. Of several at once one uses it. Raises NotFound when it opens nothing any more."""
    found = _found(connection, tables, invitation_id)
    pending = (
        (tables.invitations.c.invitation_id == invitation_id)
        & (tables.invitations.c.state == InvitationState.PENDING)
        & (tables.invitations.c.digest == digest)
    )
    used = update(tables.invitations).where(pending).values(state=InvitationState.ACCEPTED)
    if found is None or not connection.execute(used).rowcount:
        raise NotFound("This invitation does not exist or is over. Ask for another.", code="invitation_over")
    return found[0]


def _renew(connection: Connection, tables: PeopleTables, invitation_id: str, digest: bytes, ends_unix_ms: int) -> None:
    pending = (tables.invitations.c.invitation_id == invitation_id) & (
        tables.invitations.c.state == InvitationState.PENDING
    )
    renewed = update(tables.invitations).where(pending).values(digest=digest, ends_unix_ms=ends_unix_ms)
    if not connection.execute(renewed).rowcount:
        raise NotFound("This invitation is not open.", param="invitation_id")


def _withdraw(connection: Connection, tables: PeopleTables, invitation_id: str) -> None:
    found = _found(connection, tables, invitation_id)
    if found is None:
        raise NotFound("There is no such invitation.", param="invitation_id")
    if found[0].state is InvitationState.ACCEPTED:
        raise Conflict("This invitation was accepted. Remove the user instead.")
    same = tables.invitations.c.invitation_id == invitation_id
    connection.execute(update(tables.invitations).where(same).values(state=InvitationState.WITHDRAWN))


def _accept(
    connection: Connection,
    tables: PeopleTables,
    invitation_id: str,
    digest: bytes,
    person: Person,
    grants: Sequence[Grant],
    password_hash: str,
) -> None:
    use_link(connection, tables, invitation_id, digest)
    add_person(connection, tables, person, grants)
    same = tables.people.c.user_id == person.user_id
    connection.execute(update(tables.people).where(same).values(password_hash=password_hash))


def _found(connection: Connection, tables: PeopleTables, invitation_id: str) -> tuple[Invitation, bytes] | None:
    same = select(tables.invitations).where(tables.invitations.c.invitation_id == invitation_id)
    row = connection.execute(same).one_or_none()
    return None if row is None else (_invitation(row), row.digest)


def _all(connection: Connection, tables: PeopleTables, organisation_id: str | None) -> list[Invitation]:
    proper = tables.invitations.c.user_id.is_(None)
    rows = select(tables.invitations).where(proper).order_by(tables.invitations.c.invitation_id)
    if organisation_id is not None:
        rows = rows.where(tables.invitations.c.organisation_id == organisation_id)
    return [_invitation(row) for row in connection.execute(rows)]


def _invitation(row: Row[tuple[object, ...]]) -> Invitation:
    words = row.roles
    roles = tuple((Role(words[n]), Target(words[n + 1], words[n + 2])) for n in range(0, len(words), 3))
    return Invitation(
        row.invitation_id,
        row.organisation_id,
        row.email,
        roles,
        row.invited_by,
        row.created_unix_ms,
        row.ends_unix_ms,
        InvitationState(row.state),
        row.user_id or "",
    )


def _values(invitation: Invitation) -> dict[str, object]:
    return {
        "invitation_id": invitation.invitation_id,
        "organisation_id": invitation.organisation_id,
        "email": invitation.email,
        "email_same": same_email(invitation.email),
        "roles": [word for role, target in invitation.roles for word in (role, *target)],
        "invited_by": invitation.invited_by,
        "created_unix_ms": invitation.created_unix_ms,
        "ends_unix_ms": invitation.ends_unix_ms,
        "state": invitation.state,
        "user_id": invitation.user_id or None,
    }
