"""The events of a streamed answer. Pure.

What engines do here that OpenAI does not: vLLM's and SGLang's running usage counts one choice alone, vLLM's `length`
shares a chunk with the last token (TGI's every end does), and the error events of some are followed by `[DONE]`;
llama.cpp ends with timings, and a completion's usage shares the chunk of the finish reason, as TGI's does.
"""

from collections.abc import Iterator
from typing import NamedTuple

from parvis.testing.fake_engine.answers import Answer, Choice, Json
from parvis.testing.fake_engine.commands import Commands
from parvis.testing.fake_engine.shapes import (
    GARBAGE,
    TOLD_TO_FAIL,
    Shape,
    claimed,
    error_event_json,
    logprobs_of,
    running_claim,
    timings,
    usage,
)


class Event(NamedTuple):
    """One server-sent event as bytes, and how many tokens it carries."""

    data: bytes
    tokens: int = 0
    opening: bool = False
    """The role alone: it comes before the first token and no fault strikes before it."""


def events(shape: Shape, answer: Answer, orders: Commands) -> Iterator[Event]:
    """The stream of an answer, choices in turn, with the faults of `orders` that change what is said."""
    if shape.chat and shape.traits.opens and not orders.no_role:
        yield from (Event(_opening(shape, answer, choice), opening=True) for choice in answer.choices)
    longest = max((choice.tokens for choice in answer.choices), default=0)
    bundle = max(orders.bundle, 1)
    starts = range(0, longest, bundle)
    for turn, start in enumerate(starts):
        if turn == len(starts) // 2 and orders.garbage:
            yield _event(shape, GARBAGE + shape.quote)
        if turn == len(starts) // 2 and orders.error_event:
            yield _event(shape, error_event_json(shape.flavour, TOLD_TO_FAIL + shape.quote.decode()))
            break
        for choice in answer.choices:
            if choice.tool and start <= choice.reasoning < min(start + bundle, choice.tokens):
                yield Event(_call(shape, answer, choice, start))
            if start < choice.tokens:
                tokens = range(start, min(start + bundle, choice.tokens))
                yield _token_event(shape, answer, choice, tokens)
    else:
        yield from _ending(shape, answer, orders)
    if not orders.no_done and (shape.traits.done_after_error or not orders.error_event):
        yield _event(shape, b"[DONE]")


def _event(shape: Shape, data: bytes) -> Event:
    return Event(shape.traits.event_start + data + b"\n\n")


def _opening(shape: Shape, answer: Answer, choice: Choice) -> bytes:
    delta: Json = {"role": "assistant", "content": None if shape.flavour == "llamacpp" else ""}
    return shape.chunk([shape.delta(choice.number, delta, None)], **_running(shape, answer, choice, 0))


def _running(shape: Shape, answer: Answer, choice: Choice, done: int) -> Json:
    """What is counted so far, of this choice and its prompt alone: vLLM's usage, llama.cpp's timings."""
    if shape.timings_running and done:
        return {"timings": timings(shape, answer, choice, done)}
    if not shape.usage_running:
        return {}
    per_prompt = len(answer.choices) // len(answer.prompt_tokens)
    prompt = answer.prompt_tokens[choice.number // per_prompt]
    counted = running_claim(done, choice, shape.orders)
    told: Json = {"prompt_tokens": prompt, "total_tokens": prompt + counted, "completion_tokens": counted}
    if shape.flavour == "sglang":
        told |= {"prompt_tokens_details": None, "reasoning_tokens": 0}
    if shape.newer_vllm and shape.orders.says_none:
        told["completion_tokens_details"] = {"reasoning_tokens": 0}
    elif shape.newer_vllm and not (shape.orders.think or shape.orders.no_reasoning_usage):
        told["completion_tokens_details"] = {"reasoning_tokens": min(done, choice.reasoning)}
    return {"usage": claimed(told, shape.orders, "prompt_tokens", "completion_tokens")}


def _usage_of(answer: Answer, choice: Choice, orders: Commands) -> Json:
    """TGI's usage at the end of each completion: of its own prompt and answer."""
    prompt = answer.prompt_tokens[choice.number]
    made = choice.tokens if orders.wrong_usage is None else orders.wrong_usage
    told: Json = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}
    return claimed(told, orders, "prompt_tokens", "completion_tokens")


def _call(shape: Shape, answer: Answer, choice: Choice, done: int) -> bytes:
    """The chunk that opens a tool call: who is called; with what comes in fragments."""
    function = {"name": choice.tool, "arguments": ""}
    call = {"index": 0, "id": choice.call_id(), "type": "function", "function": function}
    delta = shape.delta(choice.number, {"tool_calls": [call]}, None)
    return shape.chunk([delta], **_running(shape, answer, choice, done))


def _token_event(shape: Shape, answer: Answer, choice: Choice, tokens: range) -> Event:
    """A chunk with these tokens of one choice."""
    texts: dict[str, str] = {}
    for part, text in map(choice.token, tokens):
        texts[part] = texts.get(part, "") + text
    delta: Json = {}
    if shape.traits.says_role == "always" or (shape.traits.says_role == "first" and not tokens.start):
        delta["role"] = "assistant"
    if "reasoning" in texts:
        delta[shape.reasoning_field] = texts["reasoning"]
    if "content" in texts:
        delta["content"] = texts["content"]
    if "arguments" in texts:
        delta["tool_calls"] = [{"index": 0, "function": {"arguments": texts["arguments"]}}]
    ends = tokens.stop == choice.tokens and _finishes_with_token(shape, choice)
    finish = shape.ending(choice, streamed=True) if ends else None
    written = shape.delta(choice.number, delta, finish, logprobs_of(shape, choice, tokens))
    extra = _running(shape, answer, choice, tokens.stop)
    if ends and shape.flavour == "tgi" and not shape.chat and not shape.orders.no_usage:
        extra = {"usage": _usage_of(answer, choice, shape.orders)}
    return Event(shape.chunk([written], **extra), len(tokens))


def _finishes_with_token(shape: Shape, choice: Choice) -> bool:
    """vLLM tells `length` with the last token, TGI every end; all others are chunks of their own."""
    return choice.tokens > 0 and (
        shape.flavour == "tgi" or (shape.flavour == "vllm" and choice.finish_reason == "length")
    )


def _ending(shape: Shape, answer: Answer, orders: Commands) -> Iterator[Event]:
    """The finish reason of each choice, then usage where the request asked for it."""
    llama = shape.flavour == "llamacpp"
    account: Json = {"usage": usage(shape, answer, orders)} if shape.usage_at_end else {}
    alone = shape.usage_at_end and (shape.chat or shape.flavour not in ("llamacpp", "tgi"))
    empty: Json = {"content": ""} if shape.flavour == "vllm" else {}
    for choice in answer.choices:
        if not _finishes_with_token(shape, choice):
            extra = _running(shape, answer, choice, choice.tokens)
            if llama and not alone:
                extra = account | {"timings": timings(shape, answer, choice, choice.tokens)}
            finish = shape.ending(choice, streamed=True)
            yield Event(shape.chunk([shape.delta(choice.number, empty, finish)], **extra))
    if alone and llama:
        last = answer.choices[-1]
        account["timings"] = timings(shape, answer, last, last.tokens)
    if alone:
        yield Event(shape.chunk([], **account))
