"""Short questions to an engine beside its answers: a page, or one small body. Nobody waits long for them."""

import asyncio

from parvis.adapters.engines.upstream import Unheard, UpstreamConnection, UpstreamPool
from parvis.core.errors import EngineUnavailable, Failure

ANSWER_BYTES_MAX = 16 << 20
ASK_S_MAX = 2.0


class Page:
    """Receiver of one body."""

    def __init__(self, connection: UpstreamConnection, end: "asyncio.Future[tuple[int, bytes]]") -> None:
        self._connection = connection
        self._end = end
        self._status = 0
        self._body = bytearray()

    @property
    def came(self) -> int:
        """Nobody takes it elsewhere, and nobody waits for it long."""
        return 0

    def head(self, status: int) -> None:
        self._status = status

    def body(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > ANSWER_BYTES_MAX:
            self._connection.abort()
            self.lost(EngineUnavailable("The engine's answer is too large."))

    def complete(self) -> None:
        if not self._end.done():
            self._end.set_result((self._status, bytes(self._body)))

    def lost(self, failure: EngineUnavailable) -> None:
        if not self._end.done():
            self._end.set_exception(failure)


async def ask(pool: UpstreamPool, request: bytes, *, kept: bool = False) -> bytes | None:
    """The body of a good answer; None when there is none in time.

    On a fresh connection, which nobody else may cut; or, for who asks often, on one that was kept open, if it still is.
    """
    connection = pool.idle() if kept else None
    if connection is not None:
        try:
            return await _asked(connection, request)
        except Unheard:  # it was closed just now
            pass
        except (Failure, TimeoutError):
            return None
    try:
        async with asyncio.timeout(ASK_S_MAX):
            connection = await pool.connect()
        return await _asked(connection, request)
    except (Failure, TimeoutError):
        return None


async def _asked(connection: UpstreamConnection, request: bytes) -> bytes | None:
    """Raises Failure, TimeoutError."""
    try:
        async with asyncio.timeout(ASK_S_MAX):
            end: asyncio.Future[tuple[int, bytes]] = connection.new_future()
            connection.send(Page(connection, end), request)
            status, body = await end
    except (Failure, TimeoutError):
        connection.abort()
        raise
    return body if status == 200 else None  # noqa: PLR2004 - the protocol's word for good
