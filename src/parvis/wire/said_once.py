"""A quick proof that no key of a chat stands twice. Where it fails, nothing is said: `duplicates` looks.

In JSON a colon follows a key or stands in a text. So the colons of a body, less those of the texts that were read of
it, are the keys that it has. If there are only as many as fields were certainly given, each of them stands once. What
goes uncounted here (texts and fields of rare parts, what a second key replaced) only makes the proof fail.
"""

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from parvis.wire.chat_shapes import ChatBody, ImagePart, Message, Part, TextPart

LONG_CHARS = 8_192
"""A text of which it pays to look whether the caller spelled it as we would: then it is passed over at once."""
HEAD_CHARS = 60
_ESCAPED_COLON = b"\\u003"
"""How the escape of a colon begins, and that of few other characters: with it colons cannot be counted."""
_TEXT_PART_KEYS = 2
_spell = msgspec.json.Encoder().encode


class Count:
    """Of what was read: keys that were certainly given, colons of short texts, and the long texts."""

    __slots__ = ("colons", "keys", "long")

    def __init__(self, keys: int, colons: int) -> None:
        self.keys = keys
        self.colons = colons
        self.long: list[str] = []

    def text(self, text: str) -> None:
        if len(text) > LONG_CHARS:
            self.long.append(text)
        else:
            self.colons += text.count(":")


def said_once(chat: ChatBody, body: bytes) -> bool:
    """Whether it is certain that each key stands once in its object. `chat` is what was read of `body`."""
    count = Count(_given(chat), chat.model.count(":"))
    if chat.stream_options is not None:
        count.keys += _given(chat.stream_options)
    for message in chat.messages:
        _message(count, message)
    return _colons_outside(body, count.long) == count.keys + count.colons


def _given(fields: msgspec.Struct) -> int:
    """How many are not None, and so were given: nothing else is a default here."""
    values = astuple(fields)
    return len(values) - values.count(None)


def _message(count: Count, message: Message) -> None:
    count.keys += _given(message)
    if message.annotations is UNSET:
        count.keys -= 1
    content = message.content
    if isinstance(content, str):
        count.text(content)
    elif isinstance(content, list):
        for part in content:
            _part(count, part)


def _part(count: Count, part: Part) -> None:
    count.keys += _TEXT_PART_KEYS
    if isinstance(part, ImagePart):
        count.keys += _given(part.image_url)
        count.text(part.image_url.url)
    elif isinstance(part, TextPart):
        count.text(part.text)


def _colons_outside(body: bytes, texts: list[str]) -> int:
    """The colons of the body, less those of these texts; -1 where that is not certain."""
    colons = start = 0
    for text in texts:
        found = body.find(_spell(text[:HEAD_CHARS])[:-1], start)
        spelled_bytes = _spelled_bytes(body, found, text) if found >= 0 else 0
        if not spelled_bytes:
            colons -= text.count(":")
            continue
        if body.find(_ESCAPED_COLON, start, found) >= 0:
            return -1
        # It may stand anywhere, and be another text: its colons are as many in any case, and none of them escaped.
        colons += body.count(b":", start, found)
        start = found + spelled_bytes
    if body.find(_ESCAPED_COLON, start) >= 0:
        return -1
    return colons + body.count(b":", start)


def _spelled_bytes(body: bytes, found: int, text: str) -> int:
    """The length of the text there, spelled as we would, with its quotes; 0 if it is another, or another spelling.

    Most of the time goes into spelling it. Where it has no escapes, it need not be spelled.
    """
    if text.isascii() and body.startswith(b'"', found + 1 + len(text)):
        plain = text.encode()
        if plain.find(b"\\") < 0 and body.startswith(plain, found + 1):
            return len(plain) + 2
    spelled = _spell(text)
    return len(spelled) if body.startswith(spelled, found) else 0
