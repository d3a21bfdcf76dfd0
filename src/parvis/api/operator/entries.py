"""Catalogue entries between JSON and `Model`. The fields stand once, in the domain."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec

from parvis.core.errors import BadRequest
from parvis.domain.catalog.changes import Change
from parvis.domain.catalog.model import AutoCandidate, AutoPolicy, Model
from parvis.wire.validation import explain

_NAMES = frozenset(field.name for field in fields(Model))
_POLICY_NAMES = frozenset(field.name for field in fields(AutoPolicy))
_CANDIDATE_NAMES = frozenset(field.name for field in fields(AutoCandidate))
_OF_AUTO = {"engine": "", "engine_model": "", "context_tokens": 0, "capabilities": ()}
"""What is not said of an entry that chooses."""


def read_entry(said: Mapping[str, Any], before: Model | None = None) -> Model:
    """An entry; what is not said stays as it was `before`. Raises BadRequest, naming the field."""
    _know(said, _NAMES)
    known = {} if before is None else msgspec.to_builtins(before)
    if isinstance(policy := said.get("auto"), dict):
        _know(policy, _POLICY_NAMES, "auto.")
        candidates = policy.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            _know(candidate if isinstance(candidate, dict) else {}, _CANDIDATE_NAMES, "auto.candidates.")
        known = _OF_AUTO | known
    try:
        return msgspec.convert({**known, **said}, Model)
    except msgspec.ValidationError as problem:
        raise explain(str(problem)) from None


def _know(said: Mapping[str, Any], names: frozenset[str], place: str = "") -> None:
    for unknown in said:
        if unknown not in names:
            name = f"{place}{str(unknown)[:100]}"
            raise BadRequest(f"Unrecognized parameter: '{name}'. Remove it.", code="unknown_parameter", param=name)


def entry_shape(model: Model) -> dict[str, Any]:
    """All fields of an entry."""
    return {"object": "model", **msgspec.to_builtins(model)}


def change_shape(change: Change) -> dict[str, Any]:
    """What happens to one entry, field by field."""
    differing = msgspec.to_builtins(
        [{"name": field.name, "before": field.before, "after": field.after} for field in change.fields]
    )
    return {"object": "model.change", "id": change.model.id, "kind": change.kind, "fields": differing}
