"""Keys and tenants as they travel and as a gateway keeps them: packed, and read when they are asked for.

A packed key is the digests of its two secrets (32 bytes each, zeros for one that is not there), then msgpack of what is
other than usual in it: 0.5 kB in a gateway, less than a fifth of what the object takes.
"""

import hmac
from collections.abc import Mapping
from dataclasses import MISSING, fields

import msgspec
from msgspec import Struct

from parvis.domain.identity.api_key import SECRETS_MAX, ApiKey, KeySecret
from parvis.domain.identity.organisation import Tenant
from parvis.domain.identity.rotation import Schedule
from parvis.domain.identity.scope import ANYTHING, KeyScope
from parvis.domain.quota.limit import Limits

DIGEST_BYTES = 32
HEAD_BYTES = SECRETS_MAX * DIGEST_BYTES


class KeyShape(Struct, frozen=True, omit_defaults=True):
    """The fields of `ApiKey`, in its order. It has a shape of its own because it is compiled: its types get lost."""

    key_id: str
    organisation_id: str
    tenant_id: str
    name: str
    secrets: tuple[tuple[bytes, int, int | None], ...]
    scope: KeyScope = ANYTHING
    active: bool = True
    ends_unix_ms: int | None = None
    schedule: Schedule | None = None
    project_id: str = ""
    tags: tuple[str, ...] = ()
    owner_id: str = ""
    created_unix_ms: int = 0
    due_unix_ms: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_read_key = msgspec.msgpack.Decoder(KeyShape).decode
_read_limits = msgspec.msgpack.Decoder(Limits).decode
_read_tenant = msgspec.msgpack.Decoder(Tenant).decode
_TENANT_USUAL = {field.name: field.default for field in fields(Tenant)}


def pack_key(key: ApiKey) -> bytes:
    """See above."""
    digests = b"".join(secret.digest.ljust(DIGEST_BYTES, b"\0") for secret in key.secrets[:SECRETS_MAX])
    told = {name: getattr(key, name) for name in KeyShape.__struct_fields__}
    told["secrets"] = tuple((secret.digest, secret.made_unix_ms, secret.ends_unix_ms) for secret in key.secrets)
    told["scope"] = ANYTHING if key.scope == ANYTHING else key.scope
    return digests.ljust(HEAD_BYTES, b"\0") + _encode(KeyShape(**told))


def unpack_key(packed: bytes) -> ApiKey:
    """The other way. Raises msgspec.DecodeError."""
    key_id, organisation_id, tenant_id, name, secrets, *rest = msgspec.structs.astuple(
        _read_key(memoryview(packed)[HEAD_BYTES:])
    )
    return ApiKey(key_id, organisation_id, tenant_id, name, tuple(KeySecret(*secret) for secret in secrets), *rest)


def pack_tenant(tenant: Tenant) -> bytes:
    """Msgpack of what is other than usual."""
    told = ((name, getattr(tenant, name), usual) for name, usual in _TENANT_USUAL.items())
    return _encode({name: value for name, value, usual in told if usual is MISSING or value != usual})


def unpack_tenant(packed: bytes) -> Tenant:
    """The other way. Raises msgspec.DecodeError."""
    return _read_tenant(packed)


def pack_limits(limits: Limits) -> bytes:
    """Msgpack. Money travels as whole pico-euro."""
    return _encode(limits)


def unpack_limits(packed: bytes) -> Limits:
    """The other way. Raises msgspec.DecodeError."""
    return _read_limits(packed)


class Packed:
    """What is known, by id. Nothing packed under an id tells that it is gone."""

    def __init__(self) -> None:
        self.by_id: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self.by_id)

    def __contains__(self, one_id: str) -> bool:
        return one_id in self.by_id

    def take(self, changed: Mapping[str, bytes]) -> list[str]:
        """Replace and remove exactly these; the ids of those that are other than before."""
        others = [one_id for one_id, packed in changed.items() if self.by_id.get(one_id, b"") != packed]
        for one_id in others:
            if changed[one_id]:
                self.by_id[one_id] = changed[one_id]
            else:
                del self.by_id[one_id]
        return others


class PackedKeys(Packed):
    """The `KeyBook` of a gateway."""

    def find(self, key_id: str, digest: bytes) -> tuple[ApiKey, bool]:
        """See the port."""
        packed = self.by_id.get(key_id, _KEY_OF_NOBODY)
        # Both are compared, whatever the first comparison says.
        same = hmac.compare_digest(digest, packed[:DIGEST_BYTES])
        same |= hmac.compare_digest(digest, packed[DIGEST_BYTES:HEAD_BYTES])
        return unpack_key(packed if same else _KEY_OF_NOBODY), same and packed is not _KEY_OF_NOBODY


class PackedTenants(Packed):
    """The `TenantBook` of a gateway."""

    def get(self, tenant_id: str, /) -> Tenant | None:
        """See the port. It takes as long when there is none."""
        packed = self.by_id.get(tenant_id, _TENANT_OF_NOBODY)
        tenant = unpack_tenant(packed)
        return tenant if packed is not _TENANT_OF_NOBODY else None


class PackedLimits(Packed):
    """The `LimitBook` of a gateway."""

    def get(self, subject: str, /) -> Limits | None:
        """See the port."""
        packed = self.by_id.get(subject)
        return None if packed is None else unpack_limits(packed)


_ID = "x_" + "0" * 26
_NOW = 1_700_000_000_000
_KEY_OF_NOBODY = pack_key(
    ApiKey("0" * 16, _ID, _ID, "nobody", (KeySecret(b"\0" * DIGEST_BYTES, _NOW),), active=False, created_unix_ms=_NOW)
)
_TENANT_OF_NOBODY = pack_tenant(Tenant(_ID, _ID, "nobody", credit_unlimited=False, created_unix_ms=_NOW))
"""As much to read as in a usual key that was revoked, and in a usual tenant."""
