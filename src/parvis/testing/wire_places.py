"""Every place of a request body where a text can stand, found in the wire's types: a new field is covered by itself.

    for place in places("fake-8b"):
        await caller.ask(place.route, place.holding("https://example.org/"))

A place is any leaf of a type: texts, names that are chosen from a list, numbers (which a text makes wrong), the keys
of objects, known or not, and, where anything goes, the keys that other programs are known to follow.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct
from msgspec import inspect as shapes

from parvis.wire.audio import ListeningFields, SpeakingBody
from parvis.wire.chat_shapes import ChatBody
from parvis.wire.completion import CompletionBody
from parvis.wire.embedding import EmbeddingBody
from parvis.wire.rerank import RerankBody

Json = dict[str, Any]
Put = Callable[[str], Any]
Leaf = tuple[str, Put]

BODIES: dict[str, type[Struct]] = {
    "/v1/chat/completions": ChatBody,
    "/v1/completions": CompletionBody,
    "/v1/embeddings": EmbeddingBody,
    "/v1/rerank": RerankBody,
    "/v2/rerank": RerankBody,
    "/v1/audio/speech": SpeakingBody,
    "/v1/audio/transcriptions": ListeningFields,
    "/v1/audio/translations": ListeningFields,
}
"""What each route that takes a body reads."""
FORMS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
"""The routes whose body is a form, with a file among its parts."""
ANY_KEYS = ("$ref", "$id", "$schema", "$dynamicRef", "$anchor", "description", "default", "const", "pattern", "url")
"""Of an object in which anything may stand: the keys whose text somebody might follow or quote."""
_USUAL: dict[str, Json] = {
    "Message": {"role": "user", "content": "Hello"},
    "ResponseFormat": {"type": "json_schema"},
    "JsonSchema": {"schema": {"type": "object"}},
    "ImageUrl": {"url": "data:image/png;base64,iVBORw0KGgo="},
}
"""What a struct needs beside what its type demands, so that it is read to its end."""
_SCALARS: dict[type, Any] = {
    shapes.DictType: {},
    shapes.IntType: 1,
    shapes.FloatType: 1,
    shapes.StrType: "1",  # fits the patterns of names and of numbers
}


@dataclass(frozen=True)
class Place:
    """One place of one route's body."""

    route: str
    path: str
    put: Put
    model: str

    def holding(self, text: str) -> Json:
        """A small body with this text there. Most are right; where the text is none that fits, it is not."""
        body: Json = self.put(text)
        return body if self.path == "model" else body | {"model": self.model}

    def __str__(self) -> str:
        return f"{self.route} {self.path}"


def places(model: str, embedding_model: str = "", sound_model: str = "") -> list[Place]:
    """All places of all routes, in the order of the types. Requests name these models."""
    models = dict.fromkeys(("/v1/embeddings", "/v1/rerank", "/v2/rerank"), embedding_model or model)
    models |= {route: sound_model or model for route in BODIES if route.startswith("/v1/audio/")}
    found = [
        Place(route, path.lstrip("."), put, models.get(route, model))
        for route, body in BODIES.items()
        for path, put in _leaves(shapes.type_info(body))
    ]
    return [_with_file(place) if place.route in FORMS else place for place in found] + [
        Place(route, "file", lambda text: {"file": text}, models[route]) for route in sorted(FORMS)
    ]


def _with_file(place: Place) -> Place:
    """A form without its file is refused before anything else is read."""
    return replace(place, put=lambda text: {"file": "sound.wav", **place.put(text)})


def _leaves(kind: shapes.Type) -> Iterator[Leaf]:
    """(path, how to build the smallest value with a text there)."""
    match kind:
        case shapes.StructType():
            yield ".UNKNOWN", lambda text: smallest(kind) | {text: text}
            for field in kind.fields:
                yield from (_field(kind, field.encode_name, leaf) for leaf in _leaves(field.type))
        case shapes.UnionType():
            for one in kind.types:
                yield from _leaves(one)
        case shapes.ListType():
            yield from (_item(leaf) for leaf in _leaves(kind.item_type))
        case shapes.DictType():
            yield ".KEY", lambda text: {text: smallest(kind.value_type)}
            open_to_all = isinstance(kind.value_type, shapes.AnyType)
            yield from map(_entry, ANY_KEYS) if open_to_all else map(_value, _leaves(kind.value_type))
        case shapes.NoneType():
            return
        case _:
            yield "", lambda text: text


def _field(struct: shapes.StructType, name: str, leaf: Leaf) -> Leaf:
    path, put = leaf
    return f".{name}{path}", lambda text: smallest(struct) | {name: put(text)}


def _item(leaf: Leaf) -> Leaf:
    path, put = leaf
    return f"[0]{path}", lambda text: [put(text)]


def _value(leaf: Leaf) -> Leaf:
    path, put = leaf
    return f".VALUE{path}", lambda text: {"1": put(text)}


def _entry(key: str) -> Leaf:
    """Of an object in which anything may stand; a schema is meant most often, so it is a schema."""
    return f".{key}", lambda text: {"type": "object", "properties": {"x": {key: text}}, key: text}


def smallest(kind: shapes.Type) -> Any:
    """The smallest value of a type that is read without complaint."""
    value: Any = _SCALARS.get(type(kind), "Hello")
    match kind:
        case shapes.StructType():
            tag: Json = {kind.tag_field: kind.tag} if kind.tag_field else {}
            needed = {field.encode_name: smallest(field.type) for field in kind.fields if field.required}
            value = tag | needed | _USUAL.get(kind.cls.__name__, {})
        case shapes.UnionType():
            value = smallest(kind.types[0])
        case shapes.LiteralType():
            value = kind.values[0]
        case shapes.ListType():
            value = [smallest(kind.item_type)] if kind.min_length else []
    return value
