"""The main story: one inference request, from credential to settled usage."""

from functools import partial

from parvis.core.errors import EngineUnavailable, Failure
from parvis.core.money import ZERO
from parvis.core.tokens import NO_TOKENS
from parvis.domain.billing.price import charge, cost, cost_of
from parvis.domain.catalog.model import Model
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.profile import PROFILES
from parvis.domain.fleet.seat import Placement
from parvis.flows.auto import choose_model
from parvis.flows.by_unit import charge_by_unit, held_by_unit
from parvis.flows.caches import cache_for
from parvis.flows.hedging import start_hedged
from parvis.flows.hold import Hold
from parvis.flows.permit import allow_extras, authorize, bounds
from parvis.flows.ports import Answer, Delivery, House, Job, Sink
from parvis.flows.prepared import PreparedKey
from parvis.flows.request import InferenceRequest
from parvis.flows.trail import Trail


async def serve(house: House, request: InferenceRequest, sink: Sink) -> Delivery:
    """Serve one request. When this returns, its usage is durable and the caller may send the final marker.

    Raises Failure for every "no" that comes before the first byte; after it, the outcome of the delivery tells.
    """
    prepared = house.directory.admit(request.credential, request.address)
    model, key = authorize(house.directory, prepared, request), prepared.key
    if model.auto is not None:
        model = choose_model(house, prepared, request, model, sink)
    prices = house.directory.prices(model)

    worst = bounds(request, model)
    if worst.quantities is not None:
        worst = held_by_unit(worst, prices)
    hold = await house.quota.hold(prepared, prices, worst, request, model)
    billed, tokens = ZERO, NO_TOKENS
    trail = Trail(house, request, sink, key, model, prices, hold)
    try:
        sink.admitted(hold)
        answer = await _start(house, request, sink, trail, prepared, ask_for(prepared, request, model, hold))
        trail.first_byte(answer)
        delivery = await answer.done()
        if not sink.flushed():
            await sink.drained()
        if delivery.quantities is not None:
            charge_by_unit(delivery, prices)
        tokens = delivery.tokens
        due = cost(tokens, prices)
        if delivery.quantities is not None:
            due += cost_of(delivery.quantities, prices)
        billed, written_off = charge(due, hold.amount)
        delivery.billed, delivery.clipped = billed, hold.clipped
        await trail.settle(delivery, billed, written_off)
    except Failure as failure:
        await trail.void(failure)
        raise failure  # noqa: TRY201 - mypyc loses what a bare `raise` means behind an await
    finally:
        trail.release()
        house.quota.settle(hold, hold.amount if trail.open else billed, tokens)
    return delivery


async def _start(
    house: House, request: InferenceRequest, sink: Sink, trail: Trail, prepared: PreparedKey, ask: Ask
) -> Answer:
    """Find a replica, wait for a turn if need be, and start; on one that took nothing, try another."""
    while True:
        placement = house.fleet.place_now(ask)
        if placement is None:
            placement = await house.fleet.place(ask, sink)
        trail.start(placement)
        try:
            if request.stream and house.fleet.hedge_after_s:
                return await start_hedged(house, sink, trail, ask, placement, partial(job_on, trail, prepared, request))
            return await house.engine.start(job_on(trail, prepared, request, placement), sink)
        except EngineUnavailable as failure:
            trail.give_up(failure)
            if sink.left or not house.fleet.may_retry(ask):
                raise


def job_on(trail: Trail, prepared: PreparedKey, request: InferenceRequest, placement: Placement) -> Job:
    """What this replica is asked. Raises BadRequest, NotPermitted: what its kind of engine cannot do, or may not."""
    replica = placement.replica
    profile = PROFILES[replica.kind]
    allow_extras(request, profile)
    salt, cache = cache_for(prepared, request, replica)
    return Job(request, trail.model, replica, trail.output_tokens_max, profile, salt, cache)


def ask_for(prepared: PreparedKey, request: InferenceRequest, model: Model, hold: Hold) -> Ask:
    """What routing must know of a request."""
    most = hold.worst.input_tokens_max + hold.worst.output_tokens_max
    tenant_id, priority, texts = prepared.key.tenant_id, prepared.priority, request.body.texts
    return Ask(
        model.engine,
        tenant_id,
        most,
        priority=priority,
        texts=texts,
        request_id=request.request_id,
        streamed=request.stream,
    )
