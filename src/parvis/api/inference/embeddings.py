"""`POST /v1/embeddings`."""

from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.reading import read_body
from parvis.domain.metering.records import Operation
from parvis.flows.request import InferenceRequest
from parvis.wire.embedding import read_embedding


async def embeddings(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it. Raises Failure."""
    call = exchange.call
    body = await read_body(call, read_embedding)
    await desk.answer(
        exchange,
        InferenceRequest(
            request_id=call.request_id,
            operation=Operation.EMBEDDING,
            credential=call.credential,
            address=call.address,
            model=body.model,
            body=body,
            prompts=len(body.inputs()),
            input_bytes=len(call.body),
        ),
    )
