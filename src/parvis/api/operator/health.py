"""Is it alive, can it serve, what has it counted."""

from typing import Any

from starlette.responses import PlainTextResponse

from parvis.api.operator.desk import TheDesk
from parvis.core.errors import Unavailable

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


async def livez() -> dict[str, str]:
    """This process answers."""
    return {"status": "alive"}


async def readyz(desk: TheDesk) -> dict[str, str]:
    """The database answers, and a gateway has an engine to serve with."""
    await desk.store.tenants()
    if not desk.status()["ready"]:
        raise Unavailable("No gateway is ready to serve. `parvis status` shows what is missing.", retry_after_s=1)
    return {"status": "ready"}


async def metrics(desk: TheDesk) -> PlainTextResponse:
    """What all processes have counted, in Prometheus' text form."""
    return PlainTextResponse(desk.metrics(), media_type=EXPOSITION)


async def status(desk: TheDesk) -> dict[str, Any]:
    """The replicas and gateways of this moment."""
    return {"object": "status", **desk.status()}
