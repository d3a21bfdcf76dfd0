"""`POST /v1/rerank` and `POST /v2/rerank`."""

from collections.abc import Callable

from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.reading import read_body
from parvis.core.quantities import Quantities
from parvis.domain.metering.records import Operation
from parvis.flows.request import InferenceRequest
from parvis.wire.rerank import Ranking, read_rerank_v1, read_rerank_v2


async def rerank_v1(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it as Jina does, and Cohere at first did. Raises Failure."""
    await _rerank(desk, exchange, read_rerank_v1)


async def rerank_v2(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it as Cohere does. Raises Failure."""
    await _rerank(desk, exchange, read_rerank_v2)


async def _rerank(desk: Desk, exchange: Exchange, reader: Callable[[bytes], Ranking]) -> None:
    call = exchange.call
    body = await read_body(call, reader)
    await desk.answer(
        exchange,
        InferenceRequest(
            request_id=call.request_id,
            operation=Operation.RERANK,
            credential=call.credential,
            address=call.address,
            model=body.model,
            body=body,
            prompts=len(body.read) + 1,
            input_bytes=body.read_bytes,
            quantities=Quantities(documents=len(body.documents)),
        ),
    )
