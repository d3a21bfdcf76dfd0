"""A whole (not streamed) answer of an engine."""

import asyncio
import re
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw

from parvis.adapters.engines.endings import may_differ, whole_endings
from parvis.adapters.engines.own_count import (
    BYTES_PER_TOKEN,
    Count,
    Said,
    ceiling_of,
    count_all,
    count_thoughts,
    prompt_estimate,
    with_thoughts_apart,
    within,
)
from parvis.adapters.engines.refusals import broken, refusal
from parvis.adapters.engines.relay import answer_id
from parvis.adapters.engines.thinking import WholeThinking, begun, thinks, whole_apart
from parvis.adapters.engines.upstream import UpstreamConnection
from parvis.core.errors import EngineUnavailable, Failure
from parvis.core.tokens import TokenCount
from parvis.domain.catalog.model import Capability
from parvis.domain.metering.plausible import fault, is_plausible
from parvis.domain.metering.records import Operation, Outcome
from parvis.flows.ports import Delivery, Job
from parvis.wire.answer_shapes import Message, WholeAnswerBody, read_answer, read_choices, read_odd_answer
from parvis.wire.usage import Usage, claim_text, usage_json

BODY_BYTES_MAX = 32 << 20
_THOUGHT = re.compile(rb'"reasoning(?:_content)?":\s*"')
_json_text = lru_cache(1024)(msgspec.json.encode)
"""Names of models as JSON: few, and the same again and again."""
_KINDS = {Operation.CHAT: b"chat.completion", Operation.COMPLETION: b"text_completion"}
_REASONING: Final = Capability.REASONING


class WholeAnswer:
    """Receiver, `Flow` and `Answer` of one whole body. Nothing is delivered until all of it is."""

    def __init__(self, job: Job, connection: UpstreamConnection, count: Count) -> None:
        self.delivery = Delivery()
        self._job = job
        self._count = count
        self._created = 0
        self._choices = b""
        self._thinking: WholeThinking | None = None
        self._counted: TokenCount | None = None
        self._open: Said | None = None
        self._connection = connection
        self._status = 0
        self._parts: list[bytes] = []
        self._bytes = 0
        self._end: asyncio.Future[None] = connection.new_future()

    @property
    def came(self) -> int:
        """Nothing, as long as anybody could ask."""
        return -1

    def first_event(self) -> "asyncio.Future[None]":
        """Done when the answer is there. Raises what `Engine.start` raises."""
        return self._end

    async def done(self) -> Delivery:
        if self._open is not None:
            await self._count_what_is_open(self._open)
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
            whole = self._read(body)
            self._created, self._choices = whole.created, bytes(whole.choices)
            counted = self._believe(whole.usage, len(self._choices))
            if thinks(self._job):
                self._thinking = whole_apart(self._choices, begun=begun(self._job))
                self._choices = self._thinking.choices
            if may_differ(self._job):
                self._choices = whole_endings(self._choices)
            if counted is None or self._may_have_thoughts(whole.usage):
                self._open = self._said()
            else:
                self._give(counted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return broken("The engine's answer makes no sense. Try again.")
        return None

    def _read(self, body: bytes) -> WholeAnswerBody:
        """An answer, whatever it claims to have counted. Raises msgspec.DecodeError, UnicodeDecodeError."""
        try:
            return read_answer(body)
        except msgspec.ValidationError:
            odd = read_odd_answer(body)
            self.delivery.quarantined = claim_text("contradiction", odd.usage)
            return WholeAnswerBody(odd.choices, odd.created)

    def _believe(self, usage: Usage | None, delivered_max: int) -> TokenCount | None:
        """The engine's count, if it can be; else note what it claims."""
        if usage is None:
            return None
        counted, ceiling = usage.tokens(), ceiling_of(self._job)
        if counted is not None and is_plausible(counted, ceiling, delivered_max):
            self._counted = counted
            return counted
        self.delivery.quarantined = claim_text(fault(counted, ceiling, delivered_max), usage)
        return None

    def _may_have_thoughts(self, usage: Usage | None) -> bool:
        """Whether there may be reasoning that the engine did not count apart."""
        thinking = self._thinking
        if thinking is not None and thinking.found:
            return True
        if usage is not None and usage.tells_reasoning:
            return False
        if thinking is not None:
            return any(thinking.thoughts)
        said = self._choices.find(b'"reasoning') >= 0 and _THOUGHT.search(self._choices) is not None
        return said or _REASONING in self._job.model.capabilities

    def _said(self) -> Said:
        written = [choice.message or Message(choice.text) for choice in read_choices(self._choices)]
        calls = sum(len(bytes(one.tool_calls)) for one in written if bytes(one.tool_calls) != b"null")
        visible = [(one.content or "").encode() for one in written]
        thoughts = [(one.reasoning_content or one.reasoning or "").encode() for one in written]
        if self._thinking is not None:  # with their marks
            visible, thoughts = self._thinking.visible, self._thinking.thoughts
        return with_thoughts_apart(self._job, visible, thoughts, calls // BYTES_PER_TOKEN)

    async def _count_what_is_open(self, said: Said) -> None:
        """Count it with the model's own tokenizer, or estimate it; the row says so."""
        self._open = None
        if self._counted is None:
            tokens, self.delivery.estimated = await count_all(self._job, said, self._count), True
            self._give(tokens or self._estimate(said))
        else:
            tokens, self.delivery.estimated = await count_thoughts(self._job, said, self._counted, self._count)
            self._give(tokens)

    def _estimate(self, said: Said) -> TokenCount:
        """Four bytes a token, of the texts that the model read and wrote."""
        visible = sum(map(len, said.visible)) // BYTES_PER_TOKEN + said.beside
        thoughts = sum(map(len, said.thoughts)) // BYTES_PER_TOKEN
        return within(ceiling_of(self._job), TokenCount(prompt_estimate(self._job), 0, visible, thoughts))

    def _give(self, tokens: TokenCount) -> None:
        """Raises msgspec.DecodeError for choices that are none."""
        choices = self._choices
        if choices.rfind(b'"logprobs":') < 0:  # it stands near the end, if at all
            choices = _with_logprobs(choices)
        self.delivery.tokens = tokens
        self.delivery.body = whole_json(self._job, self._created, choices, tokens)


def _with_logprobs(choices: bytes) -> bytes:
    """The key that clients look for also where there is nothing to tell; llama.cpp leaves it out."""
    told = msgspec.json.decode(choices, type=list[dict[str, Raw]])
    return msgspec.json.encode([{"logprobs": None, **choice} for choice in told])


def whole_json(job: Job, created: int, choices: bytes, tokens: TokenCount) -> bytes:
    """The body that the client gets: the engine's choices under our id, model and usage."""
    return b'{"id":"%b","object":"%b","created":%d,"model":%b,"choices":%b,"usage":%b}' % (
        answer_id(job).encode(),
        _KINDS[job.request.operation],
        created,
        _json_text(job.model.id),
        choices,
        usage_json(tokens),
    )
