"""The fake engine keeps its word: every promise test leans on what it says it did."""

import base64
import json
import math
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any

import httpx
import openai
import pytest

from parvis.testing.fake_engine import answers
from parvis.testing.fake_engine.commands import Commands, commands
from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.processes import FakeEngineProcess, fake_engine

Json = dict[str, Any]
FLAVOURS: tuple[Flavour, ...] = ("vllm", "llamacpp", "plain")
TOOL = {"name": "find", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
RUNNING = {"include_usage": True, "continuous_usage_stats": True}


@pytest.fixture(scope="module", params=FLAVOURS)
def any_engine(request: pytest.FixtureRequest) -> Iterator[FakeEngineProcess]:
    with fake_engine(flavour=request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def vllm() -> Iterator[FakeEngineProcess]:
    with fake_engine() as engine:
        yield engine


@pytest.fixture
def engine(vllm: FakeEngineProcess) -> FakeEngineProcess:
    vllm.reset()
    return vllm


def chat(text: str, **fields: object) -> Json:
    return {"messages": [{"role": "user", "content": text}], **fields}


def post(engine: FakeEngineProcess, body: Json, path: str = "/v1/chat/completions") -> httpx.Response:
    return httpx.post(engine.address + path, json=body, timeout=20)


def events(engine: FakeEngineProcess, body: Json, path: str = "/v1/chat/completions") -> list[str]:
    """What follows `data: ` in each event of the stream, to its end."""
    text = post(engine, body | {"stream": True}, path).text
    assert text.endswith("\n\n")
    return [event.removeprefix("data: ") for event in text.removesuffix("\n\n").split("\n\n")]


def chunks(engine: FakeEngineProcess, body: Json, path: str = "/v1/chat/completions") -> list[Json]:
    """The chunks of a stream that ends as it should."""
    *told, done = events(engine, body, path)
    assert done == "[DONE]"
    return [json.loads(event) for event in told]


def deltas(told: list[Json]) -> list[Json]:
    return [choice["delta"] for chunk in told for choice in chunk["choices"]]


def received(engine: FakeEngineProcess, body: Json) -> bytes:
    """The bytes of the answer's body that arrive, whatever its end."""
    connection = HTTPConnection("127.0.0.1", engine.port, timeout=20)
    got = b""
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        while byte := response.read(1):
            got += byte
    except (HTTPException, ConnectionError):
        pass
    finally:
        connection.close()
    return got


@contextmanager
def raw(engine: FakeEngineProcess, body: Json, *, buffer_bytes: int = 65_536) -> Iterator[socket.socket]:
    """A bare connection on which the request was sent."""
    encoded = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: engine\r\ncontent-length: {len(encoded)}\r\n\r\n"
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        peer.settimeout(20)
        peer.connect(("127.0.0.1", engine.port))
        peer.sendall(head.encode() + encoded)
        yield peer


def read_to_the_end(peer: socket.socket) -> None:
    while peer.recv(65_536):
        pass


# What it answers


def test_answers_what_the_pure_functions_foretell(any_engine: FakeEngineProcess) -> None:
    body = chat("Tell me @tokens=40 @reason=5")
    choice = answers.answer(body, commands("@tokens=40 @reason=5", Commands())).choices[0]
    told = deltas(chunks(any_engine, body))
    assert "".join(delta.get("content") or "" for delta in told) == choice.text("content")
    assert "".join(delta.get("reasoning_content", "") for delta in told) == choice.text("reasoning")
    message = post(any_engine, body).json()["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == (
        choice.text("content"),
        choice.text("reasoning"),
    )


def test_commands_do_not_change_the_text(any_engine: FakeEngineProcess) -> None:
    first, second, other = (
        post(any_engine, chat(text)).json()["choices"][0]["message"]["content"]
        for text in ("Tell me", "@split=3 Tell me @gap_ms=1", "Tell me @nothing")
    )
    assert first == second
    assert first != other


def test_speaks_more_than_ascii() -> None:
    text = "".join(answers.piece(7, i) for i in range(40))
    assert len(text.encode()) > len(text)
    assert "🙂" in "".join(answers.VOCABULARY)


def test_counts_the_same_in_both_ways(any_engine: FakeEngineProcess) -> None:
    body = chat("one two three @tokens=4 @reason=2")
    streamed = chunks(any_engine, body | {"stream_options": {"include_usage": True}})[-1]
    whole = post(any_engine, body).json()["usage"]
    assert streamed["choices"] == []
    assert streamed["usage"] == whole
    assert (whole["prompt_tokens"], whole["completion_tokens"], whole["total_tokens"]) == (8, 6, 14)
    assert whole["prompt_tokens_details"] == {"cached_tokens": 2}


def test_says_no_usage_unasked(any_engine: FakeEngineProcess) -> None:
    assert not any(chunk.get("usage") for chunk in chunks(any_engine, chat("hello")))


def test_opens_with_the_role_and_ends_with_the_reason(any_engine: FakeEngineProcess) -> None:
    told = chunks(any_engine, chat("hello"))
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["finish_reason"] for chunk in told] == [None] * 9 + ["stop"]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in told}) == 1


def test_max_tokens_cuts_with_length(any_engine: FakeEngineProcess) -> None:
    answer = post(any_engine, chat("@tokens=9 @reason=2", max_tokens=4)).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 4


def test_running_usage_counts_each_choice_alone(engine: FakeEngineProcess) -> None:
    told = chunks(engine, chat("@tokens=3", n=2, stream_options=RUNNING))
    counts: list[list[int]] = [[], []]
    for chunk in told[:-1]:
        counts[chunk["choices"][0]["index"]].append(chunk["usage"]["completion_tokens"])
    assert counts == [[0, 1, 2, 3, 3]] * 2
    assert told[-1]["usage"]["completion_tokens"] == 6


def test_llama_cpp_writes_its_choices_first() -> None:
    with fake_engine(flavour="llamacpp") as engine:
        told = events(engine, chat("hello"))
    assert told[1].startswith('{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"')
    assert list(json.loads(told[-2]))[-1] == "timings"


def test_llama_cpp_counts_each_choice_alone_while_it_runs() -> None:
    with fake_engine(flavour="llamacpp") as engine:
        told = chunks(engine, chat("@tokens=3", n=2, timings_per_token=True))
    counts: list[list[int]] = [[], []]
    for chunk in told:
        counts[chunk["choices"][0]["index"]].append(chunk.get("timings", {}).get("predicted_n", 0))
    assert counts == [[0, 1, 2, 3, 3]] * 2


def test_a_list_of_prompts_has_n_choices_each(any_engine: FakeEngineProcess) -> None:
    body = {"prompt": ["one", "two two"], "n": 2, "max_tokens": 3}
    answer = post(any_engine, body, "/v1/completions").json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert len({choice["text"] for choice in answer["choices"]}) == 4
    assert answer["usage"]["prompt_tokens"] == 4 + 5
    texts = [""] * 4
    for chunk in chunks(any_engine, body, "/v1/completions"):
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert texts == [choice["text"] for choice in answer["choices"]]


def test_a_tool_call_opens_with_its_name_and_comes_in_fragments(any_engine: FakeEngineProcess) -> None:
    body = chat("@tool", tools=[{"type": "function", "function": TOOL}])
    opening, *fragments = [d["tool_calls"][0] for d in deltas(chunks(any_engine, body)) if "tool_calls" in d]
    assert (opening["function"], opening["index"]) == ({"name": "find", "arguments": ""}, 0)
    arguments = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert json.loads(arguments).keys() == {"city"}
    whole = post(any_engine, body).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    assert whole["message"]["content"] is None
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == arguments


def test_json_fits_the_schema(engine: FakeEngineProcess) -> None:
    schema = {"type": "object", "properties": {"name": {"const": "f"}, "arguments": TOOL["parameters"]}}
    wanted = {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}}
    answer = post(engine, chat("@json", response_format=wanted)).json()
    content = json.loads(answer["choices"][0]["message"]["content"])
    assert content["name"] == "f"
    assert content["arguments"].keys() == {"city"}


def test_logprobs_cover_every_token(any_engine: FakeEngineProcess) -> None:
    body = chat("@tokens=3", logprobs=True, top_logprobs=2)
    told = [chunk["choices"][0] for chunk in chunks(any_engine, body)]
    entries = [entry for choice in told for entry in (choice.get("logprobs") or {}).get("content", [])]
    assert "".join(entry["token"] for entry in entries) == "".join(
        choice["delta"].get("content") or "" for choice in told
    )


def test_embeddings_are_unit_vectors(any_engine: FakeEngineProcess) -> None:
    body = {"input": ["one", "two"], "dimensions": 8}
    first, second = (row["embedding"] for row in post(any_engine, body, "/v1/embeddings").json()["data"])
    assert math.isclose(math.hypot(*first), 1)
    assert first != second
    packed = post(any_engine, body | {"encoding_format": "base64"}, "/v1/embeddings").json()["data"][0]
    assert struct.unpack("8f", base64.b64decode(packed["embedding"])) == pytest.approx(first)


def test_tokenize_counts_as_usage_does(engine: FakeEngineProcess) -> None:
    body = chat("five words and a command")
    counted = post(engine, body, "/tokenize").json()
    assert counted["count"] == len(counted["tokens"]) == post(engine, body).json()["usage"]["prompt_tokens"]


def test_the_official_client_reads_it(engine: FakeEngineProcess) -> None:
    with openai.OpenAI(base_url=f"{engine.address}/v1", api_key="none", max_retries=0) as client:
        told = client.chat.completions.create(
            model="fake-8b", messages=[{"role": "user", "content": "@tokens=5"}], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in told)
        assert text == post(engine, chat("@tokens=5")).json()["choices"][0]["message"]["content"]
        assert [model.id for model in client.models.list()] == ["fake-8b"]


# How it refuses


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/nothing", {}, 404),
        ("/v1/chat/completions", {}, 400),
        ("/v1/chat/completions", chat("hello", max_tokens=0), 400),
        ("/v1/chat/completions", chat("hello", model="other"), 404),
        ("/v1/chat/completions", chat("@status=503"), 503),
    ],
)
def test_refusals_have_the_shape_of_errors(engine: FakeEngineProcess, path: str, body: Json, status: int) -> None:
    response = post(engine, body, path)
    assert response.status_code == status
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}
    assert [record.status for record in engine.log()] == [status]


def test_a_key_is_demanded_where_one_was_given() -> None:
    with fake_engine(api_key="engine-key") as engine:
        assert post(engine, chat("hello")).status_code == 401
        headers = {"authorization": "Bearer engine-key"}
        url = f"{engine.address}/v1/chat/completions"
        assert httpx.post(url, json=chat("hello"), headers=headers).status_code == 200


# How it fails on command


@pytest.mark.parametrize("stream", [True, False])
def test_cut_bytes_sends_exactly_that_many(engine: FakeEngineProcess, stream: bool) -> None:  # noqa: FBT001 - a column of the table above
    whole = received(engine, chat("@tokens=3 @cut_bytes=99999", stream=stream))
    for cut in (0, 1, 57, len(whole) - 1, len(whole)):
        body = chat(f"@tokens=3 @cut_bytes={cut}", stream=stream)
        assert len(received(engine, body)) == cut
    assert [record.finished for record in engine.ended()] == [True, False, False, False, False, not stream]


def test_a_token_counts_as_written_with_its_last_byte(engine: FakeEngineProcess) -> None:
    whole = received(engine, chat("@tokens=2 @cut_bytes=99999", stream=True))
    end = whole.index(b"\n\n", whole.index(b"\n\n") + 2) + 2  # of the first token's event, after the role's
    for cut in (end - 1, end):
        received(engine, chat(f"@tokens=2 @cut_bytes={cut}", stream=True))
    assert [record.tokens_written for record in engine.ended()] == [2, 0, 1]


def test_cut_after_counts_token_events(engine: FakeEngineProcess) -> None:
    got = received(engine, chat("@tokens=9 @cut_after=4 @bundle=2", stream=True))
    assert got.count(b"data: ") == 5
    (record,) = engine.ended()
    assert (record.tokens_made, record.tokens_written, record.finished) == (8, 8, False)


def test_reset_is_an_error_where_a_cut_is_an_end(engine: FakeEngineProcess) -> None:
    with raw(engine, chat("@cut_after=2", stream=True)) as peer:
        read_to_the_end(peer)
    with raw(engine, chat("@cut_after=2 @reset", stream=True)) as peer, pytest.raises(ConnectionResetError):
        read_to_the_end(peer)


def test_split_breaks_events_anywhere(engine: FakeEngineProcess) -> None:
    with raw(engine, chat("@split=7", stream=True)) as peer:
        got = b""
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += peer.recv(4096)
    framed = got.partition(b"\r\n\r\n")[2].split(b"\r\n")
    sizes = [int(size, 16) for size in framed[:-3:2]]
    assert set(sizes[:-1]) == {7}
    assert b"".join(framed[1::2]).endswith(b"data: [DONE]\n\n")


def test_merge_writes_one_chunk(engine: FakeEngineProcess) -> None:
    with raw(engine, chat("@merge", stream=True)) as peer:
        got = b""
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += peer.recv(65_536)
    assert len(got.partition(b"\r\n\r\n")[2].split(b"\r\n")) == 5


@pytest.mark.parametrize(("command", "status", "body"), [("@drop", None, b""), ("@status=500", 500, b'{"error')])
def test_fails_before_the_first_byte(engine: FakeEngineProcess, command: str, status: int | None, body: bytes) -> None:
    assert received(engine, chat(command, stream=True)).startswith(body)
    assert [record.status for record in engine.ended()] == [status]


def test_an_error_event_is_followed_by_done_from_vllm_alone(any_engine: FakeEngineProcess) -> None:
    told = events(any_engine, chat("@error_event"))
    with_done = told[-1] == "[DONE]"
    assert "error" in json.loads(told[-2 if with_done else -1])
    assert with_done == ('"logprobs":null' in told[0] and "fingerprint" not in told[0])


def test_says_wrong_things_on_command(engine: FakeEngineProcess) -> None:
    asked = {"stream_options": {"include_usage": True}}
    assert events(engine, chat("@no_done"))[-1] != "[DONE]"
    assert "role" not in deltas(chunks(engine, chat("@no_role")))[0]
    assert chunks(engine, chat("@wrong_usage=77", **asked))[-1]["usage"]["completion_tokens"] == 77
    assert "usage" not in chunks(engine, chat("@no_usage", **asked))[-1]
    with pytest.raises(json.JSONDecodeError):
        chunks(engine, chat("@garbage"))


def test_says_the_request_again_on_command(any_engine: FakeEngineProcess) -> None:
    told = chunks(any_engine, chat("say lemon again @echo @reason=2"))
    assert "".join(delta.get("content") or "" for delta in deltas(told)) == "say lemon again"
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas(told)) == "say lemon "


@pytest.mark.parametrize("how", ["@status=400", "@status=503", "@error_event", "@garbage"])
def test_quotes_the_request_on_command(any_engine: FakeEngineProcess, how: str) -> None:
    body = chat(f"lemon {how} @quote", user="pear")
    assert all(word in post(any_engine, body).text for word in ("lemon", "pear"))
    assert all(word in post(any_engine, body | {"stream": True}).text for word in ("lemon", "pear"))
    assert "lemon" not in post(any_engine, chat(f"lemon {how}")).text


def test_waits_where_it_is_told(engine: FakeEngineProcess) -> None:
    post(engine, chat("@first_ms=40 @prefill_ms=40 @gap_ms=10 @tokens=3", stream=True))
    (record,) = engine.ended()
    assert record.ended_at is not None
    assert record.ended_at - record.started_at >= 0.1


def test_faults_hold_for_all_until_reset(engine: FakeEngineProcess) -> None:
    engine.faults(status=500, health_status=503)
    assert post(engine, chat("hello")).status_code == 500
    assert httpx.get(f"{engine.address}/health").status_code == 503
    with pytest.raises(ValueError, match="unknown field"):
        engine.faults(no_such_fault=1)
    engine.reset()
    assert post(engine, chat("hello")).status_code == 200
    assert httpx.get(f"{engine.address}/health").status_code == 200


# What it notices


@pytest.mark.parametrize("command", ["@gap_ms=50", "@hang_after=0", "@hang_after=2", "@hang", "@first_ms=20000"])
@pytest.mark.parametrize("stream", [True, False])
def test_notices_at_once_that_the_peer_left(engine: FakeEngineProcess, command: str, stream: bool) -> None:  # noqa: FBT001 - a column of the table above
    with raw(engine, chat(f"@tokens=200 {command}", stream=stream)):
        while not engine.log():
            time.sleep(0.005)
        time.sleep(0.03)
    left_at = time.monotonic()
    (record,) = engine.ended()
    assert record.cancelled
    assert not record.finished
    assert record.tokens_made < 200
    assert record.ended_at is not None
    assert record.cancelled_after_ms is not None
    assert record.ended_at - left_at < 1
    assert record.cancelled_after_ms >= 30


def test_stops_producing_for_a_peer_that_does_not_read(engine: FakeEngineProcess) -> None:
    with raw(engine, chat("@tokens=1000000", stream=True), buffer_bytes=4096):
        made = -1
        while made != (made := sum(record.tokens_made for record in engine.log())) or made == 0:
            time.sleep(0.2)
        assert made < 1_000_000
    (record,) = engine.ended()
    assert (record.cancelled, record.tokens_made) == (True, made)


def test_the_log_tells_who_asked_what(engine: FakeEngineProcess) -> None:
    url = f"{engine.address}/v1/chat/completions"
    answer = httpx.post(url, json=chat("hello"), headers={"x-request-id": "r1"}).json()
    (record,) = engine.ended()
    assert (record.x_request_id, record.id, answer["id"]) == ("r1", "chatcmpl-r1", "chatcmpl-r1")
    assert (record.endpoint, record.body, record.stream) == ("/v1/chat/completions", chat("hello"), False)
    assert (record.tokens_made, record.tokens_written, record.finished, record.cancelled) == (
        8,
        8,
        True,
        False,
    )


def test_slots_make_others_wait() -> None:
    with fake_engine(slots=1) as engine, raw(engine, chat("@hang")), raw(engine, chat("@hang")):
        engine_metrics = ""
        deadline = time.monotonic() + 10
        while "waiting{" not in engine_metrics or " 1.0\n" not in engine_metrics.partition("waiting{")[2]:
            assert time.monotonic() < deadline
            engine_metrics = httpx.get(f"{engine.address}/metrics").text
    assert 'num_requests_running{model_name="fake-8b"} 1.0\n' in engine_metrics


# How it lives


def test_a_restart_keeps_the_address_and_forgets_the_log() -> None:
    with fake_engine() as engine:
        address, pid = engine.address, engine.pid
        assert post(engine, chat("hello")).status_code == 200
        engine.kill()
        with pytest.raises(httpx.ConnectError):
            post(engine, chat("hello"))
        engine.restart()
        assert (engine.address, engine.pid != pid, engine.log()) == (address, True, [])


def test_dies_when_its_parent_does() -> None:
    with fake_engine() as engine, raw(engine, chat("@hang")) as peer:
        assert engine._child.stdin
        engine._child.stdin.close()
        assert engine._child.wait(10) == 0
        assert peer.recv(1) == b""


def test_closes_idle_connections_on_demand() -> None:
    with fake_engine(idle_close_ms=30) as engine, raw(engine, chat("hello")) as peer:
        read_to_the_end(peer)
