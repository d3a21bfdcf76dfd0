"""The salt of a tenant, and what a request is told about the cache of the replica that it goes to."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.clock import SystemClock
from parvis.core.errors import NotPermitted
from parvis.core.secret import Secret
from parvis.domain.fleet.replica import CacheSharing, EngineKind, Replica, ReplicaState
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import write_key
from parvis.domain.identity.organisation import Tenant
from parvis.domain.metering.records import Operation
from parvis.flows.caches import cache_for, tenant_salt
from parvis.flows.directory import KeysAtHand, SnapshotDirectory
from parvis.flows.ports import Snapshot
from parvis.flows.prepared import PreparedKey, prepare
from parvis.flows.request import InferenceRequest
from parvis.wire.chat_shapes import ChatBody, Message

SALT = "5a17"
peppers = st.binary(min_size=16, max_size=32)


def prepared(*, alone: bool) -> PreparedKey:
    secret = KeySecret(b"d", 1)
    key = ApiKey("k", "org", "t", "n", (secret,))
    return prepare(
        key, secret, Tenant("t", "org", "T", credit_unlimited=True), frozenset(), cache_salt=SALT, alone=alone
    )


def asked(operation: Operation = Operation.CHAT) -> InferenceRequest:
    body = ChatBody("m", [Message("user", "hi")])
    return InferenceRequest(
        request_id="req_1", operation=operation, credential=None, model="m", body=body, input_bytes=9
    )


def on(kind: EngineKind, cache: CacheSharing = CacheSharing.TENANT) -> Replica:
    return replace(Replica("r", "pool", kind, "http://127.0.0.1:1", ReplicaState.READY), cache=cache)


@given(peppers, peppers, st.text(), st.text())
def test_salts_differ_by_tenant_and_by_pepper(one: bytes, other: bytes, tenant: str, stranger: str) -> None:
    salt = tenant_salt(one, tenant)
    assert salt == tenant_salt(one, tenant)
    assert re.fullmatch("[0-9a-f]{64}", salt)
    assert (salt == tenant_salt(one, stranger)) == (tenant == stranger)
    assert (salt == tenant_salt(other, tenant)) == (one == other)


@pytest.mark.parametrize(
    ("kind", "cache", "alone", "told"),
    [
        (EngineKind.VLLM, CacheSharing.TENANT, False, (SALT, True)),
        (EngineKind.SGLANG, CacheSharing.TENANT, True, (SALT, True)),
        (EngineKind.VLLM, CacheSharing.SHARED, False, ("", True)),
        (EngineKind.VLLM, CacheSharing.OFF, False, ("req_1", False)),
        (EngineKind.LLAMA_CPP, CacheSharing.TENANT, True, ("", True)),
        (EngineKind.LLAMA_CPP, CacheSharing.TENANT, False, ("req_1", False)),
        (EngineKind.LLAMA_CPP, CacheSharing.SHARED, False, ("", True)),
        (EngineKind.OLLAMA, CacheSharing.TENANT, True, ("", True)),
        (EngineKind.OLLAMA, CacheSharing.SHARED, False, ("", True)),
    ],
)
def test_what_a_request_is_told(kind: EngineKind, cache: CacheSharing, alone: bool, told: tuple[str, bool]) -> None:  # noqa: FBT001 - given by the test's table
    assert cache_for(prepared(alone=alone), asked(), on(kind, cache)) == told


@pytest.mark.parametrize("kind", [EngineKind.OLLAMA, EngineKind.OPENAI, EngineKind.TGI])
def test_an_undeclared_sharing_is_refused_for_what_generates(kind: EngineKind) -> None:
    with pytest.raises(NotPermitted) as refused:
        cache_for(prepared(alone=False), asked(), on(kind))
    assert refused.value.code == "cache_not_declared"
    assert cache_for(prepared(alone=False), asked(Operation.EMBEDDING), on(kind)) == ("", True)


def test_a_second_tenant_ends_being_alone() -> None:
    """What was worked out for a key holds no more, and its salt stays the same."""
    pepper, key_id, secret = b"pepper", "0" * 16, Secret("s" * 40)
    key = ApiKey(key_id, "org", "t", "n", (KeySecret(secret_digest(pepper, key_id, secret), 1),))
    tenants = {"t": Tenant("t", "org", "T", credit_unlimited=True)}
    directory = SnapshotDirectory(SystemClock())
    directory.load(Snapshot(1, pepper, KeysAtHand({key_id: key}), tenants, {}, (), (), ()))
    shown = write_key(key_id, secret).reveal()
    before = directory.admit(shown, "127.0.0.1")
    tenants["u"] = replace(tenants["t"], tenant_id="u")
    directory.forget(None)
    after = directory.admit(shown, "127.0.0.1")
    assert (before.alone, after.alone) == (True, False)
    assert before.cache_salt == after.cache_salt == tenant_salt(pepper, "t")
