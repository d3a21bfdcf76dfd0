"""`POST /v1/audio/transcriptions`, `/v1/audio/translations` and `/v1/audio/speech`."""

import asyncio
from dataclasses import replace

from parvis.api.inference.call import Call
from parvis.api.inference.desk import Desk
from parvis.api.inference.exchange import Exchange
from parvis.api.inference.reading import read_body
from parvis.core.quantities import Quantities
from parvis.domain.metering.records import Operation
from parvis.domain.quota.sound import heard_ms_max, spoken_ms_max
from parvis.flows.measuring import measure
from parvis.flows.ports import Sound
from parvis.flows.request import InferenceRequest
from parvis.wire.audio import ListeningBody, SpeakingBody, read_listening, read_speaking
from parvis.wire.bulk import LARGE_BYTES
from parvis.wire.multipart import read_form

PER_MILLE = 1000


async def transcriptions(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it. Raises Failure."""
    await _listen(desk, exchange, Operation.TRANSCRIPTION)


async def translations(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it, in English. Raises Failure."""
    await _listen(desk, exchange, Operation.TRANSLATION)


async def speech(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it with a file of sound. Raises Failure."""
    body = await read_body(exchange.call, read_speaking)
    most_ms = spoken_ms_max(len(body.input), round(body.speed * PER_MILLE))
    await desk.answer(exchange, _request(exchange.call, Operation.SPEECH, body, body.model, most_ms))


async def _listen(desk: Desk, exchange: Exchange, operation: Operation) -> None:
    call = exchange.call
    body = read_listening(read_form(call.content_type, call.body), translate=operation is Operation.TRANSLATION)
    if len(call.body) > LARGE_BYTES:
        await asyncio.sleep(0)
    model, stream = body.wanted.model, body.wanted.stream
    asked = _request(call, operation, body, model, 0, stream=stream)
    measured_ms = await measure(desk.house, asked, Sound(*body.file), exchange)
    body = replace(body, measured_ms=measured_ms)
    most_ms = heard_ms_max(len(body.file.content)) if measured_ms is None else measured_ms
    await desk.answer(exchange, _request(call, operation, body, model, most_ms, stream=stream))


def _request(
    call: Call,
    operation: Operation,
    body: ListeningBody | SpeakingBody,
    model: str,
    audio_ms_max: int,
    *,
    stream: bool = False,
) -> InferenceRequest:
    """Nothing of it is counted in tokens."""
    return InferenceRequest(
        request_id=call.request_id,
        operation=operation,
        credential=call.credential,
        address=call.address,
        model=model,
        body=body,
        stream=stream,
        prompts=0,
        input_bytes=0,
        quantities=Quantities(audio_ms=audio_ms_max),
    )
