"""Which lines of the record somebody wants to see."""

from dataclasses import dataclass

from parvis.domain.audit.entry import Entry, Step

ENTRIES_MAX = 1000
"""Of one page."""


@dataclass(frozen=True, slots=True)
class EntryQuery:
    """What is empty or None does not narrow."""

    organisation_id: str | None = None
    tenant_ids: tuple[str, ...] | None = None
    """Of these tenants only: lines about the organisation as a whole are not among them."""
    actors: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    object_ids: tuple[str, ...] = ()
    """About one of these, whatever it is."""
    steps: tuple[Step, ...] = ()
    since_unix_ms: int | None = None
    until_unix_ms: int | None = None
    """Lines of [since, until)."""
    after: str | None = None
    """The previous page's."""
    before: str | None = None
    """The id of a line: the nearest ones that are newer. Not together with `after`."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class EntryPage:
    """The newest first. `after` is what to ask the following page with; None at the end.

    Of a page that was asked for with `before` it is what to say as `before` for the one of still newer lines.
    """

    entries: tuple[Entry, ...]
    after: str | None
