"""The description of an administration listener: the framework knows neither our refusals nor our credential."""

from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi.openapi.utils import get_openapi

from parvis.api.web.guarded import GuardedRoute
from parvis.domain.identity.permission import Permission
from parvis.domain.identity.principal import ANYBODY
from parvis.wire.shown import ProblemBody

Json = dict[str, Any]
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The request cannot be understood or honoured.",
    HTTPStatus.UNAUTHORIZED: "No credential, or none that is known.",
    HTTPStatus.FORBIDDEN: "Not with this credential, in this place, from this host or page, or without a fresh proof.",
    HTTPStatus.NOT_FOUND: "No such object, or none that the caller may know of.",
    HTTPStatus.CONFLICT: "It clashes with something that exists, or with an earlier request of the same key.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many attempts have failed. Wait for as long as `retry-after` says.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part that is needed is away; nothing that changes something goes unrecorded.",
}
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names what is done, so that it is done once: for a day the same request gets the same answer.",
    "schema": {"type": "string", "maxLength": 255},
}
_LANGUAGE = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "description": "Refusals are said in English (`en`) or in French (`fr`).",
    "schema": {"type": "string"},
}


def description_of(title: str, routes: Sequence[GuardedRoute]) -> Json:
    """An OpenAPI 3.1 document. The same code gives the same document.

    It is the framework's, with every answer that a route can give and none that it cannot.
    """
    document = get_openapi(title=title, version=version("parvis"), routes=routes)
    shown = {(r.path_format, r.declared.method.lower()): r.declared.shows for r in routes if r.declared.shows}
    [*references, _], described = msgspec.json.schema_components(
        [*shown.values(), ProblemBody], ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(shown, references, strict=True))
    schemas = document.get("components", {}).get("schemas", {})
    kept = {name: schema for name, schema in schemas.items() if name not in _FRAMEWORKS_OWN}
    document["components"] = {
        "schemas": dict(sorted({**described, **kept}.items())),
        "responses": {str(int(status)): _refusal(sentence) for status, sentence in _REFUSALS.items()},
        "securitySchemes": {"credential": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"credential": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _correct(method, operation, schema_of.get((path, method)))
    return document


def _correct(method: str, operation: Json, shown: Json | None) -> None:
    """One route: who may, what it shows, what it refuses with, and the headers that it reads."""
    opened = ANYBODY.may_somewhere(Permission(operation["x-permission"]))
    never = {HTTPStatus.UNAUTHORIZED} if opened else set()
    never |= {HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE} if method == "get" else set()
    operation["responses"].pop("422", None)
    if shown is not None:
        [success] = operation["responses"].values()
        success["content"] = {"application/json": {"schema": shown}}
    operation["responses"] |= {
        str(int(status)): {"$ref": f"#/components/responses/{int(status)}"}
        for status in _REFUSALS
        if status not in never
    }
    headers = [_LANGUAGE, *([_IDEMPOTENCY_KEY] if method == "post" and not opened else [])]
    operation["parameters"] = [*operation.get("parameters", []), *headers]
    if opened:
        operation["security"] = []


def _refusal(sentence: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}
    return {
        "description": sentence,
        "headers": {"Content-Language": {"schema": {"type": "string", "enum": ["en", "fr"]}}},
        "content": {"application/json": {"schema": schema}},
    }
