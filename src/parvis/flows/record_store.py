"""Where the record is kept, and what must happen once. Suite: `parvis.testing.record_suite`."""

from collections.abc import Sequence
from typing import Protocol

from parvis.domain.audit.entry import Entry
from parvis.domain.audit.once import Claim, Earlier, Kept
from parvis.domain.audit.query import EntryPage, EntryQuery


class RecordStore(Protocol):
    """Append only: there is no verb that changes a line or takes one away."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """All of them, durably, before all that waits to be written. Raises Conflict for an id that is taken."""

    async def entries(self, query: EntryQuery) -> EntryPage:
        """One page. Raises BadRequest for a strange limit."""


class RepetitionStore(Protocol):
    """One row for each key of each principal."""

    async def claim(self, claim: Claim, *, forget_unix_ms: int, lost_unix_ms: int) -> Earlier | None:
        """Take the key, unless it is taken: then say by what.

        What was claimed before `forget_unix_ms` is forgotten first; so is what was claimed before `lost_unix_ms` and
        has no answer yet, because nobody works on it any more.
        """

    async def keep_answer(self, claim: Claim, kept: Kept) -> None:
        """The claimed request has ended with this. Without such a claim, nothing happens."""

    async def release(self, claim: Claim) -> None:
        """It has ended and nothing is kept: the key is free again."""
