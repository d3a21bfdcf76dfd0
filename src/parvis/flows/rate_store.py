"""What the owner of rates and places must remember. The promises of `parvis.flows.store` hold here too."""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.quota.slices import Limited, Returned, Slice


class RateStore(Protocol):
    """Buckets of rates, and places for requests at a time, of all gateways. Suite: `parvis.testing.rate_suite`.

    Its own clock counts, whatever the clocks of gateways and of control say, and time never runs backward in a bucket.
    """

    async def trade_rates(
        self, incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited]
    ) -> list[Slice]:
        """Take back what a gateway run did not use, then give it what it wants; one slice for each want, in order.

        Each want is granted at least what it needs, or nothing. Numbers of a run grow. The same number again changes
        nothing and gives the same answer; so it may be asked until somebody has heard. Raises Conflict for a number
        that is lower than the last one, Unavailable.
        """

    async def keep_places(self, incarnations: Sequence[str]) -> None:
        """These runs live. Where places lapse, they keep theirs for two minutes more. Raises Unavailable."""

    async def free_places(self, incarnation: str) -> None:
        """This run has ended: its places are free, and it is forgotten. Again is no error. Raises Unavailable."""
