"""People, what they were granted, their sessions, factors and tokens, as they are answered."""

from typing import Literal

from parvis.api.web.answers import Instant, Options, Shape
from parvis.domain.identity.organisation import Standing
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.role import Role


class User(Shape):
    """Somebody, as colleagues may know them."""

    object: Literal["user"]
    id: str
    organisation_id: str
    email: str
    name: str
    standing: Standing
    language: str
    created_at: Instant
    last_seen_at: Instant | None


class Grant(Shape):
    """One role over one place, since when and by whom. An empty id of a place stands for all of them."""

    object: Literal["grant"]
    id: str
    user_id: str
    role: Role
    organisation_id: str
    tenant_id: str
    granted_by: str
    granted_at: Instant


class GrantWithdrawn(Grant):
    """A role that was taken away."""

    deleted: bool


class Profile(User):
    """Oneself, and what one was granted."""

    grants: list[Grant]


class PasswordChanged(Shape):
    """Another password holds."""

    object: Literal["user"]
    id: str
    password: bool


class PlaceRight(Shape):
    """Permissions over a place. An empty id stands for all of them."""

    organisation_id: str
    tenant_id: str
    permissions: list[Permission]


class Session(Shape):
    """A session, from when to when, and where it was opened. `current` is the one in which one asks."""

    object: Literal["session"]
    id: str
    user_id: str
    means: Literal["password", "passkey", "openid"]
    complete: bool
    address: str
    created_at: Instant
    seen_at: Instant
    ends_at: Instant
    proven_until: Instant
    current: bool


class SignedIn(Session):
    """What a sign-in came to. `must` is what comes first."""

    must: Literal["must_enrol", "second_factor"] | None
    user: User


class Enrolled(SignedIn):
    """A new factor works. Recovery codes are made with the first one, and stand in this answer alone."""

    recovery_codes: list[str]


class OwnSession(Session):
    """The session in which one is, and what one may do in it."""

    must: Literal["must_enrol", "second_factor"] | None
    user: User | None
    rights: list[PlaceRight]


class SessionEnded(Shape):
    """A session whose cookie opens nothing any more."""

    object: Literal["session"]
    id: str
    ended: bool


class SessionProven(Shape):
    """Who has this session has just shown that they are there."""

    object: Literal["session"]
    id: str
    proven: bool


class PasskeyChallenge(Shape):
    """What a browser takes to ask for a passkey, or to make one."""

    object: Literal["challenge"]
    id: str
    public_key: Options


class AppChallenge(Shape):
    """The seed for an authenticator app, which stands in this answer alone, and the address that its QR code shows."""

    object: Literal["challenge"]
    id: str
    seed: str
    uri: str


class App(Shape):
    """An authenticator app."""

    enrolled_at: Instant


class Passkey(Shape):
    """A passkey, by its name."""

    object: Literal["passkey"]
    id: str
    name: str
    created_at: Instant
    used_at: Instant | None


class Factors(Shape):
    """What a person signs in with."""

    object: Literal["factors"]
    password: bool
    totp: App | None
    passkeys: list[Passkey]
    recovery_codes_left: int


class RecoveryCodes(Shape):
    """Codes that stand in for a second factor, once each. They stand in this answer alone."""

    object: Literal["recovery_codes"]
    recovery_codes: list[str]


class PersonalToken(Shape):
    """A personal token without its secret. Empty `limits`: all that its person may do."""

    object: Literal["personal_token"]
    id: str
    name: str
    limits: list[PlaceRight]
    created_at: Instant
    ends_at: Instant
    used_at: Instant | None
    standing: Standing


class NewPersonalToken(PersonalToken):
    """A token that was just made. `token` is all of it: it stands in this answer alone."""

    token: str


class PersonalTokenRevoked(Shape):
    """A token that opens nothing any more."""

    object: Literal["personal_token"]
    id: str
    revoked: bool
