"""Is it alive, can it serve, what has it counted.

The first two are for probes, which have no credential: they say the state and nothing else.
"""

import asyncio
from typing import Annotated, Any

from starlette.responses import PlainTextResponse

from parvis.api.operator.answers import Probe, Status
from parvis.api.operator.desk import TheDesk
from parvis.api.web.wording import TheReader
from parvis.core.errors import Failure, Unavailable

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
STORE_S_MAX = 2.0
"""A probe wants its answer within seconds, though the store may take longer and still be well."""


async def livez() -> Annotated[dict[str, str], Probe]:
    """This process answers."""
    return {"status": "alive"}


async def readyz(desk: TheDesk) -> Annotated[dict[str, str], Probe]:
    """The database answers, and a gateway is connected and has an engine, and nobody has told us to stop."""
    status = desk.status()
    if status["stopping"]:
        raise _not_ready("The service is stopping.")
    try:
        async with asyncio.timeout(STORE_S_MAX):
            await desk.store.position("")  # the smallest question that there is
    except (Failure, TimeoutError):
        raise _not_ready("The database does not answer.") from None
    if not status["gateways"]:
        raise _not_ready("No gateway is connected.")
    if not status["ready"]:
        raise _not_ready("No engine is ready.")
    return {"status": "ready"}


async def metrics(desk: TheDesk) -> PlainTextResponse:
    """What all processes have counted, in Prometheus' text form."""
    return PlainTextResponse(desk.metrics(), media_type=EXPOSITION)


async def status(desk: TheDesk, reader: TheReader) -> Annotated[dict[str, Any], Status]:
    """The replicas and gateways of this moment."""
    now = desk.status()
    replicas = [{**one, **reader.reason(one["why"])} for one in now["replicas"]]
    return {"object": "status", **now, "replicas": replicas}


def _not_ready(why: str) -> Unavailable:
    return Unavailable(why, code="not_ready", retry_after_s=1)
