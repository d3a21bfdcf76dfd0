"""What an attack is, and what it is put together from."""

import random
from collections.abc import Callable
from dataclasses import dataclass

CHAT_PATH = b"/v1/chat/completions"
CRLF = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
"""The last chunk, and no trailers."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What attacks are put together from."""

    number: int
    key: str
    model: str
    dice: random.Random

    def coin(self, chance: float = 0.5) -> bool:
        return self.dice.random() < chance

    def marker(self, part: str) -> bytes:
        """`q17a`: front, `q17b`: hidden, `q17c`: tail."""
        return b"q%d%b" % (self.number, part.encode())

    def text(self, part: str) -> bytes:
        """The body of a chat with a marker."""
        words = (self.model.encode(), self.marker(part))
        return b'{"model":"%b","max_tokens":1,"messages":[{"role":"user","content":"%b"}]}' % words

    @property
    def credential(self) -> bytes:
        return b"Authorization: Bearer %b" % self.key.encode()

    def line(self, part: str = "a", method: bytes = b"POST", version: bytes = b"HTTP/1.1") -> bytes:
        return b"%b %b?%b %b" % (method, CHAT_PATH, self.marker(part), version)

    def head(
        self,
        *lines: bytes,
        line: bytes = b"",
        host: bytes = b"Host: localhost",
        end: bytes = CRLF,
    ) -> bytes:
        """The front's head: request line, host, credential, then these lines in some order."""
        fields = [one for one in (host, self.credential) if one] + list(lines)
        if self.coin(0.3):
            fields.append(b"X-Filler: " + b"z" * self.dice.randrange(40))
        return end.join([line or self.line(), *fields, b"", b""])

    def proper(self, part: str, *lines: bytes) -> bytes:
        """A request that nobody could misunderstand."""
        body = self.text(part)
        head = [
            self.line(part),
            b"Host: localhost",
            self.credential,
            *lines,
            b"Content-Length: %d" % len(body),
        ]
        return CRLF.join([*head, b"", b""]) + body

    @property
    def hidden(self) -> bytes:
        return self.proper("b")

    def chunked(self, body: bytes, *, size: str = "%x", ext: bytes = b"", eol: bytes = CRLF) -> bytes:
        """One chunk, without the last one."""
        return (size % len(body)).encode() + ext + eol + body + CRLF


Family = Callable[[Parts], bytes]
"""Makes the front of an attack, and what follows it up to the tail."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One connection's worth of bytes."""

    family: str
    number: int
    data: bytes
    pieces: int
    """In how many writes to send them."""

    def split(self) -> list[bytes]:
        size = -(-len(self.data) // self.pieces)
        return [self.data[at : at + size] for at in range(0, len(self.data), size)]
