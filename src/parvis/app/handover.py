"""One supervisor gives the running service to another, which may be of a newer release.

Both live for a while. The old one serves on until the last word of this conversation:

| the new one says | the old one does | if either dies after it |
| --- | --- | --- |
| `take-over` | gives its sockets and its lock beside the answer | the old one serves on |
| `rest` | lets its control rest; the new one's control acts | the old one's control acts again |
| `leave` | drains its gateways, then ends | the new one serves |

The lock of the data folder lies on the open file, so whoever has it holds the lock, and it is never free in between.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from parvis.app.orders import Line, Word
from parvis.app.sockets import Sockets
from parvis.core.errors import Misconfigured

PREPARE_S_MAX = 600.0
"""Until the old control is to rest; by then weights of any size have been loaded."""
ACT_S_MAX = 40.0
"""From there to the end. Gateways serve without control for a minute: before that, one of the two acts again."""
_LOCK = "lock"


class Predecessor:
    """The supervisor that runs, as its successor sees it. One that has died is no hindrance: its part is done then."""

    def __init__(self, line: Line, lock: int, sockets: dict[str, list[socket.socket]]) -> None:
        self._line = line
        self.lock = lock
        """Of the data folder: ours now as well as its."""
        self.sockets = sockets
        """By the name of their listener."""
        self.pid = line.peer[0]

    @classmethod
    async def meet(cls, home: Path) -> "Predecessor":
        """Ask it for all that a successor needs. Raises Misconfigured when there is none, or it will not."""
        line = await Line.to(home)
        word = await _ask(line, "take-over")
        names, descriptors = word.get("gives", []), line.take_descriptors()
        if _LOCK not in names or len(names) != len(descriptors):
            line.close()
            raise Misconfigured("The running service ended, or is of a release that hands nothing over. Start again.")
        sockets: dict[str, list[socket.socket]] = {}
        for name, descriptor in zip(names, descriptors, strict=True):
            if name != _LOCK:
                sockets.setdefault(name, []).append(_socket(descriptor))
        return cls(line, descriptors[names.index(_LOCK)], sockets)

    async def rest(self) -> None:
        """Its control acts no more. Raises Misconfigured when it will not."""
        await _ask(self._line, "rest")

    async def leave(self) -> None:
        """It drains and ends; from here on the service is ours. Raises Misconfigured when it will not."""
        await _ask(self._line, "leave")

    def close(self) -> None:
        """Say no more. When it was not told to leave, it goes on as if nothing had been."""
        self._line.close()


async def hand_over(
    line: Line, sockets: Sockets, lock: int, rest: Callable[[], Awaitable[None]], act: Callable[[], Awaitable[None]]
) -> int | None:
    """Serve a successor step by step. Gives its pid once we are to leave; otherwise all is as it was before."""
    given = [*((name, sock.fileno()) for name, sock in sockets.named), (_LOCK, lock)]
    rested = left = False
    try:
        line.say({"gives": [name for name, _ in given]}, [descriptor for _, descriptor in given])
        async with asyncio.timeout(PREPARE_S_MAX) as limit:
            while not left and (word := await line.hear()) is not None:
                left = word.get("do") == "leave"
                if word.get("do") == "rest":
                    rested = True
                    limit.reschedule(asyncio.get_running_loop().time() + ACT_S_MAX)
                    await rest()
                line.say({})
    except TimeoutError:
        line.say({"error": "The running service has waited long enough, and goes on."})
    except asyncio.CancelledError:
        line.say({"error": "The running service is being stopped."})
        raise
    finally:
        if rested and not left:
            await act()
    return line.peer[0] if left else None


async def _ask(line: Line, what: str) -> Word:
    line.say({"do": what})
    said = await line.hear() or {}
    if "error" in said:
        raise Misconfigured(str(said["error"]))
    return said


def _socket(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.settimeout(0)
    return sock
