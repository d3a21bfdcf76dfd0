"""Recognising who has signed in: by a cookie or by a personal token, with one read, at every request.

Whatever is wrong, the caller hears the same; the log hears what it was.
"""

import hmac
import logging
from contextlib import suppress

from parvis.core.errors import NotAuthenticated, Unavailable
from parvis.core.secret import Secret
from parvis.domain.audit.entry import Actor
from parvis.domain.identity.dossier import Dossier
from parvis.domain.identity.key_text import read_other
from parvis.domain.identity.personal_token import PersonalToken
from parvis.domain.identity.principal import Principal
from parvis.domain.identity.session import SEEN_EVERY_MS, Session
from parvis.domain.identity.signed_in import by_session, by_token
from parvis.flows.lobby import Lobby
from parvis.flows.personal_tokens import PREFIXES
from parvis.flows.sessions import session_digest

_log = logging.getLogger("parvis.sign_in")


async def recognise_cookie(lobby: Lobby, cookie: Secret, caller: Actor) -> tuple[Principal, Session]:
    """Whose browser this is. Raises NotAuthenticated."""
    found = await lobby.people.session(session_digest(lobby, cookie))
    if found is None:
        raise _unknown("cookie unknown", caller)
    session, dossier = found
    if not session.alive(lobby.now()):
        raise _unknown("session over", caller)
    _check_welcome(dossier, caller)
    if lobby.now() - session.seen_unix_ms >= SEEN_EVERY_MS:
        await _note(lobby, dossier, session_id=session.session_id)
    return by_session(lobby.realm, dossier, session), session


async def recognise_token(lobby: Lobby, presented: str, caller: Actor) -> Principal:
    """Whose program this is. Nothing is read for what cannot be a token of this realm. Raises NotAuthenticated."""
    text = read_other(PREFIXES[lobby.realm], presented)
    found = None if text is None else await lobby.people.token(text.key_id)
    if text is None or found is None:
        raise _unknown("token malformed" if text is None else "token unknown", caller)
    token, kept, dossier = found
    if not hmac.compare_digest(kept, lobby.digest(text.key_id, text.secret)):
        raise _unknown("token forged", caller)
    _check_alive(lobby, token, caller)
    _check_welcome(dossier, caller)
    if lobby.now() - (token.used_unix_ms or 0) >= SEEN_EVERY_MS:
        await _note(lobby, dossier, token_id=token.token_id)
    return by_token(lobby.realm, dossier, token)


def _check_alive(lobby: Lobby, token: PersonalToken, caller: Actor) -> None:
    if not token.alive(lobby.now()):
        raise _unknown("token revoked or over", caller)


def _check_welcome(dossier: Dossier, caller: Actor) -> None:
    if not dossier.welcome:
        raise _unknown("person or organisation not active", caller)


async def _note(lobby: Lobby, dossier: Dossier, session_id: str = "", token_id: str = "") -> None:
    """That nobody could write down when somebody came is no reason to turn them away."""
    with suppress(Unavailable):
        await lobby.people.note_seen(dossier.person.user_id, lobby.now(), session_id, token_id)


def _unknown(reason: str, caller: Actor) -> NotAuthenticated:
    _log.warning(
        "credential refused", extra={"reason": reason, "address": caller.address, "request_id": caller.request_id}
    )
    return not_signed_in()


def not_signed_in() -> NotAuthenticated:
    """The one answer to every credential that opens nothing."""
    return NotAuthenticated(
        "Sign in with POST /v1/session, or send a personal token: 'Authorization: Bearer TOKEN'.",
        code="invalid_credentials",
    )
