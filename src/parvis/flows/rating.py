"""Control's side of rates: what gateways want, under the limits in force."""

from collections.abc import Callable, Sequence

from parvis.domain.quota.limit import NO_LIMITS, Limits
from parvis.domain.quota.slices import Returned, Slice, Unused, Want, limited, rate_of, subject_of
from parvis.flows.rate_store import RateStore

LimitsOf = Callable[[str], Limits | None]
"""The limits in force on a subject."""


class Rating:
    """Finds the limit of each bucket, and lets the store judge."""

    def __init__(self, store: RateStore, limits_of: LimitsOf) -> None:
        self._store = store
        self._limits_of = limits_of

    async def trade(
        self, incarnation: str, number: int, unused: Sequence[Unused], wants: Sequence[Want]
    ) -> list[Slice]:
        """See `RateStore`. Where there is no limit any more, all is granted."""
        returned = [Returned(one, rate_of(one.bucket, self._limits(one.bucket))) for one in unused]
        under = [limited(want, self._limits(want.bucket)) for want in wants]
        return await self._store.trade_rates(incarnation, number, returned, under)

    async def keep(self, incarnations: Sequence[str]) -> None:
        """These runs are connected."""
        await self._store.keep_places(incarnations)

    async def end(self, incarnation: str) -> None:
        """This run has ended, and its journal was read."""
        await self._store.free_places(incarnation)

    def _limits(self, bucket: str) -> Limits:
        return self._limits_of(subject_of(bucket)) or NO_LIMITS
