"""What llhttp lets pass and two readers could differ about; and damaged requests, read beside a strict reading."""

import json
import random
import socket
from collections.abc import Iterator

import pytest

from parvis.api.inference.exchange import Exchange
from parvis.api.inference.strictness import CHUNKS_MAX, FRAMING_BYTES_MAX
from parvis.testing.hostile.strict import Reading, read
from parvis.testing.hostile.verdict import answers_of
from parvis.testing.listening import LASTING, RunningListener, listening
from parvis.testing.raw_http import Response, heard, request, responses, said

DAMAGED = 3_000
SEED = 112
SILENCE_S_MAX = 0.05
"""A request that the strict reading finds incomplete is rightly not answered."""
TAIL = b"GET /tail HTTP/1.1\r\nHost: tail\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSED: dict[str, bytes] = {
    "another protocol's name": b"POST /a RTSP/1.0\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "two spaces before the target": b"GET  /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces behind it": b"GET /a  HTTP/1.1\r\nHost: a\r\n\r\n",
    "both behind an empty line": b"\r\nGET  /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces in a second request": b"GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET  /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment in a query": b"GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n",
    "an asterisk for a path": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "a host with a path": b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": b"GET /a HTTP/1.1\r\nHost: b@a\r\n\r\n",
    "a host with a space": b"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a port that is none": b"GET /a HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "a port beyond ports": b"GET /a HTTP/1.1\r\nHost: a:655360\r\n\r\n",
    "an address without brackets": b"GET /a HTTP/1.1\r\nHost: ::1\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET /a HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
    "a trailer that closes": CHUNKED + b"0\r\nConnection: close\r\n\r\n",
    "a trailer that upgrades": CHUNKED + b"0\r\nUpgrade: h2c\r\n\r\n",
}
RIGHT: dict[str, bytes] = {
    "an address in brackets": b"GET /a HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
    "an empty port": b"GET /a HTTP/1.1\r\nHost: a:\r\n\r\n",
    "empty lines before": b"\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host in HTTP/1.0": b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "a harmless trailer": CHUNKED + b"0\r\nX-Checksum: 1\r\n\r\n",
    "an asterisk of OPTIONS": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
}
CLOSING = {
    "among others": b"GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
    "in a second field": b"GET /a HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
    "of HTTP/1.1": b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
}


async def echo(exchange: Exchange) -> None:
    call = exchange.call
    told = {"method": call.method, "path": call.path, "body": call.body.decode("latin-1")}
    exchange.answer(json.dumps(told).encode())


@pytest.fixture(scope="module")
def echoing() -> Iterator[RunningListener]:
    with listening(echo, LASTING) as running:
        yield running


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_parser_lets_pass_is_refused(echoing: RunningListener, name: str) -> None:
    answers = responses(said(echoing.port, REFUSED[name] + TAIL))
    assert (answers[-1].status, answers[-1].error["code"]) == (400, "invalid_http")
    assert answers[-1].headers["connection"] == "close"
    assert [answer.json()["path"] for answer in answers[:-1]] == (["/b"] if "second" in name else [])


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_strange_and_clear_is_read(echoing: RunningListener, name: str) -> None:
    first, tail = responses(said(echoing.port, RIGHT[name] + TAIL))
    assert [first.status, tail.status] == [200, 200]


@pytest.mark.parametrize("name", CLOSING)
def test_close_wins(echoing: RunningListener, name: str) -> None:
    """Nothing behind it is a request, not even when the parser would go on."""
    [answer] = responses(said(echoing.port, CLOSING[name] + TAIL))
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_request_line_in_two_pieces_is_read(echoing: RunningListener, cut: int) -> None:
    data = b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n" + TAIL  # the second one's place is searched for
    answers = responses(said(echoing.port, data[:cut], data[cut:], pause_s=0.01))
    assert [answer.json()["path"] for answer in answers] == ["/b", "/tail"]


def test_an_answer_arrives_although_more_was_sent_behind_a_close(echoing: RunningListener) -> None:
    """Closing over bytes that nobody read would reset the answer away."""
    for _ in range(20):
        with echoing.connect() as peer:
            peer.sendall(TAIL)
            assert peer.recv(1, socket.MSG_PEEK)  # it is answered, and now more comes
            peer.sendall(request() * 50)
            [answer] = responses(heard(peer))
            assert answer.status == 200


@pytest.mark.parametrize(
    "body",
    [b"1\r\nx\r\n" * (CHUNKS_MAX + 1), *[b"1;" + b"x" * (FRAMING_BYTES_MAX * 2) + b"\r\n"]],
    ids=["chunks", "an extension"],
)
def test_chunks_that_frame_more_than_they_carry_are_refused(body: bytes) -> None:
    with listening(echo) as running:  # its bound of a body is small: many chunks need room
        answers = responses(said(running.port, CHUNKED + body))
    assert [answer.status for answer in answers] == [413]


TOKENS = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b"=", b"0", b"1", b"\x00", b"\x0b", b"\xff", b"chunked",
    b"close", b"keep-alive", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: c\r\n",
    b"Upgrade: h2c\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"HTTP/1.0", b"GET / ", b"#", b"?",
    b'"', b"-", b"\r\n\r\n", b"0\r\n\r\n", b"/", b"*", b"@", b"Expect: 100-continue\r\n", b"X-Y: z\r\n",
)  # fmt: skip
GOOD = (
    b"POST /a?a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: a:8000\r\nExpect: 100-continue\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
)


def damaged(dice: random.Random) -> bytes:
    """A good request in which one to three places were hit."""
    data = bytearray(dice.choice(GOOD))
    for _ in range(dice.choice((1, 1, 2, 3))):
        start = dice.randrange(len(data) + 1)
        end = start + dice.choice((0, 0, 1, 2, 8))
        data[start:end] = dice.choice((b"", bytes([dice.randrange(256)]), dice.choice(TOKENS), dice.choice(TOKENS)))
    return bytes(data)


def answers_to(running: RunningListener, data: bytes, reading: Reading) -> list[Response]:
    within_s = SILENCE_S_MAX if reading.end == "incomplete" else 20.0
    received = b""
    with running.connect() as peer:
        peer.settimeout(within_s)
        peer.sendall(data)
        try:
            while piece := peer.recv(1 << 16):
                received += piece
        except TimeoutError:
            assert reading.end == "incomplete", data
    return answers_of(received, reading)


def test_damaged_requests_are_read_strictly_or_not_at_all(echoing: RunningListener) -> None:
    dice = random.Random(SEED)
    refused = 0
    for _ in range(DAMAGED):
        data = damaged(dice) + TAIL
        reading = read(data)
        answers = answers_to(echoing, data, reading)
        ended = bool(answers) and answers[-1].status != 200
        told = [answer.json() if answer.body else None for answer in answers[: len(answers) - ended]]
        meant = [
            None if one.method == b"HEAD" else {"method": one.method.decode(), "path": one.path, "body": one.text}
            for one in reading.requests
        ]
        assert told == meant[: len(told)], data
        assert ended or (len(told) == len(meant) and reading.end != "refused"), data
        refused += ended
    assert DAMAGED / 4 < refused < DAMAGED
