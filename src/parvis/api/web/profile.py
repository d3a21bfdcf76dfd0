"""What people do with what is theirs alone: `/v1/profile`. The same at both doors, each for its own people."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field, SecretStr

from parvis.api.web.answers import Listed
from parvis.api.web.answers_people import (
    AppChallenge,
    Factors,
    NewPersonalToken,
    PasskeyChallenge,
    PasswordChanged,
    PersonalToken,
    PersonalTokenRevoked,
    Profile,
    RecoveryCodes,
    Session,
    SessionEnded,
    User,
)
from parvis.api.web.answers_people import Enrolled as EnrolledShown
from parvis.api.web.identification import Jar, TheCaller, TheJar, TheLobby, TheOneAsking, TheSession
from parvis.api.web.instants import read_instant
from parvis.api.web.people_shapes import (
    factors_shape,
    grant_shape,
    person_shape,
    session_shape,
    signed_in_shape,
    token_shape,
)
from parvis.api.web.queries import PageQuery
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json, listing, page
from parvis.api.web.sign_in import SECRET_CHARS_MAX, Form, secret_of
from parvis.core.errors import BadRequest
from parvis.domain.identity.password import checked_password
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.personal_token import NOT_BY_TOKEN
from parvis.domain.identity.place import Target
from parvis.domain.identity.principal import Right
from parvis.domain.identity.role import RULES, Role
from parvis.flows.codes import renew_recovery_codes
from parvis.flows.factors import (
    Enrolled,
    begin_passkey_enrolment,
    begin_totp,
    finish_passkey_enrolment,
    finish_totp,
)
from parvis.flows.people import person_named, rename
from parvis.flows.personal_tokens import list_tokens, make_token, revoke_token
from parvis.flows.sessions import end_session, end_sessions, list_sessions
from parvis.flows.sign_in import check_password

_ID_CHARS_MAX = 100
LIMITS_MAX = 50


class ProfileForm(Form):
    """What a person may change of themselves; what is not said stays."""

    name: str | None = Field(default=None, max_length=SECRET_CHARS_MAX)
    language: str | None = Field(default=None, max_length=_ID_CHARS_MAX)


class PasswordForm(Form):
    """The old one proves who asks."""

    password: SecretStr = Field(max_length=SECRET_CHARS_MAX)
    new_password: SecretStr = Field(max_length=SECRET_CHARS_MAX)


class TotpForm(Form):
    """The first code of an app."""

    challenge_id: str = Field(max_length=_ID_CHARS_MAX)
    code: SecretStr = Field(max_length=_ID_CHARS_MAX)


class PasskeyEnrolmentForm(Form):
    """The answer of a browser's `navigator.credentials.create()`, and what to call it."""

    challenge_id: str = Field(max_length=_ID_CHARS_MAX)
    name: str = Field(max_length=SECRET_CHARS_MAX)
    credential: dict[str, Any]


class LimitForm(Form):
    """What a token is narrowed to: a role or permissions, over a tenant or over all that its person reaches."""

    role: Role | None = None
    permissions: list[May] = Field(default=[], max_length=len(May))
    tenant_id: str = Field(default="", max_length=_ID_CHARS_MAX)


class TokenForm(Form):
    """A token: what for, until when (within twelve months), and how far it reaches."""

    name: str = Field(max_length=SECRET_CHARS_MAX)
    ends_at: str = Field(max_length=_ID_CHARS_MAX)
    limits: list[LimitForm] = Field(default=[], max_length=LIMITS_MAX)


async def profile(lobby: TheLobby, principal: TheOneAsking) -> Annotated[Json, Profile]:
    """Oneself, and what one was granted."""
    dossier = await lobby.people.dossier(principal.subject_id)
    grants = () if dossier is None else dossier.grants
    person = await person_named(lobby.store, lobby.realm, principal.subject_id)
    return {**person_shape(person), "grants": [grant_shape(grant) for grant in grants]}


async def change_profile(lobby: TheLobby, principal: TheOneAsking, form: ProfileForm) -> Annotated[Json, User]:
    """One's name and language."""
    person = await rename(lobby.store, lobby.realm, principal.subject_id, name=form.name, language=form.language)
    return person_shape(person)


async def change_password(
    lobby: TheLobby, caller: TheCaller, session: TheSession, form: PasswordForm
) -> Annotated[Json, PasswordChanged]:
    """Another password. All other sessions end."""
    person = await person_named(lobby.store, lobby.realm, session.user_id)
    factors = await lobby.people.factors(session.user_id)
    await check_password(lobby, person, factors, secret_of(form.password), caller)
    hashed = await lobby.proofs.passwords.hash(checked_password(secret_of(form.new_password), person.email))
    await lobby.people.put_password(person.user_id, hashed, session.session_id)
    return {"object": "user", "id": person.user_id, "password": True}


async def factors(lobby: TheLobby, principal: TheOneAsking) -> Annotated[Json, Factors]:
    """What one signs in with."""
    return factors_shape(await lobby.people.factors(principal.subject_id))


async def begin_app(lobby: TheLobby, session: TheSession) -> Annotated[Json, AppChallenge]:
    """The seed for an authenticator app, as text and as the address that a QR code shows. It is shown once."""
    enrolment = await begin_totp(lobby, await person_named(lobby.store, lobby.realm, session.user_id))
    seed, uri = enrolment.seed.reveal(), enrolment.uri.reveal()
    return {"object": "challenge", "id": enrolment.challenge_id, "seed": seed, "uri": uri}


async def finish_app(
    jar: TheJar,
    lobby: TheLobby,
    principal: TheOneAsking,
    session: TheSession,
    form: TotpForm,
) -> Annotated[Json, EnrolledShown]:
    """The app works. The session is complete, under another cookie."""
    enrolled = await finish_totp(lobby, principal, session, form.challenge_id, secret_of(form.code))
    return _enrolled(jar, enrolled)


async def begin_passkey(lobby: TheLobby, session: TheSession) -> Annotated[Json, PasskeyChallenge]:
    """What the browser takes to make a passkey for this site."""
    person = await person_named(lobby.store, lobby.realm, session.user_id)
    challenge_id, options = await begin_passkey_enrolment(lobby, person)
    return {"object": "challenge", "id": challenge_id, "public_key": options}


async def finish_passkey(
    jar: TheJar,
    lobby: TheLobby,
    principal: TheOneAsking,
    session: TheSession,
    form: PasskeyEnrolmentForm,
) -> Annotated[Json, EnrolledShown]:
    """The passkey works. The session is complete, under another cookie."""
    enrolled = await finish_passkey_enrolment(lobby, principal, session, form.challenge_id, form.name, form.credential)
    return _enrolled(jar, enrolled)


async def remove_app(lobby: TheLobby, session: TheSession) -> Annotated[Json, Factors]:
    """No codes of an app any more."""
    await lobby.people.remove_totp(session.user_id)
    return factors_shape(await lobby.people.factors(session.user_id))


async def remove_passkey(lobby: TheLobby, session: TheSession, passkey_id: str) -> Annotated[Json, Factors]:
    """This passkey opens nothing any more."""
    await lobby.people.remove_passkey(session.user_id, passkey_id)
    return factors_shape(await lobby.people.factors(session.user_id))


async def recovery_codes(lobby: TheLobby, session: TheSession) -> Annotated[Json, RecoveryCodes]:
    """Ten others, shown once; those before work no more."""
    if not (await lobby.people.factors(session.user_id)).has_second:
        raise BadRequest("Recovery codes stand in for a second factor: enrol one first.")
    codes = await renew_recovery_codes(lobby, session.user_id)
    return {"object": "recovery_codes", "recovery_codes": [code.reveal() for code in codes]}


async def sessions(
    lobby: TheLobby, principal: TheOneAsking, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[Session]]:
    """Where one is signed in, sorted by id."""
    found = await list_sessions(lobby, principal.subject_id)
    return page(
        found,
        lambda one: one.session_id,
        lambda one: session_shape(one, principal.session_id),
        query.after,
        query.limit,
    )


async def end_one(lobby: TheLobby, session: TheSession, session_id: str) -> Annotated[Json, SessionEnded]:
    """Sign out there."""
    await end_session(lobby, session.user_id, session_id)
    return {"object": "session", "id": session_id, "ended": True}


async def end_others(lobby: TheLobby, session: TheSession) -> Annotated[Json, Listed[Session]]:
    """Sign out everywhere but here."""
    await end_sessions(lobby, session.user_id, session.session_id)
    return listing([session_shape(session, session.session_id)])


async def tokens(
    lobby: TheLobby, principal: TheOneAsking, query: Annotated[PageQuery, Query()]
) -> Annotated[Json, Listed[PersonalToken]]:
    """One's personal tokens, revoked ones included, sorted by id."""
    found = await list_tokens(lobby.store, lobby.realm, principal.subject_id)
    return page(found, lambda token: token.token_id, token_shape, query.after, query.limit)


async def create_token(lobby: TheLobby, session: TheSession, form: TokenForm) -> Annotated[Json, NewPersonalToken]:
    """A token for a program. `token` is all of it: this answer is the only place where it ever stands."""
    person = await person_named(lobby.store, lobby.realm, session.user_id)
    ends = read_instant(form.ends_at, "ends_at")
    limits = [_limit(limit, person.organisation_id) for limit in form.limits]
    made = await make_token(lobby.store, lobby.mint, person, form.name, ends or 0, limits, lobby.realm)
    return {**token_shape(made.token), "token": made.text.reveal()}


async def end_token(lobby: TheLobby, session: TheSession, token_id: str) -> Annotated[Json, PersonalTokenRevoked]:
    """It opens nothing any more."""
    await revoke_token(lobby.store, lobby.realm, session.user_id, token_id)
    return {"object": "personal_token", "id": token_id, "revoked": True}


def _limit(form: LimitForm, organisation_id: str) -> Right:
    """Raises BadRequest unless exactly one of role and permissions is said."""
    if (form.role is None) == (not form.permissions):
        raise BadRequest("A limit names either a 'role' or 'permissions'.", param="limits")
    wanted = RULES[form.role].permissions if form.role else frozenset(form.permissions)
    return Right(wanted - NOT_BY_TOKEN, Target(organisation_id, form.tenant_id))


def _enrolled(jar: Jar, enrolled: Enrolled) -> Json:
    jar.put(enrolled.signed_in.cookie)
    codes = [code.reveal() for code in enrolled.recovery_codes]
    return {**signed_in_shape(enrolled.signed_in), "recovery_codes": codes}


_READ, _WRITE, _ENROL = May.OWN_PROFILE_READ, May.OWN_PROFILE_WRITE, May.OWN_FACTORS_WRITE
_FACTORS = "/v1/profile/factors"

ROUTES = (
    Route("GET", "/v1/profile", profile, _READ),
    Route("PATCH", "/v1/profile", change_profile, _WRITE, action="user.updated"),
    Route("POST", "/v1/profile/password", change_password, _WRITE, action="password.changed"),
    Route("GET", _FACTORS, factors, _READ),
    Route(
        "POST",
        f"{_FACTORS}/totp/begin",
        begin_app,
        _ENROL,
        201,
        action="factor.begun",
        step_up=True,
        secret_answer=True,
    ),
    Route(
        "POST", f"{_FACTORS}/totp", finish_app, _ENROL, 201, action="factor.enrolled", step_up=True, secret_answer=True
    ),
    Route("DELETE", f"{_FACTORS}/totp", remove_app, _WRITE, action="factor.removed", step_up=True),
    Route("POST", f"{_FACTORS}/passkeys/begin", begin_passkey, _ENROL, 201, action="factor.begun", step_up=True),
    Route(
        "POST",
        f"{_FACTORS}/passkeys",
        finish_passkey,
        _ENROL,
        201,
        action="factor.enrolled",
        step_up=True,
        secret_answer=True,
    ),
    Route(
        "DELETE", f"{_FACTORS}/passkeys/{{passkey_id}}", remove_passkey, _WRITE, action="factor.removed", step_up=True
    ),
    Route(
        "POST",
        f"{_FACTORS}/recovery_codes",
        recovery_codes,
        _WRITE,
        201,
        action="recovery_codes.renewed",
        step_up=True,
        secret_answer=True,
    ),
    Route("GET", "/v1/profile/sessions", sessions, _READ),
    Route("DELETE", "/v1/profile/sessions", end_others, _WRITE, action="session.ended"),
    Route("DELETE", "/v1/profile/sessions/{session_id}", end_one, _WRITE, action="session.ended"),
    Route("GET", "/v1/profile/tokens", tokens, _READ),
    Route(
        "POST",
        "/v1/profile/tokens",
        create_token,
        _WRITE,
        201,
        action="personal_token.created",
        step_up=True,
        secret_answer=True,
    ),
    Route("DELETE", "/v1/profile/tokens/{token_id}", end_token, _WRITE, action="personal_token.revoked"),
)
