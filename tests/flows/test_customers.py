"""A key at the console: one row is read for it, and it is judged as a gateway would."""

from dataclasses import replace

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import NotAuthenticated
from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import write_key
from parvis.domain.identity.organisation import Organisation, Standing
from parvis.domain.identity.scope import KeyScope
from parvis.flows.customers import welcome
from parvis.flows.prepared import Doubt

PEPPER = b"pepper"
KEY_ID = "0" * 16
SECRET = Secret("a" * 40)
TEXT = write_key(KEY_ID, SECRET).reveal()
KEY = ApiKey(KEY_ID, "org", "t", "mine", (KeySecret(secret_digest(PEPPER, KEY_ID, SECRET), 5),), created_unix_ms=5)


class StillClock:
    """Time that nobody moves."""

    def unix_ms(self) -> int:
        return 1_000

    def monotonic_s(self) -> float:
        return 1.0


@pytest.fixture
async def furnished(store: SqlStore) -> SqlStore:
    await store.create_organisation("org", "Organisation")
    await store.create_tenant("t", "org", "Tenant", credit_unlimited=True)
    await store.add_key(KEY)
    return store


async def comes(store: SqlStore, text: str | None = TEXT, address: str = "192.0.2.1") -> ApiKey:
    key, _ = await welcome(store, PEPPER, StillClock(), text, address)
    return key


async def doubt(store: SqlStore, text: str | None = TEXT, address: str = "192.0.2.1") -> str:
    with pytest.raises(NotAuthenticated) as refused:
        await comes(store, text, address)
    return refused.value.reason


async def test_a_key_is_known_and_others_are_not(furnished: SqlStore) -> None:
    assert await comes(furnished) == KEY
    assert await doubt(furnished, write_key(KEY_ID, Secret("b" * 40)).reveal()) == Doubt.WRONG_SECRET
    assert await doubt(furnished, write_key("1" * 16, SECRET).reveal()) == Doubt.UNKNOWN
    assert await doubt(furnished, "sk-nobody") == Doubt.MALFORMED
    assert await doubt(furnished, None) == ""


async def test_it_is_judged_as_at_a_gateway(furnished: SqlStore) -> None:
    await furnished.swap_key(KEY, narrow := replace(KEY, scope=KeyScope(addresses=("192.0.2.0/24",))))
    assert await comes(furnished) == narrow
    assert await doubt(furnished, address="198.51.100.1") == Doubt.ADDRESS
    await furnished.put_organisation(Organisation("org", "Organisation", Standing.SUSPENDED))
    assert await doubt(furnished) == Doubt.NOT_ACTIVE
    await furnished.revoke_key(KEY_ID)
    assert await doubt(furnished) == Doubt.REVOKED


async def test_nothing_is_read_for_what_cannot_be_a_key(furnished: SqlStore) -> None:
    await furnished.close()
    assert await doubt(furnished, "sk-nobody") == Doubt.MALFORMED
