"""What the fake engine answers: pure functions of a request, so that a test can compute the same answer.

    answer(body, commands(command_text(body), Commands())).choices[0].text("content")

The text depends on the messages without their commands, on the number of the choice, and on nothing else.
"""

import hashlib
import math
import re
import zlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from parvis.testing.fake_engine.commands import Commands, without_commands

Json = dict[str, Any]
Part = Literal["reasoning", "content", "arguments"]

SPECIAL_TOKENS = 3
"""What a prompt costs beside its words: the stand-in for a chat template."""
CACHED_SHARE = 3
"""One prompt token in this many is reported as cached."""
EMBEDDING_DIMENSIONS = 32

_MULTI_BYTE = (" é", " ß", " ñandú", " €", " 日本", " か", " 🙂", " naïve")
_WORDS = re.compile(r"\S+\s*")
VOCABULARY = tuple(f" w{i}" for i in range(56)) + _MULTI_BYTE
# 2**64 over the golden ratio carries neighbours far apart, so that about every eighth piece is multi-byte.
_WEYL = 0x9E3779B97F4A7C15


class Choice(NamedTuple):
    """One answer of a request: reasoning, then the tokens of `fixed` or, if None, hashed pieces."""

    number: int
    """The wire's `index`."""
    seed: int
    reasoning: int
    tokens: int
    """All of them, reasoning included."""
    finish_reason: str
    fixed: tuple[str, ...] | None = None
    tool: str | None = None
    echo: bool = False
    """`fixed` are the request's words, and the reasoning says them too."""
    marks: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """The reasoning stands in the text, between these tokens."""
    reasoning_wanted: int = 0
    """What the reasoning would be if nothing cut it."""

    def token(self, i: int) -> tuple[Part, str]:
        """The i-th token: where it belongs, and its text."""
        if i < self.reasoning and self.marks is not None:
            opens, closes = self.marks
            place = i - self.reasoning_wanted + len(closes)
            if i < len(opens) or place >= 0:
                return "content", opens[i] if i < len(opens) else closes[place]
            return "content", piece(self.seed, i)
        if i < self.reasoning:
            return "reasoning", self.fixed[i % len(self.fixed)] if self.echo and self.fixed else piece(self.seed, i)
        if self.fixed is None:
            return "content", piece(self.seed, i)
        return ("arguments" if self.tool else "content"), self.fixed[i - self.reasoning]

    def text(self, part: Part) -> str:
        """All the text of one part."""
        apart = 0 if self.marks else self.reasoning
        wanted = range(apart) if part == "reasoning" else range(apart, self.tokens)
        return "".join(text for kind, text in map(self.token, wanted) if kind == part)

    def call_id(self) -> str:
        return f"call-{self.seed:016x}"


class Answer(NamedTuple):
    """The whole answer to a request."""

    prompt_tokens: tuple[int, ...]
    """One number a prompt."""
    cached_tokens: int
    choices: tuple[Choice, ...]
    prompt_cached: tuple[int, ...]
    """What of each prompt was in the engine's memory; `usage` tells `cached_tokens` of all of them."""

    @property
    def tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    @property
    def reasoning(self) -> int:
        return sum(choice.reasoning for choice in self.choices)


def text_of(content: object) -> str:
    """The text of a message's content: a string, a list of parts, or null."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def texts(body: Json) -> list[str]:
    """Every text that the body asks the engine to read."""
    if body.get("messages") is not None:
        return [text_of(message.get("content")) for message in body["messages"]]
    return [prompt if isinstance(prompt, str) else "" for prompt in prompts(body)]


def prompts(body: Json) -> list[Any]:
    """The prompts of a completion or the inputs of an embedding: each a string or a list of token numbers.

    Of a reranking, the query before each document.
    """
    if body.get("documents") is not None:
        return [f"{body.get('query')} {document}" for document in body["documents"]]
    given = body.get("prompt") or body.get("input") or ""
    if isinstance(given, list) and not (given and isinstance(given[0], int)):
        return given
    return [given]


def command_text(body: Json) -> str:
    """Where commands are looked for: the last user message, or all prompts of a completion."""
    if body.get("messages") is None:
        return " ".join(texts(body))
    users = [message for message in body["messages"] if message.get("role") == "user"]
    return text_of(users[-1].get("content")) if users else ""


def prompt_tokens(body: Json) -> tuple[int, ...]:
    """The words of each prompt and SPECIAL_TOKENS; all messages of a chat are one prompt."""
    if body.get("messages") is not None:
        return (sum(len(text.split()) for text in texts(body)) + SPECIAL_TOKENS,)
    lengths = (len(prompt.split()) if isinstance(prompt, str) else len(prompt) for prompt in prompts(body))
    return tuple(length + SPECIAL_TOKENS for length in lengths)


def token_ids(text: str) -> list[int]:
    """One number a word, the special tokens first."""
    words = [SPECIAL_TOKENS + zlib.crc32(word.encode()) % 50_000 for word in text.split()]
    return [*range(SPECIAL_TOKENS), *words]


def seed_of(value: object) -> int:
    """64 bits that depend on every byte of `value`, and not on the order of its keys or on white space."""
    encoded = msgspec.json.encode(value, order="deterministic")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=8).digest(), "big")


def piece(seed: int, i: int) -> str:
    """The i-th piece of the text that belongs to `seed`."""
    return VOCABULARY[((seed + i * _WEYL) & 0xFFFF_FFFF_FFFF_FFFF) >> 58]


def answer(body: Json, orders: Commands) -> Answer:
    """What the engine answers to `body` under `orders`: `n` choices a prompt, as OpenAI numbers them."""
    counts = prompt_tokens(body)
    given = [body["messages"]] if body.get("messages") is not None else prompts(body)
    given = [_plain(prompt) for prompt in given]
    seeds = [seed_of([prompt, choice]) for prompt in given for choice in range(body.get("n") or 1)]
    choices = tuple(_choice(number, seed, body, orders) for number, seed in enumerate(seeds))
    return Answer(counts, sum(counts) // CACHED_SHARE, choices, tuple(count // CACHED_SHARE for count in counts))


def _plain(value: Any) -> Any:
    """JSON without the commands in its texts, so that a fault does not change the answer that it strikes."""
    if isinstance(value, str):
        return without_commands(value)
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return {name: _plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def _choice(number: int, seed: int, body: Json, orders: Commands) -> Choice:
    tools = body.get("tools") if orders.tool else None
    tool = tools[0]["function"] if tools else None
    fixed = _fixed_text(seed, tool, body, orders)
    wanted = orders.reason + (orders.tokens if fixed is None else len(fixed))
    cap = None if orders.runaway else body.get("max_completion_tokens") or body.get("max_tokens")
    tokens = wanted if cap is None else min(wanted, cap)
    done = "tool_calls" if tool else "stop"
    return Choice(
        number=number,
        seed=seed,
        reasoning=min(orders.reason, tokens),
        tokens=tokens,
        finish_reason=done if tokens == wanted else "length",
        fixed=fixed,
        tool=tool["name"] if tool else None,
        echo=orders.echo and not tool,
        marks=_marks(orders) if orders.think else None,
        reasoning_wanted=orders.reason,
    )


def _marks(orders: Commands) -> tuple[tuple[str, ...], tuple[str, ...]]:
    opens, closes = ((" <th", "ink>"), (" </th", "ink>")) if orders.half_marks else ((" <think>",), (" </think>",))
    return () if orders.no_opening else opens, closes


def _fixed_text(seed: int, tool: Json | None, body: Json, orders: Commands) -> tuple[str, ...] | None:
    """The fragments of a tool call's arguments or of a JSON answer, or the words to say again; None for free text."""
    if tool:
        value = example(tool.get("parameters") or {"type": "object"}, seed)
    elif orders.json:
        value = example(_schema(body), seed)
    elif orders.echo:
        return tuple(_WORDS.findall(without_commands(" ".join(texts(body)))))
    else:
        return None
    encoded = msgspec.json.encode(value).decode()
    return tuple(encoded[i : i + 4] for i in range(0, len(encoded), 4))


def _schema(body: Json) -> Json:
    wanted: Json = body.get("response_format") or {}
    wrapped: Json = wanted.get("json_schema") or wanted.get("value") or {}
    small: Json = {"type": "object", "properties": {"word": {"type": "string"}, "count": {"type": "integer"}}}
    return wrapped.get("schema") or body.get("json_schema") or small


def example(schema: Json, seed: int) -> Any:
    """A value that fits the plain part of JSON schema: const, enum, anyOf, types, properties, items."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][seed % len(schema["enum"])]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], seed)
    return _typed_example(schema, seed)


def _typed_example(schema: Json, seed: int) -> Any:
    match schema.get("type", "object" if "properties" in schema else "string"):
        case "object":
            properties = schema.get("properties", {})
            return {name: example(inner, seed + i) for i, (name, inner) in enumerate(properties.items())}
        case "array":
            return [example(schema.get("items", {}), seed)]
        case "integer" | "number":
            return seed % 100
        case "boolean":
            return seed % 2 == 0
        case "null":
            return None
        case _:
            return piece(seed, 0).strip()


def relevance(body: Json) -> list[float]:
    """Of each document: the part of the query's words that it has."""
    wanted = set(str(body["query"]).lower().split())
    return [len(wanted & set(str(text).lower().split())) / max(len(wanted), 1) for text in body["documents"]]


def embeddings(body: Json) -> Iterator[list[float]]:
    """One unit vector for each input, of the `dimensions` that the body asks for."""
    dimensions = body.get("dimensions") or EMBEDDING_DIMENSIONS
    for given in prompts(body):
        digest = hashlib.shake_256(msgspec.json.encode(given)).digest(dimensions * 2)
        numbers = [int.from_bytes(digest[i : i + 2], "big") - 32_767.5 for i in range(0, len(digest), 2)]
        length = math.hypot(*numbers)
        yield [number / length for number in numbers]
