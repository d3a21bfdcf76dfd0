"""`POST /v1/completions`."""

from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.reading import read_body
from parvis.domain.metering.records import Operation
from parvis.flows.request import InferenceRequest
from parvis.wire.chat import given
from parvis.wire.completion import EXTRAS, read_completion


async def completions(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it. Raises Failure."""
    call = exchange.call
    body = await read_body(call, read_completion)
    await desk.answer(
        exchange,
        InferenceRequest(
            request_id=call.request_id,
            operation=Operation.COMPLETION,
            credential=call.credential,
            address=call.address,
            model=body.model,
            body=body,
            stream=bool(body.stream),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            include_cost=bool(body.stream_options and body.stream_options.include_cost),
            choices=body.n or 1,
            prompts=len(body.prompts()),
            output_tokens_max=body.max_tokens,
            input_bytes=len(call.body),
            extras=given(body, EXTRAS),
        ),
    )
