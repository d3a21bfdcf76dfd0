"""What closing a month needs from the store: sums of what was booked, and documents that are never changed."""

from typing import Protocol

from parvis.domain.billing.invoice import InvoiceKind
from parvis.domain.billing.issued import Moved, Refunded, Span, Statement
from parvis.domain.billing.statement import UsageSum

SELLER = ""
"""Under this id the seller is kept; buyers under that of their organisation."""


class StatementStore(Protocol):
    """Parties, sums and documents. The conformance suite is `parvis.testing.statement_suite`."""

    async def put_party(self, organisation_id: str, facts: bytes) -> None:
        """From now on this holds of the seller (`SELLER`) or of a buyer. What held before is kept."""

    async def party(self, organisation_id: str) -> bytes | None:
        """What was said last."""

    async def usage_sums(self, span: Span) -> list[UsageSum]:
        """The requests of a span, by tenant, model, price list and month of their start; sorted."""

    async def moved(self, span: Span) -> list[Moved]:
        """What the transfers of the same requests come to, by tenant; sorted. Tenants without any are absent."""

    async def refunds(self, organisation_id: str, after_booking: int) -> list[Refunded]:
        """Refunds of an organisation that were booked after this booking, in the order of their booking."""

    async def last_sequence(self, series: str, year: int) -> int:
        """The highest number of a series in a year; 0 before the first."""

    async def add_statement(self, statement: Statement) -> None:
        """Raises Conflict unless its number is the next one, and its organisation has no statement of the month."""

    async def last_statement(self, organisation_id: str, kind: InvoiceKind) -> Statement | None:
        """The newest of an organisation."""

    async def statement(self, number: str) -> Statement | None:
        """One, by its number, of whichever organisation: the caller sees to who may read it."""

    async def statements_page(self, organisation_id: str | None, after: str | None, limit: int) -> list[Statement]:
        """The next ones after a number, of one organisation or of all, sorted by number."""
