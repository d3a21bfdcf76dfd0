"""People: who signs in. Customers' users and the operator's own people are kept apart, in two stores of one shape."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.domain.identity.organisation import Standing


class Realm(StrEnum):
    """Which door an account opens. No account of one opens the other."""

    CUSTOMER = "customer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Person:
    """A user of an organisation, or (in the operator's realm, without one) a member of the operator's staff."""

    user_id: str
    organisation_id: str
    email: str
    """How they are called at sign-in; unique in the realm, compared without regard to case."""
    name: str
    standing: Standing = Standing.ACTIVE
    language: str = "en"
    """`en` or `fr`: of mails and of what the console shows first."""
    created_unix_ms: int = 0
    last_seen_unix_ms: int | None = None
