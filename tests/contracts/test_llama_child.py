"""The embedded engine as a process: real weights, a real server, the real ends of its life."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parvis.adapters.engines.weights import GGUF_MAGIC, WeightsMissing, locate

KEY = "test-engine-key"
SMALL = {"parallel": 2, "context": 512, "threads": 1, "api_key": KEY}
END_S_MAX = 10
ANSWER_S_MAX = 60


class Child:
    """A running child, with the pipe that it lives by. `first_line` is what it reported."""

    def __init__(self, spec: dict[str, Any], launcher: tuple[str, ...] = ()) -> None:
        command = [*launcher, sys.executable, "-m", "parvis.adapters.engines.llama_child"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stdin.write(json.dumps(spec).encode() + b"\n")
        self.stdin.flush()
        self.first_line: dict[str, str] = json.loads(self.stdout.readline())

    def post(self, path: str, body: dict[str, Any], key: str = KEY) -> httpx.Response:
        # A streamed answer ends its connection, whatever its headers say, so none is kept.
        headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
        return httpx.post(f"{self.first_line['address']}{path}", json=body, headers=headers, timeout=ANSWER_S_MAX)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(END_S_MAX)
        self.stdin.close()
        self.stdout.close()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def chat_spec(cache: Path) -> dict[str, Any]:
    weights = locate("builtin:smollm2-135m-instruct", cache)
    return {"weights": str(weights), "alias": "parvis-mini", "kind": "chat", **SMALL}


@pytest.fixture(scope="module")
def chat(cache: Path) -> Iterator[Child]:
    child = Child(chat_spec(cache))
    yield child
    child.stop()


@pytest.fixture(scope="module")
def embedding(cache: Path) -> Iterator[Child]:
    weights = locate("builtin:all-minilm-l6-v2", cache)
    child = Child({"weights": str(weights), "alias": "parvis-embed", "kind": "embedding", **SMALL})
    yield child
    child.stop()


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_it_listens_on_loopback_and_asks_for_its_key(chat: Child) -> None:
    assert chat.first_line["address"].startswith("http://127.0.0.1:")
    assert chat.post("/v1/chat/completions", question("Hi"), key="wrong").status_code == 401
    assert httpx.get(f"{chat.first_line['address']}/slots").status_code == 401


def test_a_chat_answer_carries_the_alias_and_its_usage(chat: Child) -> None:
    answer = chat.post("/v1/chat/completions", question("Say hello.", max_tokens=3)).json()
    assert answer["model"] == "parvis-mini"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] >= 0


@pytest.mark.parametrize("text", ["", 'root ::= "\U0001f600\u3053 ok"'])
def test_every_event_carries_the_running_count(chat: Child, text: str) -> None:
    """Metering relies on it: an event may hold several tokens, and the count is right all the same."""
    more: dict[str, Any] = {"grammar": text} if text else {}
    body = question("Say hello.", max_tokens=12, stream=True, timings_per_token=True, **more)
    body["stream_options"] = {"include_usage": True}
    *chunks, last = events(chat.post("/v1/chat/completions", body))
    counts = [chunk["timings"]["predicted_n"] for chunk in chunks if chunk["choices"][0]["delta"].get("content")]
    assert counts == sorted(set(counts))
    assert 0 <= last["usage"]["completion_tokens"] - counts[-1] <= 1  # the end-of-text token has no event


def test_a_schema_is_kept(chat: Child) -> None:
    call = {"type": "object", "properties": {"name": {"const": "f"}}, "required": ["name"]}
    form = {"type": "json_schema", "json_schema": {"name": "call", "schema": call}}
    answer = chat.post("/v1/chat/completions", question("Call f.", max_tokens=60, response_format=form)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"name": "f"}


def test_an_over_long_prompt_is_refused_with_its_length(chat: Child) -> None:
    answer = chat.post("/v1/chat/completions", question("word " * 600, stream=True))
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"
    assert answer.json()["error"]["n_ctx"] == SMALL["context"]


def test_embeddings_place_like_with_like(embedding: Child) -> None:
    texts = [
        "A cat sleeps on the sofa.",
        "A kitten naps on the couch.",
        "The central bank raised interest rates.",
    ]
    answer = embedding.post("/v1/embeddings", {"input": texts}).json()
    cat, kitten, bank = (item["embedding"] for item in answer["data"])
    assert len(cat) == 384
    assert math.isclose(math.hypot(*cat), 1, rel_tol=1e-3)
    assert dot(cat, kitten) > 0.5
    assert dot(cat, bank) < 0.2


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_every_slot_takes_a_text_of_the_full_context(embedding: Child) -> None:
    answer = embedding.post("/v1/embeddings", {"input": ["word " * 510] * 3})
    assert answer.json()["usage"]["prompt_tokens"] == 3 * 512
    assert embedding.post("/v1/embeddings", {"input": "word " * 511}).status_code == 400


def test_the_end_of_the_pipe_ends_it(cache: Path) -> None:
    child = Child(chat_spec(cache))
    child.stdin.close()
    assert child.process.wait(END_S_MAX) == 0
    child.stop()


def test_sigterm_ends_it(cache: Path) -> None:
    child = Child(chat_spec(cache))
    child.process.terminate()
    assert child.process.wait(END_S_MAX) == -signal.SIGTERM
    child.stop()


def test_the_death_of_its_parent_ends_it(cache: Path) -> None:
    """The test holds the other end of the pipe, so only the kernel's signal can end it."""
    child = Child(chat_spec(cache), launcher=("/bin/sh", "-c", '"$@"; true', "sh"))
    child.process.kill()
    assert child.stdout.read() == b""  # it ends when the grandchild has closed the other end
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{child.first_line['address']}/health")
    child.stop()


def test_nothing_but_one_line_reaches_the_output(cache: Path) -> None:
    child = Child(chat_spec(cache))
    child.post("/v1/chat/completions", question("Hi", grammar="root ::= (", max_tokens=1))
    child.stdin.close()
    assert child.stdout.read() == b""
    child.stop()


def test_weights_that_are_broken_are_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(GGUF_MAGIC + bytes(100))
    child = Child({"weights": str(broken), "alias": "a", "kind": "chat", **SMALL})
    assert "cannot be loaded" in child.first_line["error"]
    assert child.process.wait(END_S_MAX) == 1
    child.stop()


@pytest.mark.parametrize("change", [{"kind": "speech"}, {"surprise": 1}])
def test_a_wrong_specification_is_one_sentence(change: dict[str, Any]) -> None:
    child = Child({"weights": "x", "alias": "a", "kind": "chat", **SMALL, **change})
    assert child.first_line["error"]
    assert child.process.wait(END_S_MAX) == 1
    child.stop()


def test_the_conversion_is_done_once(cache: Path) -> None:
    path = locate("builtin:all-minilm-l6-v2", cache)
    written = path.stat().st_mtime_ns
    assert locate("builtin:all-minilm-l6-v2", cache).stat().st_mtime_ns == written
    assert [item.suffix for item in cache.iterdir()] == [".gguf"]


def test_the_weights_of_a_user_are_used_where_they_lie(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(GGUF_MAGIC)
    assert locate(str(own), tmp_path) == own


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("builtin:gpt-9", "are unknown"),
        ("nowhere.gguf", "cannot be opened"),
        (__file__, "not in GGUF format"),
    ],
)
def test_weights_that_cannot_be_used_say_why(reference: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=said):
        locate(reference, tmp_path)
