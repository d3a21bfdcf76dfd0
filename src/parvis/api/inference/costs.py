"""What an answer cost, told to its caller: in the head of a whole answer; in the usage of a stream, on demand."""

from parvis.core.money import Money
from parvis.flows.ports import Delivery
from parvis.flows.request import InferenceRequest
from parvis.wire.cost import with_cost


def cost_text(billed: Money) -> str:
    """Decimal and exact, to the last pico-euro: `0.0000123 EUR`."""
    return billed.decimal() + " EUR"


def tell_cost(delivery: Delivery, request: InferenceRequest) -> None:
    """Write it into the last event of a stream whose caller wants to read it there."""
    if request.include_cost and delivery.body:
        delivery.body = with_cost(delivery.body, cost_text(delivery.billed), delivery.clipped)
