"""What owners of keys and budgets are told, and where to. No secret is ever in it. Times are milliseconds of Unix."""

from dataclasses import dataclass
from enum import StrEnum

ATTEMPTS_MAX = 3
PAUSES_MS = (60_000, 600_000)
"""After the first attempt that failed, and after the second."""


class NoticeKind(StrEnum):
    """What has come, or will come soon."""

    ROTATION_DUE = "rotation_due"
    """The next secret of a key is due soon, or now."""
    ROTATION_LATE = "rotation_late"
    """It was due, and nobody fetched it; the old one works until the grace ends."""
    KEY_EXPIRES = "key_expires"
    """The key as a whole ends soon."""
    KEY_EXPIRED = "key_expired"
    """Its last secret has ended, or the key as a whole."""
    KEY_REPORTED = "key_reported"
    """Somebody found the key and reported it: it was revoked."""
    BUDGET_REACHED = "budget_reached"
    """So much of a month's money was spent as somebody wanted to be told of."""
    CREDIT_LOW = "credit_low"
    """Of the credit of a tenant little is left."""


class TargetKind(StrEnum):
    """How something is sent."""

    MAIL = "mail"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that is told once: unique by kind, subject and moment."""

    notice_id: str
    """`ntc_` and 26 characters that sort by time. Who is told twice knows it by this."""
    kind: NoticeKind
    organisation_id: str
    tenant_id: str
    subject: str
    """The id of the key; of a budget what it limits, like `project:search`; of credit `tenant:acme-prod`."""
    name: str
    """What that was called."""
    moment_unix_ms: int
    """Whose coming made it."""
    due_unix_ms: int | None
    ends_unix_ms: int | None
    """When the key stops working, or did; of a budget, when its month ends."""
    created_unix_ms: int
    amount_pico_euro: int | None = None
    """What was spent, or of credit what is left; None of a key."""
    limit_pico_euro: int | None = None
    """The amount that was reached, or of credit the last order."""

    @property
    def is_of_a_key(self) -> bool:
        return self.kind not in (NoticeKind.BUDGET_REACHED, NoticeKind.CREDIT_LOW)


@dataclass(frozen=True, slots=True)
class NoticeTarget:
    """Where the notices of a tenant go."""

    target_id: str
    organisation_id: str
    tenant_id: str
    kind: TargetKind
    address: str
    """A mail address, or an `https://` URL."""
    language: str
    """`en` or `fr`, of mails."""
    sealed: bytes
    """What a webhook is signed with, sealed for its place; empty for mail."""
    created_unix_ms: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One notice on its way to one target."""

    notice_id: str
    target_id: str
    attempts: int = 0
    next_unix_ms: int | None = None
    """When it is tried again; None when it arrived or was given up."""
    sent_unix_ms: int | None = None
    problem: str = ""
    """Why the last attempt failed."""


def after_attempt(dispatch: Dispatch, now_unix_ms: int, problem: str = "") -> Dispatch:
    """How a dispatch stands after one more attempt, which failed for this reason or (without one) arrived."""
    attempts = dispatch.attempts + 1
    if not problem:
        return Dispatch(dispatch.notice_id, dispatch.target_id, attempts, None, now_unix_ms)
    again = now_unix_ms + PAUSES_MS[attempts - 1] if attempts < ATTEMPTS_MAX else None
    return Dispatch(dispatch.notice_id, dispatch.target_id, attempts, again, None, problem)
