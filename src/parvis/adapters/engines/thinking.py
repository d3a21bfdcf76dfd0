"""Reasoning apart from the answer, in what the caller reads and in what is counted; for models that can reason.

The caller reads `reasoning_content` and a clean `content`, whatever the engine calls it (newer vLLM and Ollama say
`reasoning`) and wherever it stands. Chats alone: the older protocol has one text. A model that cannot reason has no
`Thinking`, and its events do not come by here.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from parvis.adapters.engines.respelling import Fields, all_fields_of, fields_of, raw, with_choices
from parvis.adapters.engines.thoughts import Parts, ThoughtSplitter, split
from parvis.domain.catalog.model import Capability
from parvis.flows.ports import Job
from parvis.wire.chat_shapes import ChatBody, NamedTool
from parvis.wire.chunk_shapes import Chunk, ChunkChoice, Delta

_REASONING: Final = Capability.REASONING
_SAID = ("content", "reasoning", "reasoning_content")


class _Part(NamedTuple):
    """A choice of an event, read and as fields."""

    choice: ChunkChoice
    fields: Fields


def thinks(job: Job) -> bool:
    """Whether what this job brings may have reasoning in it that is to be told apart."""
    return _REASONING in job.model.capabilities and isinstance(job.request.body, ChatBody)


def begun(job: Job) -> bool:
    """Whether the template has opened the reasoning: a form that is demanded leaves no room for any."""
    body = job.request.body
    if not job.model.begins_in_reasoning or not isinstance(body, ChatBody) or body.reasoning_effort == "none":
        return False
    formed = body.response_format is not None and body.response_format.type != "text"
    return not formed and body.tool_choice != "required" and not isinstance(body.tool_choice, NamedTool)


class Thinking:
    """One stream of a model that can reason."""

    def __init__(self, *, begun: bool) -> None:
        self._begun = begun
        self._splitters: dict[int, ThoughtSplitter] = {}
        self.found = False
        """Reasoning stood in the text, so the engine knows nothing of it."""
        self.uneven = False
        """Some event held more than one part, so that events and running counts do not tell what each part took."""

    def apart(self, chunk: Chunk, payload: bytes) -> tuple[Chunk, list[tuple[Chunk, bytes]]]:
        """An event as it is to be counted, and the events that the caller gets for it: reasoning before the answer."""
        if not any(self._changes(choice) for choice in chunk.choices):
            return chunk, [(chunk, payload)]
        parted = [self._parts(choice) if self._changes(choice) else None for choice in chunk.choices]
        if len(parted) == 1 and (only := _renamed(chunk, payload, parted[0])):
            return only[0], [only]
        top = fields_of(payload)
        counted: list[ChunkChoice] = []
        thoughts: list[_Part] = []
        answers: list[_Part] = []
        for choice, parts, fields in zip(chunk.choices, parted, all_fields_of(top["choices"]), strict=True):
            if parts is None:
                counted.append(choice)
                answers.append(_Part(choice, fields))
                continue
            counted.append(_as_counted(choice, parts))
            thought, answer = _as_told(choice, fields, parts)
            thoughts += [thought] if thought else []
            answers += [answer] if answer else []
        told = [_event(chunk, top, payload, which) for which in (thoughts, answers) if which]
        return replace(chunk, choices=counted), told

    def _splitter(self, index: int) -> ThoughtSplitter:
        splitter = self._splitters.get(index)
        if splitter is None:
            splitter = self._splitters[index] = ThoughtSplitter(begun=self._begun)
        return splitter

    def _changes(self, choice: ChunkChoice) -> bool:
        delta = choice.delta
        if delta is None:
            return False
        if delta.reasoning:
            return True
        if self._splitter(choice.index).settled:
            return False
        return bool(delta.content or delta.reasoning_content or delta.tool_calls or choice.finish_reason)

    def _parts(self, choice: ChunkChoice) -> Parts:
        delta, splitter = choice.delta or Delta(), self._splitter(choice.index)
        text = delta.content or ""
        parts = splitter.take(text)
        self.found = self.found or bool(parts.thought)
        self.uneven = self.uneven or (bool(parts.thought) and parts.thought != text)
        told = delta.reasoning_content or delta.reasoning or ""
        if told or delta.tool_calls or choice.finish_reason:
            parts = parts.and_then(splitter.end())
        return parts._replace(thought=told + parts.thought, reasoning=told + parts.reasoning)


def _renamed(chunk: Chunk, payload: bytes, parts: Parts | None) -> tuple[Chunk, bytes] | None:
    """An event with a piece of reasoning and nothing else, as most of such a stream are: its key alone is another.

    A JSON text cannot contain a key with its quotes and colon inside a string.
    """
    [choice] = chunk.choices
    delta = choice.delta
    if parts is None or delta is None or delta.role or delta.tool_calls or choice.finish_reason:
        return None
    key, text = (b'"reasoning":', delta.reasoning) if delta.reasoning else (b'"content":', delta.content)
    if not (text and text == parts.reasoning == parts.thought) or parts.visible or payload.count(key) != 1:
        return None
    if b'"reasoning_content":' in payload or (key != b'"reasoning":' and b'"reasoning":' in payload):
        return None
    fresh = ChunkChoice(choice.index, Delta(reasoning_content=text), None, None, choice.logprobs)
    told = Chunk([fresh], chunk.id, chunk.model, chunk.created, chunk.usage, chunk.timings)
    return told, payload.replace(key, b'"reasoning_content":')


def _as_counted(choice: ChunkChoice, parts: Parts) -> ChunkChoice:
    """All that came, marks included, each part under its own name."""
    calls = None if choice.delta is None else choice.delta.tool_calls
    delta = Delta(parts.visible or None, parts.thought or None, None, calls)
    return replace(choice, delta=delta)


def _as_told(choice: ChunkChoice, fields: Fields, parts: Parts) -> tuple[_Part | None, _Part | None]:
    """What the caller gets of the choice: its reasoning, and the rest. None: there is nothing to tell."""
    delta = choice.delta or Delta()
    rest = {name: value for name, value in fields_of(fields["delta"]).items() if _is_said(name, value)}
    speaks = {"role": rest.pop("role")} if parts.reasoning and "role" in rest else {}
    thought = answer = None
    has_answer = bool(parts.content or rest or choice.finish_reason or (choice.logprobs and not parts.reasoning))
    if parts.reasoning:
        told = Delta(reasoning_content=parts.reasoning, role=delta.role)
        silent: dict[str, Any] = {"logprobs": None, "finish_reason": None} if has_answer else {}
        silent = {name: value for name, value in silent.items() if name in fields}
        said = speaks | {"reasoning_content": raw(parts.reasoning)}
        fresh = replace(choice, delta=told, **({"logprobs": None, "finish_reason": None} if has_answer else {}))
        thought = _Part(fresh, fields | {"delta": raw(said)} | {name: raw(None) for name in silent})
    if has_answer:
        role = None if speaks else delta.role
        told = Delta(content=parts.content or None, tool_calls=delta.tool_calls, role=role)
        said = rest | ({"content": raw(parts.content)} if parts.content else {})
        answer = _Part(replace(choice, delta=told), fields | {"delta": raw(said)})
    return thought, answer


def _is_said(name: str, value: Raw) -> bool:
    return name not in _SAID and bytes(value) != b"null"


def _event(chunk: Chunk, top: Fields, payload: bytes, parts: Iterable[_Part]) -> tuple[Chunk, bytes]:
    read, written = zip(*parts, strict=True)
    return replace(chunk, choices=list(read)), with_choices(payload, top, written)


class WholeThinking(NamedTuple):
    """The choices of a whole answer, and the texts that are to be counted."""

    choices: bytes
    visible: list[bytes]
    thoughts: list[bytes]
    found: bool
    """Reasoning stood in some text."""


def whole_apart(choices: bytes, *, begun: bool) -> WholeThinking:
    """Reasoning apart in all choices of a whole chat. Raises msgspec.DecodeError."""
    told, visible, thoughts, found = [], [], [], False
    for choice in all_fields_of(choices):
        message = fields_of(choice.get("message", Raw(b"{}")))
        text, said = _text(message, "content"), _text(message, "reasoning_content") or _text(message, "reasoning")
        parts = Parts(visible=text, content=text) if said or not text else split(text, begun=begun)
        found = found or bool(parts.thought)
        visible.append(parts.visible.encode())
        thoughts.append((said + parts.thought).encode())
        kept = {name: value for name, value in message.items() if name not in _SAID}
        content: Fields = {"content": message.get("content", Raw(b"null"))}
        if parts.thought:
            content = {"content": raw(parts.content)}
        if reasoning := said + parts.reasoning:
            content["reasoning_content"] = raw(reasoning)
        told.append(choice | {"message": raw(kept | content)})
    return WholeThinking(msgspec.json.encode(told), visible, thoughts, found)


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "" if value is None else msgspec.json.decode(value, type=str | None) or ""
