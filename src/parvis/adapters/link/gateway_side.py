"""A gateway's end of the link: what it must know comes in, leases are asked for, counts go out."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import (
    Hello,
    Keys,
    Knowledge,
    LeaseGranted,
    LeaseWanted,
    Message,
)
from parvis.core.errors import Unavailable
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.domain.identity.api_key import ApiKey
from parvis.flows.ports import Snapshot

RECONNECT_S = (0.05, 1.0)
"""First and longest pause between attempts."""
LEASE_S_MAX = 5.0


class LinkClient:
    """Keeps one connection to control, for ever. `hello` is said first on each."""

    def __init__(self, path: Path, hello: Callable[[], Message], received: Callable[[Message], None]) -> None:
        self._path = path
        self._hello = hello
        self._received = received
        self._channel: Channel | None = None
        self._lost: asyncio.Event = asyncio.Event()
        self.on_found: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None

    async def keep_connected(self) -> None:
        """Run until cancelled."""
        pause_s, pause_s_max = RECONNECT_S
        loop = asyncio.get_running_loop()
        while True:
            self._lost.clear()
            try:
                _, self._channel = await loop.create_unix_connection(self._new_channel, str(self._path))
            except OSError:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, pause_s_max)
                continue
            pause_s = RECONNECT_S[0]
            self._channel.send(self._hello())
            self.on_found()
            await self._lost.wait()
            self.on_lost()

    def send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    @property
    def connected(self) -> bool:
        return self._channel is not None and self._channel.open

    def drop(self) -> None:
        """Close, so that everything is told anew."""
        if self._channel is not None:
            self._channel.close()

    def _new_channel(self) -> Channel:
        return Channel(lambda _, message: self._received(message), lambda _: self._lost.set())


class GatewayLink:
    """`LeaseSource` for the purse and the source of snapshots for the rest."""

    def __init__(
        self, path: Path, incarnation: str, unix_ms: Callable[[], int], known: Callable[[Snapshot], None]
    ) -> None:
        self.client = LinkClient(path, lambda: Hello(incarnation), self._received)
        self.client.on_found = self._ask_again
        self._unix_ms = unix_ms
        self._known = known
        self._waiting: dict[str, tuple[LeaseWanted, asyncio.Future[LeaseGranted]]] = {}
        self._knowledge: Knowledge | None = None
        self._keys: dict[str, ApiKey] = {}
        self._number = 0

    async def lease(self, tenant_id: str, amount: Money) -> Money:
        ask = new_id("lease", self._unix_ms())
        answer: asyncio.Future[LeaseGranted] = asyncio.get_running_loop().create_future()
        wanted = LeaseWanted(ask, tenant_id, amount.pico_euro)
        self._waiting[ask] = wanted, answer
        self.client.send(wanted)
        try:
            async with asyncio.timeout(LEASE_S_MAX):
                granted = await answer
        except TimeoutError:
            granted = LeaseGranted(ask, 0, failed=True)
        finally:
            del self._waiting[ask]
        if granted.failed:
            raise Unavailable("Credit cannot be checked right now. Try again shortly.", retry_after_s=2)
        return Money(granted.pico_euro)

    def _received(self, message: Message) -> None:
        match message:
            case LeaseGranted():
                _, waiting = self._waiting.get(message.ask, (None, None))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case Knowledge():
                self._knowledge, self._number, self._keys = message, message.number, {}
            case Keys() if message.number == self._number:
                self._keys.update({key.key_id: key for key in message.keys})
                if message.last:
                    self._tell()
            case _:
                # A slice of another snapshot, or nonsense: everything is asked for anew.
                self.client.drop()

    def _ask_again(self) -> None:
        """Another control answers: what the one before was asked is asked anew, under the same names."""
        for wanted, _ in self._waiting.values():
            self.client.send(wanted)

    def _tell(self) -> None:
        known = self._knowledge
        if known is not None:
            self._known(Snapshot(known.number, known.pepper, self._keys, known.models, known.prices, known.replicas))
