"""Why an answer ended, in the protocol's words: `stop`, `length`, `tool_calls`.

TGI has words of its own, and says `stop` behind a call (`router/src/lib.rs`, `chat.rs`, db931fc); vLLM says so behind a
call that was demanded by name (pull request 25054), as OpenAI once did. Clients look at `tool_calls` to see what to do.
"""

import msgspec
from msgspec.structs import replace

from parvis.adapters.engines.relay import Outlet
from parvis.adapters.engines.respelling import all_fields_of, fields_of, raw, with_choices
from parvis.core.tokens import TokenCount
from parvis.flows.ports import Job
from parvis.wire.chat_shapes import ChatBody
from parvis.wire.chunk_shapes import Chunk, ChunkChoice

_MEANINGS = {"eos_token": "stop", "stop_sequence": "stop"}


def ending(told: str, *, called: bool) -> str:
    """The protocol's word for it."""
    meant = _MEANINGS.get(told, told)
    return "tool_calls" if called and meant == "stop" else meant


def may_differ(job: Job) -> bool:
    """Whether this job's answer may end in words that are not the protocol's."""
    body = job.request.body
    return job.profile.own_endings or (isinstance(body, ChatBody) and bool(body.tools))


class Endings:
    """An `Outlet` before another one."""

    def __init__(self, inner: Outlet) -> None:
        self._inner = inner
        self._called: set[int] = set()
        self.holds_back = inner.holds_back

    def take(self, chunk: Chunk, payload: bytes) -> bytes:
        self._called.update(one.index for one in chunk.choices if one.delta is not None and one.delta.tool_calls)
        meant = [self._meant(choice) for choice in chunk.choices]
        if meant == [choice.finish_reason for choice in chunk.choices]:
            return self._inner.take(chunk, payload)
        fields = fields_of(payload)
        told = zip(all_fields_of(fields["choices"]), meant, strict=True)
        written = with_choices(payload, fields, [one | {"finish_reason": raw(word)} for one, word in told])
        choices = [replace(choice, finish_reason=word) for choice, word in zip(chunk.choices, meant, strict=True)]
        return self._inner.take(replace(chunk, choices=choices), written)

    def end(self, tokens: TokenCount) -> bytes:
        return self._inner.end(tokens)

    def _meant(self, choice: ChunkChoice) -> str | None:
        told = choice.finish_reason
        return told and ending(told, called=choice.index in self._called)


def whole_endings(choices: bytes) -> bytes:
    """The same for the choices of a whole answer. Raises msgspec.DecodeError."""
    told = all_fields_of(choices)
    for choice in told:
        word = msgspec.json.decode(choice.get("finish_reason", b"null"), type=str | None)
        calls = fields_of(choice.get("message", b"{}")).get("tool_calls", raw(None))
        if word:
            choice["finish_reason"] = raw(ending(word, called=bytes(calls) not in (b"null", b"[]")))
    return msgspec.json.encode(told)
