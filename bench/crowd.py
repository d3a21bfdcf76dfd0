"""Many users of a service at once, each with a stream of its own, at little processor time.

The generator shares two cores with the engine that it measures, so it looks at bytes and parses no event: it counts
those with text in them, notes when the first one came, and reads `usage` at the end of an answer.

A token is what `usage` counts. Of an answer that is still being written it is not known yet, so the tokens of a
window are its events with text, times the tokens that such an event had in the answers that ended.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from engine import PROMPT, Service

TEXT = re.compile(rb'"content":\s*"[^"]')
TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')
PROMPT_TOKENS = re.compile(rb'"prompt_tokens":\s*(\d+)')
CACHED = re.compile(rb'"cached_tokens":\s*(\d+)')
CARRIED = 11
"""Bytes that are looked at again with the next ones: one less than the shortest match of `TEXT`."""
AGAIN_S = 0.5
"""After a failure a user waits so long, lest a refusal becomes a storm."""
TOKENS_MAX = 64


@dataclass(slots=True)
class Answer:
    """One answer; times in seconds of the monotonic clock, 0 for what has not come."""

    asked_s: float
    first_s: float = 0.0
    end_s: float = 0.0
    texts: int = 0
    """Events with text in them."""
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    failure: str = ""


class Percentile(NamedTuple):
    """Milliseconds. Not `exact`: at the least so many, as some still waited when the time was up."""

    ms: float
    exact: bool


def chat(service: Service, text: str, tokens_max: int) -> bytes:
    """The whole HTTP request for a stream that ends with its usage; the connection stays."""
    url = urlsplit(service.base_url)
    body = json.dumps(
        {
            "model": service.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens_max,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    head = (
        f"POST {url.path.rstrip('/')}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Authorization: Bearer {service.api_key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class User(asyncio.Protocol):
    """One connection, on which one answer follows another."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._transport: asyncio.Transport
        self._answer: Answer | None = None
        self._tail = self._end = b""
        self._begun = self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy; TCP gives no other
        self._transport = transport

    def ask(self, tokens_max: int) -> None:
        """Send a request."""
        self._tail = self._end = b""
        self._begun = self._done = False
        self._answer = self._crowd.asked()
        self._transport.write(self._crowd.request(tokens_max))

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            return
        if not self._begun:
            self._begun = True
            if not data.startswith(b"HTTP/1.1 200"):
                self._fail(f"refused: {_reason(data)}")
                return
        piece = self._tail + data
        self._tail = piece[-CARRIED:]
        if texts := len(TEXT.findall(piece)):
            answer.first_s = answer.first_s or time.monotonic()
            answer.texts += texts
            self._crowd.texts += texts
        if b'"error":' in piece:
            self._fail(f"broken: {_reason(data)}")
        elif self._end or b'"usage":{' in piece:
            self._end += data if self._end else piece
            self._look_for_the_end(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._fail(f"cut: {exc or 'the connection closed'}")

    def leave(self) -> None:
        """Close at once; a running answer is nobody's any more."""
        self._answer = None
        self._transport.abort()

    def _look_for_the_end(self, answer: Answer) -> None:
        if b"data: [DONE]" not in self._end or not self._end.endswith(b"\r\n0\r\n\r\n"):
            return
        answer.tokens = _number(TOKENS, self._end)
        answer.prompt_tokens = _number(PROMPT_TOKENS, self._end)
        answer.cached_tokens = _number(CACHED, self._end)
        answer.end_s = time.monotonic()
        self._answer = None
        self._crowd.ended(self)

    def _fail(self, why: str) -> None:
        if self._answer is not None:
            self._answer.failure = why
            self._answer.end_s = time.monotonic()
        self._answer = None
        self._transport.abort()
        self._crowd.lost(self)


class Crowd:
    """So many users, whose prompts are numbered from `number` on; `texts` counts all their events.

    With `again` each asks anew as soon as it has its answer.
    """

    def __init__(
        self, service: Service, users: int, *, number: int = 0, text: str = PROMPT, again: bool = False
    ) -> None:
        self.answers: list[Answer] = []
        self.texts = 0
        self.over = False
        self._service = service
        self._count = users
        self._said = number
        self._text = text
        self._again = again
        self._users: set[User] = set()
        self._returning: set[asyncio.Task[None]] = set()

    async def ask(self, tokens_max: int = TOKENS_MAX, *, spread: bool = False) -> None:
        """Connect, and then ask all in the same instant.

        With `spread` their first answers are of all lengths, so that from then on they do not end together.
        """
        users = [await self._connected() for _ in range(self._count)]
        for number, user in enumerate(users):
            user.ask(1 + number * tokens_max // len(users) if spread else tokens_max)

    async def finished(self, patience_s: float) -> None:
        """Wait until all answers have ended, at most so long."""
        await _until(lambda: all(answer.end_s for answer in self.answers), patience_s)

    async def first_seen(self, answers: Sequence[Answer], patience_s: float) -> None:
        """Wait until each of these has begun or failed, at most so long."""
        await _until(lambda: all(answer.first_s or answer.end_s for answer in answers), patience_s)

    def leave(self) -> None:
        """All close at once."""
        self.over = True
        for task in self._returning:
            task.cancel()
        for user in self._users:
            user.leave()

    # What users tell

    def asked(self) -> Answer:
        """A new answer, asked for now."""
        self.answers.append(Answer(time.monotonic()))
        return self.answers[-1]

    def request(self, tokens_max: int) -> bytes:
        """What the next one says: no two prompts are equal."""
        self._said += 1
        return chat(self._service, self._text.format(number=self._said), tokens_max)

    def ended(self, user: User) -> None:
        """It has its answer."""
        if self._again and not self.over:
            user.ask(TOKENS_MAX)

    def lost(self, user: User) -> None:
        """It was refused or cut off."""
        self._users.discard(user)
        if self._again and not self.over:
            task = asyncio.get_running_loop().create_task(self._return())
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

    async def _return(self) -> None:
        await asyncio.sleep(AGAIN_S)
        (await self._connected()).ask(TOKENS_MAX)

    async def _connected(self) -> User:
        host, _, port = urlsplit(self._service.base_url).netloc.rpartition(":")
        loop = asyncio.get_running_loop()
        _, user = await loop.create_connection(lambda: User(self), host, int(port))
        self._users.add(user)
        return user


def failures(answers: Iterable[Answer]) -> list[str]:
    """What went wrong."""
    return [answer.failure for answer in answers if answer.failure]


def tokens_of(texts: int, answers: Iterable[Answer]) -> float:
    """How many tokens so many events with text are, by the answers that ended whole; an event is one if none did."""
    whole = [answer for answer in answers if answer.tokens and not answer.failure]
    known = sum(answer.texts for answer in whole)
    return texts * sum(answer.tokens for answer in whole) / known if known else float(texts)


def first_token(answers: Iterable[Answer], percent: int, now_s: float) -> Percentile | None:
    """The nearest rank of the time to the first token; failures do not count. None where nobody asked.

    Who still waits has waited until `now_s`, so the rank is a lower bound when one of them may belong below it.
    """
    waits = sorted(
        ((answer.first_s or now_s) - answer.asked_s, not answer.first_s) for answer in answers if not answer.failure
    )
    if not waits:
        return None
    rank = (len(waits) - 1) * percent // 100
    return Percentile(waits[rank][0] * 1e3, exact=not any(waiting for _, waiting in waits[: rank + 1]))


async def _until(true: Callable[[], bool], patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while not true() and time.monotonic() < deadline_s:  # noqa: ASYNC110 - what is waited for are bytes of many
        await asyncio.sleep(0.02)


def _number(pattern: re.Pattern[bytes], data: bytes) -> int:
    found = pattern.findall(data)
    return int(found[-1]) if found else 0


def _reason(data: bytes) -> str:
    """The status and the code of an error, without more of its words."""
    status = re.match(rb"HTTP/1\.1 (\d+)", data)
    code = re.search(rb'"code":\s*"([a-z_]+)"', data)
    return " ".join(found[1].decode() for found in (status, code) if found) or "an error"
