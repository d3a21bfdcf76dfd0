"""One parsed HTTP request, before anybody reads its body as JSON."""

from dataclasses import dataclass

from parvis.core.errors import Failure


@dataclass(slots=True)
class Call:
    """What the listener keeps of a request: a few headers and the body."""

    request_id: str
    method: str = ""
    path: str = ""
    authorization: bytes | None = None
    content_encoding: bytes = b""
    origin: bytes | None = None
    expects_continue: bool = False
    body: bytes = b""
    keep_alive: bool = True
    closes: bool = False
    """`close` is among its Connection options."""
    http_1_0: bool = False
    chunked: bool = False
    started_s: float = 0.0
    refusal: Failure | None = None
    """Why it could not be read as HTTP; the rest of it is unknown then."""

    @property
    def credential(self) -> str | None:
        """The bearer credential, or None. Anything that is not ASCII cannot be a key."""
        scheme, _, value = (self.authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not value.isascii():
            return None
        return value.strip().decode() or None
