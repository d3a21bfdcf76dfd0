"""A session: how long it lives, and what it is good for until its person has shown all that is demanded."""

from dataclasses import dataclass
from enum import StrEnum

from parvis.core.ids import Randomness
from parvis.core.secret import Secret

IDLE_MS_MAX = 30 * 60_000
LIFE_MS_MAX = 12 * 3_600_000
SEEN_EVERY_MS = 60_000
"""How exactly it is known when a session, a token or a person was last seen."""
PROVEN_MS_MAX = 10 * 60_000
"""How long a person who showed a second factor may do what is dangerous."""
_COOKIE_BYTES = 32

MUST_ENROL = "must_enrol"
"""The tag of a session whose person must enrol a second factor before anything else."""
SECOND_FACTOR = "second_factor"
"""The tag of a session whose person has a second factor and has not shown it yet."""


class Means(StrEnum):
    """What was shown first."""

    PASSWORD = "password"  # noqa: S105 - the name of a means, not a credential
    PASSKEY = "passkey"
    OPENID = "openid"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who signed in with a browser. The cookie is not in it, and its digest neither."""

    session_id: str
    user_id: str
    means: Means
    complete: bool
    """Whether a second factor was shown, or stood for by the provider that vouched."""
    address: str
    created_unix_ms: int
    seen_unix_ms: int
    proven_unix_ms: int = 0
    """When the last proof was given that the person is still there."""

    def ends_unix_ms(self) -> int:
        """When it is over if nothing is heard any more."""
        return min(self.seen_unix_ms + IDLE_MS_MAX, self.created_unix_ms + LIFE_MS_MAX)

    def alive(self, now_unix_ms: int) -> bool:
        """Whether it opens anything at all. A session from the future does not: the clock was set back."""
        return self.created_unix_ms <= now_unix_ms < self.ends_unix_ms()


def restriction(session: Session, *, has_factor: bool, demanded: bool) -> str:
    """What its person must do first: `MUST_ENROL`, `SECOND_FACTOR`, or nothing (empty).

    Who has a second factor must show it, demanded or not; who vouches for their people shows it for them.
    """
    if session.complete and (has_factor or session.means is Means.OPENID or not demanded):
        return ""
    if has_factor:
        return SECOND_FACTOR
    return MUST_ENROL if demanded else ""


def new_cookie(randomness: Randomness) -> Secret:
    """256 random bits in hexadecimal."""
    return Secret(randomness(_COOKIE_BYTES).hex(), "session cookie")
