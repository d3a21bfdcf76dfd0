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
        "content_type",
        "credential",
        "expects_continue",
        "hosts",
        "http_1_0",
        "idempotency_key",
        "keep_alive",
        "length",
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
        self.credential: str | None = None
        """What is in `authorization`, where it is a bearer's."""
        self.content_encoding = b""
        self.content_type = b""
        self.origin: bytes | None = None
        self.idempotency_key: bytes | None = None
        self.expects_continue = False
        self.body = b""
        self.keep_alive = True
        self.closes = False
        """`close` is among its Connection options."""
        self.http_1_0 = False
        self.chunked = False
        self.hosts = 0
        """Host headers; one that is none counts twice."""
        self.length = 0
        """Of the body in bytes, as far as the head says it."""
        self.refusal: Failure | None = None
        """Why it could not be read as HTTP; the rest of it is unknown then."""

    def again(self, request_id: str, started_s: float, body: bytes) -> "Call":
        """The same from the same connection, with this body. Of what a head may say only what is usual."""
        call = Call(request_id, started_s, self.address)
        call.method, call.path, call.hosts = self.method, self.path, self.hosts
        call.authorization, call.credential = self.authorization, self.credential
        call.content_encoding, call.origin = self.content_encoding, self.origin
        call.content_type = self.content_type
        call.body, call.length = body, len(body)
        return call
