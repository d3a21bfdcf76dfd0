"""What is asked of a service with its engine: by crowds that stay, crowds that come at once, and single callers.

Each function gives raw rows; engine_room.py says when and how often, engine_page.py what to make of them.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
from crowd import Answer, Crowd, Percentile, failures, first_token, tokens_of
from layouts import EMBEDDING_MODEL, Running

Row = dict[str, Any]
OPEN_STREAMS = (1, 4, 8, 16, 32, 64, 128)
SHARE_STREAMS = 64
"""At so many open streams the gateway's share of the processor time is judged."""
BURST_S_MAX = 40.0
WARM_S, WARM_S_EACH = 1.0, 0.04
"""A crowd that comes is not yet a steady one: so long it may read its prompts before anything counts."""
LINGER_S_MAX = 5.0
"""After a window who asked in it is followed to the first token, at most so long."""
PREFIX_SENTENCE = "The harbour master wrote down each ship and its cargo. "
PREFIX_SENTENCES, PREFIX_REPEATS, PREFIXES = 85, 6, 2
SOAK_SAMPLE_S = 10.0
SOAK_FROM_S = 300.0
"""Until then memory is warming up."""
NUMBERS_EACH = 1_000
_numbers = itertools.count(NUMBERS_EACH, NUMBERS_EACH)
"""Each crowd counts its prompts from another one on, so that no prompt comes twice."""


# Crowds


def steady(running: Running, users: int, seconds: float) -> Row:
    """So many open streams: who has an answer asks again at once. Figures of a window after the warm-up."""
    return asyncio.run(_steady(running, users, seconds))


async def _steady(running: Running, users: int, seconds: float) -> Row:
    crowd = Crowd(running.service, users, number=next(_numbers), again=True)
    await crowd.ask(spread=True)
    await asyncio.sleep(WARM_S + WARM_S_EACH * users)
    texts, cpu, start_s = crowd.texts, running.cpu_s(), time.monotonic()
    await asyncio.sleep(seconds)
    texts, end_s = crowd.texts - texts, time.monotonic()
    used = {role: round(after - cpu[role], 3) for role, after in running.cpu_s().items()}
    asked = [answer for answer in crowd.answers if start_s <= answer.asked_s < end_s]
    await crowd.first_seen(asked, LINGER_S_MAX)
    row = _crowd_row("steady", running, users, crowd.answers, asked)
    crowd.leave()
    tokens = tokens_of(texts, crowd.answers)
    return {
        **row,
        "seconds": round(end_s - start_s, 2),
        "tokens_per_s": round(tokens / (end_s - start_s), 1),
        "cpu_s": used,
    }


def burst(running: Running, users: int) -> Row:
    """So many who ask in the same instant, once: tokens over the time until the last has its answer."""
    return asyncio.run(_burst(running, users))


async def _burst(running: Running, users: int) -> Row:
    crowd = Crowd(running.service, users, number=next(_numbers))
    await crowd.ask()
    await crowd.finished(BURST_S_MAX)
    row = _crowd_row("burst", running, users, crowd.answers, crowd.answers)
    elapsed_s = max(answer.end_s or time.monotonic() for answer in crowd.answers) - crowd.answers[0].asked_s
    crowd.leave()
    tokens = tokens_of(crowd.texts, crowd.answers)
    unfinished = sum(not answer.end_s for answer in crowd.answers)
    return {
        **row,
        "seconds": round(elapsed_s, 2),
        "tokens_per_s": round(tokens / elapsed_s, 1),
        "unfinished": unfinished,
    }


def _crowd_row(kind: str, running: Running, users: int, answers: Sequence[Answer], judged: Sequence[Answer]) -> Row:
    """What bursts and steady crowds have in common. First tokens are those of the answers that are judged."""
    now_s = time.monotonic()
    failed = failures(answers)
    row: Row = {"kind": kind, "layout": running.layout.name, "users": users, "asked": len(judged)}
    for percent in (50, 95):
        row |= _told(f"first_token_ms_p{percent}", first_token(judged, percent, now_s))
    whole = [answer for answer in answers if answer.tokens]
    row["prompt_tokens"] = max((answer.prompt_tokens for answer in whole), default=0)
    return {**row, "answers": len(whole), "failed": len(failed), "failure": failed[0] if failed else ""}


def _told(name: str, value: Percentile | None) -> Row:
    return {} if value is None else {name: round(value.ms, 1), f"{name}_exact": value.exact}


# A prefix that comes again


def prefix(running: Running) -> Row:
    """One user, prompts of a thousand tokens that differ in their last words: the first one, and those after it."""
    firsts: list[Answer] = []
    repeats: list[Answer] = []
    for _ in range(PREFIXES):
        told = f"Report {next(_numbers)}. " + PREFIX_SENTENCE * PREFIX_SENTENCES
        for number in range(1 + PREFIX_REPEATS):
            answer = asyncio.run(_one(running, f"{told} Question {number}: what was written?"))
            (repeats if number else firsts).append(answer)
    now_s = time.monotonic()
    failed = failures([*firsts, *repeats])
    last = repeats[-1]
    return {
        "kind": "prefix",
        "layout": running.layout.name,
        **_told("first_ms_p50", first_token(firsts, 50, now_s)),
        **_told("repeat_ms_p50", first_token(repeats, 50, now_s)),
        **_told("repeat_ms_p95", first_token(repeats, 95, now_s)),
        "prompt_tokens": last.prompt_tokens,
        "cached_tokens": last.cached_tokens,
        "failed": len(failed),
        "failure": failed[0] if failed else "",
    }


async def _one(running: Running, text: str) -> Answer:
    crowd = Crowd(running.service, 1, text=text)
    await crowd.ask(8)
    await crowd.finished(BURST_S_MAX)
    crowd.leave()
    return crowd.answers[0]


# Embeddings


def embeddings(running: Running, seconds: float) -> Iterator[Row]:
    """Short texts a second: one at a time, eight at a time, and in batches of 32, of one caller who waits for each."""
    for name, users, batch in (("single", 1, 1), ("8 at once", 8, 1), ("batches of 32", 1, 32)):
        texts, elapsed_s, failed = asyncio.run(_embed(running, seconds, users, batch))
        yield {
            "kind": "embeddings",
            "layout": running.layout.name,
            "way": name,
            "texts_per_s": round(texts / elapsed_s, 1),
            "ms_each": round(elapsed_s * users / max(1, texts // batch) * 1e3, 1),
            "failed": failed,
        }


async def _embed(running: Running, seconds: float, users: int, batch: int) -> tuple[int, float, int]:
    """Texts embedded, the seconds that took, and refusals."""
    start_s = time.monotonic()
    headers = {"Authorization": f"Bearer {running.service.api_key}"}
    url = f"{running.service.base_url}/embeddings"
    done = [0, 0]

    async def one_user(client: httpx.AsyncClient) -> None:
        while time.monotonic() < start_s + seconds:
            words = [f"Ship {next(_numbers)} leaves the harbour before dawn." for _ in range(batch)]
            answer = await client.post(url, json={"model": EMBEDDING_MODEL, "input": words})
            done[answer.status_code != httpx.codes.OK] += batch

    async with httpx.AsyncClient(headers=headers, timeout=BURST_S_MAX, trust_env=False) as client:
        await asyncio.gather(*(one_user(client) for _ in range(users)))
    return done[0], time.monotonic() - start_s, done[1]


# For long


def soak(running: Running, users: int, minutes: float, tell: Callable[[str], None]) -> Row:
    """A crowd that stays for so many minutes; memory of each process every ten seconds."""
    return asyncio.run(_soak(running, users, minutes * 60, tell))


async def _soak(running: Running, users: int, seconds: float, tell: Callable[[str], None]) -> Row:
    crowd = Crowd(running.service, users, number=next(_numbers), again=True)
    await crowd.ask(spread=True)
    start_s, cpu = time.monotonic(), running.cpu_s()
    samples: list[Row] = []
    while (now_s := time.monotonic() - start_s) < seconds:
        samples.append({"second": round(now_s), "rss_mib": running.memory_mib()})
        if len(samples) % 6 == 1:
            tell(
                f"soak: {now_s:.0f} of {seconds:.0f} s, {len(failures(crowd.answers))} failed, {samples[-1]['rss_mib']}"
            )
        await asyncio.sleep(min(SOAK_SAMPLE_S, seconds - now_s))
    elapsed_s = time.monotonic() - start_s
    used = {role: round(after - cpu[role], 3) for role, after in running.cpu_s().items()}
    judged = [answer for answer in crowd.answers if answer.asked_s < start_s + seconds - LINGER_S_MAX]
    row = _crowd_row("soak", running, users, crowd.answers, judged)
    crowd.leave()
    tokens = tokens_of(crowd.texts, crowd.answers)
    return {
        **row,
        "seconds": round(elapsed_s, 1),
        "tokens_per_s": round(tokens / elapsed_s, 1),
        "cpu_s": used,
        "growth_percent": growth_percent(samples),
        "samples": samples,
    }


def growth_percent(samples: Sequence[Row], from_s: float = SOAK_FROM_S) -> dict[str, float]:
    """Of each kind of process, from the first minute after the warm-up to the last minute; empty when it was too short.

    Minutes, as one sample rises and falls with the collector's runs.
    """
    warm = [sample for sample in samples if sample["second"] >= from_s]
    if not warm or warm[-1]["second"] - from_s < 2 * 60:
        return {}
    first = [sample for sample in warm if sample["second"] < from_s + 60]
    last = [sample for sample in warm if sample["second"] > warm[-1]["second"] - 60]
    return {role: round((_mean(last, role) / _mean(first, role) - 1) * 100, 2) for role in warm[-1]["rss_mib"]}


def _mean(samples: Sequence[Row], role: str) -> float:
    return sum(sum(sample["rss_mib"].get(role, ())) for sample in samples) / len(samples)
