"""A sign-in that was lost: taken back whole, and given again by a link that is good once."""

from sqlalchemy import Connection, delete, update

from parvis.adapters.store.people_invitations import keep_link, use_link
from parvis.adapters.store.people_part import Part, active_person, forget_proofs, found_person, withdraw_links
from parvis.adapters.store.people_tables import PeopleTables
from parvis.core.errors import NotFound
from parvis.domain.identity.invitation import Invitation
from parvis.domain.identity.lockout import account
from parvis.domain.identity.organisation import Standing


class RecoveryPart(Part):
    """`Recovery` on SQL."""

    async def reset_sign_in(self, link: Invitation, digest: bytes) -> None:
        """See the port."""
        await self._database.run_first(_reset, self._tables, link, digest)

    async def recover(self, invitation_id: str, digest: bytes, password_hash: str) -> None:
        """See the port."""
        await self._database.run(_recover, self._tables, invitation_id, digest, password_hash)

    async def sign_out(self, user_id: str, *, tokens: bool) -> tuple[int, int]:
        """See the port."""
        return await self._database.run_first(_sign_out, self._tables, user_id, tokens=tokens)


def _reset(connection: Connection, tables: PeopleTables, link: Invitation, digest: bytes) -> None:
    person = found_person(connection, tables, link.user_id)
    if person is None or person.standing is Standing.REMOVED:
        raise NotFound(f"There is no user '{link.user_id}'.", param="user_id")
    forget_proofs(connection, tables, person.user_id)
    _revoke_tokens(connection, tables, person.user_id)
    withdraw_links(connection, tables, person.user_id)
    keep_link(connection, tables, link, digest)


def _recover(
    connection: Connection, tables: PeopleTables, invitation_id: str, digest: bytes, password_hash: str
) -> None:
    link = use_link(connection, tables, invitation_id, digest)
    person = active_person(connection, tables, link.user_id)
    own = tables.people.c.user_id == person.user_id
    connection.execute(update(tables.people).where(own).values(password_hash=password_hash))
    connection.execute(delete(tables.sessions).where(tables.sessions.c.user_id == person.user_id))
    connection.execute(delete(tables.failures).where(tables.failures.c.subject == account(person.email).name))


def _sign_out(connection: Connection, tables: PeopleTables, user_id: str, *, tokens: bool) -> tuple[int, int]:
    ended = connection.execute(delete(tables.sessions).where(tables.sessions.c.user_id == user_id)).rowcount
    return ended, _revoke_tokens(connection, tables, user_id) if tokens else 0


def _revoke_tokens(connection: Connection, tables: PeopleTables, user_id: str) -> int:
    own = (tables.tokens.c.user_id == user_id) & (tables.tokens.c.standing == Standing.ACTIVE)
    return connection.execute(update(tables.tokens).where(own).values(standing=Standing.REMOVED)).rowcount
