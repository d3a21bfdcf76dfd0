"""What a large body may hold, told from its bytes before any of it is made into objects.

Four megabytes of one text are read in a few milliseconds, four megabytes of keys or of empty lists in hundreds, and
meanwhile nobody else is answered. A body of up to `LARGE_BYTES` costs a few milliseconds, whatever is in it.
"""

import msgspec

from parvis.core.errors import BadRequest

LARGE_BYTES = 65_536
COUNTED_BYTES = 262_144
"""A body of up to so many is never of more names and texts than are read in some milliseconds: nobody counts them."""
TEXTS_MAX = 32_768
"""Names and texts of a body that is larger than that."""
FREE_BYTES_MAX = {"tools": 524_288, "response_format": 131_072, "logit_bias": 16_384, "metadata": 65_536}
"""Fields of a large body in which lists or numbers may stand without any text, or whose keys are dear to check."""
FREE_PARTS_MAX = 40_000
"""Commas and opening brackets of such a field, those within its texts too."""
FEW = 128
"""A body of so few quotes and brackets is not nested deeply, and those fields are looked for quote by quote: that is
sooner done than reading it."""
_NAMES = frozenset(name.encode() for name in FREE_BYTES_MAX)
_NAME_BYTES_MAX = max(map(len, _NAMES)) * len("\\u0000")


class _Outline(msgspec.Struct):
    """The fields that are bounded by themselves, unread."""

    tools: msgspec.Raw = msgspec.Raw()
    response_format: msgspec.Raw = msgspec.Raw()
    logit_bias: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()


_outline = msgspec.json.Decoder(_Outline)


def bound_large(body: bytes) -> None:
    """Refuse a body that would take long to read. Raises BadRequest, or msgspec's errors for what is no JSON object."""
    if _few(b'"', body) and _few(b"[", body) and _few(b"{", body) and _names_none(body):
        return
    # A quote within a text stands behind a backslash, so the others are those of names and texts: two each.
    quotes = body.count(b'"') if len(body) > COUNTED_BYTES else 0
    if quotes > 2 * TEXTS_MAX and quotes - body.count(b'\\"') > 2 * TEXTS_MAX:
        raise BadRequest(
            f"The body has over {TEXTS_MAX} names and texts. Send less of them, or join texts.", code="too_many_keys"
        )
    outline = _outline.decode(body)
    for name, most in FREE_BYTES_MAX.items():
        field = bytes(getattr(outline, name))
        if len(field) > most or sum(map(field.count, (b",", b"[", b"{"))) > FREE_PARTS_MAX:
            code = "schema_too_large" if name in ("tools", "response_format") else None
            raise BadRequest(
                f"'{name}' is over {most} bytes, or has over {FREE_PARTS_MAX} parts.", code=code, param=name
            )


def _few(byte: bytes, body: bytes) -> bool:
    """Whether it is there `FEW` times at most. Sooner told than `body.count`, which goes on to the end."""
    return len(body) - len(body.replace(byte, b"", FEW + 1)) <= FEW


def _names_none(body: bytes) -> bool:
    """Whether certainly none of the fields is there: no name of theirs between two quotes, and none in escapes."""
    start = body.find(b'"')
    while start >= 0:
        end = body.find(b'"', start + 1)
        if 0 < end - start <= _NAME_BYTES_MAX + 1:
            name = body[start + 1 : end]
            if name in _NAMES or b"\\u" in name:
                return False
        start = end
    return True
