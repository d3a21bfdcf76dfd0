"""How long a sound is, before money is held for it: asked of the engine that will hear it."""

from parvis.core.errors import Unavailable
from parvis.core.quantities import Quantities
from parvis.domain.billing.price import cost_of
from parvis.domain.fleet.ask import Ask
from parvis.flows.permit import authorize
from parvis.flows.ports import House, Sink, Sound
from parvis.flows.request import InferenceRequest

_A_MOMENT = Quantities(audio_ms=1)


async def measure(house: House, request: InferenceRequest, sound: Sound, sink: Sink) -> int | None:
    """Milliseconds; None where its kind of engine does not say. Only for who may ask, and where audio is sold.

    Raises Failure: what `authorize` does, BadRequest for what is no sound, EngineUnavailable.
    """
    prepared = house.directory.admit(request.credential, request.address)
    model = authorize(house.directory, prepared, request)
    cost_of(_A_MOMENT, house.directory.prices(model))
    if house.meter is None:
        raise Unavailable("Sound is not heard here.")
    ask = Ask(model.engine, prepared.key.tenant_id, request_id=request.request_id)
    placement = house.fleet.place_now(ask) or await house.fleet.place(ask, sink)
    try:
        return await house.meter.measure(placement.replica, request.request_id, sound)
    finally:
        house.fleet.release(placement)
