"""One connection, many requests: their order, their ends, and everything about HTTP that could be read in two ways."""

import json
import socket
import time
from typing import Any

import pytest

from parvis.testing.raw_http import heard, request, responses, said

CHAT = "smollm2-135m-instruct"
CHAT_PATH = "/v1/chat/completions"
CLOSE = request("GET", "/v1/models", "Connection: close")
BODY = b'{"model":"x","messages":[]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


def asked(text: str, **fields: object) -> bytes:
    return json.dumps({"model": CHAT, "messages": [{"role": "user", "content": text}], **fields}).encode()


def chat(key: str, text: str, *headers: str, **fields: object) -> bytes:
    return request("POST", CHAT_PATH, *headers, body=asked(text, **fields), key=key)


# ---------------------------------------------------------------------------------------------------- order


def test_pipelined_requests_are_answered_in_order(house: Any) -> None:
    slow_first = [chat(house.key, f"@tokens={n} @first_ms={200 - 20 * n} {n}") for n in range(1, 9)]
    answers = responses(said(house.port, b"".join([*slow_first, CLOSE])))
    counts = [answer.json()["usage"]["completion_tokens"] for answer in answers[:-1]]
    assert counts == list(range(1, 9))
    assert answers[-1].status == 401


def test_many_small_requests_in_one_write(house: Any) -> None:
    answers = responses(said(house.port, request(key=house.key) * 300 + CLOSE))
    assert [answer.status for answer in answers] == [200] * 300 + [401]


def test_requests_behind_a_stream_wait_for_its_end(house: Any) -> None:
    streamed = chat(house.key, "@tokens=20 @gap_ms=5 one", stream=True)
    first, second, last = responses(said(house.port, streamed + chat(house.key, "two") + CLOSE))
    assert first.body.endswith(b"data: [DONE]\n\n")
    assert second.json()["object"] == "chat.completion"
    assert last.status == 401


def test_a_bad_request_waits_for_the_good_one_before_it(house: Any) -> None:
    """What cannot be read ends the connection, and never the answer that is on its way."""
    good, bad = responses(said(house.port, chat(house.key, "@first_ms=100 good") + b"NONSENSE\r\n\r\n"))
    assert good.json()["object"] == "chat.completion"
    assert (bad.status, bad.error["code"]) == (400, "invalid_http")


def test_a_request_byte_by_byte(house: Any) -> None:
    data = chat(house.key, "Ça va ?", "Connection: close")
    [answer] = responses(said(house.port, *(data[i : i + 1] for i in range(len(data)))))
    assert answer.status == 200


# ----------------------------------------------------------------------------------------------------- ends


def test_connection_close_is_honoured(house: Any) -> None:
    [answer] = responses(said(house.port, request("GET", "/v1/models", "Connection: close", key=house.key)))
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_what_follows_a_close_is_not_read(house: Any) -> None:
    house.engine.reset()
    last = chat(house.key, "@first_ms=50 last", "Connection: close")
    [answer] = responses(said(house.port, last + chat(house.key, "more")))
    assert answer.status == 200
    assert len(house.engine.ended(count=1)) == 1


def test_http_1_0_is_answered_and_closed(house: Any) -> None:
    head = f"POST {CHAT_PATH} HTTP/1.0\r\nAuthorization: Bearer {house.key}\r\n".encode()
    for fields in ({}, {"stream": True}):
        body = asked("Hello.", **fields)
        [answer] = responses(said(house.port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body))
        assert answer.status == 200
        assert "transfer-encoding" not in answer.headers
        assert answer.body.endswith(b"data: [DONE]\n\n" if fields else b"}")


def test_http_1_0_may_keep_the_connection(house: Any) -> None:
    line = f"GET /v1/models HTTP/1.0\r\nAuthorization: Bearer {house.key}\r\n"
    kept = f"{line}Connection: keep-alive\r\n\r\n".encode()
    answers = responses(said(house.port, kept + kept + f"{line}\r\n".encode()))
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_a_client_may_wait_before_it_sends_its_body(house: Any) -> None:
    body = asked("Hello.")
    lines = f"Authorization: Bearer {house.key}\r\nExpect: 100-continue\r\nConnection: close\r\n"
    head = HEAD + f"{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as peer:
        peer.sendall(head)
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(body)
        [answer] = responses(heard(peer))
    assert answer.status == 200


def test_a_client_that_waits_is_told_at_once_that_its_body_is_too_large(house: Any) -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: 5000000000\r\n\r\n"
    [answer] = responses(said(house.port, head))
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_too_much_can_read_why(house: Any, *, chunked: bool) -> None:
    """It may still be sending when it is refused: a reset would take the answer away."""
    body = b" " * (12 << 20)
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    line = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    for _ in range(5):
        [answer] = responses(said(house.port, HEAD + line + b"\r\n\r\n", framed))
        assert (answer.status, answer.error["code"]) == (413, "request_too_large")


def test_a_body_in_chunks_is_put_together(house: Any) -> None:
    body = asked("Hello.")
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    lines = f"Authorization: Bearer {house.key}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    [answer] = responses(said(house.port, HEAD + lines.encode() + chunks))
    assert answer.status == 200


def test_a_client_that_leaves_half_way_disturbs_nobody(house: Any) -> None:
    for data in (b"", b"GET", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", house.port), timeout=10) as peer:
            peer.sendall(data)
    assert responses(said(house.port, CLOSE))[0].status == 401


# ------------------------------------------------------------------------------------------------ ambiguity

AMBIGUOUS = {
    "two lengths": HEAD + b"Content-Length: 27\r\nContent-Length: 27\r\n\r\n" + BODY,
    "two different lengths": HEAD + b"Content-Length: 27\r\nContent-Length: 5\r\n\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: 27, 27\r\n\r\n" + BODY,
    "a length with a sign": HEAD + b"Content-Length: +27\r\n\r\n" + BODY,
    "a length in base 16": HEAD + b"Content-Length: 0x1b\r\n\r\n" + BODY,
    "an empty length": HEAD + b"Content-Length: \r\n\r\n" + BODY,
    "a length beyond counting": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + BODY,
    "length and chunks": HEAD + b"Content-Length: 27\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 27\r\n\r\n0\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding below chunks": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding above chunks": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1b\n" + BODY + b"\n0\n\n",
    "a chunk size with a prefix": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1b\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a length in the trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n",
    "bare LF": b"GET /v1/models HTTP/1.1\nHost: localhost\n\n",
    "bare LF after a header": b"GET /v1/models HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "bare CR": b"GET /v1/models HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "a folded header": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\n\r\n",
    "a folded host": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\tb\r\n\r\n",
    "a space before the colon": b"GET /v1/models HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a NUL in a header": b"GET /v1/models HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "an empty host": b"GET /v1/models HTTP/1.1\r\nHost: \r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "two credentials": b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
    "a whole URL": b"GET http://elsewhere/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another version": b"GET /v1/models HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "a later version": b"GET /v1/models HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a verb in small letters": b"get /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path with a letter beyond ASCII": "GET /v1/modèles HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an upgrade": b"GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused(house: Any, name: str) -> None:
    """One answer, then the end: nothing that follows is taken for a request."""
    house.engine.reset()
    smuggled = chat(house.key, "smuggled")
    [answer] = responses(said(house.port, AMBIGUOUS[name] + smuggled))
    assert answer.status == 400
    assert answer.error["code"] in {"invalid_http", "upgrade_not_supported"}
    assert answer.headers["connection"] == "close"
    assert answer.headers.keys() >= {"x-request-id", "openai-processing-ms", "openai-version"}
    assert house.engine.log() == []


def test_an_upgrade_with_a_body_runs_nothing(house: Any) -> None:
    house.engine.reset()
    data = chat(house.key, "Hello.", "Connection: upgrade", "Upgrade: h2c")
    [answer] = responses(said(house.port, data))
    assert (answer.status, answer.error["code"]) == (400, "upgrade_not_supported")
    assert house.engine.log() == []


@pytest.mark.parametrize("trailer", ["Authorization: Bearer {}", "Host: elsewhere", "Content-Encoding: gzip"])
def test_trailers_decide_nothing(house: Any, trailer: str) -> None:
    body = asked("Hello.")
    framed = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailer.format(house.key).encode())
    data = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + framed
    assert [answer.status for answer in responses(said(house.port, data))] == [401]


# ------------------------------------------------------------------------------------------------- too much


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\n" + b"X-Y: z\r\n" * 101 + b"\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Y: " + b"z" * 40_000 + b"\r\n\r\n",
        b"GET /v1/models?" + b"z" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\n" + b"X" * 40_000 + b": z\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\n" + (b"X-Y: " + b"z" * 1000 + b"\r\n") * 40 + b"\r\n",
    ],
    ids=["headers", "header value", "path", "header name", "all headers"],
)
def test_a_head_that_is_too_large_is_refused(house: Any, head: bytes) -> None:
    [answer] = responses(said(house.port, head))
    assert (answer.status, answer.error["code"]) == (413, "headers_too_large")


def test_a_header_that_never_ends_is_refused_while_it_comes(house: Any) -> None:
    parts = [b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX-Y: ", *[b"z" * 4096] * 40]
    started_s = time.monotonic()
    [answer] = responses(said(house.port, *parts, pause_s=0.005))
    assert (answer.status, answer.error["code"]) == (413, "headers_too_large")
    assert time.monotonic() - started_s < 5
