"""Promise 7: an engine that dies midway gives an honest end.

Streams of three kinds of engine are recorded, then cut at every byte: what the caller gets must be whole events, one
error at the end, no `[DONE]`, and what it pays must be what it got.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
from openai._streaming import SSEDecoder

from parvis.testing import sse
from parvis.testing.caller import Caller, Seen
from parvis.testing.fake_engine.answers import Answer, answer, command_text
from parvis.testing.fake_engine.commands import Commands, commands
from parvis.testing.processes import FakeEngineProcess
from parvis.testing.service import KINDS, before_each_kind, planted

STREAMS = 200
CUTS_C = 2_000
CUTS_OF_THE_CONTROL = 200
AT_ONCE = 24
SEED = 7
SOURCES = Path(__file__).parents[2] / "src"

PARTIAL_EVENT = {
    "parvis/adapters/engines/relay.py": (
        "                self._delivery.error = str(failure)\n            self._finish(Outcome.ENGINE_BROKE)\n",
        """                self._delivery.error = str(failure)
            self._sink.events(self._rest) if self._rest else None
            self._finish(Outcome.ENGINE_BROKE)
""",
    )
}
PATIENT = {"PARVIS_ROUTING__CIRCUIT_BREAKER": "false"}
"""Else an engine that breaks most of its answers is soon left alone."""
Json = dict[str, Any]
Cut = tuple["Recorded", int]


@dataclass(frozen=True)
class Recorded:
    """One request, and what its engine streams for it."""

    path: str
    body: Json
    raw: bytes
    answer: Answer
    running: bool
    """The engine tells its count with each event."""
    reset: bool

    @property
    def first_end(self) -> int:
        """Bytes after which the first event is whole."""
        return self.raw.index(b"\n\n") + 2

    def cut_at(self, place: int) -> Json:
        """The same request, with the order to die after so many bytes."""
        order = f"@cut_bytes={place}" + (" @reset" if self.reset else "")
        return told(self.body, order)

    def texts_before(self, place: int) -> dict[int, str]:
        """What the whole events before this place say, choice by choice."""
        whole = self.raw[: self.raw.rfind(b"\n\n", 0, place) + 2]
        sent = Seen(body={}, stream=True)
        for payload in sse.payloads(whole):
            sent.take(payload.encode())
        return sent.texts

    def boundaries(self) -> set[int]:
        """Where an event ends, and its two neighbours."""
        ends = [place for place in range(2, len(self.raw)) if self.raw[place - 2 : place] == b"\n\n"]
        return {near for end in ends for near in (end - 1, end, end + 1) if near < len(self.raw)} | {0}


@dataclass(slots=True)
class Bill:
    """What must stand in the ledger for one cut."""

    output: int
    reasoning: int
    prompt: int
    exact: bool
    """The engine tells its count with each event. Others tell it at the end: before that, the prompt is estimated."""


def told(body: Json, order: str) -> Json:
    """The body with one more word for the engine."""
    if "prompt" in body:
        return {**body, "prompt": f"{body['prompt']} {order}"}
    (message,) = body["messages"]
    return {**body, "messages": [{**message, "content": f"{message['content']} {order}"}]}


def request(number: int, dice: random.Random) -> tuple[str, str, Json]:
    """(kind of engine, path, body) of one of the streams. Short ones: each byte of them will be cut."""
    kind = dice.choice(list(KINDS))
    chat = dice.random() < 0.75
    orders = f"@tokens={dice.randint(0, 4)} @reason={dice.choice((0, 0, 2)) if chat else 0}"
    orders += dice.choice(("", "", " @merge", f" @split={dice.randint(1, 300)}"))
    orders += " @bundle=2" if kind != "openai" and dice.random() < 0.3 else ""
    body: Json = {"model": f"fake-{kind}", "stream": True, "n": dice.choice((1, 1, 1, 2))}
    if dice.random() < 0.5:
        body["stream_options"] = {"include_usage": True}
    if dice.random() < 0.2:
        body["max_tokens"] = dice.randint(1, 3)
    text = f"stream number {number} naïvement 日本 {orders}"
    if not chat:
        return kind, "/v1/completions", body | {"prompt": text}
    if kind == "vllm" and dice.random() < 0.2:
        body |= {"tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]}
        text += " @tool"
    return kind, "/v1/chat/completions", body | {"messages": [{"role": "user", "content": text}]}


async def record(caller: Caller, engines: dict[str, FakeEngineProcess], streams: int) -> list[Recorded]:
    """Ask each stream once through the service; then ask the engine what the service asked it."""
    dice = random.Random(SEED)
    recorded = []
    async with httpx.AsyncClient(trust_env=False) as http:
        for number in range(streams):
            kind, path, body = request(number, dice)
            seen = await caller.ask(path, told(body, "@cut_bytes=99999999"))
            assert seen.answered, (seen.status, seen.received)
            asked = next(one for one in reversed(engines[kind].log()) if one.x_request_id == seen.request_id)
            raw = await http.post(
                engines[kind].address + path, json=asked.body, headers={"x-request-id": seen.request_id}
            )
            whole = answer(asked.body, commands(command_text(asked.body), Commands()))
            recorded.append(Recorded(path, body, raw.content, whole, kind != "openai", dice.random() < 0.3))
    return recorded


def cuts(recorded: list[Recorded], level: Literal["C", "N"]) -> list[Cut]:
    """Every byte of every stream; at level C a part of them, half of it around the ends of events."""
    every = [(one, place) for one in recorded for place in range(len(one.raw))]
    if level == "N":
        return every
    dice = random.Random(SEED)
    near = [(one, place) for one in recorded for place in sorted(one.boundaries())]
    return dice.sample(near, CUTS_C // 2) + dice.sample(every, CUTS_C // 2)


def wrong(cut: Cut, seen: Seen) -> str | None:
    """What is wrong with the end that the caller got."""
    one, place = cut
    body = bytes(seen.received)
    if b"[DONE]" in body or not seen.whole or not seen.request_id:
        return f"[DONE] or no end of the response: {body!r}"
    if place < one.first_end or (one.reset and seen.status != 200):  # a reset may overtake what was sent before it
        return None if seen.status == 503 and is_error(seen.json()) else f"no clean refusal: {seen.status} {body!r}"
    if not one.reset and seen.texts != one.texts_before(place):
        return f"the engine sent {one.texts_before(place)}, the caller got {seen.texts}"
    return _wrong_stream(seen.status, body)


def _wrong_stream(status: int, body: bytes) -> str | None:
    ours = sse.payloads(body)
    theirs = [event.data for event in SSEDecoder().iter_bytes(iter([body]))]
    if status != 200 or ours != theirs or not ours:
        return f"status {status}, or two parsers read differently: {ours} {theirs}"
    try:
        *events, last = [json.loads(payload) for payload in ours]
    except json.JSONDecodeError:
        return f"not JSON: {ours}"
    whole = b"".join(f"data: {payload}\n\n".encode() for payload in ours)
    good = is_error(last) and not any("error" in event for event in events) and whole == body
    return None if good else f"not whole events and one error at the end: {body!r}"


def is_error(body: Json) -> bool:
    return set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}


def bill(cut: Cut, seen: Seen) -> Bill:
    """What the caller received, in the engine's own tokens: found by reading its text against the known answer."""
    one, _ = cut
    output = reasoning = 0
    for choice in one.answer.choices:
        left = len(seen.texts.get(choice.number, ""))
        tokens = map(choice.token, range(choice.tokens))
        while left > 0:
            part, text = next(tokens)
            left -= len(text)
            reasoning += part == "reasoning"
            output += part != "reasoning"
        assert left == 0, "half a token was delivered"
    prompt = sum(one.answer.prompt_tokens) + one.reset  # `@reset` is one word more
    return Bill(output, reasoning, prompt if seen.status == 200 else 0, one.running)


async def cut_all(caller: Caller, places: list[Cut]) -> tuple[list[str], dict[str, Bill]]:
    """Cut at each place. What was wrong, and what each request owes."""
    differences: list[str] = []
    owed: dict[str, Bill] = {}
    queue = iter(places)

    async def one_after_another() -> None:
        for cut in queue:
            seen = await caller.ask(cut[0].path, cut[0].cut_at(cut[1]))
            if complaint := wrong(cut, seen):
                differences.append(f"cut at {cut[1]} of {cut[0].body}: {complaint}")
            else:
                owed[seen.request_id] = bill(cut, seen)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return differences, owed


def misbilled(owed: dict[str, Bill], rows: list[Json]) -> list[str]:
    """Requests whose entry is not what was delivered."""
    entries = {row["id"]: row for row in rows}
    pairs = ((due, entries.get(name)) for name, due in owed.items())
    return [f"{due}: {row and (row['outcome'], row['tokens'])}" for due, row in pairs if not _is_right(due, row)]


def _is_right(due: Bill, row: Json | None) -> bool:
    if row is None or row["outcome"] != "engine_broke":
        return False
    tokens = row["tokens"]
    prompt = tokens["input"] + tokens["cached"]
    nothing = prompt == 0 and due.output + due.reasoning == 0  # the engine was cut before it told any count
    return (
        (tokens["output"], tokens["reasoning"]) == (due.output, due.reasoning)
        and (prompt == due.prompt or nothing or (row["estimated"] and not due.exact))
        and row["written_off"]["pico_euro"] == 0
    )


async def test_an_engine_that_dies_midway_gives_an_honest_end(tmp_path: Path, level: Literal["C", "N"]) -> None:
    with before_each_kind(tmp_path / "home", env=PATIENT) as (running, engines):
        running.allow("fake-vllm", "chat", "tools")
        async with Caller(running.port, running.api_key) as caller:
            recorded = await record(caller, engines, STREAMS)
            places = cuts(recorded, level)
            started_s = time.monotonic()
            differences, owed = await cut_all(caller, places)
        took_s = time.monotonic() - started_s
        print(
            f"\nrow 7: {len(places)} cuts of {len(recorded)} streams in {took_s:.1f} s, {len(differences)} wrong ends"
        )
        assert differences[:5] == []
        assert misbilled(owed, running.usage_rows(of=owed, within_s=60))[:5] == []
        assert running.check() == []


async def test_control_a_partial_event_is_noticed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with planted(SOURCES, PARTIAL_EVENT) as sources, before_each_kind(home, sources, PATIENT) as (running, engines):
        running.allow("fake-vllm", "chat", "tools")
        async with Caller(running.port, running.api_key) as caller:
            recorded = await record(caller, engines, 20)
            places = random.Random(SEED).sample(cuts(recorded, "N"), CUTS_OF_THE_CONTROL)
            differences, _ = await cut_all(caller, places)
    print(f"control of row 7: {len(differences)} of {len(places)} ends are wrong")
    assert len(differences) > CUTS_OF_THE_CONTROL // 2
