"""The description of this listener for programs, made from what serves: routes, request types, bounds, statuses."""

from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec

from parvis.api.inference.routes import ROUTES, Route
from parvis.wire import shown
from parvis.wire.audio import ListeningFields, SpeakingBody
from parvis.wire.chat_shapes import ChatBody
from parvis.wire.completion import CompletionBody
from parvis.wire.embedding import EmbeddingBody
from parvis.wire.rerank import RerankBody

Json = dict[str, Any]
_REF = "#/components/schemas/{name}"
_FORM = "multipart/form-data"
_STREAM = "Server-sent events: chunks of the answer, then `data: [DONE]`; an `error` in its place tells of a failure."


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route takes and gives."""

    id: str
    summary: str
    answer: type
    body: type | None = None
    streams: bool = False
    form: bool = False
    """The body is a form with a file."""
    kinds: tuple[str, ...] = ("application/json",)
    """Of whole answers; those that are no JSON have no schema."""


_SOUNDS = ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm")
_TEXTS = ("application/json", "text/plain")
_OPERATIONS = {
    "/v1/chat/completions": Operation(
        "createChatCompletion", "Answer a chat.", shown.ChatAnswer, ChatBody, streams=True
    ),
    "/v1/completions": Operation(
        "createCompletion", "Go on with a text.", shown.CompletionAnswer, CompletionBody, streams=True
    ),
    "/v1/embeddings": Operation("createEmbedding", "Make vectors of texts.", shown.EmbeddingAnswer, EmbeddingBody),
    "/v1/rerank": Operation("rerank", "Order documents by a query.", shown.RerankAnswer, RerankBody),
    "/v2/rerank": Operation("rerankV2", "The same, as Cohere's clients ask.", shown.RerankAnswer, RerankBody),
    "/v1/audio/transcriptions": Operation(
        "createTranscription",
        "Write down what is said.",
        shown.Heard,
        ListeningFields,
        streams=True,
        form=True,
        kinds=_TEXTS,
    ),
    "/v1/audio/translations": Operation(
        "createTranslation",
        "Write down in English what is said.",
        shown.Heard,
        ListeningFields,
        form=True,
        kinds=_TEXTS,
    ),
    "/v1/audio/speech": Operation("createSpeech", "Speak a text.", shown.Heard, SpeakingBody, kinds=_SOUNDS),
    "/v1/models": Operation("listModels", "The models that the key may use.", shown.ModelPage),
    "/v1/models/": Operation("retrieveModel", "One model, by its id or an alias.", shown.ModelCard),
}
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The request cannot be understood or honoured.",
    HTTPStatus.UNAUTHORIZED: "No key, or none that is known.",
    HTTPStatus.FORBIDDEN: "A known key without the right.",
    HTTPStatus.NOT_FOUND: "No such model or route, or not for this key.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time.",
    HTTPStatus.CONFLICT: "It clashes with something that exists.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body or the head is too large.",
    HTTPStatus.TOO_MANY_REQUESTS: "A limit or the credit does not allow it now.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An engine or the service failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part that is needed is away.",
}
"""Of every route: docs/reference/errors.md has the codes."""


def description() -> Json:
    """An OpenAPI 3.1 document. The same code gives the same document."""
    bodies = [operation.body for operation in _OPERATIONS.values() if operation.body]
    answers = [operation.answer for operation in _OPERATIONS.values()]
    _, schemas = msgspec.json.schema_components([*bodies, *answers, shown.ProblemBody], ref_template=_REF)
    _add_file(schemas[ListeningFields.__name__])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parvis inference",
            "version": version("parvis"),
            "description": "The OpenAI protocol. docs/reference/protocol.md says what becomes of each field.",
        },
        "security": [{"key": []}],
        "paths": {_path(route): {route.method.lower(): _operation(route)} for route in ROUTES},
        "components": {
            "schemas": _spelled_for_all(schemas),
            "responses": {str(int(status)): _refusal(sentence) for status, sentence in _REFUSALS.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, sk-parvis_..."}
            },
        },
    }


def _add_file(form: Json) -> None:
    """The part that is no text."""
    form["properties"]["file"] = {"type": "string", "format": "binary"}
    form["required"] = [*form["required"], "file"]


def _path(route: Route) -> str:
    return f"{route.path}{{model}}" if route.rest else route.path


def _operation(route: Route) -> Json:
    """Raises KeyError for a route that nobody described."""
    operation = _OPERATIONS[route.path]
    schemas: Json = {"application/json": {"schema": _reference(operation.answer)}}
    content: Json = {kind: schemas.get(kind, {}) for kind in operation.kinds}
    if operation.streams:
        content["text/event-stream"] = {"schema": {"description": _STREAM}}
    described: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": {
            "200": {"description": "The answer.", "content": content},
            **{str(int(status)): {"$ref": f"#/components/responses/{int(status)}"} for status in _REFUSALS},
        },
    }
    if operation.body:
        described["requestBody"] = {
            "required": True,
            "content": {_FORM if operation.form else "application/json": {"schema": _reference(operation.body)}},
        }
    if route.rest:
        model = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        described["parameters"] = [model]
    return described


def _reference(kind: type) -> Json:
    return {"$ref": _REF.format(name=kind.__name__)}


def _refusal(sentence: str) -> Json:
    return {"description": sentence, "content": {"application/json": {"schema": _reference(shown.ProblemBody)}}}


def _spelled_for_all(node: Any) -> Any:
    """Patterns end with `$`, which all dialects know; Python's end otherwise, to mean the same."""
    if isinstance(node, dict):
        return {
            key: value.removesuffix(r"\Z") + "$"
            if key == "pattern" and isinstance(value, str)
            else _spelled_for_all(value)
            for key, value in node.items()
        }
    return [_spelled_for_all(child) for child in node] if isinstance(node, list) else node
