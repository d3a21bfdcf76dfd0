"""Reading calls back from the text of a model that was told to answer with `{"name", "arguments"}`."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from parvis.adapters.engines.relay import Outlet
from parvis.core.tokens import TokenCount
from parvis.wire.chunk_shapes import Chunk, ChunkChoice, Delta
from parvis.wire.chunks import is_reasoning


class _Call(Struct, forbid_unknown_fields=True):
    name: str
    arguments: Raw


_read_call = msgspec.json.Decoder(_Call).decode


class ToolCalls:
    """An `Outlet` before another one. Text that may be a call is held back until it is clear what it is."""

    holds_back = True

    def __init__(self, inner: Outlet, names: frozenset[str], call_prefix: str) -> None:
        self._inner = inner
        self._names = names
        self._prefix = call_prefix
        self._held: dict[int, list[str]] = {}
        self._logprobs: dict[int, list[Any]] = {}
        self._plain: set[int] = set()

    def take(self, chunk: Chunk, payload: bytes) -> bytes:
        if len(chunk.choices) != 1 or chunk.choices[0].index in self._plain:
            return self._inner.take(chunk, payload)
        choice = chunk.choices[0]
        if is_reasoning(choice):
            return self._inner.take(chunk, payload)
        if isinstance(choice.logprobs, dict):
            self._logprobs.setdefault(choice.index, []).extend(choice.logprobs.get("content") or [])
        held = self._held.setdefault(choice.index, [])
        held.append((choice.delta and choice.delta.content) or "")
        text = "".join(held)
        if choice.finish_reason is not None:
            return self._resolve(chunk, choice, text)
        if text.strip() and not text.lstrip().startswith("{"):
            self._plain.add(choice.index)
            return self._give(chunk, choice, Delta(role="assistant", content=text), None)
        return b""

    def end(self, tokens: TokenCount) -> bytes:
        return self._inner.end(tokens)

    def _resolve(self, chunk: Chunk, choice: ChunkChoice, text: str) -> bytes:
        """The choice has ended: its held text is a call, or it is text after all."""
        self._plain.add(choice.index)
        call = self._call(text)
        if call is None:
            delta, reason = Delta(role="assistant", content=text), choice.finish_reason
        else:
            wire = {
                "index": 0,
                "id": f"call_{self._prefix}{choice.index}",
                "type": "function",
                "function": {"name": call.name, "arguments": bytes(call.arguments).decode()},
            }
            delta = Delta(role="assistant", tool_calls=[Raw(msgspec.json.encode(wire))])
            reason = "tool_calls"
        return self._give(chunk, choice, delta, None) + self._give(chunk, choice, Delta(), reason)

    def _call(self, text: str) -> _Call | None:
        try:
            call = _read_call(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return call if call.name in self._names else None

    def _give(self, chunk: Chunk, choice: ChunkChoice, delta: Delta, finish_reason: str | None) -> bytes:
        shown: dict[str, Any] = {
            name: value for name in ("role", "content", "tool_calls") if (value := getattr(delta, name)) is not None
        }
        held = self._logprobs.pop(choice.index, None)
        logprobs = {"content": held, "refusal": None} if held else None
        changed = ChunkChoice(choice.index, delta, None, finish_reason, logprobs)
        fresh = Chunk([changed], chunk.id, chunk.model, chunk.created)
        payload = msgspec.json.encode(
            {
                "id": chunk.id,
                "object": "chat.completion.chunk",
                "created": chunk.created,
                "model": chunk.model,
                "choices": [
                    {"index": choice.index, "delta": shown, "logprobs": logprobs, "finish_reason": finish_reason}
                ],
            }
        )
        return self._inner.take(fresh, payload)
