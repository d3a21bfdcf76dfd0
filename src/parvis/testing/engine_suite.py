"""What every engine promises, as functions that take an `Engine` (`parvis.flows.ports`) and a server on the bench.

`PROMISES` are for engines that generate (and so is `counting_suite`), `LAST_PROMISES` end their server;
`embedding_suite` is for those that embed.
`GAPS` tells what a kind of engine cannot do, and why; a test expects those promises to be broken.
"""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from itertools import pairwise
from typing import Any

import pytest

from parvis.core.errors import BadRequest, EngineBroke, EngineUnavailable, Failure
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Engine
from parvis.testing.engine_bench import Bench, Client, Heard, Json, ask, choices, chunks, elsewhere, text_of

Promise = Callable[[Engine, Bench], Coroutine[Any, Any, None]]
Gaps = Mapping[Promise, str]
"""Promises that something cannot keep, each with its reason."""
USAGE = {"include_usage": True}
CITY = {"type": "string", "enum": ["Paris", "Rome"]}
PARAMETERS = {"type": "object", "properties": {"city": CITY}, "required": ["city"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tell it.", "parameters": PARAMETERS}}
NAMED = {"type": "function", "function": {"name": "weather"}}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
ENDLESS_TOKENS = 1_500
"""More than any server here computes while a promise waits."""
NOWHERE = "http://127.0.0.1:1"


def is_counted(heard: Heard) -> None:
    """The usage that the caller reads is the one that is billed, and its classes do not overlap."""
    tokens = heard.delivery.tokens
    told = (heard.body if heard.data == b"" else heard.usage_chunk)["usage"]
    assert min(tokens) >= 0
    assert told["prompt_tokens"] == tokens.input + tokens.cached > 0
    assert told["completion_tokens"] == tokens.output + tokens.reasoning > 0
    assert told["total_tokens"] == tokens.total
    assert told["prompt_tokens_details"]["cached_tokens"] == tokens.cached
    assert told["completion_tokens_details"]["reasoning_tokens"] == tokens.reasoning
    assert not heard.delivery.estimated


# ------------------------------------------------------------------------------------------------- answers


async def a_chat_is_answered_whole(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.short)
    heard = await ask(engine, job)
    assert heard.data == b""
    assert heard.delivery.outcome is Outcome.COMPLETED
    assert heard.body["object"] == "chat.completion"
    assert heard.body["id"] == "chatcmpl-" + job.request.request_id.removeprefix("req_")
    assert heard.body["model"] == bench.model.id
    [choice] = heard.body["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] in {"stop", "length"}
    is_counted(heard)


async def a_whole_choice_has_every_key(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.short))
    [choice] = heard.body["choices"]
    assert choice.keys() >= {"index", "message", "logprobs", "finish_reason"}
    assert choice["logprobs"] is None


async def a_chat_is_streamed(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.short, stream=True)
    heard = await ask(engine, job)
    told = heard.chunks
    assert {chunk["object"] for chunk in told} == {"chat.completion.chunk"}
    assert {chunk["id"] for chunk in told} == {"chatcmpl-" + job.request.request_id.removeprefix("req_")}
    assert {chunk["model"] for chunk in told} == {bench.model.id}
    assert len({chunk["created"] for chunk in told}) == 1
    assert all("usage" not in chunk and "timings" not in chunk for chunk in told)
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert heard.text()
    reasons = [choice["finish_reason"] for choice in choices(told)]
    assert reasons[-1] in {"stop", "length"}
    assert set(reasons[:-1]) <= {None}
    assert heard.delivery.body == b""


async def usage_comes_last_when_asked_for(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.short, stream=True, stream_options=USAGE))
    assert all(chunk["usage"] is None for chunk in heard.chunks)
    last, first = heard.usage_chunk, heard.chunks[0]
    assert last["choices"] == []
    assert all(last[name] == first[name] for name in ("id", "object", "created", "model"))
    is_counted(heard)


async def a_completion_is_answered(engine: Engine, bench: Bench) -> None:
    whole = await ask(engine, bench.completion(bench.words.begin, temperature=0))
    assert whole.body["object"] == "text_completion"
    assert whole.body["choices"][0]["text"]
    is_counted(whole)
    streamed = await ask(engine, bench.completion(bench.words.begin, temperature=0, stream=True, stream_options=USAGE))
    assert {chunk["object"] for chunk in streamed.chunks} == {"text_completion"}
    assert {choice["finish_reason"] for choice in choices(streamed.chunks)[:-1]} == {None}
    assert streamed.text()
    is_counted(streamed)


async def several_prompts_are_answered(engine: Engine, bench: Bench) -> None:
    prompts = [bench.words.begin, bench.words.begin + " little"]
    job = bench.completion(prompts, stream=True, stream_options=USAGE, temperature=0, output_tokens_max=4)
    heard = await ask(engine, job)
    assert all(heard.text(index) for index in (0, 1))
    assert 2 <= heard.delivery.tokens.completion_total <= 8
    is_counted(heard)


async def choices_are_streamed_side_by_side(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.long, n=2, stream=True, stream_options=USAGE, output_tokens_max=6)
    heard = await ask(engine, job)
    for index in (0, 1):
        parts = choices(heard.chunks, index)
        assert parts[0]["delta"]["role"] == "assistant"
        assert parts[-1]["finish_reason"] == "length"
        assert heard.text(index)
    assert heard.delivery.tokens.completion_total == 12
    is_counted(heard)


async def choices_are_counted_together(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.long, n=2, output_tokens_max=6))
    assert [choice["index"] for choice in heard.body["choices"]] == [0, 1]
    assert heard.delivery.tokens.completion_total == 12
    is_counted(heard)


async def the_limit_ends_an_answer(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.long, output_tokens_max=5))
    assert heard.body["choices"][0]["finish_reason"] == "length"
    assert heard.delivery.tokens.completion_total == 5


async def a_stop_text_ends_an_answer(engine: Engine, bench: Bench) -> None:
    free = (await ask(engine, bench.chat(bench.words.long, temperature=0))).body["choices"][0]["message"]["content"]
    stop = free.split()[4]
    heard = await ask(engine, bench.chat(bench.words.long, temperature=0, stop=[stop]))
    [choice] = heard.body["choices"]
    assert stop not in choice["message"]["content"]
    assert choice["finish_reason"] == "stop"


async def a_seed_repeats_an_answer(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.long, seed=7, temperature=1.0, stream=True)
    await ask(engine, job)  # from here on, the prompt comes from the cache each time
    assert (await ask(engine, job)).text() == (await ask(engine, job)).text()


async def log_probabilities_are_told(engine: Engine, bench: Bench) -> None:
    alone = (await ask(engine, bench.chat(bench.words.short, logprobs=True))).body["choices"][0]["logprobs"]
    assert all(token["logprob"] <= 0 for token in alone["content"])
    fields: Json = {"logprobs": True, "top_logprobs": 2}
    whole = (await ask(engine, bench.chat(bench.words.short, **fields))).body["choices"][0]["logprobs"]["content"]
    streamed = await ask(engine, bench.chat(bench.words.short, stream=True, **fields))
    parts = [choice["logprobs"] for choice in choices(streamed.chunks) if choice.get("logprobs")]
    for told in (whole, [token for part in parts for token in part["content"]]):
        assert told
        for token in told:
            assert token["logprob"] <= 0
            assert len(token["top_logprobs"]) == 2
            assert bytes(token["bytes"]).decode(errors="replace") == token["token"]


async def log_probabilities_are_told_beside_tools(engine: Engine, bench: Bench) -> None:
    for stream in (False, True):
        job = bench.chat(bench.words.short, tools=[TOOL], logprobs=True, stream=stream)
        heard = await ask(engine, job)
        parts = choices(heard.chunks) if stream else heard.body["choices"]
        tokens = [token for part in parts if part.get("logprobs") for token in part["logprobs"]["content"]]
        assert 0 < len(tokens) <= heard.delivery.tokens.completion_total
        text = heard.text() if stream else parts[0]["message"]["content"]
        if text.isascii():  # llama.cpp tells nothing of tokens that are parts of a letter
            assert b"".join(bytes(token["bytes"]) for token in tokens).decode() == text


async def reasoning_is_told_beside_tools(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.reason, tools=[TOOL], stream=True))
    deltas = [choice["delta"] for choice in choices(heard.chunks)]
    assert sum(bool(delta.get("reasoning_content") or delta.get("reasoning")) for delta in deltas) == 5
    assert deltas[0]["role"] == "assistant"
    assert (heard.delivery.tokens.reasoning, heard.delivery.tokens.output) == (5, 7)


async def roles_and_parts_are_understood(engine: Engine, bench: Bench) -> None:
    parts = [{"type": "text", "text": bench.words.short}, {"type": "text", "text": " Please."}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    heard = await ask(engine, bench.chat("", messages=messages))
    assert heard.body["choices"][0]["message"]["content"]


async def reasoning_is_counted_apart(engine: Engine, bench: Bench) -> None:
    both: tuple[Json, ...] = ({}, {"stream": True, "stream_options": USAGE})
    for fields in both:
        heard = await ask(engine, bench.chat(bench.words.reason, **fields))
        assert (heard.delivery.tokens.reasoning, heard.delivery.tokens.output) == (5, 7)
        is_counted(heard)


# --------------------------------------------------------------------------------------------------- tools


def is_a_call(message: Json) -> None:
    [call] = message["tool_calls"]
    assert call["type"] == "function"
    assert call["id"]
    assert call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"])["city"] in CITY["enum"]
    assert message["content"] is None


async def a_named_tool_is_called(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.call, tools=[TOOL], tool_choice=NAMED, output_tokens_max=60))
    [choice] = heard.body["choices"]
    is_a_call(choice["message"])
    assert choice["finish_reason"] == "tool_calls"
    is_counted(heard)


async def a_required_call_is_streamed(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.call, tools=[TOOL], tool_choice="required", stream=True, output_tokens_max=60)
    told = choices((await ask(engine, job)).chunks)
    assert told[0]["delta"]["role"] == "assistant"
    parts = [part for choice in told for part in choice["delta"].get("tool_calls") or ()]
    assert {part["index"] for part in parts} == {0}
    assert parts[0]["function"]["name"] == "weather"
    arguments = "".join(part["function"].get("arguments") or "" for part in parts)
    is_a_call({"content": None, "tool_calls": [{**parts[0], "function": {"name": "weather", "arguments": arguments}}]})
    assert told[-1]["finish_reason"] == "tool_calls"
    assert not any(choice["delta"].get("content") for choice in told)


async def a_free_choice_gives_text_or_a_call(engine: Engine, bench: Bench) -> None:
    heard = await ask(engine, bench.chat(bench.words.short, tools=[TOOL], tool_choice="auto"))
    [choice] = heard.body["choices"]
    assert choice["message"]["content"] or choice["message"]["tool_calls"]
    assert (choice["finish_reason"] == "tool_calls") == bool(choice["message"].get("tool_calls"))


async def a_tools_answer_is_read(engine: Engine, bench: Bench) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
    messages = [
        {"role": "user", "content": bench.words.short},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
    ]
    heard = await ask(engine, bench.chat("", messages=messages, tools=[TOOL]))
    assert heard.delivery.outcome is Outcome.COMPLETED
    assert heard.body["choices"][0]["finish_reason"]


async def a_schema_is_kept(engine: Engine, bench: Bench) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    heard = await ask(engine, bench.chat(bench.words.form, response_format=wanted, output_tokens_max=80))
    person = json.loads(heard.body["choices"][0]["message"]["content"])
    assert person.keys() == {"name", "age"}
    assert isinstance(person["name"], str)
    assert isinstance(person["age"], int)


# ------------------------------------------------------------------------------------------------ counting


async def the_running_count_is_exact(engine: Engine, bench: Bench) -> None:
    """At every event the count is that of the text before it: what a cut at this place would cost."""
    heard = await ask(engine, bench.chat(bench.words.long, stream=True, stream_options=USAGE))
    assert len(heard.counts) > 4
    assert all(early.completion_total <= late.completion_total for (_, early), (_, late) in pairwise(heard.counts))
    for size, tokens in heard.counts:
        text = text_of(chunks(heard.data[:size]))
        if text:
            assert tokens.prompt_total == heard.delivery.tokens.prompt_total
        if bench.count is not None:
            assert tokens.completion_total == bench.count(text)
    # The token that ends a text has no event of its own.
    assert 0 <= heard.delivery.tokens.completion_total - heard.counts[-2][1].completion_total <= 1


async def a_pause_holds_the_stream(engine: Engine, bench: Bench) -> None:
    client = Client()
    listening = asyncio.create_task(client.listen(engine, bench.chat(bench.words.long, stream=True)))
    await client.hears(2)
    assert client.flow is not None
    client.flow.pause()
    before = client.data
    await asyncio.sleep(0.2)
    assert client.data == before
    client.flow.resume()
    heard = await listening
    assert heard.delivery.outcome is Outcome.COMPLETED
    assert heard.data.startswith(before)
    assert choices(heard.chunks)[-1]["finish_reason"]


async def a_slow_client_holds_up_nobody_after_it(engine: Engine, bench: Bench) -> None:
    """Its last pause falls together with the end of its answer, whose connection then serves somebody else."""
    for _ in range(3):
        heard = await Client(pause_s=0.01).listen(engine, bench.chat(bench.words.merged, stream=True))
        assert heard.delivery.outcome is Outcome.COMPLETED


# ----------------------------------------------------------------------------------------------- refusals


async def too_much_text_is_named_so(engine: Engine, bench: Bench) -> None:
    for stream in (False, True):
        with pytest.raises(BadRequest) as refused:
            await ask(engine, bench.chat("word " * bench.model.context_tokens, stream=stream))
        assert refused.value.code == "context_length_exceeded"
        assert str(bench.model.context_tokens) in str(refused.value)


async def a_status_keeps_its_meaning(engine: Engine, bench: Bench) -> None:
    meanings: dict[int, type[Failure]] = {
        400: BadRequest,
        422: BadRequest,
        429: EngineUnavailable,
        500: EngineBroke,
        503: EngineUnavailable,
    }
    for status, failure in meanings.items():
        for fields in ({}, {"stream": True}):
            with pytest.raises(failure) as refused:
                await ask(engine, bench.chat(bench.words.status.format(status), **fields))
            assert "fake" not in str(refused.value)


async def an_engine_that_is_not_there_is_unavailable(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.short)
    with pytest.raises(EngineUnavailable):
        await ask(engine, elsewhere(job, NOWHERE))


# --------------------------------------------------------------------------------------------------- ends


async def a_client_that_leaves_frees_the_engine(engine: Engine, bench: Bench) -> None:
    client = Client()
    job = bench.chat(bench.words.long, stream=True, output_tokens_max=ENDLESS_TOKENS, **bench.words.endless)
    listening = asyncio.create_task(client.listen(engine, job))
    await client.hears(3)
    assert client.flow is not None
    client.flow.cancel()
    heard = await listening
    assert heard.delivery.outcome is Outcome.CLIENT_LEFT
    assert 0 < heard.delivery.tokens.completion_total < ENDLESS_TOKENS
    await bench.free()


async def a_client_that_waits_and_leaves_frees_the_engine(engine: Engine, bench: Bench) -> None:
    client = Client()
    job = bench.chat(bench.words.long, output_tokens_max=ENDLESS_TOKENS, **bench.words.endless)
    listening = asyncio.create_task(client.listen(engine, job))
    flow = await client.is_attached()
    while not await asyncio.to_thread(bench.running):
        assert not listening.done()
    flow.cancel()
    heard = await listening
    assert heard.delivery.outcome is Outcome.CLIENT_LEFT
    assert heard.delivery.tokens.total == 0
    await bench.free()


async def an_engine_that_dies_breaks_the_stream(engine: Engine, bench: Bench) -> None:
    client = Client()
    job = bench.chat(bench.words.long, stream=True, output_tokens_max=ENDLESS_TOKENS, **bench.words.endless)
    listening = asyncio.create_task(client.listen(engine, job))
    await client.hears(5)
    bench.kill()
    heard = await listening
    tokens = heard.delivery.tokens
    assert heard.delivery.outcome is Outcome.ENGINE_BROKE
    assert tokens.completion_total > 0
    assert tokens.prompt_total > 0
    if bench.count is not None:
        assert tokens.completion_total == bench.count(heard.text())
    with pytest.raises(EngineUnavailable):
        await ask(engine, bench.chat(bench.words.short))


async def an_engine_that_dies_early_is_unavailable(engine: Engine, bench: Bench) -> None:
    job = bench.chat(bench.words.long, output_tokens_max=ENDLESS_TOKENS, **bench.words.endless)
    listening = asyncio.create_task(ask(engine, job))
    while not await asyncio.to_thread(bench.running):
        assert not listening.done()
    bench.kill()
    try:
        heard = await listening
    except (EngineUnavailable, EngineBroke):
        return
    # Where the engine is made to stream, its first event may be there: nothing of it has left for the client.
    assert heard.delivery.outcome is Outcome.ENGINE_BROKE
    assert heard.delivery.tokens.total == 0


PROMISES: tuple[Promise, ...] = (
    a_chat_is_answered_whole,
    a_whole_choice_has_every_key,
    a_chat_is_streamed,
    usage_comes_last_when_asked_for,
    a_completion_is_answered,
    several_prompts_are_answered,
    choices_are_streamed_side_by_side,
    choices_are_counted_together,
    the_limit_ends_an_answer,
    a_stop_text_ends_an_answer,
    a_seed_repeats_an_answer,
    log_probabilities_are_told,
    log_probabilities_are_told_beside_tools,
    roles_and_parts_are_understood,
    reasoning_is_counted_apart,
    reasoning_is_told_beside_tools,
    a_named_tool_is_called,
    a_required_call_is_streamed,
    a_free_choice_gives_text_or_a_call,
    a_tools_answer_is_read,
    a_schema_is_kept,
    the_running_count_is_exact,
    a_pause_holds_the_stream,
    a_slow_client_holds_up_nobody_after_it,
    too_much_text_is_named_so,
    a_status_keeps_its_meaning,
    an_engine_that_is_not_there_is_unavailable,
    a_client_that_leaves_frees_the_engine,
    a_client_that_waits_and_leaves_frees_the_engine,
)
LAST_PROMISES: tuple[Promise, ...] = (an_engine_that_dies_breaks_the_stream, an_engine_that_dies_early_is_unavailable)
GAPS: Mapping[EngineKind, Gaps] = {
    EngineKind.LLAMA_CPP: {},
    EngineKind.VLLM: {},
    EngineKind.SGLANG: {},
    EngineKind.TGI: {},
    EngineKind.OLLAMA: {},
    EngineKind.OPENAI: {
        the_running_count_is_exact: "the protocol has no running count: until its end, a stream's prompt is unknown",
    },
}
