"""What the stories of sign-in stand on, at the door of one realm."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.place import Target
from parvis.domain.identity.signed_in import KINDS, name_of
from parvis.flows.digests import keyed_digest
from parvis.flows.keys import Mint
from parvis.flows.people_store import PeopleStore
from parvis.flows.record import OK, Recorder
from parvis.flows.sign_in_ports import Passkeys, Passwords
from parvis.flows.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What the proofs of people are made and checked with."""

    passwords: Passwords
    passkeys: Passkeys
    seal_key: Callable[[], bytes]
    """32 bytes, derived from the root key: what seeds of authenticator apps are sealed under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lobby:
    """Of one realm: nothing in here can reach the other."""

    store: Store
    realm: Realm
    mint: Mint
    proofs: Proofs
    site_name: str
    """What authenticator apps show beside the e-mail."""

    @property
    def people(self) -> PeopleStore:
        return self.store.people(self.realm)

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return self.mint.clock.unix_ms()

    def digest(self, name: str, secret: Secret) -> bytes:
        """What is kept of a secret of this realm."""
        return keyed_digest(self.mint, self.realm, name, secret)

    async def note(self, caller: Actor, action: str, person: Person | None, reason: str = "", result: str = OK) -> None:
        """A line of the record about somebody who signs in, or who tried. Raises Unavailable."""
        recorder = Recorder(self.store, self.mint.clock, self.mint.randomness)
        actor = caller
        if person is not None and result == OK:
            actor = replace(caller, kind=KINDS[self.realm], name=name_of(self.realm, person))
        objects = {} if person is None else {"user_id": person.user_id}
        place = Target() if person is None else Target(person.organisation_id)
        await recorder.note(actor, action, place, objects, {"reason": reason} if reason else {}, result)
