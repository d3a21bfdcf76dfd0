"""A whole (not streamed) answer of an engine."""

import asyncio
from functools import lru_cache

import msgspec
from msgspec import Raw

from parvis.adapters.engines.refusals import broken, refusal
from parvis.adapters.engines.relay import BYTES_PER_TOKEN, answer_id, prompt_estimate
from parvis.adapters.engines.upstream import UpstreamConnection
from parvis.core.errors import EngineUnavailable, Failure
from parvis.core.tokens import TokenCount
from parvis.domain.metering.records import Operation, Outcome
from parvis.flows.ports import Delivery, Job
from parvis.wire.answer_shapes import Message, read_answer, read_choices
from parvis.wire.usage import usage_json

BODY_BYTES_MAX = 32 << 20
_json_text = lru_cache(1024)(msgspec.json.encode)
"""Names of models as JSON: few, and the same again and again."""


class WholeAnswer:
    """Receiver, `Flow` and `Answer` of one whole body. Nothing is delivered until all of it is."""

    def __init__(self, job: Job, connection: UpstreamConnection) -> None:
        self.delivery = Delivery()
        self._job = job
        self._connection = connection
        self._status = 0
        self._parts: list[bytes] = []
        self._bytes = 0
        self._end: asyncio.Future[None] = connection.new_future()

    async def first_event(self) -> None:
        """Return when the answer is there. Raises what `Engine.start` raises."""
        await self._end

    async def done(self) -> Delivery:
        return self.delivery

    def pause(self) -> None:
        """Nothing flows to the client before the end."""

    def resume(self) -> None:
        """Nothing flows to the client before the end."""

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        if not self._end.done():
            self._connection.abort()
            self.delivery.outcome = outcome
            self._end.set_result(None)

    def head(self, status: int) -> None:
        self._status = status

    def body(self, data: bytes) -> None:
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > BODY_BYTES_MAX:
            self._connection.abort()
            self._fail(broken("The engine's answer is too large. Lower max_tokens."))

    def complete(self) -> None:
        if self._end.done():
            return
        body = b"".join(self._parts)
        if self._status != 200:  # noqa: PLR2004 - the protocol's word for good
            self._fail(refusal(self._status, body, self._job))
            return
        failure = self._take(body)
        if failure is None:
            self._end.set_result(None)
        else:
            self._fail(failure)

    def lost(self, failure: EngineUnavailable) -> None:
        self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if not self._end.done():
            self._end.set_exception(failure)

    def _take(self, body: bytes) -> Failure | None:
        try:
            whole = read_answer(body)
            counted = whole.usage.tokens() if whole.usage else None
            tokens = counted or self._estimate(whole.choices)
            choices = bytes(whole.choices)
            if choices.rfind(b'"logprobs":') < 0:  # it stands near the end, if at all
                choices = _with_logprobs(choices)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return broken("The engine's answer makes no sense. Try again.")
        delivery = self.delivery
        delivery.estimated = counted is None
        delivery.tokens = tokens
        delivery.body = whole_json(self._job, whole.created, choices, delivery.tokens)
        return None

    def _estimate(self, choices: Raw) -> TokenCount:
        """No engine counted: four bytes a token, of the texts that the model read and wrote."""
        written = [choice.message or Message(choice.text) for choice in read_choices(choices)]
        visible = sum(_bytes(one.content) + len(bytes(one.tool_calls)) for one in written)
        reasoning = sum(_bytes(one.reasoning_content) for one in written)
        return TokenCount(prompt_estimate(self._job), 0, visible // BYTES_PER_TOKEN, reasoning // BYTES_PER_TOKEN)


def _bytes(text: str | None) -> int:
    return len((text or "").encode())


def _with_logprobs(choices: bytes) -> bytes:
    """The key that clients look for also where there is nothing to tell; llama.cpp leaves it out."""
    told = msgspec.json.decode(choices, type=list[dict[str, Raw]])
    return msgspec.json.encode([{"logprobs": None, **choice} for choice in told])


def whole_json(job: Job, created: int, choices: bytes, tokens: TokenCount) -> bytes:
    """The body that the client gets: the engine's choices under our id, model and usage."""
    kind = b"chat.completion" if job.request.operation is Operation.CHAT else b"text_completion"
    return b'{"id":"%b","object":"%b","created":%d,"model":%b,"choices":%b,"usage":%b}' % (
        answer_id(job).encode(),
        kind,
        created,
        _json_text(job.model.id),
        choices,
        usage_json(tokens),
    )
