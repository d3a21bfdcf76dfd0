"""What is promised of machines that join, kept by SQLite and by PostgreSQL."""

from dataclasses import replace

import pytest

from parvis.adapters.store.store import SqlStore
from parvis.core.errors import NotFound, NotPermitted
from parvis.domain.fleet.node import Node

NODE = Node("node_1", "one", "a1", 1_000)


async def test_a_code_lets_one_machine_in_and_ends(store: SqlStore) -> None:
    far = 1 << 60
    await store.add_join_code("digest", far)
    await store.redeem_join_code("digest", NODE)
    with pytest.raises(NotPermitted):
        await store.redeem_join_code("digest", replace(NODE, node_id="node_2", serial="a2"))
    await store.add_join_code("late", far)
    with pytest.raises(NotPermitted):
        await store.redeem_join_code("late", replace(NODE, node_id="node_3", serial="a3", joined_unix_ms=far))
    assert await store.nodes() == [NODE]


async def test_a_machine_is_removed_once_and_for_good(store: SqlStore) -> None:
    await store.add_join_code("digest", 1 << 60)
    await store.redeem_join_code("digest", NODE)
    removed = replace(NODE, removed_unix_ms=5_000)
    assert await store.remove_node("node_1", 5_000) == removed
    assert await store.remove_node("node_1", 9_000) == removed
    assert await store.nodes() == [removed]
    with pytest.raises(NotFound):
        await store.remove_node("node_9", 5_000)
