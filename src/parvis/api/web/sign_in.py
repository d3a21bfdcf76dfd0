"""Signing in and out: `/v1/session`, and the link of an invitation. The same at both doors, each for its own people."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from parvis.api.web.answers_people import OwnSession, PasskeyChallenge, SessionEnded, SessionProven, User
from parvis.api.web.answers_people import SignedIn as SignedInShown
from parvis.api.web.identification import Jar, TheCaller, TheJar, TheLobby, TheOneAsking, TheSession
from parvis.api.web.people_shapes import person_shape, right_shapes, session_shape, signed_in_shape
from parvis.api.web.routes import Route
from parvis.api.web.shapes import Json
from parvis.core.errors import BadRequest, Failure
from parvis.core.secret import Secret
from parvis.domain.identity.permission import Permission as May
from parvis.domain.identity.person import Person
from parvis.domain.identity.place import Target
from parvis.domain.identity.session import Session
from parvis.flows.invitations import accept, read_link
from parvis.flows.lobby import Lobby
from parvis.flows.record import Recorder
from parvis.flows.recovery import recover
from parvis.flows.sessions import SignedIn, end_session
from parvis.flows.sign_in import begin_passkey, show_code, show_passkey, show_password, sign_in, sign_in_by_passkey

SECRET_CHARS_MAX = 1_000
_ID_CHARS_MAX = 100


class Form(BaseModel):
    """A body, strictly."""

    model_config = ConfigDict(extra="forbid")


class SignInForm(Form):
    """E-mail and password; with a code of the second factor, if the person has one and types it at once."""

    email: str = Field(max_length=320)
    password: SecretStr = Field(max_length=SECRET_CHARS_MAX)
    code: SecretStr | None = Field(default=None, max_length=_ID_CHARS_MAX)


class PasskeyForm(Form):
    """The answer of a browser's `navigator.credentials.get()`, as `PublicKeyCredential.toJSON()` gives it."""

    challenge_id: str = Field(max_length=_ID_CHARS_MAX)
    credential: dict[str, Any]


class ProofForm(Form):
    """One of: a code, a passkey with its challenge, or (to prove oneself again without a second factor) a password."""

    code: SecretStr | None = Field(default=None, max_length=_ID_CHARS_MAX)
    challenge_id: str | None = Field(default=None, max_length=_ID_CHARS_MAX)
    credential: dict[str, Any] | None = None
    password: SecretStr | None = Field(default=None, max_length=SECRET_CHARS_MAX)


class AcceptForm(Form):
    """The link's token, and who one is. Without a password one signs in by OpenID.

    After a reset of one's sign-in the name stays as it was, and a password is needed.
    """

    token: SecretStr = Field(max_length=SECRET_CHARS_MAX)
    name: str = Field(default="", max_length=SECRET_CHARS_MAX)
    password: SecretStr | None = Field(default=None, max_length=SECRET_CHARS_MAX)


async def open_by_password(
    jar: TheJar, lobby: TheLobby, caller: TheCaller, form: SignInForm
) -> Annotated[Json, SignedInShown]:
    """Sign in. The answer says what `must` come first: a second factor, enrolling one, or nothing."""
    password, code = secret_of(form.password), None if form.code is None else secret_of(form.code)
    return _handed_over(jar, await sign_in(lobby, form.email, password, code, caller))


async def begin_open_by_passkey(lobby: TheLobby) -> Annotated[Json, PasskeyChallenge]:
    """A challenge for whatever passkey the browser has for this site."""
    return _challenge(*await begin_passkey(lobby))


async def open_by_passkey(
    jar: TheJar, lobby: TheLobby, caller: TheCaller, form: PasskeyForm
) -> Annotated[Json, SignedInShown]:
    """Sign in by a passkey alone, whose authenticator has verified its user."""
    signed_in = await sign_in_by_passkey(lobby, form.challenge_id, form.credential, caller)
    return _handed_over(jar, signed_in)


async def begin_own_passkey(lobby: TheLobby, session: TheSession) -> Annotated[Json, PasskeyChallenge]:
    """A challenge for one's own passkeys, as a second factor or to prove oneself again."""
    return _challenge(*await begin_passkey(lobby, session.user_id))


async def second_factor(
    jar: TheJar, lobby: TheLobby, caller: TheCaller, session: TheSession, form: ProofForm
) -> Annotated[Json, SignedInShown]:
    """Complete a session. It goes on under another cookie."""
    return _handed_over(jar, await _shown(lobby, caller, session, form))


async def step_up(
    jar: TheJar, lobby: TheLobby, caller: TheCaller, session: TheSession, form: ProofForm
) -> Annotated[Json, SessionProven]:
    """Prove oneself again, for what is dangerous. Without a second factor, by the password."""
    if form.password is not None and form.code is None and form.credential is None:
        await show_password(lobby, session, secret_of(form.password), caller)
        return {"object": "session", "id": session.session_id, "proven": True}
    signed_in = await _shown(lobby, caller, session, form)
    jar.put(signed_in.cookie)
    return {"object": "session", "id": session.session_id, "proven": True}


async def show(lobby: TheLobby, principal: TheOneAsking, session: TheSession) -> Annotated[Json, OwnSession]:
    """The session in which one is, and what one may do in it."""
    dossier = await lobby.people.dossier(principal.subject_id)
    return {
        **session_shape(session, session.session_id),
        "must": next(iter(principal.tags), None),
        "user": None if dossier is None else person_shape(dossier.person),
        "rights": right_shapes(principal.rights),
    }


async def close(jar: TheJar, lobby: TheLobby, session: TheSession) -> Annotated[Json, SessionEnded]:
    """Sign out. The cookie opens nothing any more, whoever has a copy of it."""
    await end_session(lobby, session.user_id, session.session_id)
    jar.empty()
    return {"object": "session", "id": session.session_id, "ended": True}


async def accept_invitation(lobby: TheLobby, caller: TheCaller, form: AcceptForm) -> Annotated[Json, User]:
    """Become a person, or set another password after a reset. Then sign in."""
    invitation, _ = await read_link(lobby.store, lobby.mint, secret_of(form.token), lobby.realm)
    recorder = Recorder(lobby.store, lobby.mint.clock, lobby.mint.randomness)
    about = {"invitation_id": invitation.invitation_id}
    action = "login.recovered" if invitation.user_id else "invite.accepted"
    intent = await recorder.intend(caller, action, Target(invitation.organisation_id), about)
    try:
        person = await _led_in(lobby, form, known=bool(invitation.user_id))
    except Failure as failure:
        await recorder.outcome(intent, failure.code)
        raise
    await recorder.outcome(intent, objects={"user_id": person.user_id})
    return person_shape(person)


def secret_of(text: SecretStr) -> Secret:
    """A secret of a body."""
    return Secret(text.get_secret_value(), "secret of a body")


async def _led_in(lobby: Lobby, form: AcceptForm, *, known: bool) -> Person:
    """Who comes by a link: somebody new, or somebody known, who sets another password."""
    password = None if form.password is None else secret_of(form.password)
    link, passwords = secret_of(form.token), lobby.proofs.passwords
    if known:
        return await recover(lobby.store, lobby.mint, passwords, link, password, lobby.realm)
    return await accept(lobby.store, lobby.mint, passwords, link, form.name, password, lobby.realm)


def _handed_over(jar: Jar, signed_in: SignedIn) -> Json:
    jar.put(signed_in.cookie)
    return signed_in_shape(signed_in)


async def _shown(lobby: Lobby, caller: TheCaller, session: Session, form: ProofForm) -> SignedIn:
    if form.code is not None and form.credential is None:
        return await show_code(lobby, session, secret_of(form.code), caller)
    if form.credential is not None and form.challenge_id is not None and form.code is None:
        return await show_passkey(lobby, session, form.challenge_id, form.credential, caller)
    raise BadRequest("Send either 'code', or 'challenge_id' and 'credential'.", param="code")


def _challenge(challenge_id: str, options: Json) -> Json:
    return {"object": "challenge", "id": challenge_id, "public_key": options}


ROUTES = (
    Route("POST", "/v1/session", open_by_password, May.SIGN_IN, 201),
    Route("GET", "/v1/session", show, May.OWN_SESSION),
    Route("DELETE", "/v1/session", close, May.OWN_SESSION, action="logout.succeeded"),
    Route("POST", "/v1/session/passkey/begin", begin_open_by_passkey, May.SIGN_IN, 201),
    Route("POST", "/v1/session/passkey", open_by_passkey, May.SIGN_IN, 201),
    Route("POST", "/v1/session/challenge", begin_own_passkey, May.OWN_SESSION, 201, action="challenge.created"),
    Route(
        "POST",
        "/v1/session/second_factor",
        second_factor,
        May.OWN_SESSION,
        action="login.completed",
        secret_answer=True,
    ),
    Route("POST", "/v1/session/step_up", step_up, May.OWN_SESSION, action="session.proven", secret_answer=True),
    Route("POST", "/v1/invitations/accept", accept_invitation, May.SIGN_IN, 201),
)
