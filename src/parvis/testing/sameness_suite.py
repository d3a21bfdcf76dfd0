"""What every engine promises so that its callers cannot tell it from another one; see `engine_suite`.

Reasoning stands apart under one name, endings have the protocol's words, forms are kept, calls and their results are
understood, and what was cached is told.
"""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

from parvis.domain.catalog.model import Capability
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Engine
from parvis.testing.engine_bench import Bench, Client, Heard, Json, ask, choices
from parvis.testing.engine_suite import CITY, ENDLESS_TOKENS, TOOL, USAGE, Promise, is_counted

SUM = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
OTHER_TOOL = {"type": "function", "function": {"name": "sum", "description": "Add.", "parameters": SUM}}
BOTH: tuple[Json, ...] = ({}, {"stream": True, "stream_options": USAGE})


def thinker(bench: Bench, *, begun: bool = False) -> Bench:
    """The same, as a model that can reason."""
    able = (Capability.CHAT, Capability.REASONING)
    return replace(bench, model=replace(bench.model, capabilities=able, begins_in_reasoning=begun))


def read(heard: Heard) -> tuple[str, str]:
    """The reasoning and the answer, as a caller reads them: under one name, of a stream each before the other."""
    if heard.data == b"":
        [choice] = heard.body["choices"]
        said = choice["message"]
        assert "reasoning" not in said
        return said.get("reasoning_content") or "", said["content"] or ""
    deltas = [choice["delta"] for choice in choices(heard.chunks)]
    assert not any("reasoning" in delta for delta in deltas)
    order = [name for delta in deltas for name in ("reasoning_content", "content") if delta.get(name)]
    assert order == sorted(order, reverse=True)
    return tuple("".join(delta.get(name) or "" for delta in deltas) for name in ("reasoning_content", "content"))  # type: ignore[return-value]  # two


# ----------------------------------------------------------------------------------------------- reasoning


async def reasoning_has_one_name(engine: Engine, bench: Bench) -> None:
    texts = set()
    for fields in BOTH:
        heard = await ask(engine, thinker(bench).chat(bench.words.reason, **fields))
        texts.add(read(heard))
        assert (heard.delivery.tokens.reasoning, heard.delivery.tokens.output) == (5, 7)
        is_counted(heard)
    [(reasoning, answer)] = texts
    assert reasoning
    assert answer


async def a_model_that_reasons_tells_both_parts(engine: Engine, bench: Bench) -> None:
    """Whatever it says: this can be asked of any model that reasons."""
    for fields in BOTH:
        heard = await ask(engine, thinker(bench).chat(bench.words.reason, output_tokens_max=1_000, **fields))
        assert all(read(heard))
        assert heard.delivery.tokens.reasoning > 0
        assert heard.delivery.tokens.output > 0


async def reasoning_inside_the_text_is_read_apart(engine: Engine, bench: Bench) -> None:
    """Marks whole and in pieces, several tokens in an event, and a template that opened the reasoning itself."""
    assert bench.words.thinks
    for orders, begun, reasoning_tokens in bench.words.thinks:
        texts = set()
        for fields in BOTH:
            heard = await ask(engine, thinker(bench, begun=begun).chat(orders, **fields))
            texts.add(read(heard))
            assert heard.delivery.tokens.reasoning == reasoning_tokens, orders
            assert heard.delivery.tokens.completion_total == 12
            is_counted(heard)
        [(reasoning, answer)] = texts
        assert reasoning
        assert answer == answer.lstrip()
        assert "think>" not in reasoning + answer


async def reasoning_that_never_ends_is_no_answer(engine: Engine, bench: Bench) -> None:
    for fields in BOTH:
        heard = await ask(engine, thinker(bench).chat(bench.words.think, output_tokens_max=3, **fields))
        reasoning, answer = read(heard)
        assert reasoning
        assert answer == ""
        assert heard.delivery.tokens.reasoning == 3
        is_counted(heard)


async def reasoning_inside_the_text_leaves_calls_alone(engine: Engine, bench: Bench) -> None:
    for fields in BOTH:
        job = thinker(bench).chat(bench.words.think, tools=[TOOL], logprobs=True, **fields)
        heard = await ask(engine, job)
        reasoning, answer = read(heard)
        assert reasoning
        assert "think>" not in answer
        parts = choices(heard.chunks) if fields else heard.body["choices"]
        told = [token for part in parts if part.get("logprobs") for token in part["logprobs"]["content"]]
        assert len(told) == heard.delivery.tokens.completion_total
        assert parts[-1]["finish_reason"] == "stop"


# -------------------------------------------------------------------------------------- endings and caches


async def endings_have_the_protocols_words(engine: Engine, bench: Bench) -> None:
    for text, limit, words in ((bench.words.long, 4, {"length"}), (bench.words.short, 48, {"stop", "length"})):
        for fields in BOTH:
            jobs = (
                bench.chat(text, output_tokens_max=limit, **fields),
                bench.completion(bench.words.begin, output_tokens_max=limit, **fields),
            )
            for job in jobs:
                heard = await ask(engine, job)
                told = choices(heard.chunks) if fields else heard.body["choices"]
                assert told[-1]["finish_reason"] in words


async def a_repeated_prompt_is_told_as_cached(engine: Engine, bench: Bench) -> None:
    for fields in BOTH:
        job = bench.chat(bench.words.long, output_tokens_max=2, **fields)
        await ask(engine, job)
        heard = await ask(engine, job)
        assert 0 < heard.delivery.tokens.cached < heard.delivery.tokens.prompt_total
        is_counted(heard)


# ----------------------------------------------------------------------------------------- forms and tools


async def an_object_is_given(engine: Engine, bench: Bench) -> None:
    for fields in BOTH:
        wanted: Json = {"response_format": {"type": "json_object"}, "output_tokens_max": 100, "temperature": 0}
        heard = await ask(engine, bench.chat(bench.words.form, **wanted, **fields))
        text = heard.text() if fields else heard.body["choices"][0]["message"]["content"]
        assert text.lstrip().startswith("{")
        told = choices(heard.chunks) if fields else heard.body["choices"]
        if told[-1]["finish_reason"] == "stop":  # what is cut is no object
            assert isinstance(json.loads(text), dict)


async def one_of_several_tools_is_called(engine: Engine, bench: Bench) -> None:
    asked: Json = {"tools": [TOOL, OTHER_TOOL], "tool_choice": "required", "output_tokens_max": 80}
    for fields in BOTH:
        heard = await ask(engine, bench.chat(bench.words.call, **asked, **fields))
        told = choices(heard.chunks) if fields else heard.body["choices"]
        calls = [call for part in told for call in part["delta" if fields else "message"].get("tool_calls") or ()]
        name = calls[0]["function"]["name"]
        arguments = json.loads("".join(call["function"].get("arguments") or "" for call in calls))
        assert name in {"weather", "sum"}
        assert (arguments["city"] in CITY["enum"]) if name == "weather" else isinstance(arguments["a"], int)
        assert told[-1]["finish_reason"] == "tool_calls"


async def calls_and_their_results_are_read(engine: Engine, bench: Bench) -> None:
    """A conversation in which several were made at once, some beside a text."""
    calls = [_call("call_1", "weather", {"city": "Rome"}), _call("call_2", "sum", {"a": 2})]
    messages: list[Json] = [
        {"role": "user", "content": bench.words.short},
        {"role": "assistant", "content": "One moment.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny."},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "4"}]},
        {"role": "assistant", "content": None, "tool_calls": [_call("call_3", "sum", {"a": 3})]},
        {"role": "tool", "tool_call_id": "call_3", "content": "6"},
    ]
    for fields in BOTH:
        heard = await ask(engine, bench.chat("", messages=messages, tools=[TOOL, OTHER_TOOL], **fields))
        assert heard.delivery.outcome is Outcome.COMPLETED
        told = choices(heard.chunks) if fields else heard.body["choices"]
        assert told[-1]["finish_reason"]
        is_counted(heard)


def _call(name: str, function: str, arguments: Json) -> Json:
    return {"id": name, "type": "function", "function": {"name": function, "arguments": json.dumps(arguments)}}


# -------------------------------------------------------------------------------------------------- leaving


async def freed_after_ms(engine: Engine, bench: Bench, **fields: Any) -> float:
    """How long a server still computes whose only client has left, as far as its load page tells."""
    client = Client()
    job = bench.chat(bench.words.long, stream=True, output_tokens_max=ENDLESS_TOKENS, **bench.words.endless, **fields)
    listening = asyncio.create_task(client.listen(engine, job))
    await client.hears(4)
    assert client.flow is not None
    begin_s = time.perf_counter()
    client.flow.cancel()
    await bench.free()
    took_ms = (time.perf_counter() - begin_s) * 1000
    await listening
    return took_ms


SAMENESS_PROMISES: tuple[Promise, ...] = (
    reasoning_has_one_name,
    a_model_that_reasons_tells_both_parts,
    reasoning_inside_the_text_is_read_apart,
    reasoning_that_never_ends_is_no_answer,
    reasoning_inside_the_text_leaves_calls_alone,
    endings_have_the_protocols_words,
    a_repeated_prompt_is_told_as_cached,
    an_object_is_given,
    one_of_several_tools_is_called,
    calls_and_their_results_are_read,
)
