"""What replicas on Ray are made of, without Ray: who lives, how many are wanted, what they say, and their door."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.certificates.authority import client_request, new_authority, server_names, sign_server_request
from parvis.adapters.ray.door import Door, door_context
from parvis.adapters.ray.engine_server import busy_of
from parvis.adapters.ray.facts import ReplicaFacts, as_replica, read_facts
from parvis.adapters.ray.registry import SILENT_S, Registry
from parvis.adapters.ray.scaling import BUSY, replicas_wanted
from parvis.domain.fleet.deployment import Deployment, Source
from parvis.domain.fleet.replica import ReplicaState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


# Who lives


def test_who_is_silent_is_gone_and_comes_back_by_a_word() -> None:
    clock = Clock()
    registry = Registry(clock)
    registry.hear("one", {"port": 1})
    assert registry.living() is None  # it is too young to know of all
    clock.now_s += SILENT_S + 1
    registry.hear("two", {"port": 2})
    assert registry.living() == {"two": {"port": 2}}
    registry.hear("one", {"port": 3})
    assert registry.living() == {"two": {"port": 2}, "one": {"port": 3}}
    registry.leave("two")
    registry.leave("two")
    assert registry.living() == {"one": {"port": 3}}


def test_a_certificate_reaches_who_asked_and_nobody_after_it_has_left() -> None:
    registry = Registry(Clock())
    assert registry.hear("one", {}) == ""
    registry.certify("one", "PEM")
    assert registry.hear("one", {}) == "PEM"
    registry.leave("one")
    assert registry.hear("one", {}) == ""


def test_facts_survive_a_release_that_says_more() -> None:
    facts = ReplicaFacts(deployment_id="chat", state=ReplicaState.READY, host="fd00::7", port=9, api_key="k")
    assert read_facts({**facts.said(), "mood": "fine"}) == facts
    deployment = Deployment(deployment_id="chat", pool="pool", source=Source.RAY, parallel=6, weight=2)
    replica = as_replica("chat-b", facts, deployment, "/a.pem")
    assert (replica.address, replica.slots, replica.weight, replica.engine) == ("https://[fd00::7]:9", 6, 2, "pool")
    assert replica.tls is not None
    assert as_replica("chat-b", ReplicaFacts(deployment_id="chat"), deployment, "/a.pem").address == ""


# How many are wanted


def context(busy: list[float], replicas: int, target: float) -> SimpleNamespace:
    return SimpleNamespace(
        aggregated_metrics={BUSY: dict(enumerate(busy))},
        current_num_replicas=replicas,
        target_num_replicas=replicas,
        config=SimpleNamespace(get_target_ongoing_requests=lambda: target),
    )


@given(replicas=st.integers(1, 50), slots=st.integers(2, 256), share=st.floats(0, 1))
def test_full_replicas_want_more_and_idle_ones_fewer(replicas: int, slots: int, share: float) -> None:
    target = 0.75 * slots
    wanted, _ = replicas_wanted(context([share * slots] * replicas, replicas, target))
    assert wanted == pytest.approx(replicas * share / 0.75)


def test_nobody_scales_on_silence() -> None:
    assert replicas_wanted(context([], 3, 6.0))[0] == 3


def test_load_is_read_of_either_kind() -> None:
    assert busy_of("# HELP x\nllamacpp:requests_processing 3\nllamacpp:requests_deferred 2\nother 9\n") == 5
    page = 'vllm:num_requests_running{model_name="m"} 4.0\nvllm:num_requests_waiting{model_name="m"} 1.0\n'
    assert busy_of(page) == 5


# The door


@asynccontextmanager
async def door(engine: "asyncio.Server") -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Before an engine; the port, and the context of who trusts its authority."""
    authority = new_authority("test", NOW)
    key, request = client_request("replica")
    signed = sign_server_request(authority, request, server_names(["127.0.0.1"]), datetime.now(UTC), 30)
    opened = Door("127.0.0.1")
    context = door_context(signed.public_bytes(Encoding.PEM).decode(), key)
    port = await opened.open(context, engine.sockets[0].getsockname()[1])
    yield port, ssl.create_default_context(cadata=authority.certificate_pem().decode())
    opened.close()


async def test_bytes_pass_the_door_whole_and_in_order() -> None:
    sent = bytes(range(256)) * 16_384  # more than every buffer on the way
    left = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as engine, door(engine) as (port, trusted):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
        writing = asyncio.ensure_future(_write(writer, sent))
        assert await reader.readexactly(len(sent)) == sent
        await writing
        writer.close()
        await asyncio.wait_for(left.wait(), 10)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@pytest.mark.parametrize("who", ["caller", "engine"])
async def test_when_one_side_hangs_up_so_does_the_other(who: str) -> None:
    met: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.get_running_loop().create_future()

    async def engine_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set_result((reader, writer))

    async with await asyncio.start_server(engine_of, "127.0.0.1", 0) as engine, door(engine) as (port, trusted):
        near = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
        near[1].write(b"hello")
        far = await met
        assert await far[0].readexactly(5) == b"hello"
        (leaves, stays) = (near, far) if who == "caller" else (far, near)
        leaves[1].write(b"last")
        leaves[1].close()
        assert await asyncio.wait_for(stays[0].read(), 10) == b"last"
        stays[1].close()
        await asyncio.gather(near[1].wait_closed(), far[1].wait_closed())


async def test_who_finds_no_engine_is_told_so_at_once() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as engine, door(engine) as (port, trusted):
        engine.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_nobody_speaks_plainly_at_the_door() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as engine, door(engine) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert b"HTTP" not in await asyncio.wait_for(reader.read(), 10)
        writer.close()


def test_keys_of_doors_stay_on_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    authority = new_authority("test", NOW)
    key, request = client_request("replica")
    signed = sign_server_request(authority, request, server_names(["10.0.0.1"]), NOW, 30)
    door_context(signed.public_bytes(Encoding.PEM).decode(), key)
    assert list(tmp_path.iterdir()) == []
