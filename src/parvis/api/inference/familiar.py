"""A head that comes again and again on its connection, known by its bytes.

Who keeps a connection says the same before each body, but for its length. What the parser has read once, at its
strictest, means the same when the same bytes come again where a request begins; so it need not read them again. What
differs in anything else, or does not come whole, is the parser's.
"""

from parvis.api.inference.call import Call

HEAD_BYTES_MAX = 2_048
"""Of a head that is remembered: every connection may have one."""
TRIES_MAX = 4
"""Heads that are remembered on a connection on which none came again; after that nobody tries any more."""
_LENGTH = b"\r\ncontent-length:"


class FamiliarHead:
    """What comes before and behind the digits of the length, and what the head says."""

    __slots__ = ("_after", "_before", "said")

    def __init__(self, call: Call, before: bytes, after: bytes) -> None:
        self._before = before
        self._after = after
        self.said = call.again("", 0.0, b"")

    def body(self, data: bytes) -> bytes:
        """The body, where these bytes are one whole request with this head and a body; else nothing."""
        rest_bytes = len(data) - len(self._before) - len(self._after)
        if rest_bytes <= 0:
            return b""
        length = rest_bytes - len(str(rest_bytes - len(str(rest_bytes))))  # of the rest, but for its own digits
        head = b"%b%d%b" % (self._before, length, self._after)
        return data[len(head) :] if len(head) + length == len(data) and data.startswith(head) else b""


def familiar(call: Call, data: bytes) -> FamiliarHead | None:
    """What to remember of a request that was read from these bytes; None where it was not all that they are.

    The request began within `data`. Not remembered is what says more of itself than most, or would never come again.
    """
    head_bytes = len(data) - len(call.body)
    if not call.body or call.length != len(call.body):
        return None
    if data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX) + len(b"\r\n\r\n") != head_bytes:
        return None
    if call.chunked or call.closes or call.http_1_0 or call.expects_continue or call.idempotency_key is not None:
        return None
    start = data[:head_bytes].lower().find(_LENGTH) + len(_LENGTH)
    while data[start : start + 1] in (b" ", b"\t"):
        start += 1
    end = data.find(b"\r", start)
    if data[start:end] != b"%d" % len(call.body):
        return None
    return FamiliarHead(call, data[:start], data[end:head_bytes])
