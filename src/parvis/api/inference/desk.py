"""What every inference route stands on, and the one way in which a story becomes an HTTP answer."""

from dataclasses import dataclass

from parvis.api.inference import once
from parvis.api.inference.costs import cost_text, tell_cost
from parvis.api.inference.exchange import Exchange
from parvis.core.errors import EngineBroke, Unavailable
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import ClaimSource, House, Meters
from parvis.flows.request import InferenceRequest
from parvis.flows.serve import serve

_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """The house behind the counter."""

    house: House
    meters: Meters
    claims: ClaimSource

    async def answer(self, exchange: Exchange, request: InferenceRequest) -> None:
        """Let the story run; then, its usage being durable, send the final marker.

        Raises Failure for every "no" that comes before the first byte.
        """
        if exchange.call.idempotency_key is None:
            delivery = await serve(self.house, request, exchange)
            tell_cost(delivery, request)
        else:
            taken = await once.take(self.claims, self.house.directory, exchange, request)
            if taken.answer is not None:
                once.replay(exchange, taken.answer, _DONE)
                return
            delivery = await once.run(self.claims, taken, self.house, request, exchange)
        self.meters.answered(request.operation, delivery.outcome, delivery.tokens)
        if delivery.outcome is Outcome.ENGINE_BROKE:
            exchange.fail(
                EngineBroke(delivery.error or "The engine stopped before the answer was complete. Try again.")
            )
        elif delivery.outcome is Outcome.GATEWAY_LOST:
            exchange.fail(
                Unavailable(
                    "The server is being restarted and could not wait for the end of this answer. Send it again.",
                    code="server_draining",
                    retry_after_s=1,
                )
            )
        elif request.stream:
            exchange.finish_stream(delivery.body + _DONE)
        else:
            exchange.add_header(b"x-parvis-cost", cost_text(delivery.billed).encode())
            if delivery.content_type:
                exchange.answer(delivery.body, headers=((b"content-type", delivery.content_type),))
            else:
                exchange.answer(delivery.body)
            if not exchange.flushed():
                await exchange.drained()
            self.house.journal.close(request.request_id, delivered=not exchange.left)
