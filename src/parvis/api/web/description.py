"""The description of an administration listener: the framework knows neither our refusals nor our credential."""

from http import HTTPStatus
from typing import Any

import msgspec

from parvis.wire.shown import ProblemBody

Json = dict[str, Any]
_REFUSALS = {
    HTTPStatus.BAD_REQUEST: "The request cannot be understood or honoured.",
    HTTPStatus.UNAUTHORIZED: "No credential, or none that is known.",
    HTTPStatus.FORBIDDEN: "Not with this credential, from this host, or from this page.",
    HTTPStatus.NOT_FOUND: "No such object, or none that the caller may know of.",
    HTTPStatus.CONFLICT: "It clashes with something that exists.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A part that is needed is away.",
}
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")


def corrected(document: Json) -> Json:
    """The framework's document, with every refusal that a route can give and none that it cannot."""
    _, problem = msgspec.json.schema_components([ProblemBody], ref_template="#/components/schemas/{name}")
    schemas = document.get("components", {}).get("schemas", {})
    kept = {name: schema for name, schema in schemas.items() if name not in _FRAMEWORKS_OWN}
    document["components"] = {
        "schemas": {**kept, **problem},
        "responses": {str(int(status)): _refusal(sentence) for status, sentence in _REFUSALS.items()},
        "securitySchemes": {"credential": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"credential": []}]
    for path in document["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            responses.pop("422", None)
            responses.update(
                {str(int(status)): {"$ref": f"#/components/responses/{int(status)}"} for status in _REFUSALS}
            )
    return document


def _refusal(sentence: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}
    return {"description": sentence, "content": {"application/json": {"schema": schema}}}
