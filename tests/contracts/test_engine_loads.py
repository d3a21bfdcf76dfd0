"""How busy engines say they are: their pages read, asked of running ones, and told to gateways when it is another."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from parvis.adapters.engines.loads import load_of
from parvis.adapters.engines.upstream import Upstreams
from parvis.adapters.link.control_side import ControlLink, bind_link
from parvis.adapters.link.gateway_side import GatewayLink
from parvis.app.loads import LoadWatch
from parvis.core.money import ZERO, Money
from parvis.domain.fleet.load import Load
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.quota.budget import LeaseAnswer
from parvis.testing.fake_engine.flavours import FLAVOURS, Flavour
from parvis.testing.fake_engine.metrics_page import Gauges, metrics_page
from parvis.testing.processes import FakeEngineProcess, fake_engine

HEARD_S_MAX = 20
TELLING: dict[EngineKind, Flavour] = {
    EngineKind.LLAMA_CPP: "llamacpp",
    EngineKind.SGLANG: "sglang",
    EngineKind.TGI: "tgi",
    EngineKind.VLLM: "vllm",
}
VLLM_PAGE = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a"} 3.0
vllm:num_requests_running{engine="1",model_name="a"} 2.0
vllm:num_requests_waiting{engine="0",model_name="a"} 1.0
vllm:num_requests_waiting{engine="1",model_name="a"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="a"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="a"} 7.5e-01
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="a"} 0.0
"""
SGLANG_PAGE = b'sglang:num_running_reqs{model_name="b",tp_rank="0"} 162.0\nsglang:token_usage{model_name="b"} 0.28\n'
SGLANG_QUEUE = b'sglang_num_queue_reqs{model_name="b"} 2826.0\n'


@pytest.mark.parametrize(
    ("kind", "page", "load"),
    [
        (EngineKind.VLLM, VLLM_PAGE, Load(5, 1, 0.75)),
        (EngineKind.VLLM, b"", None),
        (EngineKind.SGLANG, SGLANG_PAGE, None),
        (EngineKind.SGLANG, SGLANG_PAGE + SGLANG_QUEUE, Load(162, 2826, 0.28)),
        (EngineKind.TGI, b"tgi_batch_current_size 4\ntgi_queue_size 9\n", Load(4, 9)),
        (EngineKind.LLAMA_CPP, b"llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n", Load(2, 1)),
    ],
)
def test_the_pages_of_engines_are_read(kind: EngineKind, page: bytes, load: Load | None) -> None:
    names = PROFILES[kind].load
    assert names is not None
    assert load_of(page, names) == load


@pytest.mark.parametrize("kind", sorted(TELLING))
def test_the_fake_writes_what_is_read(kind: EngineKind) -> None:
    names = PROFILES[kind].load
    assert names is not None
    assert load_of(metrics_page(TELLING[kind], "m", Gauges(7, 2, 100, 50)), names) == Load(7, 2)


def test_who_tells_nothing_has_no_page() -> None:
    silent = [kind for kind in EngineKind if PROFILES[kind].load is None]
    assert silent == [EngineKind.OLLAMA, EngineKind.OPENAI]
    assert not FLAVOURS["ollama"].metrics


def replica(kind: EngineKind, engine: FakeEngineProcess) -> Replica:
    return Replica(f"{kind}-0", "pool", kind, engine.address, ReplicaState.READY)


async def asked(engine: FakeEngineProcess, body: bytes) -> asyncio.StreamWriter:
    """A request that hangs in the engine until its writer is closed."""
    _, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return writer


async def test_what_is_another_is_told_once() -> None:
    """One engine runs a request and has one waiting, another tells nothing; then the first one dies."""
    heard: list[Mapping[str, Load]] = []
    with fake_engine(flavour="sglang", slots=1) as busy, fake_engine(flavour="ollama") as silent:
        replicas = replica(EngineKind.SGLANG, busy), replica(EngineKind.OLLAMA, silent)
        upstreams = Upstreams(asyncio.get_running_loop())
        watch = LoadWatch(upstreams, lambda: replicas, heard.append)
        await watch.look()
        assert heard == []
        body = b'{"messages":[{"role":"user","content":"@hang"}]}'
        writers = [await asked(busy, body) for _ in range(2)]
        async with asyncio.timeout(HEARD_S_MAX):
            while not heard or heard[-1]["sglang-0"] != Load(1, 1):
                await watch.look()
        told = len(heard)
        await watch.look()
        assert len(heard) == told
        assert watch.loads == {"sglang-0": Load(1, 1)}
        busy.kill()
        await watch.look()
        assert heard[-1] == {"sglang-0": Load(0, 0)}
        for writer in writers:
            writer.close()
        upstreams.close()


async def test_a_gateway_hears_it_whenever_it_comes(tmp_path: Path) -> None:
    """What was told before it came, and what is told while it is there."""

    async def grant(*_: object) -> LeaseAnswer:
        return LeaseAnswer(Money(0), ZERO)

    control = ControlLink(b"pepper", grant, lambda *_: None, lambda _: None)
    control.publish((), (), ())
    await control.start(bind_link(tmp_path / "control.sock"))
    control.tell_loads({"a": Load(2, 1), "b": Load(1, 0)})
    gateway = GatewayLink(tmp_path / "control.sock", "gw_1", lambda: 1, lambda _: None)
    heard: asyncio.Queue[Mapping[str, int]] = asyncio.Queue()
    gateway.on_loads = heard.put_nowait
    connecting = asyncio.ensure_future(gateway.client.keep_connected())
    async with asyncio.timeout(HEARD_S_MAX):
        assert await heard.get() == {"a": 3, "b": 1}
        control.tell_loads({"b": Load(4, 4)})
        assert await heard.get() == {"b": 8}
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    await gateway.client.hang_up()
    control.close()
