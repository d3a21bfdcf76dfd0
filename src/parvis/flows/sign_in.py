"""Signing in: a password and a second factor, or a passkey. Failures cost time, and tell nobody what was wrong.

An attempt is counted as a failure before anything is looked at, and taken back when it was none. So of many at once no
more are judged than of as many one after another.
"""

import logging

from parvis.core.errors import NotAuthenticated, NotPermitted, TooManyAttempts, Unavailable
from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.identity import lockout
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.password import CHARS_MAX, normal
from parvis.domain.identity.person import Person
from parvis.domain.identity.second_factor import CHALLENGE_MS, Factors, Purpose
from parvis.domain.identity.session import Means, Session
from parvis.flows.challenges import Answered, new_challenge, signed
from parvis.flows.codes import code_right
from parvis.flows.lobby import Lobby
from parvis.flows.openid_settings import local_sign_in_closed
from parvis.flows.sessions import SignedIn, complete_session, open_session
from parvis.flows.sign_in_ports import Json

NOBODY = "nobody"
REFUSED = "sign_in_refused"
_MS = 1000
_log = logging.getLogger("parvis.sign_in")


async def sign_in(lobby: Lobby, email: str, password: Secret, code: Secret | None, caller: Actor) -> SignedIn:
    """By password; with a code of a second factor at once, or with a session that is good for showing one.

    Unknown people, wrong passwords and suspended people get the same answer after about the same time: each costs the
    same reads and one slow hash. Raises NotAuthenticated, TooManyAttempts, and NotPermitted (`openid_required`) for who
    was right and must come by the identity provider of their organisation.
    """
    await _admit(lobby, email, caller)
    person = await lobby.people.person_by_email(email)
    user_id = person.user_id if person else NOBODY
    dossier, factors = await lobby.people.dossier(user_id), await lobby.people.factors(user_id)
    try:
        right = await _password_right(lobby, factors, password)
    except Unavailable:
        await _forgive(lobby, email, caller, whole=False)  # nothing was judged
        raise
    if dossier is None or not right or not dossier.welcome:
        raise await _refused(lobby, caller, person, _why(dossier, right=right))
    await _check_way(lobby, dossier, caller)
    await _rehash(lobby, dossier.person, factors, password)
    if factors.has_second and code is not None and not await code_right(lobby, dossier.person, factors, code):
        raise await _refused(lobby, caller, dossier.person, "wrong code")
    complete = factors.has_second and code is not None
    await _forgive(lobby, dossier.person.email, caller, whole=complete or not factors.has_second)
    signed_in = await open_session(lobby, dossier, Means.PASSWORD, caller.address, complete=complete)
    await lobby.note(caller, "login.succeeded", dossier.person, "password and code" if complete else "password")
    return signed_in


async def show_code(lobby: Lobby, session: Session, code: Secret, caller: Actor) -> SignedIn:
    """The second factor of a session that waits for it, or a fresh proof in one that does not.

    Raises NotAuthenticated, TooManyAttempts.
    """
    dossier, factors = await _of_session(lobby, session)
    await _admit(lobby, dossier.person.email, caller)
    if not await code_right(lobby, dossier.person, factors, code):
        raise await _refused(lobby, caller, dossier.person, "wrong code")
    return await _completed(lobby, session, dossier, caller)


async def show_passkey(lobby: Lobby, session: Session, challenge_id: str, response: Json, caller: Actor) -> SignedIn:
    """As `show_code`, by one of the person's own passkeys."""
    dossier, _ = await _of_session(lobby, session)
    await _admit(lobby, dossier.person.email, caller)
    answer = await signed(lobby, challenge_id, response)
    if isinstance(answer, str) or answer.user_id != session.user_id:
        reason = answer if isinstance(answer, str) else "somebody else's passkey"
        raise await _refused(lobby, caller, dossier.person, reason)
    return await _completed(lobby, session, dossier, caller)


async def show_password(lobby: Lobby, session: Session, password: Secret, caller: Actor) -> None:
    """A fresh proof of somebody who has no second factor yet. Raises NotAuthenticated, TooManyAttempts.

    Of somebody who has one the password proves nothing: whoever took it over the shoulder has it too.
    """
    dossier, factors = await _of_session(lobby, session)
    if factors.has_second:
        raise NotPermitted("Show your second factor: a password proves too little.", code="second_factor_due")
    await check_password(lobby, dossier.person, factors, password, caller)
    await lobby.people.prove_session(session.session_id, lobby.now())


async def check_password(lobby: Lobby, person: Person, factors: Factors, password: Secret, caller: Actor) -> None:
    """Of somebody who is signed in already. Raises NotAuthenticated, TooManyAttempts."""
    await _admit(lobby, person.email, caller)
    if not await _password_right(lobby, factors, password):
        raise await _refused(lobby, caller, person, "wrong password")
    await _forgive(lobby, person.email, caller, whole=False)


async def begin_passkey(lobby: Lobby, user_id: str = "") -> tuple[str, Json]:
    """A challenge for a passkey and what the browser takes; of one person, or of whoever comes."""
    known = (await lobby.people.factors(user_id)).passkeys if user_id else ()
    challenge = await new_challenge(lobby, Purpose.SIGN_IN, user_id, CHALLENGE_MS)
    return challenge.challenge_id, lobby.proofs.passkeys.request(known, challenge.value)


async def sign_in_by_passkey(lobby: Lobby, challenge_id: str, response: Json, caller: Actor) -> SignedIn:
    """By a passkey alone, whose authenticator has verified its user. Raises NotAuthenticated, TooManyAttempts.

    Nobody can guess a signature, so nobody is locked out of this way by others who guess at their password.
    """
    await _admit(lobby, "", caller)
    answer = await signed(lobby, challenge_id, response)
    if isinstance(answer, str):
        raise await _refused(lobby, caller, None, answer)
    dossier = await lobby.people.dossier(answer.user_id)
    reason = _unfit(answer, dossier)
    if reason or dossier is None:
        raise await _refused(lobby, caller, None if dossier is None else dossier.person, reason)
    await _check_way(lobby, dossier, caller)
    await lobby.people.forgive(lockout.address(caller.address), attempts=1)
    signed_in = await open_session(lobby, dossier, Means.PASSKEY, caller.address, complete=True)
    await lobby.note(caller, "login.succeeded", dossier.person, "passkey")
    return signed_in


def _unfit(answer: Answered, dossier: Dossier | None) -> str:
    if not answer.user_verified:
        return "passkey without its user"
    return "" if dossier is not None and dossier.welcome else "person or organisation not active"


async def _of_session(lobby: Lobby, session: Session) -> tuple[Dossier, Factors]:
    dossier = await lobby.people.dossier(session.user_id)
    if dossier is None:
        raise wrong_credentials()
    return dossier, await lobby.people.factors(session.user_id)


async def _completed(lobby: Lobby, session: Session, dossier: Dossier, caller: Actor) -> SignedIn:
    await _forgive(lobby, dossier.person.email, caller, whole=True)
    return await complete_session(lobby, session, dossier)


async def _password_right(lobby: Lobby, factors: Factors, password: Secret) -> bool:
    composed = normal(password)
    fits = len(composed.reveal()) <= CHARS_MAX
    shown = composed if fits else Secret("", "password")
    return await lobby.proofs.passwords.verify(factors.password_hash, shown) and fits


async def _rehash(lobby: Lobby, person: Person, factors: Factors, password: Secret) -> None:
    passwords = lobby.proofs.passwords
    if passwords.stale(factors.password_hash):
        await lobby.people.rehash(person.user_id, factors.password_hash, await passwords.hash(normal(password)))


async def _admit(lobby: Lobby, email: str, caller: Actor) -> None:
    """Count an attempt of this account (with an e-mail) and address. Raises TooManyAttempts, and then counts none."""
    now = lobby.now()
    subjects = [lockout.account(email)] if email else []
    until = await lobby.people.attempt([*subjects, lockout.address(caller.address)], now)
    if until:
        wait_s = -((now - until) // _MS)
        _log.warning("sign-in locked", extra={"address": caller.address, "request_id": caller.request_id})
        raise TooManyAttempts(
            f"Too many attempts to sign in have failed. Try again in {wait_s} seconds.", retry_after_s=wait_s
        )


async def _forgive(lobby: Lobby, email: str, caller: Actor, *, whole: bool) -> None:
    """It was no failure. Only who has shown everything makes the earlier ones of the account forgotten."""
    await lobby.people.forgive(lockout.account(email), attempts=None if whole else 1)
    await lobby.people.forgive(lockout.address(caller.address), attempts=1)


def _why(dossier: Dossier | None, *, right: bool) -> str:
    """For the record; the caller hears one answer."""
    if dossier is None:
        return "unknown e-mail"
    return "person or organisation not active" if right else "wrong password"


async def _check_way(lobby: Lobby, dossier: Dossier, caller: Actor) -> None:
    """Whether what was shown, right as it is, opens anything. Only who has shown it is told. Raises NotPermitted."""
    if not await local_sign_in_closed(lobby.store, dossier):
        return
    await lobby.note(caller, "login.failed", dossier.person, "OpenID is required", "openid_required")
    raise NotPermitted(
        "Your organisation signs in by its identity provider only: open "
        f"/v1/sign-in/openid/{dossier.person.organisation_id} in your browser.",
        code="openid_required",
    )


async def _refused(lobby: Lobby, caller: Actor, person: Person | None, reason: str) -> NotAuthenticated:
    extra = {"reason": reason, "address": caller.address, "request_id": caller.request_id}
    _log.warning("sign-in refused", extra=extra)
    await lobby.note(caller, "login.failed", person, reason, REFUSED)
    return wrong_credentials()


def wrong_credentials() -> NotAuthenticated:
    """The one answer to everything that is wrong with what was shown."""
    return NotAuthenticated(
        "These credentials are not right, or not enough to sign in. Check them and try again.", code="sign_in_refused"
    )
