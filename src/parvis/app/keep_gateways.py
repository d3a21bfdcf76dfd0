"""The supervisor's side of the gateways: one worker for each listening socket, and its successors."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from functools import partial
from socket import socket

from msgspec.structs import replace

from parvis.app.child import word_of
from parvis.app.crew import Child, Crew, Post, Word, together
from parvis.core.errors import Failure, Unavailable
from parvis.settings import Settings, Store

ASK_S_MAX = 10.0
AFTER_DRAIN_S_MAX = 20.0


class GatewayKeeper:
    """All gateways. A socket belongs to us and goes from worker to worker, so nobody who calls is ever refused."""

    def __init__(self, crew: Crew, sockets: Sequence[socket], settings: Callable[[], Settings]) -> None:
        self._crew = crew
        self._sockets = sockets
        self._settings = settings
        self._posts = [
            Post(f"gateway {slot}", partial(self._start, sock.fileno())) for slot, sock in enumerate(sockets)
        ]
        self._retiring: set[asyncio.Task[None]] = set()

    async def fill(self) -> None:
        """Start all. Raises Misconfigured."""
        await together(*(post.fill() for post in self._posts))

    async def replace(self) -> int:
        """A successor for each, one after another; who had the post drains. Gives how many. Raises Misconfigured."""
        for post in self._posts:
            old = await post.replace()
            if old is not None:
                task = asyncio.ensure_future(old.end(self._end_s_max, signal.SIGUSR1))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)
        return len(self._posts)

    async def renew(self) -> None:
        """Tell them that the settings have changed. Raises Failure with the sentence of one that cannot follow.

        Who cannot answer is dying: its successor finds the new settings.
        """
        word = _renewal(self._settings())
        answers = await asyncio.gather(*(_ask(child, word) for child in self._crew.ready))
        if errors := [answer["error"] for answer in answers if "error" in answer]:
            raise Failure(errors[0])

    async def uses(self, replica_id: str) -> bool:
        """Whether any of them, those that drain included, has or may still send a request to this replica."""
        word = {"do": "uses", "replica": replica_id}
        answers = await asyncio.gather(*(_ask(child, word) for child in self._crew.ready))
        return any(answer.get("uses", False) for answer in answers)

    async def end(self) -> None:
        """Drain, and then nobody is there."""
        await self._leave(signal.SIGTERM)

    async def retire(self) -> None:
        """Drain patiently: others accept on the same sockets already."""
        await self._leave(signal.SIGUSR1)

    async def _leave(self, how: signal.Signals) -> None:
        for post in self._posts:
            post.leave_open()
        # Workers have copies of their own. When these are closed too and nobody else has one, a caller is told so.
        for sock in self._sockets:
            sock.close()
        await self._crew.end(self._end_s_max, how)
        await asyncio.gather(*self._retiring)

    @property
    def _end_s_max(self) -> float:
        """Answers under way get the drain; then they are cut short, and that must reach the client and the disk."""
        return self._settings().inference.drain_s_max + AFTER_DRAIN_S_MAX

    async def _start(self, descriptor: int) -> Child:
        settings = self._settings()
        first = _renewal(settings)
        child, _ = await self._crew.start("parvis.app.gateway", str(descriptor), descriptors=[descriptor], first=first)
        while settings is not self._settings():  # they have changed since
            settings = self._settings()
            await _ask(child, _renewal(settings))
        return child


def _renewal(settings: Settings) -> Word:
    """A gateway never opens the store, and its address may hold a password."""
    return {"do": "settings", "settings": word_of(replace(settings, store=Store()))}


async def _ask(child: Child, word: Word) -> Word:
    """Its answer, or its refusal as `error`; nothing of one that has died meanwhile."""
    try:
        return await child.ask(word, ASK_S_MAX)
    except Unavailable:
        return {}
    except Failure as failure:
        return {"error": str(failure)}
