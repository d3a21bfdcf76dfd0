"""Makes keys for a running service behind its back: in its database, as another control process would.

    async with Locksmith(running.home) as locksmith:
        key, text = await locksmith.make(scope=KeyScope(("fake-8b",)))
        await locksmith.store.revoke_key(key.key_id)

The service learns of it as it learns of everything: within a second.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from parvis.adapters.keyring.file_key import load_root_key
from parvis.adapters.store.store import SqlStore
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import new_key, write_key
from parvis.domain.identity.organisation import Tenant
from parvis.domain.vault.sealing import derive_key


class Locksmith:
    """Has the database and the pepper of a service."""

    def __init__(self, home: Path, url: str = "") -> None:
        self._pepper = derive_key(load_root_key(home), "api-key-pepper", 1)  # as control derives it
        self.store = SqlStore(url or f"sqlite:///{home / 'parvis.sqlite'}")

    async def __aenter__(self) -> Self:
        await self.store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def tenant(self) -> Tenant:
        """The one that the first start made, or the first of several."""
        return (await self.store.tenants())[0]

    async def make(self, tenant: Tenant | None = None, **fields: Any) -> tuple[ApiKey, str]:
        """A key with these fields, and its text. Of its secrets, made now, the first is in the text."""
        owner = tenant or await self.tenant()
        key_id, secret = new_key(os.urandom)
        now = time.time_ns() // 1_000_000
        secrets = (KeySecret(secret_digest(self._pepper, key_id, secret), now),)
        plain = ApiKey(key_id, owner.organisation_id, owner.tenant_id, "made", secrets, created_unix_ms=now)
        key = replace(plain, **fields)
        await self.store.add_key(key)
        return key, write_key(key_id, secret).reveal()
