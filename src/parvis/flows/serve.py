"""The main story: one inference request, from credential to settled usage."""

from parvis.core.errors import EngineUnavailable, Failure
from parvis.core.money import ZERO
from parvis.core.tokens import NO_TOKENS
from parvis.domain.billing.price import charge, cost
from parvis.domain.fleet.profile import PROFILES
from parvis.flows.permit import allow_extras, authorize, bounds
from parvis.flows.ports import Answer, Delivery, House, InferenceRequest, Job, Sink
from parvis.flows.trail import Trail

ATTEMPTS_MAX = 3
"""Replicas tried for one request, all before its first byte."""


async def serve(house: House, request: InferenceRequest, sink: Sink) -> Delivery:
    """Serve one request. When this returns, its usage is durable and the caller may send the final marker.

    Raises Failure for every "no" that comes before the first byte; after it, the outcome of the delivery tells.
    """
    prepared = house.directory.admit(request.credential, request.address)
    model, key = authorize(house.directory, prepared, request), prepared.key
    prices = house.directory.prices(model)

    hold = await house.quota.hold(prepared, prices, bounds(request, model), request, model)
    billed, tokens = ZERO, NO_TOKENS
    trail = Trail(house, request, sink, key, model, prices, hold)
    try:
        sink.admitted(hold)
        answer = await _start(house, request, sink, trail, hold.worst.output_tokens_each)
        trail.first_byte(answer)
        delivery = await answer.done()
        if not sink.flushed():
            await sink.drained()
        tokens = delivery.tokens
        billed, written_off = charge(cost(tokens, prices), hold.amount)
        delivery.billed, delivery.clipped = billed, hold.clipped
        await trail.settle(delivery, billed, written_off)
    except Failure as failure:
        await trail.void(failure)
        raise failure  # noqa: TRY201 - mypyc loses what a bare `raise` means behind an await
    finally:
        trail.release()
        house.quota.settle(hold, hold.amount if trail.open else billed, tokens)
    return delivery


async def _start(house: House, request: InferenceRequest, sink: Sink, trail: Trail, output_tokens_max: int) -> Answer:
    """Pick a replica and start; on one that took nothing, try another."""
    tried: frozenset[str] = frozenset()
    while True:
        replica = house.fleet.pick(trail.model.engine, tried)
        trail.start(replica)
        profile = PROFILES[replica.kind]
        allow_extras(request, profile)
        try:
            return await house.engine.start(Job(request, trail.model, replica, output_tokens_max, profile), sink)
        except EngineUnavailable:
            trail.release()
            tried |= {replica.replica_id}
            if len(tried) >= ATTEMPTS_MAX or sink.left:
                raise
