"""Sealing a tenant's content: one data key for each tenant and purpose, made at first use, gone when it is destroyed.

root key -> key-encryption key of a version -> data key of (tenant, purpose) -> sealed value
"""

from parvis.core.ids import Randomness
from parvis.domain.vault.sealing import (
    KEY_BYTES,
    NONCE_BYTES,
    Place,
    SealBroken,
    derive_key,
    open_sealed,
    seal,
    unwrap_data_key,
    wrap_data_key,
)
from parvis.flows.store import VaultStore

KEK_PURPOSE = "data-key-encryption"
KEK_VERSION = 1
"""The version that new data keys are wrapped under; older ones stay readable."""


class TenantVault:
    """Seals and opens values of tenants. Keeps no data key: each act asks the store, so a destroyed key is gone."""

    def __init__(self, store: VaultStore, root: bytes, randomness: Randomness) -> None:
        self._store = store
        self._root = root
        self._randomness = randomness

    async def seal(self, place: Place, purpose: str, plain: bytes) -> bytes:
        """Seal a value for its place under its tenant's key for this purpose; the key is made if there is none."""
        key = await self._data_key(place.tenant_id, purpose) or await self._new_data_key(place.tenant_id, purpose)
        return seal(key, plain, place, self._randomness(NONCE_BYTES))

    async def open(self, place: Place, purpose: str, sealed: bytes) -> bytes:
        """The plain value. Raises SealBroken when it was altered or moved, or when the tenant's keys were destroyed."""
        key = await self._data_key(place.tenant_id, purpose)
        if key is None:
            raise SealBroken("the key of this value was destroyed")
        return open_sealed(key, sealed, place)

    async def _data_key(self, tenant_id: str, purpose: str) -> bytes | None:
        found = await self._store.data_key(tenant_id, purpose)
        return None if found is None else self._unwrap(tenant_id, purpose, *found)

    async def _new_data_key(self, tenant_id: str, purpose: str) -> bytes:
        """Make one. Of two made at once the first written is kept, and both callers use it."""
        fresh = self._randomness(KEY_BYTES)
        nonce = self._randomness(NONCE_BYTES)
        wrapped = wrap_data_key(self._kek(KEK_VERSION), fresh, tenant_id, purpose, KEK_VERSION, nonce)
        kept = await self._store.put_data_key(tenant_id, purpose, KEK_VERSION, wrapped)
        return self._unwrap(tenant_id, purpose, *kept)

    def _unwrap(self, tenant_id: str, purpose: str, version: int, wrapped: bytes) -> bytes:
        return unwrap_data_key(self._kek(version), wrapped, tenant_id, purpose, version)

    def _kek(self, version: int) -> bytes:
        return derive_key(self._root, KEK_PURPOSE, version)
