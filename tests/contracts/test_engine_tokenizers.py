"""Each kind's tokenizer is asked as it wants to be: a text without its marks, a chat with its template."""

import asyncio

import pytest

from parvis.adapters.engines.tokenizer import Tokenizer
from parvis.adapters.engines.upstream import Upstreams
from parvis.domain.fleet.replica import EngineKind
from parvis.testing.engine_servers import fake_bench
from parvis.testing.fake_engine.answers import SPECIAL_TOKENS
from parvis.testing.fake_engine.flavours import Flavour
from parvis.wire.chat_shapes import ChatBody, Message

FLAVOURS: dict[EngineKind, Flavour] = {
    EngineKind.LLAMA_CPP: "llamacpp",
    EngineKind.OLLAMA: "ollama",
    EngineKind.OPENAI: "plain",
    EngineKind.OPENVINO: "vllm",  # it asks and is asked alike
    EngineKind.SGLANG: "sglang",
    EngineKind.TGI: "tgi",
    EngineKind.VLLM: "vllm",
}
CHAT = ChatBody("m", [Message("system", "Be brief."), Message("user", "one two three")])
SILENT_ON_TEXTS = {EngineKind.OLLAMA}
SILENT_ON_CHATS = {EngineKind.OLLAMA, EngineKind.OPENAI}


@pytest.mark.parametrize("kind", sorted(FLAVOURS))
async def test_a_tokenizer_is_asked_in_its_own_way(kind: EngineKind) -> None:
    upstreams = Upstreams(asyncio.get_running_loop())
    with fake_bench(kind, FLAVOURS[kind]) as bench:
        tokenizer, engine_model = Tokenizer(upstreams), bench.model.engine_model
        text = await tokenizer.count(bench.replica, engine_model, "one two three")
        chat = await tokenizer.count_chat(bench.replica, engine_model, CHAT)
    upstreams.close()
    assert text == (None if kind in SILENT_ON_TEXTS else 3)
    assert chat == (None if kind in SILENT_ON_CHATS else 5 + SPECIAL_TOKENS)
