"""People: who signs in. Customers' users and the operator's own people are kept apart, in two stores of one shape."""

import re
from dataclasses import dataclass
from enum import StrEnum

from parvis.core.errors import BadRequest
from parvis.domain.identity.organisation import Standing

EMAIL_CHARS_MAX = 254
NAME_CHARS_MAX = 100
LANGUAGES = ("en", "fr")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


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


def same_email(email: str) -> str:
    """An address as it is compared and looked up."""
    return email.strip().casefold()


def checked_email(email: str) -> str:
    """The address as it is kept. Raises BadRequest for what cannot be one."""
    trimmed = email.strip()
    if len(trimmed) > EMAIL_CHARS_MAX or not trimmed.isprintable() or not _EMAIL.fullmatch(trimmed):
        raise BadRequest("An e-mail address looks like name@example.org.", param="email")
    return trimmed


def checked_name(name: str) -> str:
    """The name as it is kept. Raises BadRequest for one that cannot be printed."""
    trimmed = name.strip()
    if not 0 < len(trimmed) <= NAME_CHARS_MAX or not trimmed.isprintable():
        raise BadRequest(f"A name has 1 to {NAME_CHARS_MAX} printable characters.", param="name")
    return trimmed


def checked_language(language: str) -> str:
    """Raises BadRequest for one that we do not speak."""
    if language not in LANGUAGES:
        raise BadRequest(f"'language' is one of {', '.join(LANGUAGES)}.", param="language")
    return language
