"""What stories need to keep about people. The promises of `parvis.flows.store` hold here too.

There are two of these in one store, one for each realm, on tables of their own: what the one holds can never be found
in the other. Nothing in here is a secret that could be shown: passwords are Argon2 hashes, cookies, tokens, links and
recovery codes are keyed digests, seeds are sealed.

The conformance suite is `parvis.testing.people_suite`.
"""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.invitation import Invitation
from parvis.domain.identity.lockout import Subject
from parvis.domain.identity.person import Person, Realm
from parvis.domain.identity.personal_token import PersonalToken
from parvis.domain.identity.role import Grant
from parvis.domain.identity.second_factor import Challenge, Factors, Passkey
from parvis.domain.identity.session import Session


class People(Protocol):
    """People and what they were granted."""

    async def add_person(self, person: Person, grants: Sequence[Grant] = ()) -> None:
        """Raises Conflict when the id or the e-mail is taken or the grants clash, NotFound without the organisation."""

    async def put_person(self, person: Person) -> None:
        """Replace the one of this id. Goes before all that waits to be written.

        Who is not active any more has no sessions, and their own API keys rest. Who is removed has no grants, factors,
        tokens, open links and API keys of their own either, and their e-mail is free; with another
        e-mail a link of a reset works no more. Raises NotFound, Conflict
        when the e-mail is taken, and Conflict (`last_owner`) when a place would be left without an active owner.
        """

    async def person(self, user_id: str) -> Person | None:
        """One, removed or not."""

    async def person_by_email(self, email: str) -> Person | None:
        """The one who signs in with it; removed people do not."""

    async def people(self, organisation_id: str | None = None) -> list[Person]:
        """Of one organisation or all, removed ones included, sorted by id."""

    async def dossier(self, user_id: str) -> Dossier | None:
        """A person with grants, second factor and the rules of their organisation, on one snapshot."""

    async def add_grant(self, grant: Grant) -> None:
        """A link of a reset works no more: who has it need not have this right.

        Raises NotFound without an active person, Conflict when they have it or when it excludes what they have.
        """

    async def remove_grant(self, grant_id: str) -> Grant:
        """Goes before all that waits. Raises NotFound, Conflict (`last_owner`)."""

    async def grant(self, grant_id: str) -> Grant | None:
        """One, by id."""

    async def grants(self, user_id: str | None = None, organisation_id: str | None = None) -> list[Grant]:
        """Of one person, over places of one organisation, or all; sorted by id."""


class Invitations(Protocol):
    """Links that wait for their readers."""

    async def add_invitation(self, invitation: Invitation, digest: bytes) -> None:
        """Raises Conflict when a person has this e-mail; another pending invitation to it is withdrawn."""

    async def renew_invitation(self, invitation_id: str, digest: bytes, ends_unix_ms: int) -> None:
        """Another link for a pending one; the first one works no more. Raises NotFound."""

    async def withdraw_invitation(self, invitation_id: str) -> None:
        """Goes before all that waits; again is no error. Raises NotFound, Conflict when it was accepted."""

    async def invitation(self, invitation_id: str) -> tuple[Invitation, bytes] | None:
        """One with the digest of its link, in whichever state; links of a reset too."""

    async def invitations(self, organisation_id: str | None = None) -> list[Invitation]:
        """Of one organisation or all, in every state, sorted by id. Links of a reset ask nobody in."""

    async def accept_invitation(
        self, invitation_id: str, digest: bytes, person: Person, grants: Sequence[Grant], password_hash: str
    ) -> None:
        """Once: the person, their grants and their password together.

        Raises NotFound when it is not pending any more or its link was renewed, and what `add_person` raises.
        """


class Recovery(Protocol):
    """For who cannot sign in any more, and for whom somebody else may be signed in."""

    async def reset_sign_in(self, link: Invitation, digest: bytes) -> None:
        """The person of the link has no password, second factor, session and personal token any more, and this link.

        All of it together. An earlier link of theirs works no more; their grants and API keys stay. Goes before all
        that waits. Raises NotFound for who is not there.
        """

    async def recover(self, invitation_id: str, digest: bytes, password_hash: str) -> None:
        """Once: the password of the link's person; failures of their account are forgotten, sessions end.

        Raises NotFound when the link is not pending any more, and without an active person.
        """

    async def sign_out(self, user_id: str, *, tokens: bool) -> tuple[int, int]:
        """End all sessions, and revoke all personal tokens if it is said. Goes before all that waits.

        Returns how many sessions and how many tokens there were.
        """


class Credentials(Protocol):
    """What people show. Of several at once that would use something up, one does."""

    async def factors(self, user_id: str) -> Factors:
        """Nothing for nobody."""

    async def put_password(self, user_id: str, password_hash: str, keep_session_id: str = "") -> None:
        """Set it, and end all sessions but one; a link of a reset works no more. Raises NotFound."""

    async def rehash(self, user_id: str, before: str, after: str) -> None:
        """The same password under other parameters; nothing when it was changed meanwhile."""

    async def put_totp(self, user_id: str, sealed_seed: bytes, step: int, now_unix_ms: int, *, first: bool) -> None:
        """Set the app. `first`: only for a person without any second factor; Conflict otherwise. Raises NotFound."""

    async def remove_totp(self, user_id: str) -> None:
        """Nothing when there is none."""

    async def use_step(self, user_id: str, step: int) -> bool:
        """Whether this step is later than the last one accepted, which it is from now on."""

    async def put_recovery_codes(self, user_id: str, digests: Sequence[bytes]) -> None:
        """Replace all."""

    async def use_recovery_code(self, user_id: str, digest: bytes) -> bool:
        """Whether it was there; it is not any more."""

    async def add_passkey(self, user_id: str, passkey: Passkey, *, first: bool) -> None:
        """As `put_totp`. Raises Conflict when the credential is known, whoever has it."""

    async def remove_passkey(self, user_id: str, credential_id: str) -> None:
        """Raises NotFound when this person has none such."""

    async def passkey(self, credential_id: str) -> tuple[str, Passkey] | None:
        """Whose it is, and what is known of it."""

    async def use_passkey(self, credential_id: str, sign_count: int, now_unix_ms: int) -> bool:
        """Whether the counter went up (or never counts), and so this is no copy; note it."""

    async def put_challenge(self, challenge: Challenge, now_unix_ms: int) -> None:
        """Keep it; those whose time is over by now go. Raises Unavailable when 10,000 wait."""

    async def take_challenge(self, challenge_id: str, now_unix_ms: int) -> Challenge | None:
        """Give it once, in time."""


class Sessions(Protocol):
    """Who is signed in, and which programs act for whom."""

    async def add_session(self, session: Session, digest: bytes) -> None:
        """Sessions that ended before it began go. Raises NotFound without an active person."""

    async def session(self, digest: bytes) -> tuple[Session, Dossier] | None:
        """The one of this cookie and its person, on one snapshot; alive or not."""

    async def renew_session(self, session: Session, digest: bytes) -> None:
        """The same session with another cookie and other proofs. Raises NotFound when it was ended."""

    async def prove_session(self, session_id: str, proven_unix_ms: int) -> None:
        """Its person has shown a proof again. Raises NotFound when it was ended."""

    async def sessions(self, user_id: str) -> list[Session]:
        """Sorted by id."""

    async def end_session(self, user_id: str, session_id: str) -> None:
        """Goes before all that waits. Raises NotFound when this person has none such."""

    async def end_sessions(self, user_id: str, keep_session_id: str = "") -> None:
        """All but one. Goes before all that waits."""

    async def note_seen(self, user_id: str, now_unix_ms: int, session_id: str = "", token_id: str = "") -> None:
        """A person was here, by this session or this token."""

    async def add_token(self, token: PersonalToken, digest: bytes) -> None:
        """Raises NotFound without an active person."""

    async def token(self, token_id: str) -> tuple[PersonalToken, bytes, Dossier] | None:
        """One with its digest and its person, on one snapshot; alive or not."""

    async def tokens(self, user_id: str) -> list[PersonalToken]:
        """Revoked and ended ones included, sorted by id."""

    async def revoke_token(self, user_id: str, token_id: str) -> None:
        """For good; again is no error. Goes before all that waits. Raises NotFound when they have none such."""


class Attempts(Protocol):
    """Failures in a row, by account and by address."""

    async def attempt(self, subjects: Sequence[Subject], now_unix_ms: int) -> int:
        """Count one more failure of each, in advance, unless one of them must wait: then count nothing.

        Returns until when to wait, in milliseconds since the epoch; 0 when it may be tried.
        """

    async def forgive(self, subject: Subject, *, attempts: int | None = None) -> None:
        """Take back so many that were counted in advance; without a number: all of them."""


class PeopleStore(People, Invitations, Recovery, Credentials, Sessions, Attempts, Protocol):
    """One realm, whole."""


class Realms(Protocol):
    """Both realms of a store."""

    def people(self, realm: Realm) -> PeopleStore:
        """The people of one realm. Asks nothing of the database."""
