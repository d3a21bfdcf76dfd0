"""The sum of `GET /v1/usage` is what the clients received: to the token and to the pico-euro.

The oracle is the engine's deterministic answer, read against the text that each client got.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parvis.testing.caller import Caller, Seen
from parvis.testing.fake_engine.answers import CACHED_SHARE, Answer, answer, command_text, prompt_tokens, texts
from parvis.testing.fake_engine.commands import Commands, commands
from parvis.testing.fake_engine.record import Record
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import KINDS, Service, before_each_kind

REQUESTS = 1_000
AT_ONCE = 30
SEED = 6
CHAT, COMPLETION, EMBEDDING = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
PRICES = {"input": 900_000, "cached": 300_000, "output": 4_000_000, "reasoning": 21_000_000}
"""Pico-euro for a token, which is micro-euro for a million. Four different ones, so that no class hides another."""
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"properties": {"where": {"type": "string"}}}}}
Json = dict[str, Any]
Tokens = Counter[str]


@dataclass(frozen=True)
class Case:
    """One request, and what its engine is told to do with it."""

    name: str
    path: str
    body: Json
    leave_after: int | None = None


def case(number: int, dice: random.Random) -> Case:
    kind = dice.choice(list(KINDS))
    stream = dice.random() < 0.6
    base: Json = {"model": f"fake-{kind}", "stream": stream}
    if stream and dice.random() < 0.5:
        base["stream_options"] = {"include_usage": True}
    made = dice.choice((_plain, _plain, _plain, _completion, _broken, _left, _refused, _uncounted, _embedding, _tool))
    return made(f"request {number} naïve 日本", base, dice)


def _chat(name: str, base: Json, text: str, leave_after: int | None = None, **more: Any) -> Case:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return Case(name, CHAT, {**base, "messages": messages, **more}, leave_after)


def _plain(text: str, base: Json, dice: random.Random) -> Case:
    bundle = " @bundle=3" if base["model"] != "fake-openai" and dice.random() < 0.3 else ""
    more = {"max_tokens": dice.randint(1, 20)} if dice.random() < 0.3 else {}
    orders = f"@tokens={dice.randint(0, 30)} @reason={dice.choice((0, 0, 3, 6))}{bundle}"
    return _chat("chat", base, f"{text} {orders}", n=dice.choice((1, 1, 2, 3)), **more)


def _completion(text: str, base: Json, dice: random.Random) -> Case:
    prompt: str | list[str] = f"{text} @tokens={dice.randint(1, 12)}"
    if dice.random() < 0.4:
        prompt = [f"{prompt}", f"another, longer {prompt}"]
    return Case("completion", COMPLETION, {**base, "prompt": prompt, "n": dice.choice((1, 2))})


def _tool(text: str, base: Json, dice: random.Random) -> Case:
    return _chat("tool", {**base, "model": "fake-vllm"}, f"{text} @tool @reason={dice.choice((0, 2))}", tools=[TOOL])


def _broken(text: str, base: Json, dice: random.Random) -> Case:
    fault = dice.choice((f"cut_after={dice.randint(0, 8)}", "garbage", "error_event", "drop", "status=500"))
    return _chat("broken", base, f"{text} @tokens=12 @reason={dice.choice((0, 4))} @{fault}")


def _left(text: str, base: Json, dice: random.Random) -> Case:
    events = dice.randint(1, 8)
    return _chat("left", {**base, "stream": True}, f"{text} @tokens=12 @reason=2 @hang_after={events}", events)


def _refused(text: str, base: Json, dice: random.Random) -> Case:
    wrong = dice.choice(({"model": "nothing"}, {"temperature": 9}, {"max_tokens": 10**9}, {"nonsense": 1}, {}))
    return _chat("refused", base | wrong, f"{text} @status=400")


def _uncounted(text: str, base: Json, dice: random.Random) -> Case:
    orders = f"@tokens={dice.randint(1, 30)} @reason={dice.choice((0, 5))} @no_usage"
    return _chat("uncounted", {**base, "model": "fake-openai"}, f"{text} {orders}")


def _embedding(text: str, _base: Json, dice: random.Random) -> Case:
    inputs = [f"{text} {i}" for i in range(dice.randint(1, 5))]
    return Case("embedding", EMBEDDING, {"model": "vectors", "input": inputs})


async def ask_all(caller: Caller, cases: list[Case]) -> list[tuple[Case, Seen]]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(asked: Case) -> tuple[Case, Seen]:
        async with room:
            return asked, await caller.ask(asked.path, asked.body, leave_after=asked.leave_after)

    return await asyncio.gather(*map(one, cases))


def owed(asked: Case, seen: Seen, record: Record) -> Tokens:
    """What this request used: all of the answer when it was received, else what was received of it."""
    body = record.body
    if asked.path == EMBEDDING:
        return Counter(input=sum(prompt_tokens(body)) if seen.answered else 0)
    whole = answer(body, commands(command_text(body), Commands()))
    if not seen.answered and not (seen.stream and seen.status == 200):
        return Counter()
    if seen.stream:
        got = read(whole, seen)
    else:
        got = Counter(output=whole.tokens - whole.reasoning, reasoning=whole.reasoning)
    if seen.answered:
        assert got.total() == whole.tokens, "a whole answer that is not the engine's"
    return got + prompt(asked, seen, whole)


def read(whole: Answer, seen: Seen) -> Tokens:
    """The text that a client received, token by token."""
    got: Tokens = Counter()
    for choice in whole.choices:
        left = seen.texts.get(choice.number, "")
        tokens = map(choice.token, range(choice.tokens))
        while left:
            part, text = next(tokens)
            assert left.startswith(text), f"{left!r} is not what the engine said"
            left = left.removeprefix(text)
            got["reasoning" if part == "reasoning" else "output"] += 1
    return got


def prompt(asked: Case, seen: Seen, whole: Answer) -> Tokens:
    """The tokens of the prompt, as its kind of engine tells them: at the end, with each event, when asked, or never."""
    total = sum(whole.prompt_tokens)
    if asked.body["model"] == "fake-llama.cpp":
        cached = sum(one // CACHED_SHARE for one in whole.prompt_tokens)
        return Counter(input=total - cached, cached=cached) if seen.answered or seen.texts else Counter()
    if seen.answered and asked.name != "uncounted":
        return Counter(input=total - whole.cached_tokens, cached=whole.cached_tokens)
    if asked.body["model"] == "fake-vllm":
        return Counter(input=total)
    if not (seen.texts or seen.answered):
        return Counter()
    if asked.name in ("left", "uncounted"):  # its tokenizer is asked: a word is a token
        return Counter(input=sum(len(text.split()) for text in texts(asked.body)))
    return Counter(input=sum(len(text.encode()) for text in texts(asked.body)) // 4)


def cost(tokens: Tokens) -> int:
    """Pico-euro."""
    return sum(count * PRICES[name] for name, count in tokens.items())


def set_prices(running: Service) -> None:
    """Another price list, in force from now on."""
    form = {"version": "sums", **{f"{name}_microeuro_per_mtoken": price for name, price in PRICES.items()}}
    running.operator.post("/v1/prices", json=form).raise_for_status()


def engine_records(engines: dict[str, FakeEngineProcess]) -> dict[str, Record]:
    found = (record for engine in engines.values() for record in engine.ended())
    return {str(record.x_request_id): record for record in found}


async def test_the_sum_of_usage_is_what_clients_received(tmp_path: Path) -> None:
    with (
        fake_engine(model="vectors") as vectors,
        before_each_kind(tmp_path / "home", vectors=vectors) as (running, engines),
    ):
        set_prices(running)
        running.allow(
            "fake-vllm", "chat", "tools"
        )  # told to the gateway after the prices: when it knows one, it knows both
        dice = random.Random(SEED)
        async with Caller(running.port, running.api_key) as caller:
            done = await ask_all(caller, [case(number, dice) for number in range(REQUESTS)])
        records = engine_records(engines)
        due = {
            seen.request_id: owed(asked, seen, records[seen.request_id])
            for asked, seen in done
            if seen.request_id in records
        }
        rows = {row["id"]: row for row in running.usage_rows(of=due)}
        differences = [
            f"{asked.name} {asked.body}: {due[name]} {rows[name]['tokens']} {rows[name]['outcome']}"
            for asked, seen in done
            if (name := seen.request_id) in due and not same(due[name], rows[name])
        ]
        assert differences[:3] == []
        total = running.get("/v1/usage")["total"]
        sums = sum(due.values(), Counter())
        outcomes = Counter(row["outcome"] for row in rows.values())
        print(
            f"\nsums: {len(done)} requests, {len(due)} entries {dict(outcomes)}, {dict(sums)}, {cost(sums)} pico-euro"
        )
        assert total["requests"] == len(due) == len(rows)
        assert same(sums, total)
        assert running.check() == []


def same(due: Tokens, row: Json) -> bool:
    classes = all(row["tokens"][name] == due[name] for name in PRICES)
    return classes and row["billed"]["pico_euro"] == cost(due) and row["written_off"]["pico_euro"] == 0
