"""The gateway's money: one lease a tenant, topped up ahead of need, off the path of requests."""

import asyncio

from parvis.core.errors import QuotaExhausted
from parvis.core.money import ZERO, Money
from parvis.domain.quota.lease import Lease, top_up
from parvis.flows.ports import LeaseSource

_EXHAUSTED = (
    "The credit of your organisation does not cover the most that this request can cost. "
    "Lower max_tokens, or ask your operator for credit."
)


class LeasedPurse:
    """The `Purse` of a gateway. One top-up at a time for each tenant; who needs it waits for the same one."""

    def __init__(self, source: LeaseSource, size: Money) -> None:
        self._source = source
        self._size = size
        self._leases: dict[str, Lease] = {}
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def hold(self, tenant_id: str, amount: Money) -> None:
        while True:
            lease = self._leases.get(tenant_id) or Lease()
            held = lease.hold(amount)
            if held is not None:
                self._leases[tenant_id] = held
                self._fetch_ahead(tenant_id, held)
                return
            if not await asyncio.shield(self._ask(tenant_id, top_up(lease, amount, self._size))):
                raise QuotaExhausted(_EXHAUSTED)

    def settle(self, tenant_id: str, held: Money, billed: Money) -> None:
        self._leases[tenant_id] = self._leases[tenant_id].settle(held, billed)

    def lease(self, tenant_id: str) -> Lease:
        return self._leases.get(tenant_id) or Lease()

    def _fetch_ahead(self, tenant_id: str, lease: Lease) -> None:
        wanted = top_up(lease, ZERO, self._size)
        if wanted.pico_euro and tenant_id not in self._asking:
            self._ask(tenant_id, wanted)

    def _ask(self, tenant_id: str, amount: Money) -> "asyncio.Task[bool]":
        task = self._asking.get(tenant_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._top_up(tenant_id, amount))
            self._asking[tenant_id] = task
            task.add_done_callback(lambda done: self._asked(tenant_id, done))
        return task

    def _asked(self, tenant_id: str, task: "asyncio.Task[bool]") -> None:
        del self._asking[tenant_id]
        if not task.cancelled():
            # Who waits for it gets the same exception; a fetch ahead may fail in silence, the next hold asks again.
            task.exception()

    async def _top_up(self, tenant_id: str, amount: Money) -> bool:
        granted = await self._source.lease(tenant_id, amount)
        if granted == ZERO:
            return False
        self._leases[tenant_id] = (self._leases.get(tenant_id) or Lease()).grant(granted)
        return True
