"""Thousands of good requests with something wrong in them: each is answered, and none breaks anything."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from parvis.testing.raw_http import Json, request, responses, said

CHAT, EMBED = "smollm2-135m-instruct", "all-minilm-l6-v2"
BODIES, HEADS = 3500, 1500
SIDE_BY_SIDE = 32
ANSWER_S_MAX = 20.0
SILENCE_S_MAX = 0.25
"""Half a request is rightly not answered: after this long it is left alone."""
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}}
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Où est la gare ?"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "42"},
]
GOOD: tuple[tuple[str, Json], ...] = (
    (
        "/v1/chat/completions",
        {
            "model": CHAT,
            "messages": MESSAGES,
            "tools": [TOOL],
            "tool_choice": "auto",
            "temperature": 0.5,
            "n": 2,
            "max_tokens": 8,
            "stop": ["x"],
            "logprobs": True,
            "top_logprobs": 2,
            "logit_bias": {"5": 1},
            "seed": 1,
            "user": "u",
        },
    ),
    (
        "/v1/chat/completions",
        {
            "model": CHAT,
            "messages": MESSAGES[:2],
            "stream": True,
            "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        },
    ),
    ("/v1/completions", {"model": CHAT, "prompt": ["one", "two"], "max_tokens": 4, "stream": False}),
    ("/v1/embeddings", {"model": EMBED, "input": ["one", "two"], "encoding_format": "base64"}),
)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, -(2**63), 2**64, 10**400, 0.1, -0.0, 1e308, "", "x", "é🙂\u0000", "x" * 10_000,
    [], [[]], [None], {}, {"": ""}, {"a": {"a": {}}}, [{}] * 50, {"type": "text"}, "@", "<|im_end|>", "../..",
)  # fmt: skip
Path = tuple[Any, ...]


def places(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def changed(dice: random.Random, body: Json) -> Json:
    """One place of the body is something odd, or gone, or has a brother."""
    fresh: Json = json.loads(json.dumps(body))
    *way, last = dice.choice(places(fresh)[1:])
    holder: Any = fresh
    for step in way:
        holder = holder[step]
    match dice.randrange(3):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder[dice.choice(["x", "", last + "_", "stream", "n", "$ref"])] = dice.choice(ODD)
        case _:
            holder[last] = dice.choice(ODD)
    return fresh


def damaged(dice: random.Random, data: bytes) -> bytes:
    """Some bytes are flipped, cut out, doubled or put in."""
    damaged = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        start = dice.randrange(len(damaged) + 1)
        end = min(start + dice.choice((1, 1, 1, 2, 8, 64)), len(damaged))
        junk = dice.choice((b"\r\n", b"\n", b"\x00", b"\xff", b" ", b":", b"[", b"{", b'"', b"\\", b"0", b"\r\n\r\n"))
        piece = damaged[start:end]
        damaged[start:end] = dice.choice((b"", junk, piece * 2, piece + junk, bytes(255 - byte for byte in piece)))
    return bytes(damaged)


def a_body(dice: random.Random, key: str) -> bytes:
    """A request that is good HTTP around a bad body."""
    path, body = dice.choice(GOOD)
    for _ in range(dice.randint(1, 2)):
        body = changed(dice, body)
    content = json.dumps(body, ensure_ascii=dice.random() < 0.5).encode()
    if dice.random() < 0.3:
        content = damaged(dice, content)
    return request("POST", path, "Connection: close", body=content or b" ", key=key)


def a_head(dice: random.Random, key: str) -> bytes:
    """A request whose bytes were hit anywhere."""
    path, body = dice.choice(GOOD)
    return damaged(dice, request("POST", path, "Connection: close", body=json.dumps(body).encode(), key=key))


async def answer_to(port: int, data: bytes, silence_s_max: float) -> bytes:
    """All that comes until the server closes, or until it has been silent for too long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        with suppress(ConnectionError):
            writer.write(data)
            while piece := await asyncio.wait_for(reader.read(1 << 16), silence_s_max):
                received += piece
    except TimeoutError:
        received += b"" if received else b"SILENCE"
    finally:
        writer.transport.abort()
    return received


async def ask_all(port: int, requests: list[bytes], silence_s_max: float) -> list[bytes]:
    side_by_side = asyncio.Semaphore(SIDE_BY_SIDE)

    async def ask(data: bytes) -> bytes:
        async with side_by_side:
            return await answer_to(port, data, silence_s_max)

    return await asyncio.gather(*(ask(data) for data in requests))


def made(make: Callable[[random.Random, str], bytes], count: int, key: str) -> list[bytes]:
    dice = random.Random(f"{make.__name__} {count}")
    return [make(dice, key) for _ in range(count)]


def statuses(answers: list[bytes]) -> Counter[int]:
    """Of all answers, each of which is as the protocol wants it. What was hit may have become two requests."""
    found = [answer for data in answers for answer in responses(data)]
    for answer in found:
        assert answer.status < 500, answer
        if answer.status >= 400:
            assert answer.error["code"], answer
            assert answer.error["message"], answer
        assert "x-request-id" in answer.headers
    return Counter(answer.status for answer in found)


@pytest.mark.timeout(300)
async def test_bad_bodies(house: Any) -> None:
    answers = await ask_all(house.port, made(a_body, BODIES, house.key), ANSWER_S_MAX)
    assert len(answers) == BODIES
    told = statuses(answers)
    assert told[200] > BODIES / 20
    assert told[400] > BODIES / 4


@pytest.mark.timeout(300)
async def test_bad_heads(house: Any) -> None:
    answers = await ask_all(house.port, made(a_head, HEADS, house.key), SILENCE_S_MAX)
    told = [answer for answer in answers if answer != b"SILENCE"]
    assert len(told) > HEADS / 2
    assert statuses(told)[400] > HEADS / 10


def test_afterwards_all_is_well(house: Any) -> None:
    [answer] = responses(said(house.port, request("GET", "/v1/models", "Connection: close", key=house.key)))
    assert answer.status == 200
    assert house.service.usage_rows() is not None
    assert house.service.check() == []
    assert "bug" not in house.service.complained()
