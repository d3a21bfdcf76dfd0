"""What an API key is, and how a presented secret is told from a wrong one."""

import hashlib
import hmac
from dataclasses import dataclass

from parvis.core.secret import Secret
from parvis.domain.identity.rotation import Schedule
from parvis.domain.identity.scope import ANYTHING, KeyScope

SECRETS_MAX = 2
"""Live secrets of one key: the current one, and the one before or after it."""


@dataclass(frozen=True, slots=True)
class KeySecret:
    """One secret of a key, as its digest. `made_unix_ms` names it: no two of a key are made in one millisecond."""

    digest: bytes
    made_unix_ms: int = 0
    ends_unix_ms: int | None = None
    """From then on it is refused; None: as long as the key lives."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as every gateway knows it: one live secret, or two while it rotates, the newest first."""

    key_id: str
    organisation_id: str
    tenant_id: str
    name: str
    secrets: tuple[KeySecret, ...]
    scope: KeyScope = ANYTHING
    active: bool = True
    ends_unix_ms: int | None = None
    """When the key as a whole expires."""
    schedule: Schedule | None = None
    project_id: str = ""
    tags: tuple[str, ...] = ()
    owner_id: str = ""
    """The user whose key it is and with whom it goes; empty: the tenant's own."""
    created_unix_ms: int = 0
    due_unix_ms: int | None = None
    """When the next secret is due: by the schedule, or because somebody asked for it sooner. None: never."""


def secret_digest(pepper: bytes, key_id: str, secret: Secret) -> bytes:
    """HMAC-SHA-256 under a pepper that is kept outside the database; the id binds it to its row. 32 bytes."""
    return hmac.digest(pepper, f"{key_id}:{secret.reveal()}".encode(), hashlib.sha256)


def secret_matched(key: ApiKey, presented: bytes, now_unix_ms: int) -> KeySecret | None:
    """The live secret that a digest is of. Every one is compared, in constant time for each."""
    found: KeySecret | None = None
    for secret in key.secrets:
        same = hmac.compare_digest(presented, secret.digest)
        if same and (secret.ends_unix_ms is None or now_unix_ms < secret.ends_unix_ms):
            found = secret
    return found
