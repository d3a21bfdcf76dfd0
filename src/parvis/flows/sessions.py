"""Sessions: opened, renewed, proven again, ended. The cookie exists here for as long as it takes to hand it over."""

from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from parvis.core.errors import NotFound
from parvis.core.ids import new_id
from parvis.core.secret import Secret
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.session import Means, Session, new_cookie, restriction
from parvis.domain.identity.signed_in import by_session
from parvis.flows.lobby import Lobby

_DIGEST_NAME = "session"


class SignedIn(NamedTuple):
    """A session with a fresh cookie, which is shown to its browser once and stored never."""

    session: Session
    cookie: Secret
    dossier: Dossier

    @property
    def must(self) -> str:
        """What comes first: `must_enrol`, `second_factor`, or nothing."""
        return restriction(self.session, has_factor=self.dossier.has_factor, demanded=self.dossier.demands_factor)


async def open_session(lobby: Lobby, dossier: Dossier, means: Means, address: str, *, complete: bool) -> SignedIn:
    """For somebody who has just been recognised. Raises NotFound when they are not active any more, or were reset.

    `complete`: whether a second factor was shown, or the provider that vouches for them has seen one. A hash takes so
    long that a reset can come between; it ends sessions, and so it is looked for once this one is there.
    """
    now, cookie = lobby.now(), new_cookie(lobby.mint.randomness)
    session_id = new_id("ses", now, lobby.mint.randomness)
    session = Session(session_id, dossier.person.user_id, means, complete, address, now, now, now)
    await lobby.people.add_session(session, session_digest(lobby, cookie))
    if not await _has_means(lobby, session):
        with suppress(NotFound):  # the reset may have ended it
            await lobby.people.end_session(session.user_id, session.session_id)
        raise NotFound("Your sign-in was reset meanwhile. Use the link that you were sent.")
    return SignedIn(session, cookie, dossier)


async def _has_means(lobby: Lobby, session: Session) -> bool:
    """Whether its person still has what it was opened by. What their provider vouches for is not kept here."""
    if session.means is Means.OPENID:
        return True
    factors = await lobby.people.factors(session.user_id)
    return bool(factors.password_hash if session.means is Means.PASSWORD else factors.passkeys)


async def complete_session(lobby: Lobby, session: Session, dossier: Dossier) -> SignedIn:
    """A second factor was shown: another cookie, so that whoever knew the first one has nothing.

    Raises NotFound when it was ended.
    """
    cookie = new_cookie(lobby.mint.randomness)
    renewed = replace(session, complete=True, proven_unix_ms=lobby.now())
    await lobby.people.renew_session(renewed, session_digest(lobby, cookie))
    return SignedIn(renewed, cookie, dossier)


async def session_of(lobby: Lobby, cookie: Secret) -> tuple[Session, Dossier] | None:
    """The living session of a cookie, of somebody who is welcome; None otherwise."""
    found = await lobby.people.session(session_digest(lobby, cookie))
    if found is None or not found[0].alive(lobby.now()) or not found[1].welcome:
        return None
    return found


async def list_sessions(lobby: Lobby, user_id: str) -> list[Session]:
    """Those that live, sorted by id."""
    now = lobby.now()
    return [session for session in await lobby.people.sessions(user_id) if session.alive(now)]


async def end_session(lobby: Lobby, user_id: str, session_id: str) -> None:
    """Raises NotFound when this person has none such."""
    await lobby.people.end_session(user_id, session_id)


async def end_sessions(lobby: Lobby, user_id: str, keep_session_id: str = "") -> None:
    """All of somebody's but one."""
    await lobby.people.end_sessions(user_id, keep_session_id)


def principal_of(lobby: Lobby, session: Session, dossier: Dossier) -> Principal:
    """What they may do."""
    return by_session(lobby.realm, dossier, session)


def session_digest(lobby: Lobby, cookie: Secret) -> bytes:
    """What is kept of a cookie."""
    return lobby.digest(_DIGEST_NAME, cookie)
