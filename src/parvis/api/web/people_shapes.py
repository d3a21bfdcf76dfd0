"""How people, their sessions, factors and tokens look in JSON. No hash, no seed and no cookie is in any of them."""

from collections.abc import Iterable

from parvis.api.web.instants import write_instant
from parvis.api.web.shapes import Json
from parvis.domain.identity.person import Person
from parvis.domain.identity.personal_token import PersonalToken
from parvis.domain.identity.principal import Right
from parvis.domain.identity.role import Grant
from parvis.domain.identity.second_factor import Factors, Passkey
from parvis.domain.identity.session import PROVEN_MS_MAX, Session
from parvis.flows.sessions import SignedIn


def person_shape(person: Person) -> Json:
    """Somebody, as colleagues may know them."""
    return {
        "object": "user",
        "id": person.user_id,
        "organisation_id": person.organisation_id,
        "email": person.email,
        "name": person.name,
        "standing": person.standing,
        "language": person.language,
        "created_at": write_instant(person.created_unix_ms),
        "last_seen_at": instant_or_none(person.last_seen_unix_ms),
    }


def grant_shape(grant: Grant) -> Json:
    """One role over one place, since when and by whom."""
    return {
        "object": "grant",
        "id": grant.grant_id,
        "user_id": grant.user_id,
        "role": grant.role,
        **grant.target._asdict(),
        "granted_by": grant.granted_by,
        "granted_at": write_instant(grant.granted_unix_ms),
    }


def right_shapes(rights: Iterable[Right]) -> list[Json]:
    """Permissions by place."""
    return [{**right.target._asdict(), "permissions": sorted(right.permissions)} for right in rights]


def session_shape(session: Session, current_session_id: str = "") -> Json:
    """A session, from when to when, and where it was opened."""
    return {
        "object": "session",
        "id": session.session_id,
        "user_id": session.user_id,
        "means": session.means,
        "complete": session.complete,
        "address": session.address,
        "created_at": write_instant(session.created_unix_ms),
        "seen_at": write_instant(session.seen_unix_ms),
        "ends_at": write_instant(session.ends_unix_ms()),
        "proven_until": write_instant(session.proven_unix_ms + PROVEN_MS_MAX),
        "current": session.session_id == current_session_id,
    }


def signed_in_shape(signed_in: SignedIn) -> Json:
    """What a sign-in came to. `must` is what comes first: `must_enrol`, `second_factor`, or null."""
    session = signed_in.session
    user = person_shape(signed_in.dossier.person)
    return {**session_shape(session, session.session_id), "must": signed_in.must or None, "user": user}


def factors_shape(factors: Factors) -> Json:
    """What a person signs in with."""
    totp = factors.totp
    return {
        "object": "factors",
        "password": bool(factors.password_hash),
        "totp": None if totp is None else {"enrolled_at": write_instant(totp.enrolled_unix_ms)},
        "passkeys": [passkey_shape(passkey) for passkey in factors.passkeys],
        "recovery_codes_left": factors.recovery_codes_left,
    }


def passkey_shape(passkey: Passkey) -> Json:
    """A passkey, by its name."""
    return {
        "object": "passkey",
        "id": passkey.credential_id,
        "name": passkey.name,
        "created_at": write_instant(passkey.created_unix_ms),
        "used_at": instant_or_none(passkey.used_unix_ms),
    }


def token_shape(token: PersonalToken) -> Json:
    """A personal token without its secret. Empty `limits`: all that its person may do."""
    return {
        "object": "personal_token",
        "id": token.token_id,
        "name": token.name,
        "limits": right_shapes(token.limits),
        "created_at": write_instant(token.created_unix_ms),
        "ends_at": write_instant(token.ends_unix_ms),
        "used_at": instant_or_none(token.used_unix_ms),
        "standing": token.standing,
    }


def instant_or_none(unix_ms: int | None) -> str | None:
    """Null for what never was."""
    return None if unix_ms is None else write_instant(unix_ms)
