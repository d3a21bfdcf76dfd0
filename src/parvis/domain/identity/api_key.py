"""What an API key is, and how a presented secret is told from a wrong one."""

import hashlib
import hmac
from dataclasses import dataclass

from parvis.core.secret import Secret

MODELS_ALL = "*"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as every gateway knows it. `digests` are of its live secrets: one, or two while it rotates."""

    key_id: str
    organisation_id: str
    tenant_id: str
    name: str
    digests: tuple[bytes, ...]
    models: tuple[str, ...] = (MODELS_ALL,)
    active: bool = True


def secret_digest(pepper: bytes, key_id: str, secret: Secret) -> bytes:
    """HMAC-SHA-256 under a pepper that is kept outside the database; the id binds it to its row. 32 bytes."""
    return hmac.digest(pepper, f"{key_id}:{secret.reveal()}".encode(), hashlib.sha256)


def secret_matches(key: ApiKey, presented: bytes) -> bool:
    """Compare a digest with every live one, in constant time for each."""
    matches = [hmac.compare_digest(presented, digest) for digest in key.digests]
    return any(matches)


def may_use(key: ApiKey, model_id: str) -> bool:
    """Whether the key's list of models covers this one."""
    return MODELS_ALL in key.models or model_id in key.models
