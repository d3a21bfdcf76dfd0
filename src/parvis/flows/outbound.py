"""How a story reaches other people's machines: from control alone, and only where the operator allowed it."""

from collections.abc import Mapping
from typing import Protocol

Reply = tuple[int, bytes]
"""The HTTP status and the whole body."""


class Outbound(Protocol):
    """Calls to hosts that the operator listed, at addresses that were checked, and nowhere else.

    Nothing of the environment (proxies, credentials) is used, no redirect is followed, no cookie is kept, an answer is
    at most 256 KiB long and has come within five seconds.
    """

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Whatever the server says. Raises as `addresses` does, and Unavailable without a whole answer."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """The same with a body, whose `content-type` the caller gives."""

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where this host may be called, for protocols other than HTTP. Never empty.

        Raises BadRequest (`host_not_listed`, `address_not_allowed`) for what the operator has not allowed, Unavailable
        when the name cannot be found.
        """
