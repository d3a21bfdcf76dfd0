"""What one request leaves behind: its records in the journal, and its guard on a replica's load."""

from collections.abc import Awaitable

from parvis.core.errors import BadRequest, Failure
from parvis.core.money import ZERO, Money
from parvis.domain.billing.price import PriceList, cost
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.replica import Replica
from parvis.domain.identity.api_key import ApiKey
from parvis.domain.metering.records import Marked, Outcome, Settled, Started
from parvis.flows.ports import Answer, Delivery, Hold, House, InferenceRequest, Sink


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
        self._first_byte_ms = 0
        self._replica: Replica | None = None
        self._answer: Answer | None = None
        self.open = False
        """It has left for an engine, and no end of it was written: what it cost is found in the journal, later."""

    def start(self, replica: Replica) -> None:
        """The request goes to this replica. Written before it leaves; a retry writes it again with the new one."""
        self._replica = replica
        request, key = self._request, self._key
        record = Started(
            request.request_id,
            key.organisation_id,
            key.tenant_id,
            key.key_id,
            self.model.id,
            request.operation,
            replica.replica_id,
            self._prices.version,
            self._hold.amount.pico_euro,
            request.stream,
            self._house.clock.unix_ms(),
            key.project_id,
            key.owner_id,
            self._hold.accounts[1:],
        )
        self._house.journal.start(record, self._progress if request.stream else None)
        self.open = True

    def first_byte(self, answer: Answer) -> None:
        self._answer = answer
        self._first_byte_ms = self._elapsed_ms()

    def settle(self, delivery: Delivery, billed: Money, written_off: Money) -> Awaitable[None]:
        """Done when the end of the request is durable."""
        self.open = False
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
            )
        )

    async def void(self, failure: Failure) -> None:
        """End a request that delivered nothing, if it was ever started."""
        if self.open:
            outcome = Outcome.REFUSED if isinstance(failure, BadRequest) else Outcome.ENGINE_BROKE
            await self.settle(Delivery(outcome=outcome), ZERO, ZERO)

    def release(self) -> None:
        """Give the replica's place back; safe to call twice."""
        replica, self._replica = self._replica, None
        if replica is not None:
            self._house.fleet.release(replica)

    def _progress(self) -> Marked | None:
        """What has left for the client, once all of it has reached the kernel."""
        if self._answer is None or not self._sink.flushed():
            return None
        tokens = self._answer.delivery.tokens
        return Marked(self._request.request_id, tokens, cost(tokens, self._prices).pico_euro)

    def _elapsed_ms(self) -> int:
        return int((self._house.clock.monotonic_s() - self._started_s) * 1000)
