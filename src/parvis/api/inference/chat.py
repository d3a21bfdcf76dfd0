"""`POST /v1/chat/completions`."""

from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.reading import read_body
from parvis.domain.metering.records import Operation
from parvis.flows.request import InferenceRequest
from parvis.wire.chat import extras, needs_vision, read_chat
from parvis.wire.chat_shapes import ChatBody
from parvis.wire.said_once import said_once

INJECTED_BYTES_MAX = 1_024
"""What an engine adapter may add to the system text when tools are forced by a schema."""


async def chat(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it. Raises Failure."""
    call = exchange.call
    body = await read_body(call, read_chat, said_once)
    await desk.answer(
        exchange,
        InferenceRequest(
            request_id=call.request_id,
            operation=Operation.CHAT,
            credential=call.credential,
            address=call.address,
            model=body.model,
            body=body,
            stream=bool(body.stream),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            include_cost=bool(body.stream_options and body.stream_options.include_cost),
            choices=body.n or 1,
            output_tokens_max=body.max_completion_tokens or body.max_tokens,
            input_bytes=len(call.body) + (INJECTED_BYTES_MAX if body.tools else 0),
            extras=extras(body),
            capabilities=_needs(body),
        ),
    )


def _needs(body: ChatBody) -> tuple[str, ...]:
    tools = ("tools",) if body.tools and body.tool_choice != "none" else ()
    return (*tools, "vision") if needs_vision(body) else tools
