"""Both realms of people on SQL: one class, instantiated for each on its own tables."""

from parvis.adapters.store.database import Room
from parvis.adapters.store.people_attempts import AttemptsPart
from parvis.adapters.store.people_factors import FactorsPart
from parvis.adapters.store.people_grants import GrantsPart
from parvis.adapters.store.people_invitations import InvitationsPart
from parvis.adapters.store.people_part import Part
from parvis.adapters.store.people_recovery import RecoveryPart
from parvis.adapters.store.people_sessions import SessionsPart
from parvis.adapters.store.people_tables import TABLES
from parvis.adapters.store.people_tokens import TokensPart
from parvis.domain.identity.person import Realm


class SqlPeople(GrantsPart, InvitationsPart, RecoveryPart, FactorsPart, SessionsPart, TokensPart, AttemptsPart, Part):
    """`PeopleStore` on SQL, of one realm."""


class People(Room):
    """`Realms` on SQL."""

    def people(self, realm: Realm) -> SqlPeople:
        """See the port."""
        return SqlPeople(self, TABLES[realm])
