"""Control's end of the link: it tells gateways what to know, grants leases, and hears what they counted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from socket import AF_UNIX, socket
from typing import TypeVar

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.claims import ControlClaims
from parvis.adapters.link.explaining import LinkWitnesses
from parvis.adapters.link.messages import (
    Alive,
    Backlog,
    ClaimEnded,
    ClaimWanted,
    Counted,
    ExplainGiven,
    FleetSeen,
    Hello,
    KeysChanged,
    Knowledge,
    LeaseGranted,
    LeaseRecalled,
    LeaseReturned,
    LeaseWanted,
    LimitsChanged,
    Loads,
    Message,
    RatesWanted,
    SeatSeen,
    Slice,
    TenantsChanged,
    Used,
)
from parvis.adapters.link.packing import Packed, PackedLimits, pack_key, pack_limits, pack_tenant
from parvis.adapters.link.rates import ControlRates
from parvis.adapters.link.slots import ControlSlots
from parvis.core.errors import Failure
from parvis.core.money import Money
from parvis.domain.billing.price import PriceList
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.load import Load
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.identity.organisation import Standing, Tenant
from parvis.domain.quota.budget import LeaseAnswer
from parvis.domain.quota.limit import NO_LIMITS, Limits
from parvis.flows.ports import KeyUse

T = TypeVar("T")
SLICE = 500
"""Keys, tenants or limits in one message: a millisecond for who packs or reads it."""
NOTHING_LIMITED: Mapping[str, Limits] = {}

Grant = Callable[[str, str, Money, Money, str], Awaitable[LeaseAnswer]]
"""(account, incarnation, need, wanted, ask) -> granted, durably. Raises Failure when it cannot know."""

Returned = Callable[[str, str, Money, str], Awaitable[None]]
"""(account, incarnation, amount, ask): part of a lease comes back. Raises Failure."""


async def _no_one(account: str, incarnation: str, amount: Money, ask: str) -> None:
    """Nothing comes back before its run has ended."""


def bind_link(path: Path) -> socket:
    """A Unix socket at this path, for this user alone."""
    path.unlink(missing_ok=True)
    sock = socket(AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o600)
    return sock


class Line:
    """The way to one gateway. What is told is numbered on each."""

    def __init__(self, channel: Channel, incarnation: str, *, knows_fleets: bool = False) -> None:
        self.channel = channel
        self.incarnation = incarnation
        self.knows_fleets = knows_fleets
        """It is of a release that shares slots and hears of loads."""
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
        self.returned: Returned = _no_one
        """Who takes parts of leases back; whoever makes us says."""
        self.claims: ControlClaims | None = None
        """Who answers claims; whoever makes us says."""
        self.rates: ControlRates | None = None
        """The same for rates."""
        self.slots = ControlSlots(self.tell)
        """Divides the slots of replicas among gateways."""
        self.seen: Callable[[str, list[SeatSeen]], None] = lambda _, __: None
        """Told what a gateway sees of the replicas; whoever makes us says by whom."""
        self.backlog: Callable[[str, Backlog], None] = lambda _, __: None
        """The same for what waits there."""
        self._loads: dict[str, tuple[int, int]] = {}
        self.witnesses = LinkWitnesses(lambda: {line.incarnation: line.channel for line in self._lines.values()})
        """By whom gateways are asked how they route."""
        self._lines: dict[Channel, Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._knowledge = Knowledge(0, pepper, (), (), ())
        self._tenants = Packed()
        self._keys = Packed()
        self._limits = PackedLimits()
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket) -> None:
        """Listen on a Unix socket made by `bind_link`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Channel(self._received, self._closed), sock=sock)

    def hear(self, channel: Channel, message: Message) -> None:
        """What comes from a gateway on another machine, which was believed before."""
        self._received(channel, message)

    def lose(self, channel: Channel) -> None:
        """Such a gateway has gone."""
        self._closed(channel)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for channel in list(self._lines):
            channel.close()

    @property
    def gateways(self) -> list[str]:
        """The runs that are connected."""
        return sorted(line.incarnation for line in self._lines.values())

    def recall(self, account: str, incarnation: str) -> None:
        """Ask all gateways but this one for what they do not need of an account."""
        for line in self._lines.values():
            if line.incarnation != incarnation:
                line.channel.send(LeaseRecalled(account))

    def tell(self, incarnation: str, message: Message) -> None:
        """To one gateway alone; to nobody when it has gone."""
        for line in self._lines.values():
            if line.incarnation == incarnation:
                line.channel.send(message)

    def tell_loads(self, loads: Mapping[str, Load]) -> None:
        """These replicas are as busy as this from now on."""
        told = {one: (load.running, load.waiting) for one, load in loads.items()}
        self._loads |= told
        for line in self._lines.values():
            if line.knows_fleets:
                line.channel.send(Loads(told))

    @property
    def alone(self) -> bool:
        """Whether gateways know one tenant at most."""
        return len(self._tenants) <= 1

    # What gateways must know

    def limits_of(self, subject: str) -> Limits | None:
        """Those in force, as gateways were told."""
        return self._limits.get(subject)

    @property
    def limited(self) -> list[str]:
        """The subjects that have limits, as far as gateways were told."""
        return list(self._limits.by_id)

    def publish(self, models: tuple[Model, ...], prices: tuple[PriceList, ...], replicas: tuple[Replica, ...]) -> None:
        """Catalogue, prices and replicas are these from now on. They are told when they were others."""
        known = self._knowledge
        self._knowledge = Knowledge(0, known.pepper, models, prices, replicas)
        if self._knowledge != known:
            self.slots.know(replicas)  # first: a new one is not all of everybody's
            for line in self._lines.values():
                self._tell_catalogue(line)

    async def change(
        self,
        keys: Iterable[ApiKey] = (),
        tenants: Iterable[Tenant] = (),
        limits: Mapping[str, Limits] = NOTHING_LIMITED,
    ) -> None:
        """These are new or not what they were. What takes something away is told first, in messages of its own.

        Limits come before keys and tenants that are given, so that none of them is ever used without its limits.
        """
        by_standing = sorted(tenants, key=lambda tenant: tenant.standing is Standing.ACTIVE)
        by_activity = sorted(keys, key=lambda key: key.active)
        ended = [tenant for tenant in by_standing if tenant.standing is not Standing.ACTIVE]
        revoked = [key for key in by_activity if not key.active]
        await self._change_keys(revoked)
        await self._change_tenants(ended)
        await self._change_limits({named: held for named, held in limits.items() if held != NO_LIMITS})
        await self._change_tenants(by_standing[len(ended) :])
        await self._change_keys(by_activity[len(revoked) :])
        await self._change_limits({named: held for named, held in limits.items() if held == NO_LIMITS})

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

    async def _change_limits(self, limits: Mapping[str, Limits]) -> None:
        for part in _parts(limits.items()):
            packed = {named: b"" if held == NO_LIMITS else pack_limits(held) for named, held in part}
            if self._limits.take(packed):
                for line in self._lines.values():
                    line.channel.send(LimitsChanged(line.number(), packed))
            await asyncio.sleep(0)

    def _tell_catalogue(self, line: Line) -> None:
        known = self._knowledge
        line.channel.send(Knowledge(line.number(), known.pepper, known.models, known.prices, known.replicas))

    async def _tell_all(self, line: Line) -> None:
        """A slice at a time, each as it is when its turn comes: what changes between is told between."""
        self._tell_catalogue(line)
        for part in _parts(list(self._limits.by_id)):
            known = {one: self._limits.by_id[one] for one in part if one in self._limits}
            line.channel.send(Slice(line.number(), {}, {}, last=False, limits=known))
            await line.channel.room()
        for part in _parts(list(self._tenants.by_id)):
            line.channel.send(Slice(line.number(), {one: self._tenants.by_id[one] for one in part}, {}, last=False))
            await line.channel.room()
        for part in _parts(list(self._keys.by_id)):
            line.channel.send(Slice(line.number(), {}, {one: self._keys.by_id[one] for one in part}, last=False))
            await line.channel.room()
            await asyncio.sleep(0)
        line.channel.send(Slice(line.number(), {}, {}, last=True))
        if line.knows_fleets:
            line.channel.send(Loads(self._loads))

    # What gateways say

    def _received(self, channel: Channel, message: Message) -> None:
        line = self._lines.get(channel)
        match message:
            case Hello():
                knows_fleets = message.holds is not None
                self._lines[channel] = line = Line(channel, message.incarnation, knows_fleets=knows_fleets)
                if message.holds is not None:
                    self.slots.joined(message.incarnation, message.holds)
                self._do(self._tell_all(line))
            case _ if line is None:
                channel.close()
            case LeaseWanted():
                self._do(self._lease(line, message))
            case LeaseReturned():
                self._do(self._take_back(line, message))
            case RatesWanted() if self.rates is not None:
                self._do(self._rate(self.rates, line, message))
            case ClaimWanted() | ClaimEnded() if self.claims is not None:
                self.claims.received(channel, line.incarnation, message)
            case _:
                self._hear_of(line, message)

    def _hear_of(self, line: Line, message: Message) -> None:
        """What a gateway counted and sees, which nobody answers."""
        match message:
            case Counted():
                self._counted(line.incarnation, message)
                line.channel.send(Alive(len(self._lines)))
            case Used():
                self._used(message.uses)
            case ExplainGiven():
                self.witnesses.received(line.incarnation, message)
            case Backlog():
                self.slots.heard(line.incarnation, message)
                self.backlog(line.incarnation, message)
            case FleetSeen():
                self.seen(line.incarnation, message.seats)
            case _:
                line.channel.close()

    def _do(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _lease(self, line: Line, wanted: LeaseWanted) -> None:
        try:
            need, more = Money(wanted.need_pico_euro), Money(wanted.wanted_pico_euro)
            answer = await self._grant(wanted.account, line.incarnation, need, more, wanted.ask)
        except Failure:
            line.channel.send(LeaseGranted(wanted.ask, 0, failed=True))
        else:
            line.channel.send(LeaseGranted(wanted.ask, answer.granted.pico_euro, answer.left.pico_euro))

    async def _take_back(self, line: Line, returned: LeaseReturned) -> None:
        """What is lost here comes back when the run has ended."""
        with suppress(Failure):
            amount = Money(returned.pico_euro)
            await self.returned(returned.account, line.incarnation, amount, returned.ask)

    async def _rate(self, rates: ControlRates, line: Line, wanted: RatesWanted) -> None:
        line.channel.send(await rates.answer(line.incarnation, wanted, len(self._lines)))

    def _closed(self, channel: Channel) -> None:
        line = self._lines.pop(channel, None)
        if self.claims is not None:
            self.claims.gone(channel)
        if line is not None:
            self.witnesses.gone(line.incarnation)
            if line.incarnation not in self.gateways:  # it may have come back before this end was seen
                self.slots.parted(line.incarnation)
            self._gone(line.incarnation)


def _parts(things: Iterable[T]) -> Iterator[list[T]]:
    """Lists of `SLICE`, the last of what is left."""
    rest = iter(things)
    while part := list(islice(rest, SLICE)):
        yield part
