"""A whole answer made from a stream, for engines that only notice a streaming client that leaves."""

from typing import Any

import msgspec

from parvis.core.tokens import TokenCount
from parvis.wire.chunk_shapes import Chunk, ChunkChoice
from parvis.wire.usage import usage_json

_read_call = msgspec.json.Decoder(dict[str, Any]).decode


class Choice:
    """One choice while it grows."""

    def __init__(self) -> None:
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.tool_calls: list[dict[str, Any]] = []
        self.logprobs: list[Any] = []
        self.finish_reason: str | None = None

    def add(self, choice: ChunkChoice) -> None:
        delta = choice.delta
        if delta is not None:
            self.content.append(delta.content or "")
            self.reasoning.append(delta.reasoning_content or delta.reasoning or "")
            for call in delta.tool_calls or ():
                self._add_call(_read_call(call))
        self.content.append(choice.text or "")
        self.finish_reason = choice.finish_reason or self.finish_reason
        if isinstance(choice.logprobs, dict):
            self.logprobs += choice.logprobs.get("content") or []

    def message(self) -> dict[str, Any]:
        """The protocol's message: `content` is null beside tool calls, reasoning apart where there was some."""
        text = "".join(self.content)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text or (None if self.tool_calls else ""),
            "refusal": None,
        }
        if reasoning := "".join(self.reasoning):
            message["reasoning_content"] = reasoning
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        return message

    def _add_call(self, part: dict[str, Any]) -> None:
        index = part.pop("index", len(self.tool_calls))
        if index >= len(self.tool_calls):
            self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call = self.tool_calls[-1 if index >= len(self.tool_calls) else index]
        function = part.get("function", {})
        call["id"] = part.get("id") or call["id"]
        call["function"]["name"] = function.get("name") or call["function"]["name"]
        call["function"]["arguments"] += function.get("arguments") or ""


class Assembly:
    """An `Outlet` that keeps everything and gives one body at the end."""

    holds_back = True

    def __init__(self, answer_id: str, model: str, *, chat: bool) -> None:
        self._id = answer_id
        self._model = model
        self._chat = chat
        self._created = 0
        self._choices: dict[int, Choice] = {}

    def take(self, chunk: Chunk, payload: bytes) -> bytes:  # noqa: ARG002 - an outlet's shape
        self._created = self._created or chunk.created
        for choice in chunk.choices:
            self._choices.setdefault(choice.index, Choice()).add(choice)
        return b""

    def end(self, tokens: TokenCount) -> bytes:
        shape = self._chat_choice if self._chat else self._text_choice
        body = {
            "id": self._id,
            "object": "chat.completion" if self._chat else "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": [shape(index, choice) for index, choice in sorted(self._choices.items())],
        }
        return b'%b,"usage":%b}' % (msgspec.json.encode(body)[:-1], usage_json(tokens))

    def _chat_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        logprobs = {"content": choice.logprobs, "refusal": None} if choice.logprobs else None
        return {
            "index": index,
            "message": choice.message(),
            "logprobs": logprobs,
            "finish_reason": choice.finish_reason,
        }

    def _text_choice(self, index: int, choice: Choice) -> dict[str, Any]:
        return {
            "index": index,
            "text": "".join(choice.content),
            "logprobs": {"content": choice.logprobs} if choice.logprobs else None,
            "finish_reason": choice.finish_reason,
        }
