"""Transcripts and translations: whole, or event by event as an engine hears them."""

import asyncio
from typing import Literal

import msgspec
from msgspec import Struct

from parvis.adapters.engines.one_body import GOOD, OneBody
from parvis.adapters.engines.refusals import broken
from parvis.adapters.engines.sound import sound_refusal
from parvis.adapters.engines.upstream import UpstreamConnection
from parvis.core.errors import EngineUnavailable, Failure
from parvis.core.quantities import Quantities
from parvis.domain.metering.records import Operation, Outcome
from parvis.flows.ports import Delivery, Job, Sink
from parvis.wire.audio import ListeningBody
from parvis.wire.transcript import Transcript, delta_event, done_event, read_transcript, rendered

EVENT_BYTES_MAX = 8 << 20
_NONSENSE = "The engine's answer makes no sense. Try again."


class _Event(Struct):
    type: Literal["transcript.text.delta", "transcript.text.done"] | None = None
    delta: str = ""
    text: str = ""


_read_event = msgspec.json.Decoder(_Event).decode


def _body_of(job: Job) -> ListeningBody:
    body = job.request.body
    assert isinstance(body, ListeningBody)  # noqa: S101 - the operation says so
    return body


def _held_ms(job: Job) -> int:
    return 0 if job.request.quantities is None else job.request.quantities.audio_ms


class TranscriptAnswer(OneBody):
    """The whole answer to a file, in the form that the caller wants."""

    def __init__(self, job: Job, sink: Sink, connection: UpstreamConnection) -> None:
        super().__init__(job, connection)
        self._sink = sink

    def _take(self, body: bytes) -> Failure | None:
        try:
            heard = read_transcript(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return broken(_NONSENSE)
        request, wanted, audio_ms = self._job.request, _body_of(self._job).wanted, self._audio_ms(heard)
        self.delivery.quantities = Quantities(audio_ms=audio_ms)
        if not request.stream:
            task = "translate" if request.operation is Operation.TRANSLATION else "transcribe"
            told = rendered(heard, wanted.response_format, audio_ms, task)
            self.delivery.body, self.delivery.content_type = told
            return None
        pieces = [one.text for one in heard.segments]
        for piece in pieces if "".join(pieces) == heard.text else [heard.text]:
            self._sink.events(delta_event(piece))
        self.delivery.body = done_event(heard.text, audio_ms)
        return None

    def _audio_ms(self, heard: Transcript) -> int:
        """As it was measured; else as the answer says, never above what is held for it."""
        measured_ms = _body_of(self._job).measured_ms
        if measured_ms is not None:
            return measured_ms
        said_ms = round(max(heard.duration, max((one.end for one in heard.segments), default=0.0)) * 1000)
        self.delivery.estimated = heard.duration <= 0
        return min(max(said_ms, 1), _held_ms(self._job))

    def _refused(self, body: bytes) -> Failure:
        return sound_refusal(self._status, body, self._job)


class TranscriptStream:
    """Receiver, `Flow` and `Answer` of a stream. From its first event on, the whole of the sound is due."""

    def __init__(self, job: Job, sink: Sink, connection: UpstreamConnection) -> None:
        self.delivery = Delivery()
        self.came = -1
        self._job = job
        self._sink = sink
        self._connection = connection
        self._status = 0
        self._rest = b""
        self._first: asyncio.Future[None] = connection.new_future()
        self._end: asyncio.Future[None] = connection.new_future()

    def first_event(self) -> "asyncio.Future[None]":
        """Done with the first event. Raises what `Engine.start` raises."""
        return self._first

    async def done(self) -> Delivery:
        await self._end
        return self.delivery

    def pause(self) -> None:
        self._connection.pause()

    def resume(self) -> None:
        self._connection.resume()

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        if not self._end.done():
            self._connection.abort()
            self.delivery.outcome = outcome
            if outcome is not Outcome.CLIENT_LEFT:
                self.delivery.quantities = None
            self._finish()

    # Receiver

    def head(self, status: int) -> None:
        self._status = status

    def body(self, data: bytes) -> None:
        self._rest += data
        if self._status != GOOD or self._end.done():
            return
        *blocks, self._rest = self._rest.split(b"\n\n")
        for block in blocks:
            if block.startswith(b"data: ") and not self._end.done():
                self._take(block[len(b"data: ") :])
            elif self.came >= 0:  # a comment: it still listens
                self.came += 1
        if len(self._rest) > EVENT_BYTES_MAX:
            self._break()

    def complete(self) -> None:
        if self._status != GOOD:
            self._lose(sound_refusal(self._status, self._rest, self._job))
        elif not self._end.done():
            self._break()

    def lost(self, failure: EngineUnavailable) -> None:
        self._lose(failure)

    # Inside

    def _take(self, payload: bytes) -> None:
        try:
            event = _read_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._break()
            return
        if event.type is None:
            self._break()
            return
        self.came += 1
        self.delivery.quantities = Quantities(audio_ms=_body_of(self._job).measured_ms or _held_ms(self._job))
        if event.type == "transcript.text.delta":
            if event.delta:
                self._sink.events(delta_event(event.delta))
        else:
            self.delivery.body = done_event(event.text, self.delivery.quantities.audio_ms)
            self._finish()
        if not self._first.done():
            self._first.set_result(None)

    def _break(self) -> None:
        self._connection.abort()
        self._lose(broken(_NONSENSE))

    def _lose(self, failure: Failure) -> None:
        """Before the first event it is a failure that others may mend; after it the answer is broken, and free."""
        if not self._first.done():
            self._first.set_exception(failure)
        elif not self._end.done():
            self.delivery.outcome, self.delivery.error = Outcome.ENGINE_BROKE, str(failure)
            self.delivery.quantities = None
            self._finish()

    def _finish(self) -> None:
        for future in (self._first, self._end):
            if not future.done():
                future.set_result(None)
