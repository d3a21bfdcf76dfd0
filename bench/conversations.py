"""Plays recorded conversations to a service, as the people would who had them, and notes each first token.

A turn is sent when the record says so, or when the answer before it is there, if that is later. What was answered is
part of the next prompt, as clients do it; so two runs differ by their answers' texts and by nothing else.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from engine import events

from parvis.domain.fleet.modelled_traffic import Call

PATIENCE_S = 60.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
Message = dict[str, str]


@dataclass(frozen=True)
class Turn:
    """What came of one call. `failure` is empty when its answer came whole."""

    at_ms: float
    first_token_ms: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Service:
    """Where to ask (an OpenAI base URL, http), as whom, for what."""

    base_url: str
    api_key: str
    model: str

    def request(self, messages: Sequence[Message], tokens_max: int) -> bytes:
        """A whole HTTP request for a stream that ends with its usage."""
        url = urlsplit(self.base_url)
        asked = {"model": self.model, "messages": messages, "max_tokens": tokens_max, "temperature": 0, "stream": True}
        body = json.dumps({**asked, "stream_options": {"include_usage": True}}).encode()
        head = (
            f"POST {url.path.rstrip('/')}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Authorization: Bearer {self.api_key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


def words(seed: str, tokens: int) -> str:
    """About so many tokens of text, the same for the same seed: words of three letters."""
    dice = random.Random(seed)
    return " ".join("".join(dice.choices(_LETTERS, k=3)) for _ in range(tokens))


def play(service: Service, calls: Iterable[Call]) -> list[Turn]:
    """All of them, in the order of the record."""
    conversations: dict[int, list[Call]] = {}
    for call in calls:
        conversations.setdefault(call.conversation, []).append(call)

    async def together() -> list[list[Turn]]:
        start_s = time.monotonic()
        return await asyncio.gather(*(_converse(service, turns, start_s) for turns in conversations.values()))

    return sorted((turn for turns in asyncio.run(together()) for turn in turns), key=lambda turn: turn.at_ms)


async def _converse(service: Service, calls: Sequence[Call], start_s: float) -> list[Turn]:
    """One conversation: it ends when an answer does not come, as the next turn would have nothing to go on from."""
    first = calls[0]
    messages: list[Message] = []
    if first.system_tokens:
        messages.append({"role": "system", "content": words(f"{first.tenant} {first.system}", first.system_tokens)})
    turns: list[Turn] = []
    said = first.system_tokens
    for number, call in enumerate(calls):
        text = words(f"{call.conversation} {number}", max(call.prompt_tokens - said, 1))
        messages.append({"role": "user", "content": text})
        said = call.prompt_tokens + call.output_tokens
        await asyncio.sleep(max(call.at_ms / 1000 - (time.monotonic() - start_s), 0))
        turn, answer = await _turn(service, messages, call)
        turns.append(turn)
        if turn.failure:
            break
        messages.append({"role": "assistant", "content": answer})
    return turns


async def _turn(service: Service, messages: Sequence[Message], call: Call) -> tuple[Turn, str]:
    url = urlsplit(service.base_url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            began_s = time.monotonic()
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            try:
                writer.write(service.request(messages, call.output_tokens))
                return await _read(reader, call, began_s)
            finally:
                writer.close()
    except (OSError, EOFError, ValueError, KeyError, TimeoutError) as error:
        return Turn(call.at_ms, failure=f"{type(error).__name__}: {error}"), ""


async def _read(reader: asyncio.StreamReader, call: Call, began_s: float) -> tuple[Turn, str]:
    usage: dict[str, Any] = {}
    first_s, answer, done = 0.0, "", False
    async for data in events(reader):
        if data == "[DONE]":
            done = True
            break
        event = json.loads(data)
        if "error" in event:
            raise ConnectionError(str(event["error"]))
        usage = event.get("usage") or usage
        text = "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        if text and not first_s:
            first_s = time.monotonic() - began_s
        answer += text
    details = usage.get("prompt_tokens_details") or {}
    turn = Turn(
        call.at_ms,
        first_s * 1000,
        usage.get("prompt_tokens", 0),
        details.get("cached_tokens") or 0,
        "" if done else "the stream ended early",
    )
    return turn, answer
