"""Whether a service read what was meant: what was sent, read strictly, beside the answers and the engine's log."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException

from parvis.testing.fake_engine.record import Record
from parvis.testing.hostile.strict import Reading, read
from parvis.testing.raw_http import Response, responses

_MARKER = re.compile(r"q\d+[abc]")
_REFUSALS = {
    "invalid_http",
    "upgrade_not_supported",
    "headers_too_large",
    "request_too_large",
    "request_timeout",
}
"""Codes of a service that could not, or would not, read on."""

Engine = Mapping[str, str]
"""Marker by request id, of all that reached the engine."""


def reached(records: Sequence[Record]) -> Engine:
    """What an engine's log tells about attacks."""
    return {str(record.x_request_id): marker_in(str(record.body)) for record in records}


def marker_in(text: str) -> str:
    """The marker of an attack's part; empty where there is none."""
    found = _MARKER.search(text)
    return found[0] if found else ""


class Exchanged:
    """Both directions of one connection."""

    def __init__(self, sent: bytes, received: bytes) -> None:
        self.sent = sent
        self.received = received

    @cached_property
    def reading(self) -> Reading:
        return read(self.sent)

    @cached_property
    def answers(self) -> list[Response]:
        """Raises HTTPException when the answers cannot be told apart."""
        return answers_of(self.received, self.reading)


def answers_of(received: bytes, reading: Reading) -> list[Response]:
    """The answers to these requests, and to the one behind them that was refused. Raises HTTPException."""
    methods = [request.method.decode() for request in reading.requests]
    if reading.rest.startswith(
        b"HEAD"
    ):  # refused, it may have a body or none: its reader may not have known the method
        with suppress(HTTPException):
            return responses(received, *methods, "HEAD")
    return responses(received, *methods)


def refused(answer: Response) -> bool:
    """Whether it says that the connection's bytes cannot be read any further."""
    if answer.status < HTTPStatus.BAD_REQUEST or answer.headers.get("connection") != "close":
        return False
    return not answer.body or answer.error["code"] in _REFUSALS


def complaint(exchanged: Exchanged, engine: Engine) -> str | None:
    """What is wrong: a request read in another way, one too many or too few, an answer that is another's."""
    try:
        answers = exchanged.answers
    except HTTPException as broken:
        return f"answers that cannot be told apart: {broken!r}"
    if broken_ones := [answer.status for answer in answers if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR]:
        return f"a failure: {broken_ones}"
    reading = exchanged.reading
    ended = bool(answers) and refused(answers[-1])
    read_ones = answers[:-1] if ended and len(answers) != len(reading.requests) else answers
    told = f"{len(answers)} answers, {len(read_ones)} to requests of which {len(reading.requests)} were meant"
    if len(read_ones) > len(reading.requests):
        return told
    if not ended and (len(read_ones) < len(reading.requests) or reading.end == "refused"):
        return f"{told}, and no refusal"
    for request, answer in zip(reading.requests, read_ones, strict=False):
        meant, got = (
            marker_in(request.target.decode()),
            engine.get(answer.headers["x-request-id"]),
        )
        if got is not None and (got != meant or marker_in(request.body.decode("latin-1")) != meant):
            return f"{meant} was asked and the engine was told {got}"
    return None


def unmeant(exchanges: Sequence[Exchanged], engine: Engine) -> list[str]:
    """Markers that reached the engine and that no answer was given to."""
    answered = {answer.headers["x-request-id"] for one in exchanges for answer in one.answers}
    return [marker for request_id, marker in engine.items() if request_id not in answered]
