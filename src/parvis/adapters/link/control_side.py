"""Control's end of the link: it tells gateways what to know, grants leases, and hears what they counted."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import AF_UNIX, socket

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import (
    Counted,
    Hello,
    Keys,
    Knowledge,
    LeaseGranted,
    LeaseWanted,
    Message,
)
from parvis.core.errors import Failure
from parvis.core.money import Money
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.api_key import ApiKey

SLICE_KEYS = 200
"""Keys in one message of a snapshot: a few milliseconds for who reads it."""

Grant = Callable[[str, str, Money, str], Awaitable[Money]]
"""(tenant, incarnation, amount, ask) -> granted, durably. Raises Failure when it cannot know."""


def bind_link(path: Path) -> socket:
    """A Unix socket at this path, for this user alone."""
    path.unlink(missing_ok=True)
    sock = socket(AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o600)
    return sock


class ControlLink:
    """The hub of all links. State changes only through `publish`."""

    def __init__(
        self,
        pepper: bytes,
        grant: Grant,
        counted: Callable[[str, Counted], None],
        gone: Callable[[str], None],
    ) -> None:
        self._pepper = pepper
        self._grant = grant
        self._counted = counted
        self._gone = gone
        self._gateways: dict[Channel, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0
        self._knowledge: Knowledge | None = None
        self._keys: dict[str, ApiKey] = {}
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket) -> None:
        """Listen on a Unix socket made by `bind_link`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Channel(self._received, self._closed), sock=sock)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for channel in list(self._gateways):
            channel.close()

    @property
    def gateways(self) -> list[str]:
        """The runs that are connected."""
        return sorted(self._gateways.values())

    def publish(
        self, keys: list[ApiKey], models: list[Model], prices: list[PriceList], replicas: tuple[Replica, ...]
    ) -> None:
        """Everything that gateways must know has changed to this."""
        self._number += 1
        self._keys = {key.key_id: key for key in keys}
        self._knowledge = Knowledge(self._number, self._pepper, tuple(models), tuple(prices), replicas)
        for channel in self._gateways:
            self._tell(channel)

    def _tell(self, channel: Channel) -> None:
        if self._knowledge is None:
            return
        known = self._knowledge
        channel.send(Knowledge(self._number, known.pepper, known.models, known.prices, known.replicas))
        keys = list(self._keys.values())
        for start in range(0, max(len(keys), 1), SLICE_KEYS):
            part = tuple(keys[start : start + SLICE_KEYS])
            channel.send(Keys(self._number, part, last=start + SLICE_KEYS >= len(keys)))

    def _received(self, channel: Channel, message: Message) -> None:
        match message:
            case Hello():
                self._gateways[channel] = message.incarnation
                self._tell(channel)
            case LeaseWanted() if channel in self._gateways:
                task = asyncio.get_running_loop().create_task(self._lease(channel, message))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Counted() if channel in self._gateways:
                self._counted(self._gateways[channel], message)
            case _:
                channel.close()

    async def _lease(self, channel: Channel, wanted: LeaseWanted) -> None:
        incarnation = self._gateways[channel]
        try:
            granted = await self._grant(wanted.tenant_id, incarnation, Money(wanted.pico_euro), wanted.ask)
        except Failure:
            channel.send(LeaseGranted(wanted.ask, 0, failed=True))
        else:
            channel.send(LeaseGranted(wanted.ask, granted.pico_euro))

    def _closed(self, channel: Channel) -> None:
        incarnation = self._gateways.pop(channel, None)
        if incarnation is not None:
            self._gone(incarnation)
