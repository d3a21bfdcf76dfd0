"""What one request leaves behind: its records in the journal, and its guard on a replica's load."""

from collections.abc import Awaitable

from parvis.core.errors import BadRequest, EngineUnavailable, Failure, KeyRefused, NotPermitted
from parvis.core.money import ZERO, Money
from parvis.domain.billing.price import PriceList, whole_cost
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.ask import Ending
from parvis.domain.fleet.seat import Placement
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.metering.records import Marked, Outcome, Settled, Started
from parvis.flows.hold import Hold
from parvis.flows.ports import Answer, Delivery, EngineHungUp, House, Sink
from parvis.flows.request import InferenceRequest

_ENDINGS = {Outcome.ENGINE_BROKE: Ending.BROKE, Outcome.REFUSED: Ending.REFUSED}


def gave_nothing(placement: Placement, failure: EngineUnavailable) -> Ending:
    """What it says of the replica that it failed so; people are told why, with the replica."""
    placement.seat.said = failure.reason
    if isinstance(failure, KeyRefused):
        return Ending.KEY_REFUSED
    return Ending.DROPPED if isinstance(failure, EngineHungUp) else Ending.UNAVAILABLE


class Trail:
    """Writes the records of one request. Nothing here decides; it remembers what the records need."""

    def __init__(
        self,
        house: House,
        request: InferenceRequest,
        sink: Sink,
        key: ApiKey,
        model: Model,
        prices: PriceList,
        hold: Hold,
    ) -> None:
        self.model = model
        self._house = house
        self._request = request
        self._sink = sink
        self._key = key
        self._prices = prices
        self._hold = hold
        self._started_s = house.clock.monotonic_s()
        self._started_unix_ms = house.clock.unix_ms()
        self._first_byte_ms = 0
        self._placement: Placement | None = None
        self._written_on = ""
        self._answer: Answer | None = None
        self._ending = Ending.GOOD
        self.open = False
        """It has left for an engine, and no end of it was written: what it cost is found in the journal, later."""

    @property
    def output_tokens_max(self) -> int:
        """Of one choice of one prompt, as held."""
        return self._hold.worst.output_tokens_each

    def start(self, placement: Placement) -> None:
        """The request goes to this replica. Written before it leaves; a retry writes it again with the new one."""
        self._placement = placement
        self._written_on = placement.replica.replica_id
        request, key = self._request, self._key
        record = Started(
            request.request_id,
            key.organisation_id,
            key.tenant_id,
            key.key_id,
            self.model.id,
            request.operation,
            placement.replica.replica_id,
            self._prices.version,
            self._hold.amount.pico_euro,
            request.stream,
            self._started_unix_ms,
            key.project_id,
            key.owner_id,
            self._hold.accounts[1:],
        )
        self._house.journal.start(record, self._progress if request.stream else None)
        self.open = True

    def let_go(self) -> None:
        """Somebody else gives the replica's place back."""
        self._placement = None

    def follow(self, placement: Placement) -> None:
        """It is this replica that answers; written again where that is another one."""
        if placement.replica.replica_id == self._written_on:
            self._placement = placement
        else:
            self.start(placement)

    def first_byte(self, answer: Answer) -> None:
        self._answer = answer
        self._first_byte_ms = self._elapsed_ms()
        if self._placement is not None and not self._sink.left:  # else nothing came: who left ended the wait
            self._house.fleet.first_byte(self._placement)

    def settle(self, delivery: Delivery, billed: Money, written_off: Money) -> Awaitable[None]:
        """Done when the end of the request is durable."""
        self.open = False
        self._ending = _ENDINGS.get(delivery.outcome, self._ending)
        return self._house.journal.settle(
            Settled(
                self._request.request_id,
                delivery.outcome,
                delivery.tokens,
                delivery.estimated,
                billed.pico_euro,
                written_off.pico_euro,
                self._first_byte_ms,
                self._elapsed_ms(),
                delivery.quarantined,
                delivery.quantities,
            )
        )

    async def void(self, failure: Failure) -> None:
        """End a request that delivered nothing, if it was ever started."""
        if self.open:
            outcome = Outcome.REFUSED if isinstance(failure, BadRequest | NotPermitted) else Outcome.ENGINE_BROKE
            await self.settle(Delivery(outcome=outcome), ZERO, ZERO)

    def release(self, ending: Ending | None = None) -> None:
        """Give the replica's place back, and say what came of it; safe to call twice."""
        placement, self._placement = self._placement, None
        if placement is not None:
            self._house.fleet.release(placement, ending or self._ending)

    def give_up(self, failure: EngineUnavailable) -> None:
        """Give the place back, because the replica gave nothing; safe to call twice."""
        if self._placement is not None:
            self.release(gave_nothing(self._placement, failure))

    def _progress(self) -> Marked | None:
        """What has left for the client, once all of it has reached the kernel."""
        if self._answer is None or not self._sink.flushed():
            return None
        delivery = self._answer.delivery
        tokens, quantities = delivery.tokens, delivery.quantities
        due = whole_cost(tokens, quantities, self._prices)
        return Marked(self._request.request_id, tokens, due.pico_euro, quantities)

    def _elapsed_ms(self) -> int:
        return int((self._house.clock.monotonic_s() - self._started_s) * 1000)
