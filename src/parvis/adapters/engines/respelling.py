"""Events with other choices in them, spelled otherwise as their engine spelled them."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw

Fields = dict[str, Raw]
fields_of = msgspec.json.Decoder(Fields).decode
all_fields_of = msgspec.json.Decoder(list[Fields]).decode


def raw(value: object) -> Raw:
    """A value as it is written."""
    return Raw(msgspec.json.encode(value))


def with_choices(payload: bytes, fields: Fields, choices: Iterable[Fields]) -> bytes:
    """The event of these `fields` with these choices: in its own order, with a space where it has spaces.

    So that who looks for its constant parts finds them here too.
    """
    colon = b'": ' if payload[payload.find(b'":') + 2 :].startswith(b" ") else b'":'
    told = fields | {"choices": raw(list(choices))}
    return b"{%b}" % b",".join(b'"%b%b%b' % (name.encode(), colon, bytes(value)) for name, value in told.items())
