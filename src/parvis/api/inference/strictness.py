"""What RFC 9112 demands of a request and llhttp, at its strictest, lets pass."""

import re
from functools import lru_cache

CHUNKS_MAX = 16_384
"""Of one body. Each costs the parser a few calls, however little is in it."""
FRAMING_BYTES_MAX = 1 << 20
"""What may arrive for one body besides the body: sizes, extensions and ends of chunks."""
NOT_IN_TRAILERS = frozenset({b"connection", b"content-length", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Fields that the parser obeys in trailers too, where they must not stand (RFC 9110, 6.5.1)."""
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?")


@lru_cache(maxsize=1024)
def is_host(value: bytes) -> bool:
    """Whether it is `uri-host [":" port]` (RFC 9110, 7.2), and not empty."""
    return _HOST.fullmatch(value) is not None


def is_target(url: bytes, method: bytes) -> bool:
    """Whether it is a path with or without a query, or the asterisk of OPTIONS (RFC 9112, 3.2)."""
    return (url.startswith(b"/") and url.find(b"#") < 0) or (url == b"*" and method == b"OPTIONS")


def closes(connection: bytes) -> bool:
    """Whether `close` is among the options of a Connection field. It wins over `keep-alive` (RFC 9112, 9.3)."""
    return b"close" in [option.strip(b" \t") for option in connection.lower().split(b",")]
