"""The difference between the catalogue as it is and as somebody wants it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from parvis.domain.catalog.model import Model


class ChangeKind(StrEnum):
    """What applying does to an entry."""

    ADD = "add"
    CHANGE = "change"
    SAME = "same"


_UNSAID: dict[str, object] = {field.name: field.default for field in fields(Model)}
"""What a field is when nobody says anything. Of a field that must be said, a value that nobody can say."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One fact that will be another. `before` is None of a new entry."""

    name: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one entry, and how it looks afterwards."""

    kind: ChangeKind
    model: Model
    fields: tuple[FieldChange, ...] = ()


def plan(current: Sequence[Model], wanted: Sequence[Model]) -> list[Change]:
    """One change for each wanted entry, in its order. Entries that are not mentioned stay: retiring is a state."""
    known = {model.id: model for model in current}
    return [_change(known.get(model.id), model) for model in wanted]


def _change(before: Model | None, after: Model) -> Change:
    if before is None:
        facts = tuple(FieldChange(name, None, value) for name, value in _facts(after).items() if value != _UNSAID[name])
        return Change(ChangeKind.ADD, after, facts)
    old, new = _facts(before), _facts(after)
    differing = tuple(FieldChange(name, old[name], new[name]) for name in new if old[name] != new[name])
    return Change(ChangeKind.CHANGE if differing else ChangeKind.SAME, after, differing)


def _facts(model: Model) -> dict[str, object]:
    return {field.name: getattr(model, field.name) for field in fields(model)}
