"""One parsed HTTP request, before anybody reads its body as JSON."""

from parvis.core.errors import Failure


class Call:
    """What the listener keeps of a request: a few headers and the body."""

    __slots__ = (
        "address",
        "authorization",
        "body",
        "chunked",
        "closes",
        "content_encoding",
        "expects_continue",
        "http_1_0",
        "idempotency_key",
        "keep_alive",
        "method",
        "origin",
        "path",
        "refusal",
        "request_id",
        "started_s",
    )

    def __init__(self, request_id: str, started_s: float = 0.0, address: str = "") -> None:
        self.request_id = request_id
        self.started_s = started_s
        self.address = address
        """Of the peer of the connection, numeric."""
        self.method = ""
        self.path = ""
        self.authorization: bytes | None = None
        self.content_encoding = b""
        self.origin: bytes | None = None
        self.idempotency_key: bytes | None = None
        self.expects_continue = False
        self.body = b""
        self.keep_alive = True
        self.closes = False
        """`close` is among its Connection options."""
        self.http_1_0 = False
        self.chunked = False
        self.refusal: Failure | None = None
        """Why it could not be read as HTTP; the rest of it is unknown then."""

    @property
    def credential(self) -> str | None:
        """The bearer credential, or None. Anything that is not ASCII cannot be a key."""
        scheme, _, value = (self.authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not value.isascii():
            return None
        return value.strip().decode() or None
