"""Second factors: enrolled by showing that they work, listed, taken away."""

from typing import NamedTuple

from parvis.core.errors import BadRequest, NotFound
from parvis.core.secret import Secret
from parvis.domain.identity.person import Person, checked_name
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.second_factor import CHALLENGE_MS, Purpose, enrolment_uri, new_seed, step_of
from parvis.domain.identity.session import MUST_ENROL, Session
from parvis.flows.challenges import new_challenge, taken
from parvis.flows.codes import open_seed, renew_recovery_codes, seal_seed
from parvis.flows.lobby import Lobby
from parvis.flows.sessions import SignedIn, complete_session
from parvis.flows.sign_in_ports import Json

_NO_CODE_YET = -1


class Enrolment(NamedTuple):
    """An app that waits for its first code."""

    challenge_id: str
    seed: Secret
    uri: Secret
    """`otpauth://...`, for a QR code."""


class Enrolled(NamedTuple):
    """A second factor that works, the session that was completed by it, and recovery codes if it is the first."""

    signed_in: SignedIn
    recovery_codes: tuple[Secret, ...]


async def begin_totp(lobby: Lobby, person: Person) -> Enrolment:
    """A fresh seed, which counts for nothing until a code of it is shown, within five minutes."""
    seed = new_seed(lobby.mint.randomness)
    sealed = seal_seed(lobby, person.user_id, seed)
    challenge = await new_challenge(lobby, Purpose.TOTP, person.user_id, CHALLENGE_MS, sealed)
    return Enrolment(challenge.challenge_id, seed, enrolment_uri(seed, person.email, lobby.site_name))


async def finish_totp(
    lobby: Lobby, principal: Principal, session: Session, challenge_id: str, code: Secret
) -> Enrolled:
    """The app works: it is a second factor now, in the place of another app if there was one.

    Raises BadRequest for a wrong code, after which enrolling begins anew; Conflict when a session that came in without
    a second factor would add to one that was enrolled meanwhile.
    """
    challenge = await taken(lobby, challenge_id, Purpose.TOTP, session.user_id)
    if challenge is None:
        raise _begin_again()
    seed = open_seed(lobby, session.user_id, challenge.value)
    step = step_of(seed, code.reveal(), lobby.now(), _NO_CODE_YET)
    if step is None:
        raise BadRequest("This is not the code of the app. Check its clock and begin again.", code="wrong_code")
    first = MUST_ENROL in principal.tags
    await lobby.people.put_totp(session.user_id, challenge.value, step, lobby.now(), first=first)
    return await _enrolled(lobby, session)


async def begin_passkey_enrolment(lobby: Lobby, person: Person) -> tuple[str, Json]:
    """A challenge and what the browser takes."""
    known = (await lobby.people.factors(person.user_id)).passkeys
    challenge = await new_challenge(lobby, Purpose.REGISTER, person.user_id, CHALLENGE_MS)
    return challenge.challenge_id, lobby.proofs.passkeys.registration(person, known, challenge.value)


async def finish_passkey_enrolment(
    lobby: Lobby, principal: Principal, session: Session, challenge_id: str, name: str, response: Json
) -> Enrolled:
    """The passkey works: it is a second factor now, and a way to sign in by itself. Raises as `finish_totp`."""
    named = checked_name(name)
    challenge = await taken(lobby, challenge_id, Purpose.REGISTER, session.user_id)
    if challenge is None:
        raise _begin_again()
    passkey = lobby.proofs.passkeys.registered(response, challenge.value, named, lobby.now())
    await lobby.people.add_passkey(session.user_id, passkey, first=MUST_ENROL in principal.tags)
    return await _enrolled(lobby, session)


async def _enrolled(lobby: Lobby, session: Session) -> Enrolled:
    """Whoever enrols a factor has shown it. Recovery codes come with the first one."""
    factors = await lobby.people.factors(session.user_id)
    codes: tuple[Secret, ...] = ()
    if not factors.recovery_codes_left:
        codes = await renew_recovery_codes(lobby, session.user_id)
    dossier = await lobby.people.dossier(session.user_id)
    if dossier is None:
        raise NotFound("This person is not there any more.")
    return Enrolled(await complete_session(lobby, session, dossier), codes)


def _begin_again() -> BadRequest:
    return BadRequest("This enrolment is over, or was used. Begin again.", code="challenge_over", param="challenge_id")
