"""`POST /v1/estimate`: by a key or by a person, of a chat or of texts."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from parvis.api.console.app import make_app
from parvis.domain.catalog.model import Model
from parvis.wire.chat_shapes import ChatBody

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
BODY = {"model": CHAT, "messages": [{"role": "user", "content": "How are you?"}], "max_tokens": 100}


async def counted(model: Model, prompt: ChatBody | tuple[str, ...]) -> int | None:
    """A word is a token."""
    texts = prompt.texts() if isinstance(prompt, ChatBody) else prompt
    return sum(len(text.split()) for text in texts) if model.id == CHAT else None


@pytest.fixture
async def client(premises: Any, kit: Any) -> AsyncIterator[httpx.AsyncClient]:
    desk = replace(premises.console_desk(), count_prompt=counted)
    async with kit.client_of(make_app(desk), premises.first.text.reveal()) as client:
        yield client


async def test_a_chat_is_estimated_by_the_models_tokenizer(client: httpx.AsyncClient) -> None:
    found = (await client.post("/v1/estimate", json=BODY)).json()
    assert (found["model"], found["estimated"]) == (CHAT, False)
    assert found["tokens"] == {"input": 3, "output_max": 100}
    assert found["cost"]["least"]["pico_euro"] == 3 * 900_000
    assert found["cost"]["most"]["pico_euro"] == 3 * 900_000 + 100 * 21_000_000
    assert found["batch_cost"]["most"]["pico_euro"] * 2 == found["cost"]["most"]["pico_euro"]
    assert found["cost_by_class"]["output"]["pico_euro"] == 100 * 4_000_000


async def test_texts_without_a_model_find_the_cheapest(client: httpx.AsyncClient) -> None:
    found = (await client.post("/v1/estimate", json={"input": ["one two", "three"]})).json()
    assert (found["model"], found["estimated"]) == (EMBED, True)
    chat = (await client.post("/v1/estimate", json={"input": "one two", "capabilities": ["chat"]})).json()
    assert (chat["model"], chat["tokens"]["input"], chat["tokens"]["output_max"]) == (CHAT, 2, 4094)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_value"),
        ({**BODY, "input": "both"}, 400, "invalid_value"),
        ({**BODY, "nonsense": 1}, 400, "unknown_parameter"),
        ({"input": "text", "nonsense": 1}, 400, "unknown_parameter"),
        ({**BODY, "model": "nothing"}, 404, "model_not_found"),
        ({**BODY, "max_tokens": 5000}, 400, "model_does_not_fit"),
        ({**BODY, "model": EMBED}, 400, "model_does_not_fit"),
    ],
)
async def test_what_cannot_be_estimated_is_said(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str
) -> None:
    response = await client.post("/v1/estimate", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_a_key_estimates_its_own_models_only(premises: Any, kit: Any) -> None:
    desk = premises.console_desk()
    async with kit.client_of(make_app(desk), premises.other.text.reveal()) as other:
        assert (await other.post("/v1/estimate", json=BODY)).status_code == 404
        assert (await other.post("/v1/estimate", json={"model": EMBED, "input": "a"})).status_code == 200
