"""What the head of a GGUF file says of the network in it, without numpy and without reading the weights.

Source of the form: ggml-org/ggml, `docs/gguf.md`, version 3: magic, version, counts of tensors and of facts, then facts
(a name, a type, a value), all little-endian; texts have a length of 8 bytes before them.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
_FORMS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_VOCABULARY = "tokenizer."
_FACTS_MAX = 4096
_LIST_MAX = 1 << 20
_TEXT_BYTES_MAX = 1 << 24
_QUANTISATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip
"""By `general.file_type`, as llama.cpp numbers them."""
_CACHE_BYTES = 2
"""Of one number in an engine's cache: F16."""


@dataclass(frozen=True, slots=True)
class Head:
    """Empty or 0: the file does not say."""

    architecture: str = ""
    quantisation: str = ""
    context_tokens: int = 0
    """For which the network was trained."""
    cache_token_bytes: int = 0
    """Of keys and values of one token in all layers, at 16 bits."""


def read_head(path: Path) -> Head:
    """Read it; a file that is no GGUF file, or ends too early, has nothing to say."""
    try:
        with path.open("rb") as file:
            return _head(_facts(file))
    except (OSError, ValueError, struct.error):
        return Head()


def _facts(file: BinaryIO) -> Mapping[str, Any]:
    """Those before the vocabulary, which is long and is not wanted; lists are left out."""
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("no GGUF file")
    _, _, count = _unpack(file, "<IQQ")
    facts: dict[str, Any] = {}
    for _ in range(min(count, _FACTS_MAX)):
        name = _text(file)
        if name.startswith(_VOCABULARY):
            break
        (kind,) = _unpack(file, "<I")
        value = _value(file, kind)
        if kind != _LIST:
            facts[name] = value
    return facts


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind == _LIST:
        inner, count = _unpack(file, "<IQ")
        if count > _LIST_MAX or inner == _LIST:
            raise ValueError("a list that long is none")
        return [_value(file, inner) for _ in range(count)]
    if kind not in _FORMS:
        raise ValueError("an unknown type")
    (value,) = _unpack(file, f"<{_FORMS[kind]}")
    return value


def _text(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<Q")
    if length > _TEXT_BYTES_MAX:
        raise ValueError("a text that long is none")
    return file.read(length).decode("utf-8", "replace")


def _unpack(file: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _head(facts: Mapping[str, Any]) -> Head:
    architecture = str(facts.get("general.architecture", ""))

    def fact(name: str) -> int:
        return int(facts.get(f"{architecture}.{name}", 0))

    heads = fact("attention.head_count")
    width = fact("attention.key_length") or (fact("embedding_length") // heads if heads else 0)
    values = fact("attention.value_length") or width
    kept = fact("attention.head_count_kv") or heads
    return Head(
        architecture,
        _QUANTISATIONS.get(int(facts.get("general.file_type", -1)), ""),
        fact("context_length"),
        fact("block_count") * kept * (width + values) * _CACHE_BYTES,
    )
