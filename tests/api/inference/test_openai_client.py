"""The official OpenAI client as a caller: what works with api.openai.com works here."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from parvis.adapters.store.store import SqlStore

CHAT, EMBED, OTHER = "smollm2-135m-instruct", "all-minilm-l6-v2", "other-8b"
ANSWER_S_MAX = 30.0
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    """What an answer is parsed into."""

    name: str
    age: int


@pytest.fixture
def client(house: Any) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=house.service.base_url, api_key=house.key, timeout=ANSWER_S_MAX) as client:
        yield client


@pytest.fixture
async def caller(house: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    base_url, key = house.service.base_url, house.key
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, timeout=ANSWER_S_MAX) as client:
        yield client


def say(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


# ------------------------------------------------------------------------------------------------- answers


def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=say("@tokens=5 Hello."))
    assert answer.model == CHAT
    assert answer.id.startswith("chatcmpl-")
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.completion_tokens == 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5
    assert answer.usage.prompt_tokens_details
    assert answer.usage.completion_tokens_details
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_an_alias_is_answered_under_the_catalogues_name(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="default", messages=say("Hello.")).model == CHAT


def test_a_chat_is_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=CHAT, messages=say("@tokens=50 Hello.")).choices[0].message.content
    chunks = list(client.chat.completions.create(model=CHAT, messages=say("@tokens=50 Hello."), stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_comes_last_in_a_stream(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(
        model=CHAT, messages=say("@tokens=9 @reason=4 Hello."), stream=True, stream_options=options
    )
    *chunks, last = list(stream)
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == []
    assert last.usage
    assert last.usage.completion_tokens == 13
    assert last.usage.completion_tokens_details
    assert last.usage.completion_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize("split", [1, 7])
def test_letters_that_are_split_between_chunks_arrive_whole(client: openai.OpenAI, split: int) -> None:
    """The fake's words are full of letters of two to four bytes; here every write of the engine is cut."""
    whole = client.chat.completions.create(model=CHAT, messages=say("@tokens=60 Ça va ?")).choices[0].message.content
    text = f"@tokens=60 @split={split} Ça va ?"
    chunks = client.chat.completions.create(model=CHAT, messages=say(text), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert whole
    assert not whole.isascii()


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=say("@tool Weather?"), tools=[TOOL], tool_choice="required"
    )
    message = answer.choices[0].message
    assert message.content is None
    assert message.tool_calls
    call = message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "weather"
    assert "city" in json.loads(call.function.arguments)
    told: ChatCompletionMessageParam = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    echoed: Any = message.model_dump()
    again = client.chat.completions.create(model=CHAT, messages=[*say("Weather?"), echoed, told], tools=[TOOL])
    assert again.choices[0].message.content


def test_a_call_is_streamed_in_fragments(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=CHAT, messages=say("@tool Weather?"), tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls
    assert "city" in json.loads(final.choices[0].message.tool_calls[0].function.arguments)


def test_an_answer_is_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model=CHAT, messages=say("@json A person."), response_format=Person)
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_several_choices_come_back(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=say("@tokens=3 Hello."), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage
    assert answer.usage.completion_tokens == 9


def test_a_completion_is_answered(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=CHAT, prompt="@tokens=40 Once upon a time")
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage
    assert answer.usage.completion_tokens == 16  # what the protocol says where nothing is said


def test_texts_are_embedded(client: openai.OpenAI) -> None:
    packed = client.embeddings.create(model=EMBED, input=["one", "two"])  # asks for base64 by itself
    plain = client.embeddings.create(model=EMBED, input=["one", "two"], encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.usage.total_tokens == packed.usage.prompt_tokens > 0


def test_models_are_listed(client: openai.OpenAI) -> None:
    page = client.models.list()
    assert [model.id for model in page] == sorted([CHAT, EMBED, OTHER])
    assert {model.object for model in page} == {"model"}
    assert client.models.retrieve(CHAT).id == CHAT
    assert client.models.retrieve("default").id == CHAT


async def test_async_callers_are_answered_side_by_side(caller: openai.AsyncOpenAI) -> None:
    async def ask(number: int) -> str:
        text = f"@tokens={number} Hello."
        if number % 2:
            answer = await caller.chat.completions.create(model=CHAT, messages=say(text))
            return answer.choices[0].message.content or ""
        stream = await caller.chat.completions.create(model=CHAT, messages=say(text), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    answers = await asyncio.gather(*(ask(number) for number in range(1, 41)))
    assert [answer.count(" ") for answer in answers] == list(range(1, 41))


async def test_an_async_answer_is_parsed(caller: openai.AsyncOpenAI) -> None:
    answer = await caller.chat.completions.parse(model=CHAT, messages=say("@json A person."), response_format=Person)
    assert isinstance(answer.choices[0].message.parsed, Person)


async def test_a_caller_may_leave_a_stream(caller: openai.AsyncOpenAI, house: Any) -> None:
    house.engine.reset()
    text = "@tokens=5000 @gap_ms=5 Hello."
    async with await caller.chat.completions.create(model=CHAT, messages=say(text), stream=True) as stream:
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
    [record] = house.engine.ended(count=1)
    assert record.cancelled


# ------------------------------------------------------------------------------------------------ failures


class Counted(openai.DefaultHttpxClient):
    """Counts what really leaves: the official client repeats some failures by itself."""

    sent = 0

    def send(self, *args: Any, **more: Any) -> Any:
        self.sent += 1
        return super().send(*args, **more)


@pytest.fixture
def counted() -> Iterator[Counted]:
    with Counted(timeout=ANSWER_S_MAX, trust_env=False) as http:
        yield http


def test_a_wrong_key_is_an_authentication_error(client: openai.OpenAI, counted: Counted) -> None:
    stranger = client.with_options(api_key="sk-parvis_0000000000000000_x_y", http_client=counted)
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model=CHAT, messages=say("Hello."))
    assert refused.value.code == "invalid_api_key"
    assert refused.value.request_id
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert counted.sent == 1


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="nobody", messages=say("Hello."))
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("nobody")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"n": 100}, "invalid_value", "n"),
        ({"temperature": 3}, "invalid_value", "temperature"),
        ({"max_tokens": 10**6}, "invalid_value", "max_tokens"),
        ({"extra_body": {"nonsense": 1}}, "unknown_parameter", "nonsense"),
        ({"extra_body": {"reasoning_format": "none"}}, "unknown_parameter", "reasoning_format"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "b"}}},
            "invalid_value",
            "tool_choice",
        ),
        ({"messages": []}, "invalid_value", "messages"),
        ({"model": EMBED}, "unsupported_parameter", "model"),
        ({"model": OTHER, "tools": [TOOL]}, "unsupported_parameter", "model"),
    ],
)
def test_a_bad_request_names_what_is_wrong(
    client: openai.OpenAI, fields: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": CHAT, "messages": say("Hello."), **fields})
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.type == "invalid_request_error"


def test_an_embedding_that_cannot_be_made_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=EMBED, input="one", dimensions=7)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "dimensions")
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=EMBED, input=[[1, 2, 3]])
    assert "check_embedding_ctx_length=False" in str(refused.value)


def test_an_engine_that_fails_is_a_server_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        client.with_options(max_retries=0).chat.completions.create(model=CHAT, messages=say("@status=500 Hello."))
    assert failed.value.type == "server_error"


def test_an_engine_that_is_busy_is_asked_again_by_the_client(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        client.with_options(max_retries=0).chat.completions.create(model=CHAT, messages=say("@status=503 Hello."))
    assert failed.value.status_code == 503
    assert failed.value.type == "service_unavailable_error"
    assert 0 < int(failed.value.response.headers["retry-after"]) <= 60


def test_a_cut_stream_is_an_error_and_no_answer(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model=CHAT, messages=say("@tokens=9 @cut_after=4 Hello."), stream=True)
    with pytest.raises(openai.APIError) as failed:
        list(stream)
    assert failed.value.type == "server_error"
    assert failed.value.code == "engine_error"


async def test_a_tenant_without_credit_is_told_once(house: Any, counted: Counted) -> None:
    store = SqlStore(f"sqlite:///{house.service.home / 'parvis.sqlite'}")
    await store.open()
    [first, *_] = await store.tenants()
    await store.create_tenant("poor", first.organisation_id, "Poor", credit_unlimited=False)
    await store.close()
    made = house.service.operator.post("/v1/keys", json={"name": "poor", "tenant_id": "poor", "models": ["*"]})
    with openai.OpenAI(base_url=house.service.base_url, api_key=made.json()["key"], http_client=counted) as poor:
        with pytest.raises(openai.RateLimitError) as refused:
            await asyncio.to_thread(poor.chat.completions.create, model=CHAT, messages=say("Hello."))
        assert refused.value.code == "insufficient_quota"
        assert refused.value.type == "insufficient_quota"
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert counted.sent == 1
        assert [model.id for model in poor.models.list()] == sorted([CHAT, EMBED, OTHER])
