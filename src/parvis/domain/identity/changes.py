"""The difference between what is and what somebody declares: organisations and all that lies in them.

Everything is a `Sheet`: what kind of thing it is, the path that names it, and its facts. A declaration says only
the facts that it wants; what it does not say stays. What it does not mention at all stays too, unless it says that it
owns all things of that kind.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Path = tuple[str, ...]


class Kind(StrEnum):
    """What can be declared, in the order in which one thing needs another."""

    TIER = "tier"
    ORGANISATION = "organisation"
    TENANT = "tenant"
    PROJECT = "project"
    MODEL = "model"
    PRICE = "price"
    DEPLOYMENT = "deployment"
    PERSON = "person"
    GRANT = "grant"
    KEY = "key"
    INVITATION = "invitation"


class Sign(StrEnum):
    """What applying does to one thing."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"
    SAME = "same"


OWNABLE = (Kind.TENANT, Kind.PROJECT, Kind.KEY, Kind.GRANT, Kind.DEPLOYMENT)
"""What a file can own: of these, what it does not mention can be pruned where it mentions what they lie in.

Deployments lie in nothing: who owns them owns all.
"""
_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Sheet:
    """One thing: as it is, or as it is wanted."""

    kind: Kind
    path: Path
    """From the organisation down: `("acme", "acme-prod", "search")`."""
    facts: Mapping[str, object] = field(default_factory=dict)
    object_id: str = ""
    """Of a thing that is there, when its path does not say it."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One fact that will be another. `before` is None of a new thing."""

    name: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one thing."""

    sign: Sign
    kind: Kind
    path: Path
    object_id: str = ""
    fields: tuple[FieldChange, ...] = ()

    @property
    def after(self) -> dict[str, object]:
        """The facts that will be others."""
        return {change.name: change.after for change in self.fields}


def plan(present: Iterable[Sheet], wanted: Sequence[Sheet], owned: Iterable[Kind] = ()) -> list[Change]:
    """What must happen so that everything is as wanted, in an order in which it can.

    `owned`: kinds of which everything is removed that lies where the declaration speaks of, and that it does not name.
    """
    here = {(sheet.kind, sheet.path): sheet for sheet in present}
    made = [_change(here.get((sheet.kind, sheet.path)), sheet) for sheet in wanted]
    named = {(sheet.kind, sheet.path) for sheet in wanted}
    places = {sheet.path for sheet in wanted if sheet.kind in (Kind.ORGANISATION, Kind.TENANT)}
    gone = [
        Change(Sign.REMOVE, sheet.kind, sheet.path, sheet.object_id)
        for sheet in here.values()
        if sheet.kind in set(owned)
        and (sheet.kind is Kind.DEPLOYMENT or _place(sheet) in places)
        and (sheet.kind, sheet.path) not in named
        and not _is_idle(sheet)
    ]
    forward = sorted(made, key=lambda change: _ORDER[change.kind])
    backward = sorted(gone, key=lambda change: (-_ORDER[change.kind], change.path))
    return [*forward, *backward]


def twins(sheets: Iterable[Sheet]) -> list[tuple[Kind, Path]]:
    """Things that are named more than once."""
    return [name for name, count in Counter((sheet.kind, sheet.path) for sheet in sheets).items() if count > 1]


def _place(sheet: Sheet) -> Path:
    """What a thing lies in: keys and projects in their tenant, others in their organisation."""
    return sheet.path[:2] if sheet.kind in (Kind.PROJECT, Kind.KEY) else sheet.path[:1]


def _is_idle(sheet: Sheet) -> bool:
    """Whether it was taken away already, as far as pruning does."""
    return sheet.facts.get("standing", "active") != "active" or sheet.facts.get("archived") is True


def _change(before: Sheet | None, wanted: Sheet) -> Change:
    if before is None:
        new = tuple(FieldChange(name, None, value) for name, value in wanted.facts.items())
        return Change(Sign.ADD, wanted.kind, wanted.path, wanted.object_id, new)
    differing = tuple(
        FieldChange(name, before.facts.get(name), value)
        for name, value in wanted.facts.items()
        if before.facts.get(name) != value
    )
    sign = Sign.CHANGE if differing else Sign.SAME
    return Change(sign, wanted.kind, wanted.path, before.object_id, differing)
