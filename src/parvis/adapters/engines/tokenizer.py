"""The tokens of a text or a chat, as the engine that serves the model counts them.

llama.cpp, OpenVINO's worker, vLLM, SGLang and TGI (and what speaks as they do) have `POST /tokenize`, each with fields
of its own; llama.cpp's takes texts alone and has its template apart, TGI has another page for chats. Ollama has none.
Sources: llama.cpp's server documentation, vLLM's `TokenizeChatRequest` and `TokenizeCompletionRequest`, SGLang's
`TokenizeRequest` (`srt/entrypoints/openai/protocol.py`, 004c82e), TGI's `router/src/server.rs` (db931fc).
"""

from msgspec import DecodeError, Raw, Struct, json

from parvis.adapters.engines.asking import ask
from parvis.adapters.engines.shaping import in_words
from parvis.adapters.engines.upstream import Upstreams
from parvis.domain.fleet.replica import EngineKind, Replica
from parvis.wire.chat_shapes import ChatBody

Prompt = ChatBody | tuple[str, ...]
"""A chat, or texts that belong to no chat."""
TOKENIZE, APPLY_TEMPLATE, CHAT_TOKENIZE = b"/tokenize", b"/apply-template", b"/chat_tokenize"

_WHOLE_PROMPT: dict[str, object] = {"add_special": True, "parse_special": True}
"""As llama.cpp reads what its template gave."""


class _Tokens(Struct):
    """vLLM says how many, llama.cpp which."""

    tokens: list[Raw] = []
    count: int = -1


class _Templated(Struct):
    prompt: str


class _Place(Struct):
    """TGI says of each token where in the text it stands: those that belong to no text stand nowhere."""

    start: int
    stop: int


class _ChatPlaces(Struct):
    tokenize_response: list[_Place]


_read_tokens = json.Decoder(_Tokens).decode
_read_prompt = json.Decoder(_Templated).decode
_read_places = json.Decoder(list[_Place]).decode
_read_chat_places = json.Decoder(_ChatPlaces).decode


class Tokenizer:
    """Asks the replica that is named. Nobody waits long for it, and it never raises a Failure."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def count(self, replica: Replica, engine_model: str, text: str) -> int | None:
        """Tokens of the text alone, without template or marks; None where the replica does not say.

        Never more than the text has bytes, whatever it says.
        """
        if not text:
            return 0
        if replica.kind is EngineKind.TGI:
            counted = await self._count_places(replica, text)
        else:
            asked = _question(replica.kind, engine_model, text)
            counted = None if asked is None else await self._count(replica, asked)
        return None if counted is None else min(counted, len(text.encode()))

    async def count_prompt(self, replica: Replica, engine_model: str, prompt: Prompt) -> int | None:
        """Of a chat, or of all texts together; None as above."""
        if isinstance(prompt, ChatBody):
            return await self.count_chat(replica, engine_model, prompt)
        total = 0
        for text in prompt:
            tokens = await self.count(replica, engine_model, text)
            if tokens is None:
                return None
            total += tokens
        return total

    async def count_chat(self, replica: Replica, engine_model: str, chat: ChatBody) -> int | None:
        """Tokens of the prompt that the engine makes of a chat, its template and tools included; None as above."""
        match replica.kind:
            case EngineKind.LLAMA_CPP:
                told = await self._ask(replica, APPLY_TEMPLATE, {"messages": in_words(chat).messages})
                try:
                    prompt = None if told is None else _read_prompt(told).prompt
                except (DecodeError, UnicodeDecodeError):
                    return None
                return None if prompt is None else await self._count(replica, _WHOLE_PROMPT | {"content": prompt})
            case EngineKind.OPENVINO:
                return await self._count(replica, {"messages": in_words(chat).messages})
            case EngineKind.TGI:
                return await self._count_chat_places(replica, engine_model, chat)
            case EngineKind.VLLM | EngineKind.SGLANG:
                asked: dict[str, object] = {"model": engine_model, "messages": chat.messages}
                if chat.tools:
                    asked["tools"] = chat.tools
                return await self._count(replica, asked)
            case EngineKind.OPENAI | EngineKind.OLLAMA | EngineKind.SPEECH:
                return None

    async def _count_places(self, replica: Replica, text: str) -> int | None:
        """TGI puts its special tokens around every text: they stand nowhere in it, and are not counted."""
        told = await self._ask(replica, TOKENIZE, {"inputs": text})
        try:
            return None if told is None else sum(place.stop > place.start for place in _read_places(told))
        except (DecodeError, UnicodeDecodeError):
            return None

    async def _count_chat_places(self, replica: Replica, engine_model: str, chat: ChatBody) -> int | None:
        asked: dict[str, object] = {"model": engine_model, "messages": chat.messages}
        if chat.tools:
            asked["tools"] = chat.tools
        told = await self._ask(replica, CHAT_TOKENIZE, asked)
        try:
            return None if told is None else len(_read_chat_places(told).tokenize_response)
        except (DecodeError, UnicodeDecodeError):
            return None

    async def _count(self, replica: Replica, asked: dict[str, object]) -> int | None:
        told = await self._ask(replica, TOKENIZE, asked)
        try:
            tokens = None if told is None else _read_tokens(told)
        except (DecodeError, UnicodeDecodeError):
            return None
        if tokens is None:
            return None
        return tokens.count if tokens.count >= 0 else len(tokens.tokens)

    async def _ask(self, replica: Replica, path: bytes, asked: dict[str, object]) -> bytes | None:
        pool = self._upstreams.pool(replica)
        return await ask(pool, pool.request(path, replica.api_key, "tokenize", json.encode(asked)))


def _question(kind: EngineKind, engine_model: str, text: str) -> dict[str, object] | None:
    """None where there is nobody to ask. A server that is known by address only is asked in both ways at once."""
    vllm: dict[str, object] = {"model": engine_model, "prompt": text, "add_special_tokens": False}
    llama_cpp: dict[str, object] = {"content": text, "add_special": False}
    match kind:
        case EngineKind.VLLM | EngineKind.SGLANG | EngineKind.OPENVINO:
            return vllm
        case EngineKind.LLAMA_CPP:
            return llama_cpp
        case EngineKind.OPENAI:
            return vllm | llama_cpp
        case EngineKind.OLLAMA | EngineKind.TGI | EngineKind.SPEECH:
            return None
