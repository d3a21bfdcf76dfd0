"""What is supposed of a request with a key: a pasted secret is never repeated."""

import os

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import NotFound
from parvis.domain.catalog.difficulty import Matter
from parvis.domain.identity.key_text import new_key, write_key
from parvis.flows.explaining import NOBODY_SAW, Question, suppose


async def refusal(store: SqlStore, key_id: str) -> str:
    with pytest.raises(NotFound) as refused:
        await suppose(store, NOBODY_SAW, lambda _: 0.0, (), Question(key_id, "small", Matter(("Hello",)), 10))
    return str(refused.value)


async def test_an_unknown_key_is_named_and_a_pasted_secret_is_not(store: SqlStore) -> None:
    unknown = new_key(os.urandom)
    assert await refusal(store, unknown.key_id) == f"There is no key '{unknown.key_id}' that works."
    whole = write_key(*unknown).reveal()
    for pasted in (whole, whole[:30], unknown.secret.reveal(), f"{unknown.key_id}\n", "Hunter2"):
        said = await refusal(store, pasted)
        assert said.startswith("This is not the id of a key")
        assert pasted not in said
