"""Tokens a second and time to first token of a running service, by number of users who start at once.

Each user sends one short streamed chat of its own, so no answer or prompt can come from a cache. A token is
what the service counts in `usage`; the first token is the first event with text in it.

usage: engine.py BASE_URL API_KEY [--model NAME] [--users 1,8,32,100] [--rounds 2] [--out FILE.jsonl]
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

USERS = (1, 8, 32, 100)
TOKENS_MAX = 64
PATIENCE_S = 300.0
PROMPT = "Number {number}: tell a long story about a ship that leaves a small harbour before dawn."
Row = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One user's answer; times in seconds from the common start. `failure` is empty when it came whole."""

    first_token_s: float = 0.0
    end_s: float = 0.0
    prompt_tokens: int = 0
    tokens: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Service:
    """Where the service listens (an OpenAI base URL, http), and as whom to ask for what."""

    base_url: str
    api_key: str
    model: str

    def request(self, number: int) -> bytes:
        """The whole HTTP request of user `number`."""
        url = urlsplit(self.base_url)
        body = json.dumps(
            {
                "model": self.model,
                "messages": [{"role": "user", "content": PROMPT.format(number=number)}],
                "max_tokens": TOKENS_MAX,
                "temperature": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        head = (
            f"POST {url.path.rstrip('/')}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Authorization: Bearer {self.api_key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

    def with_key(self, api_key: str) -> "Service":
        """The same service, asked as somebody else."""
        return dataclasses.replace(self, api_key=api_key)


async def body_parts(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body of an HTTP/1.1 answer, without its chunk framing. Fails unless the status is 200."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise ConnectionError(head.split(b"\r\n")[0].decode())
    if b"transfer-encoding: chunked" not in head:
        while part := await reader.read(65536):
            yield part
        return
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()


async def events(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """The data of each server-sent event."""
    rest = b""
    async for part in body_parts(reader):
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip().decode()


async def read_answer(reader: asyncio.StreamReader, start_s: float) -> Answer:
    """Follow one stream to its end."""
    first_s, usage, done = 0.0, {"prompt_tokens": 0, "completion_tokens": 0}, False
    async for data in events(reader):
        if data == "[DONE]":
            done = True
            break
        event = json.loads(data)
        if "error" in event:
            raise ConnectionError(str(event["error"]))
        usage = event.get("usage") or usage
        if not first_s and any(choice["delta"].get("content") for choice in event["choices"]):
            first_s = time.monotonic() - start_s
    return Answer(
        first_token_s=first_s,
        end_s=time.monotonic() - start_s,
        prompt_tokens=usage["prompt_tokens"],
        tokens=usage["completion_tokens"],
        failure="" if done else "the stream ended early",
    )


async def one_user(service: Service, number: int, start: asyncio.Event) -> Answer:
    """Wait for the common start, ask, read. A failure is a value, so that one user does not end the run."""
    await start.wait()
    start_s = time.monotonic()
    url = urlsplit(service.base_url)
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            try:
                writer.write(service.request(number))
                return await read_answer(reader, start_s)
            finally:
                writer.close()
    except (OSError, EOFError, ValueError, KeyError, TimeoutError) as error:
        return Answer(failure=f"{type(error).__name__}: {error}")


async def burst(service: Service, users: int, number: int) -> list[Answer]:
    """So many users at once, counted from `number`."""
    start = asyncio.Event()
    tasks = [asyncio.create_task(one_user(service, number + i, start)) for i in range(users)]
    await asyncio.sleep(0)
    start.set()
    return await asyncio.gather(*tasks)


def answers(service: Service) -> bool:
    """Whether one user gets a whole answer."""
    return not asyncio.run(burst(service, 1, 0))[0].failure


def percentile(values: Sequence[float], percent: int) -> float:
    """The nearest rank in sorted `values`; 0 when there are none."""
    return values[(len(values) - 1) * percent // 100] if values else 0.0


def summarise(users: int, number: int, answers: Sequence[Answer]) -> Row:
    """The figures of one burst."""
    whole = [answer for answer in answers if not answer.failure]
    first_ms = sorted(answer.first_token_s * 1e3 for answer in whole)
    elapsed_s = max((answer.end_s for answer in whole), default=0.0)
    tokens = sum(answer.tokens for answer in whole)
    return {
        "users": users,
        "round": number,
        "tokens_per_s": round(tokens / elapsed_s, 1) if elapsed_s else 0.0,
        "first_token_ms_p50": round(percentile(first_ms, 50)),
        "first_token_ms_p95": round(percentile(first_ms, 95)),
        "elapsed_s": round(elapsed_s, 2),
        "tokens": tokens,
        "prompt_tokens": max((answer.prompt_tokens for answer in whole), default=0),
        "failed": len(answers) - len(whole),
        "failure": next((answer.failure for answer in answers if answer.failure), ""),
    }


def measure(service: Service, levels: Sequence[int] = USERS, rounds: int = 2) -> list[Row]:
    """All levels, `rounds` times; one request beforehand, as the first one of a process is slow."""
    rows: list[Row] = []
    asyncio.run(burst(service, 1, 0))
    number = 1
    for level in levels:
        for count in range(rounds):
            rows.append(summarise(level, count, asyncio.run(burst(service, level, number))))
            number += level
            print(f"bench: {rows[-1]}", flush=True)
    return rows


def table(rows: Sequence[Row]) -> str:
    """A Markdown table, one line a burst."""
    lines = [
        "| users at once | round | tokens/s | first token p50, ms | p95, ms | seconds | tokens | failed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['users']} | {row['round'] + 1} | {row['tokens_per_s']:,.0f} | {row['first_token_ms_p50']:,}"
        f" | {row['first_token_ms_p95']:,} | {row['elapsed_s']:.1f} | {row['tokens']:,} | {row['failed']} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> int:
    """Run from the command line; status 1 when an answer failed."""
    parser = argparse.ArgumentParser(description="Measure tokens a second and time to first token.")
    parser.add_argument("base_url", help="for example http://127.0.0.1:8000/v1")
    parser.add_argument("api_key")
    parser.add_argument("--model", required=True)
    parser.add_argument("--users", type=lambda text: [int(word) for word in text.split(",")], default=USERS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, help="append one JSON line a burst to this file")
    options = parser.parse_args()
    service = Service(options.base_url, options.api_key, options.model)
    rows = measure(service, options.users, options.rounds)
    print(table(rows))
    if options.out:
        with options.out.open("a") as lines:
            lines.writelines(json.dumps({"kind": "engine", **row}) + "\n" for row in rows)
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
