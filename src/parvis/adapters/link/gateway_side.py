"""A gateway's end of the link: what it must know comes in, leases are asked for, counts and uses go out."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from parvis.adapters.link.channel import Channel
from parvis.adapters.link.claims import GatewayClaims
from parvis.adapters.link.messages import (
    Alive,
    Claimed,
    ClaimKept,
    ExplainGiven,
    ExplainWanted,
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
    RatesGranted,
    Slice,
    SlotShares,
    TenantsChanged,
    Told,
    Used,
)
from parvis.adapters.link.packing import Packed, PackedKeys, PackedLimits, PackedTenants
from parvis.adapters.link.rates import GatewayRates
from parvis.adapters.link.slots import GatewaySlots
from parvis.core.errors import Unavailable
from parvis.core.ids import new_id
from parvis.core.money import Money
from parvis.domain.fleet.explained import Explained
from parvis.domain.quota.budget import LeaseAnswer
from parvis.flows.ports import KeyUse, Snapshot

RECONNECT_S = (0.05, 1.0)
"""First and longest pause between attempts."""
LEASE_S_MAX = 5.0
HANG_UP_S_MAX = 2.0
SILENCE_S_MAX = 10.0
"""Control answers each second. One that says nothing for so long is as good as gone."""
USES_AT_ONCE = 1_000


class LinkClient:
    """Keeps one connection to control, for ever. `hello` is said first on each."""

    def __init__(self, path: Path, hello: Callable[[], Message], received: Callable[[Message], None]) -> None:
        self._path = path
        self._hello = hello
        self._received = received
        self._channel: Channel | None = None
        self._lost: asyncio.Event = asyncio.Event()
        self._heard_s: float = 0.0
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

    def drop_if_silent(self) -> None:
        """A control that is frozen keeps its connections. To be asked now and then, after something was said to it."""
        if self._channel is not None and self._channel.open and _now_s() - self._heard_s > SILENCE_S_MAX:
            self._channel.abort()

    async def hang_up(self) -> None:
        """Close, once nobody keeps us connected, and wait until what was sent has left."""
        if self.connected:
            self.drop()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), HANG_UP_S_MAX)

    def _new_channel(self) -> Channel:
        self._heard_s = _now_s()
        return Channel(lambda _, message: self._hear(message), lambda _: self._lost.set())

    def _hear(self, message: Message) -> None:
        self._heard_s = _now_s()
        self._received(message)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


class GatewayLink:
    """`LeaseSource` for the purse and the source of all knowledge for the rest.

    `known` is told everything, when it is whole and when the catalogue is another. What changes in its books between is
    told to `changed`: the ids of keys, or None when tenants or limits have changed.
    """

    def __init__(
        self,
        path: Path,
        incarnation: str,
        unix_ms: Callable[[], int],
        known: Callable[[Snapshot], None],
        changed: Callable[[Collection[str] | None], None] = lambda _: None,
    ) -> None:
        self.client = LinkClient(path, lambda: Hello(incarnation, self.slots.holds()), self._received)
        self.client.on_found = self._begin
        self.claims = GatewayClaims(self.client.send, unix_ms)
        self.rates = GatewayRates(self.client.send)
        self.slots = GatewaySlots(self.client.send)
        self._unix_ms = unix_ms
        self._known = known
        self._changed = changed
        self.on_recall: Callable[[str], None] = lambda _: None
        """Told the account that others want money of."""
        self.on_loads: Callable[[Mapping[str, int]], None] = lambda _: None
        """Told how many requests engines have, running and waiting, by replica id."""
        self.on_company: Callable[[int], None] = lambda _: None
        """Told how many gateways serve, this one included; 0: control does not say."""
        self._control_knows_fleets = False
        self.explain: Callable[[ExplainWanted], Explained | None] = lambda _: None
        """Asked how a request was, or would be, routed."""
        self._waiting: dict[str, tuple[LeaseWanted, asyncio.Future[LeaseGranted]]] = {}
        self._late: dict[str, str] = {}
        self._knowledge: Knowledge | None = None
        self._keys = PackedKeys()
        self._tenants = PackedTenants()
        self._limits = PackedLimits()
        self._number = 0
        self._whole = False
        self._untold: tuple[set[str], ...] = ()

    async def lease(self, account: str, need: Money, wanted: Money) -> LeaseAnswer:
        """See `LeaseSource`."""
        ask = new_id("lease", self._unix_ms())
        answer: asyncio.Future[LeaseGranted] = asyncio.get_running_loop().create_future()
        asked = LeaseWanted(ask, account, need.pico_euro, wanted.pico_euro)
        self._waiting[ask] = asked, answer
        self.client.send(asked)
        try:
            async with asyncio.timeout(LEASE_S_MAX):
                granted = await answer
        except TimeoutError:
            granted = LeaseGranted(ask, 0, failed=True)
            self._late[ask] = account
        finally:
            del self._waiting[ask]
        if granted.failed:
            raise Unavailable("Credit cannot be checked right now. Try again shortly.", retry_after_s=2)
        return LeaseAnswer(Money(granted.pico_euro), Money(granted.left_pico_euro))

    def give_back(self, account: str, amount: Money) -> None:
        """See `LeaseSource`."""
        self.client.send(LeaseReturned(new_id("return", self._unix_ms()), account, amount.pico_euro))

    def tell_uses(self, uses: list[KeyUse]) -> None:
        """Which secrets were used last when."""
        for start in range(0, len(uses), USES_AT_ONCE):
            self.client.send(Used(uses[start : start + USES_AT_ONCE]))

    def _begin(self) -> None:
        """Another connection, perhaps another control: all is told anew, and what the one before was asked is asked.

        What we know is kept and corrected in its place: nobody is without keys meanwhile.
        """
        self._number, self._whole = 0, False
        self._untold = set(self._limits.by_id), set(self._tenants.by_id), set(self._keys.by_id)
        self._late.clear()
        for wanted, _ in self._waiting.values():
            self.client.send(wanted)
        self.claims.again()
        self.rates.again()
        self.slots.again()
        self._control_knows_fleets = False

    def _received(self, message: Message) -> None:
        match message:
            case LeaseGranted():
                self._granted(message)
            case LeaseRecalled():
                self.on_recall(message.account)
            case Claimed() | ClaimKept():
                self.claims.received(message)
            case RatesGranted():
                self.rates.received(message)
            case SlotShares():
                self.slots.received(message)
            case ExplainWanted():
                self.client.send(ExplainGiven(message.ask, self.explain(message)))
            case Alive():
                self.on_company(message.gateways)
            case Loads():
                self._control_knows_fleets = True
                self.on_loads({one: running + waiting for one, (running, waiting) in message.loads.items()})
            case Knowledge() | Slice() | KeysChanged() | TenantsChanged() | LimitsChanged() if (
                message.number == self._number + 1
            ):
                self._number = message.number
                self._learn(message)
            case _:
                # A number was missed, or it is nonsense: everything is asked for anew.
                self.client.drop()

    def tell_seen(self, seen: FleetSeen) -> None:
        """How replicas look from here; only to a control of a release that has told us of loads."""
        if self._control_knows_fleets:
            self.client.send(seen)

    def _granted(self, granted: LeaseGranted) -> None:
        _, waiting = self._waiting.get(granted.ask, (None, None))
        account = self._late.pop(granted.ask, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(granted)
        elif account is not None and granted.pico_euro:  # too late for who asked
            self.give_back(account, Money(granted.pico_euro))

    def _learn(self, message: Told) -> None:
        match message:
            case Knowledge():
                self._knowledge = message
                self._tell()
            case KeysChanged():
                self._take_keys(message.keys)
            case TenantsChanged():
                self._take_others(self._tenants, message.tenants)
            case LimitsChanged():
                self._take_others(self._limits, message.limits)
            case Slice():
                slices = message.limits, message.tenants, message.keys
                for untold, told in zip(self._untold, slices, strict=True):
                    untold.difference_update(told)
                self._take_all(*slices)
                if message.last:
                    self._end()

    def _end(self) -> None:
        """All has been told. What has not been, is not there any more."""
        limits, tenants, keys = (dict.fromkeys(untold, b"") for untold in self._untold)
        self._untold = set(), set(), set()
        self._take_all(limits, tenants, keys)
        self._whole = True
        self._tell()

    def _take_all(self, limits: dict[str, bytes], tenants: dict[str, bytes], keys: dict[str, bytes]) -> None:
        """Limits before those whom they limit, so that nobody is without theirs for a moment."""
        self._take_others(self._limits, limits)
        self._take_others(self._tenants, tenants)
        self._take_keys(keys)

    def _take_keys(self, keys: dict[str, bytes]) -> None:
        if others := self._keys.take(keys):
            self._changed(others)

    def _take_others(self, book: Packed, told: dict[str, bytes]) -> None:
        """What follows from many keys: nothing that was worked out from it holds any more."""
        if book.take(told):
            self._changed(None)

    def _tell(self) -> None:
        known = self._knowledge
        if known is not None and self._whole:
            books = self._keys, self._tenants, self._limits
            self._known(Snapshot(known.number, known.pepper, *books, known.models, known.prices, known.replicas))
