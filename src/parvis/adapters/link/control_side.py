"""Control's end of the link: it tells gateways what to know, grants leases, and hears what they counted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from socket import AF_UNIX, socket
from typing import TypeVar

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.messages import (
    Counted,
    Hello,
    KeysChanged,
    Knowledge,
    LeaseGranted,
    LeaseWanted,
    Message,
    Slice,
    TenantsChanged,
    Used,
)
from parvis.adapters.link.packing import Packed, pack_key, pack_tenant
from parvis.core.errors import Failure
from parvis.core.money import Money
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Standing, Tenant
from parvis.flows.ports import KeyUse

T = TypeVar("T")
SLICE = 500
"""Keys or tenants in one message: a millisecond for who packs or reads it."""

Grant = Callable[[str, str, Money, str], Awaitable[Money]]
"""(tenant, incarnation, amount, ask) -> granted, durably. Raises Failure when it cannot know."""


def bind_link(path: Path) -> socket:
    """A Unix socket at this path, for this user alone."""
    path.unlink(missing_ok=True)
    sock = socket(AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o600)
    return sock


class Line:
    """The way to one gateway. What is told is numbered on each."""

    def __init__(self, channel: Channel, incarnation: str) -> None:
        self.channel = channel
        self.incarnation = incarnation
        self._number = 0

    def number(self) -> int:
        """That of the next message."""
        self._number += 1
        return self._number


class ControlLink:
    """The hub of all links. What gateways know changes only through `publish` and `change`."""

    def __init__(
        self,
        pepper: bytes,
        grant: Grant,
        counted: Callable[[str, Counted], None],
        gone: Callable[[str], None],
        used: Callable[[list[KeyUse]], None] = lambda _: None,
    ) -> None:
        self._grant = grant
        self._counted = counted
        self._gone = gone
        self._used = used
        self._lines: dict[Channel, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._knowledge = Knowledge(0, pepper, (), (), ())
        self._tenants = Packed()
        self._keys = Packed()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket) -> None:
        """Listen on a Unix socket made by `bind_link`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Channel(self._received, self._closed), sock=sock)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for channel in list(self._lines):
            channel.close()

    @property
    def gateways(self) -> list[str]:
        """The runs that are connected."""
        return sorted(line.incarnation for line in self._lines.values())

    # What gateways must know

    def publish(self, models: tuple[Model, ...], prices: tuple[PriceList, ...], replicas: tuple[Replica, ...]) -> None:
        """Catalogue, prices and replicas are these from now on. They are told when they were others."""
        known = self._knowledge
        self._knowledge = Knowledge(0, known.pepper, models, prices, replicas)
        if self._knowledge != known:
            for line in self._lines.values():
                self._tell_catalogue(line)

    async def change(self, keys: Iterable[ApiKey], tenants: Iterable[Tenant]) -> None:
        """These are new or not what they were. What takes something away is told first, in messages of its own."""
        by_standing = sorted(tenants, key=lambda tenant: tenant.standing is Standing.ACTIVE)
        by_activity = sorted(keys, key=lambda key: key.active)
        ended = [tenant for tenant in by_standing if tenant.standing is not Standing.ACTIVE]
        revoked = [key for key in by_activity if not key.active]
        await self._change_keys(revoked)
        await self._change_tenants(ended)
        await self._change_tenants(by_standing[len(ended) :])
        await self._change_keys(by_activity[len(revoked) :])

    async def _change_keys(self, keys: Iterable[ApiKey]) -> None:
        for part in _parts(keys):
            packed = {key.key_id: pack_key(key) for key in part}
            if self._keys.take(packed):
                for line in self._lines.values():
                    line.channel.send(KeysChanged(line.number(), packed))
            await asyncio.sleep(0)

    async def _change_tenants(self, tenants: Iterable[Tenant]) -> None:
        for part in _parts(tenants):
            packed = {tenant.tenant_id: pack_tenant(tenant) for tenant in part}
            if self._tenants.take(packed):
                for line in self._lines.values():
                    line.channel.send(TenantsChanged(line.number(), packed))
            await asyncio.sleep(0)

    def _tell_catalogue(self, line: Line) -> None:
        known = self._knowledge
        line.channel.send(Knowledge(line.number(), known.pepper, known.models, known.prices, known.replicas))

    async def _tell_all(self, line: Line) -> None:
        """A slice at a time, each as it is when its turn comes: what changes between is told between."""
        self._tell_catalogue(line)
        for part in _parts(list(self._tenants.by_id)):
            line.channel.send(Slice(line.number(), {one: self._tenants.by_id[one] for one in part}, {}, last=False))
            await line.channel.room()
        for part in _parts(list(self._keys.by_id)):
            line.channel.send(Slice(line.number(), {}, {one: self._keys.by_id[one] for one in part}, last=False))
            await line.channel.room()
            await asyncio.sleep(0)
        line.channel.send(Slice(line.number(), {}, {}, last=True))

    # What gateways say

    def _received(self, channel: Channel, message: Message) -> None:
        match message:
            case Hello():
                self._lines[channel] = line = Line(channel, message.incarnation)
                self._do(self._tell_all(line))
            case LeaseWanted() if channel in self._lines:
                self._do(self._lease(self._lines[channel], message))
            case Counted() if channel in self._lines:
                self._counted(self._lines[channel].incarnation, message)
            case Used() if channel in self._lines:
                self._used(message.uses)
            case _:
                channel.close()

    def _do(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lease(self, line: Line, wanted: LeaseWanted) -> None:
        try:
            granted = await self._grant(wanted.tenant_id, line.incarnation, Money(wanted.pico_euro), wanted.ask)
        except Failure:
            line.channel.send(LeaseGranted(wanted.ask, 0, failed=True))
        else:
            line.channel.send(LeaseGranted(wanted.ask, granted.pico_euro))

    def _closed(self, channel: Channel) -> None:
        line = self._lines.pop(channel, None)
        if line is not None:
            self._gone(line.incarnation)


def _parts(things: Iterable[T]) -> Iterator[list[T]]:
    """Lists of `SLICE`, the last of what is left."""
    rest = iter(things)
    while part := list(islice(rest, SLICE)):
        yield part
