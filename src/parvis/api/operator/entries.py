"""Catalogue entries between JSON and `Model`. The fields stand once, in the domain."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from parvis.core.errors import BadRequest
from parvis.domain.catalog.changes import Change
from parvis.domain.catalog.model import Model
from parvis.wire.validation import explain

_NAMES = frozenset(field.name for field in fields(Model))


def read_entry(said: Mapping[str, Any], before: Model | None = None) -> Model:
    """An entry; what is not said stays as it was `before`. Raises BadRequest, naming the field."""
    for name in said:
        if name not in _NAMES:
            name = str(name)[:100]  # noqa: PLW2901 - the same name, cut to what may be shown
            raise BadRequest(f"Unrecognized parameter: '{name}'. Remove it.", code="unknown_parameter", param=name)
    known = {} if before is None else msgspec.to_builtins(before)
    try:
        return msgspec.convert({**known, **said}, Model)
    except msgspec.ValidationError as problem:
        raise explain(str(problem)) from None


def entry_shape(model: Model) -> dict[str, Any]:
    """All fields of an entry."""
    return {"object": "model", **msgspec.to_builtins(model)}


def change_shape(change: Change) -> dict[str, Any]:
    """What happens to one entry, field by field."""
    differing = [{"name": field.name, "before": field.before, "after": field.after} for field in change.fields]
    return {"object": "model.change", "id": change.model.id, "kind": change.kind, "fields": differing}
