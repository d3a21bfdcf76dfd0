"""Whose prompts a request may find in the prefix cache of an engine: worked out for a key, looked up for a request."""

import hashlib
import hmac
from itertools import product
from typing import Final

from parvis.core.errors import NotPermitted
from parvis.domain.fleet.caching import Caching, caching_in_force
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import CacheSharing, Replica
from parvis.domain.metering.records import Operation
from parvis.flows.prepared import PreparedKey
from parvis.flows.request import InferenceRequest

_LABEL = b"prefix-cache-salt"
_SALTED: Final = Caching.SALTED
_OFF: Final = Caching.OFF
_REFUSED: Final = Caching.REFUSED
"""Found once: in Python 3.11, to look a member up in its enum costs as much as a call."""
_LEAVE_NOTHING: Final = (
    Operation.EMBEDDING,
    Operation.RERANK,
    Operation.TRANSCRIPTION,
    Operation.TRANSLATION,
    Operation.SPEECH,
)
_IN_FORCE = {
    (kind, declared, alone): caching_in_force(PROFILES[kind], declared, alone=alone)
    for kind, declared, alone in product(PROFILES, CacheSharing, (False, True))
}


def tenant_salt(pepper: bytes, tenant_id: str) -> str:
    """64 hexadecimal digits that nobody outside can know: HMAC-SHA-256 of the tenant under a key of the pepper's.

    The same on every gateway and after every start, so that a conversation finds its cache again. vLLM takes up to
    128 characters, and no signs that end a path or a host (its `generate/base/protocol.py`, 022e555).
    """
    key = hmac.digest(pepper, _LABEL, hashlib.sha256)
    return hmac.digest(key, tenant_id.encode(), hashlib.sha256).hex()


def cache_for(prepared: PreparedKey, request: InferenceRequest, replica: Replica) -> tuple[str, bool]:
    """The salt that the engine is given (or none), and whether the request may find what was computed before.

    Raises NotPermitted where the engine would let tenants find each other's prompts and nobody has declared that.
    Embeddings, rankings and sound leave nothing behind that an answer could tell.
    """
    caching = _IN_FORCE[replica.kind, replica.cache, prepared.alone]
    if caching is _SALTED:
        return prepared.cache_salt, True
    if caching is _OFF:  # under a salt of its own, nothing is found either
        return request.request_id, False
    if caching is _REFUSED and request.operation not in _LEAVE_NOTHING:
        raise NotPermitted(
            f"The engine of '{request.model}' keeps one prompt cache for all tenants, and your operator has not "
            "declared that this is wanted. Ask your operator to set 'cache' for it, or use another model.",
            code="cache_not_declared",
        )
    return "", True
