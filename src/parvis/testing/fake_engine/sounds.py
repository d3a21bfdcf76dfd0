"""Sound as the fake engine has it: a JSON object that says how long it is and what is said in it.

    {"ms": 61000, "text": "one two three"}

What it speaks is such a file, at `MS_EACH` a character, and what it hears is read from one.
"""

import asyncio
from email import message_from_bytes
from email.message import Message
from typing import Any

import msgspec

from parvis.testing.fake_engine.body import Body
from parvis.testing.fake_engine.connection import Request
from parvis.testing.fake_engine.record import Record

MS_EACH = 70
SEGMENT_WORDS = 3
SLOW_S = 20.0
PAGES = frozenset({"/v1/audio/measure", "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"})
_JSON = "application/json"


class Sound(msgspec.Struct):
    """A file of sound."""

    ms: int
    text: str
    cut: bool = False
    """A stream of it ends in its middle."""
    slow: bool = False
    """It takes `SLOW_S` to hear more than its first words."""


async def answer(request: Request, out: Body, record: Record) -> None:
    """Do what a request for sound wants."""
    if request.path == "/v1/audio/speech":
        asked = msgspec.json.decode(request.body)
        record.body = asked
        spoken = Sound(len(asked["input"]) * MS_EACH, asked["input"])
        await out.sound("audio/mpeg", msgspec.json.encode(spoken), spoken.ms)
        return
    fields, content = _form(request)
    record.body = dict(fields)
    try:
        sound = msgspec.json.decode(content, type=Sound)
    except msgspec.DecodeError:
        error = {
            "message": "this is no sound",
            "type": "invalid_request_error",
            "code": "invalid_audio",
            "param": "file",
        }
        await out.whole(400, _JSON, msgspec.json.encode({"error": error}))
        return
    if request.path == "/v1/audio/measure":
        await out.whole(200, _JSON, msgspec.json.encode({"duration": sound.ms / 1000, "duration_ms": sound.ms}))
    elif fields.get("stream") == "true":
        await _stream(sound, out)
    else:
        await out.sound(_JSON, msgspec.json.encode(_verbose(sound)), sound.ms)


async def _stream(sound: Sound, out: Body) -> None:
    await out.start()
    for number, piece in enumerate(_pieces(sound.text)):
        if number and sound.slow:
            await asyncio.sleep(SLOW_S)
        await out.event(_event({"type": "transcript.text.delta", "delta": piece}), 0)
    if not sound.cut:
        done = {"type": "transcript.text.done", "text": sound.text, "verbose": _verbose(sound)}
        await out.event(_event(done), 0)
    await out.end()


def _event(body: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(body)


def _verbose(sound: Sound) -> dict[str, Any]:
    pieces = _pieces(sound.text)
    each_s = sound.ms / 1000 / max(len(pieces), 1)
    segments = [
        {"id": number, "text": piece, "start": number * each_s, "end": (number + 1) * each_s}
        for number, piece in enumerate(pieces)
    ]
    return {"text": sound.text, "language": "english", "duration": sound.ms / 1000, "segments": segments}


def _pieces(text: str) -> list[str]:
    """Some words each; put together they are the text."""
    words = [("" if number == 0 else " ") + word for number, word in enumerate(text.split(" "))]
    return ["".join(words[at : at + SEGMENT_WORDS]) for at in range(0, len(words), SEGMENT_WORDS)]


def _form(request: Request) -> tuple[dict[str, str], bytes]:
    """The fields of a form and its file, as the standard library's reader of mail has them."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    fields: dict[str, str] = {}
    content = b""
    whole = message_from_bytes(head + request.body)
    for part in whole.get_payload():
        assert isinstance(part, Message)
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        if part.get_filename() is not None:
            content = value
        else:
            fields[str(part.get_param("name", header="content-disposition"))] = value.decode()
    return fields, content
