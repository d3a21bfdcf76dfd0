"""Our worker around OpenVINO by itself: what it refuses, and what one request can do to its neighbours."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.adapters.openvino.batch import GRAMMARS_KEPT, GRAMMARS_MAX, Batch
from parvis.adapters.openvino.errors import Refused
from parvis.adapters.openvino.pace import allowance
from parvis.testing.engine_servers import KEY, OpenVinoServer, openvino_server

CHAT = "/v1/chat/completions"
LONG: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Write a long story about the sea."}],
    "max_tokens": 1500,
    "ignore_eos": True,
}
BROKEN = LONG | {"grammar": "root ::= ["}
SEATS = 4
WAIT_S_MAX = 30.0
REPEATED = 3
"""Failing steps within a minute after which the worker ends itself."""


@pytest.fixture(scope="module")
def worker(openvino_cache: Path) -> Iterator[OpenVinoServer]:
    with openvino_server(openvino_cache, SEATS) as server:
        yield server


@pytest.fixture
def client(worker: OpenVinoServer) -> Iterator[httpx.Client]:
    with client_of(worker) as made:
        yield made
    wait_until(lambda: worker.running() == 0)


def client_of(worker: OpenVinoServer) -> httpx.Client:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.Client(base_url=worker.address, headers=headers, timeout=WAIT_S_MAX)


def wait_until(true: Any) -> None:
    deadline_s = time.monotonic() + WAIT_S_MAX
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def events(answer: httpx.Response) -> Iterator[Any]:
    for line in answer.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def test_a_stranger_is_refused(worker: OpenVinoServer) -> None:
    assert httpx.get(worker.address + "/health").status_code == 200
    assert httpx.get(worker.address + "/metrics").status_code == 401
    assert httpx.post(worker.address + CHAT, json=LONG).status_code == 401


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"logit_bias": {"0": 1}}, "unsupported_parameter"),
        ({"logprobs": True, "top_logprobs": 1}, "unsupported_parameter"),
        ({"repetition_penalty": 1.1}, "unsupported_parameter"),
        ({"temperature": 3}, "invalid_value"),
        ({"messages": []}, "invalid_value"),
        ({"messages": [{"role": "user", "content": [1]}]}, "invalid_value"),
        ({"messages": [{"role": "user", "content": "word " * 3000}]}, "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "x" * 2_000_000}]}, "context_length_exceeded"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(client: httpx.Client, said: dict[str, Any], code: str) -> None:
    answer = client.post(CHAT, json=LONG | said)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code


def test_characters_are_never_split(client: httpx.Client) -> None:
    prompt = "Repeat: 🌊🦜é漢字🧭 🌊🦜é漢字🧭 🌊🦜é漢字🧭"
    asked = {"prompt": prompt, "max_tokens": 60, "temperature": 1.5, "seed": 3, "ignore_eos": True}
    whole = client.post("/v1/completions", json=asked).json()["choices"][0]["text"]
    assert not whole.isascii()
    with client.stream("POST", "/v1/completions", json=asked | {"stream": True}) as answer:
        parts = [choice["text"] for event in events(answer) for choice in event["choices"]]
    assert "".join(parts) == whole
    assert "\ufffd" not in whole[:-1]


def test_a_seed_belongs_to_each_of_several_answers(client: httpx.Client) -> None:
    asked = LONG | {"max_tokens": 12, "n": 3, "seed": 5, "temperature": 1.2}
    first, again = (client.post(CHAT, json=asked).json()["choices"] for _ in range(2))
    texts = [choice["message"]["content"] for choice in first]
    assert len(set(texts)) == 3
    assert texts == [choice["message"]["content"] for choice in again]


def test_salts_change_no_answer(client: httpx.Client) -> None:
    """Each is new to the cache: what comes out of it is rounded otherwise, which may change a word."""
    asked = LONG | {"max_tokens": 20, "temperature": 0}
    answers = [client.post(CHAT, json=asked | {"cache_salt": salt}).json() for salt in ("one", "another", "third")]
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1


def test_who_reads_and_leaves_frees_the_place(worker: OpenVinoServer, client: httpx.Client) -> None:
    with client.stream("POST", CHAT, json=LONG | {"stream": True}) as answer:
        told = events(answer)
        assert next(told)
        assert worker.running() == 1
    wait_until(lambda: worker.running() == 0)


def test_who_waits_and_leaves_frees_the_place(worker: OpenVinoServer, client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=LONG, timeout=0.5)
    wait_until(lambda: worker.running() == 0)


def test_a_long_prompt_lets_answers_go_on(worker: OpenVinoServer, client: httpx.Client) -> None:
    """It is read in 20 pieces or more; in one go, it would be read in eight steps."""
    with client.stream("POST", CHAT, json=LONG | {"stream": True}) as neighbour, ThreadPoolExecutor(1) as pool:
        told = events(neighbour)
        next(told)
        reading = pool.submit(client.post, CHAT, json=long_prompt())
        between = sum(1 for _ in takewhile(lambda _: not reading.done(), told))
        usage = reading.result().json()["usage"]
    assert usage["completion_tokens"] == 1
    assert between > usage["prompt_tokens"] / allowance(1) * 0.8


def test_who_leaves_while_the_prompt_is_read_frees_the_place(worker: OpenVinoServer, client: httpx.Client) -> None:
    with client.stream("POST", CHAT, json=LONG | {"stream": True}) as neighbour:
        told = events(neighbour)
        next(told)
        with pytest.raises(httpx.ReadTimeout):
            client.post(CHAT, json=long_prompt(), timeout=0.2)
        wait_until(lambda: worker.running() == 1)


def long_prompt() -> dict[str, Any]:
    """One that nobody has read before."""
    words = " ".join(str(secrets.randbelow(1000)) for _ in range(400))
    return {"messages": [{"role": "user", "content": words}], "max_tokens": 1}


def test_the_queue_is_bounded(worker: OpenVinoServer, client: httpx.Client) -> None:
    """One request of many answers is let in when nobody is here; beside it the next ones wait, up to a bound."""
    with client.stream("POST", CHAT, json=LONG | {"stream": True, "n": 3 * SEATS}) as answer:
        assert answer.status_code == 200
        refused = client.post(CHAT, json=LONG)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "engine_overloaded"
        assert worker.running() == 3 * SEATS


def test_a_step_that_fails_costs_only_its_batch(worker: OpenVinoServer, client: httpx.Client) -> None:
    with client.stream("POST", CHAT, json=LONG | {"stream": True}) as neighbour:
        told = events(neighbour)
        assert "choices" in next(told)
        broken = client.post(CHAT, json=BROKEN)
        assert broken.status_code == 500
        assert broken.json()["error"]["code"] == "engine_failed"
        *_, last = told
        assert last["error"]["code"] == "engine_failed"
    wait_until(lambda: worker.running() == 0)
    again = client.post(CHAT, json=LONG | {"max_tokens": 4})
    assert again.json()["usage"]["completion_tokens"] == 4


def test_steps_that_fail_again_and_again_end_the_worker(openvino_cache: Path) -> None:
    with openvino_server(openvino_cache, SEATS) as worker, client_of(worker) as client:
        statuses = [client.post(CHAT, json=BROKEN).status_code for _ in range(REPEATED)]
        assert statuses == [500] * REPEATED
        assert worker.wait(WAIT_S_MAX) == 1


@pytest.mark.slow
def test_several_convert_once_and_leave_nothing_half_made(tmp_path: Path) -> None:
    half_made = tmp_path / ".openvino-0.converting"
    half_made.mkdir()
    servers: list[OpenVinoServer] = []
    with ThreadPoolExecutor(2) as pool:
        servers = list(pool.map(lambda _: OpenVinoServer("chat", tmp_path, SEATS), range(2)))
    for server in servers:
        server.end()
    assert len([path for path in tmp_path.iterdir() if path.is_dir() and path != half_made]) == 1


def test_a_missing_package_is_named_with_what_to_type() -> None:
    program = (
        "import sys; sys.modules['openvino_genai'] = None\n"
        "from parvis.adapters.openvino import child; sys.exit(child.main())"
    )
    spec = json.dumps({"weights": "w", "alias": "a", "api_key": "k", "cache": "c"})
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(spec + "\n")
        child.stdin.flush()
        assert "pip install 'parvis[openvino]'" in json.loads(child.stdout.readline())["error"]
        assert child.wait(WAIT_S_MAX) == 1


async def test_schemas_do_not_fill_the_memory() -> None:
    """The pipeline keeps each for ever: a new process forgets them, and until then new ones are refused."""
    batch = Batch(None, None, seats=SEATS)  # type: ignore[arg-type]  # neither is asked for what is tried here
    for number in range(GRAMMARS_KEPT):
        batch._meet(f'root ::= "{number}"')
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(batch.run(), 0.01)
    for number in range(GRAMMARS_MAX):
        batch._meet(f'root ::= "{number}"')
    with pytest.raises(Refused, match="too many different schemas"):
        batch._meet('root ::= "new"')
    await asyncio.wait_for(batch.run(), WAIT_S_MAX)
