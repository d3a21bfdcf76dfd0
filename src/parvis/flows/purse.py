"""The gateway's money: one lease an account, topped up ahead of need, off the path of requests.

    purse.hold_now(accounts, amount)     arithmetic in memory: what nearly every request needs
    await purse.hold(accounts, amount)   what it needs when a lease is nearly used up: control is asked
    purse.tend()                         once a second: what nobody needs goes back

While somebody waits for control nothing is held for them: whoever gives up leaves nothing behind.
"""

import asyncio

from parvis.core.money import Money
from parvis.domain.quota.lease import Lease, Pace
from parvis.flows.ports import LeaseSource, Shortage

TEND_S = 1.0
"""How often somebody should tend it."""
SCARCE_S = 0.25
"""For so long nothing is fetched ahead after control gave less than it was asked for. What it said is left is believed
as long: who is refused and comes again at once asks nobody."""
RECALLED_S = 1.0
"""For so long nothing is fetched ahead of an account of which others want money."""


class _Share:
    """One account, as this gateway uses it."""

    __slots__ = ("account", "ahead_at_s", "asking", "lease", "left", "modest_until_s", "pace", "refused_until_s")

    def __init__(self, account: str, most_pico_euro: int) -> None:
        self.account = account
        self.lease = Lease()
        self.pace = Pace(most_pico_euro)
        self.asking: asyncio.Task[None] | None = None
        self.ahead_at_s: float = 0.0
        """Not sooner is more fetched ahead."""
        self.modest_until_s: float = 0.0
        """Until then only what is needed is asked for."""
        self.refused_until_s: float = 0.0
        self.left: int = 0
        """What control had left when it last refused."""


class LeasedPurse:
    """The `Purse` of a gateway. One question at a time for each account; who needs it waits for the same one."""

    def __init__(self, source: LeaseSource, size_max: Money) -> None:
        self._source = source
        self._most: int = size_max.pico_euro
        self._shares: dict[str, _Share] = {}

    # On the path of requests

    def hold_now(self, accounts: tuple[str, ...], amount: Money) -> bool:
        """See the port."""
        wanted: int = amount.pico_euro
        for account in accounts:
            share = self._shares.get(account)
            if share is None or share.lease.free_pico_euro() < wanted:
                return False
        for account in accounts:
            share = self._shares[account]
            share.lease.hold(wanted)
            if share.asking is None and share.lease.free_pico_euro() * 2 < share.pace.size:
                self._fetch_ahead(share)
        return True

    def settle(self, accounts: tuple[str, ...], held: Money, billed: Money) -> None:
        """See the port."""
        held_pico_euro: int = held.pico_euro
        billed_pico_euro: int = billed.pico_euro
        for account in accounts:
            self._shares[account].lease.settle(held_pico_euro, billed_pico_euro)

    # Near exhaustion

    async def hold(self, accounts: tuple[str, ...], amount: Money) -> Shortage | None:
        """See the port."""
        wanted: int = amount.pico_euro
        while not self.hold_now(accounts, amount):
            asked = []
            for account in accounts:
                share = self._share(account)
                need = wanted - share.lease.free_pico_euro()
                if need > share.left and _now_s() < share.refused_until_s:
                    return self._shortage(share)
                if need > 0:
                    asked.append((share, share.asking is None, self._ask(share, need)))
            for share, ours, task in asked:
                await asyncio.shield(task)
                if ours and share.lease.free_pico_euro() < wanted and _now_s() < share.refused_until_s:
                    return self._shortage(share)
        return None

    def _fetch_ahead(self, share: _Share) -> None:
        if _now_s() >= share.ahead_at_s:
            self._ask(share, 0)

    def _ask(self, share: _Share, need: int) -> "asyncio.Task[None]":
        if share.asking is None:
            now_s = _now_s()
            wanted = need if now_s < share.modest_until_s else need + share.pace.size
            share.ahead_at_s = max(share.ahead_at_s, now_s + SCARCE_S)
            share.asking = asyncio.get_running_loop().create_task(self._top_up(share, need, wanted))
            share.asking.add_done_callback(_forgive)
        return share.asking

    async def _top_up(self, share: _Share, need: int, wanted: int) -> None:
        try:
            answer = await self._source.lease(share.account, Money(need), Money(wanted))
        finally:
            share.asking = None  # here, and not in a callback: between the two others would wait for what is done
        granted: int = answer.granted.pico_euro
        share.left = answer.left.pico_euro
        if not granted:
            share.refused_until_s = _now_s() + SCARCE_S
            return
        share.lease.grant(granted)
        share.refused_until_s = 0.0
        if granted >= wanted:
            share.ahead_at_s = share.modest_until_s

    # What goes back

    def tend(self) -> None:
        """Look how fast money is spent, and give back what nobody needs; all of an account that is idle."""
        for share in list(self._shares.values()):
            self._give_back(share, share.pace.look(share.lease))
            if share.pace.idle and share.asking is None and not share.lease.held_pico_euro:
                del self._shares[share.account]

    def recall(self, account: str) -> None:
        """Others want money of this account: give back what is free, and be modest for a while."""
        share = self._shares.get(account)
        if share is not None:
            share.modest_until_s = share.ahead_at_s = _now_s() + RECALLED_S
            self._give_back(share, share.lease.free_pico_euro())

    def give_back_all(self) -> None:
        """Nothing more will be held."""
        for share in self._shares.values():
            self._give_back(share, share.lease.free_pico_euro())

    def _give_back(self, share: _Share, pico_euro: int) -> None:
        if pico_euro > 0:
            share.lease.give_back(pico_euro)
            self._source.give_back(share.account, Money(pico_euro))

    # Accounts

    def lease(self, account: str) -> Lease:
        """Of this account; an empty one where there is none."""
        share = self._shares.get(account)
        return Lease() if share is None else share.lease

    def _share(self, account: str) -> _Share:
        share = self._shares.get(account)
        if share is None:
            share = self._shares[account] = _Share(account, self._most)
        return share

    def _shortage(self, share: _Share) -> Shortage:
        lease = share.lease
        return Shortage(share.account, Money(lease.free_pico_euro() + share.left), lease.held)


def _now_s() -> float:
    """By the loop's clock."""
    return asyncio.get_running_loop().time()


def _forgive(task: "asyncio.Task[None]") -> None:
    """Who waits for it gets the same exception; a fetch ahead may fail in silence, the next hold asks again."""
    if not task.cancelled():
        task.exception()
