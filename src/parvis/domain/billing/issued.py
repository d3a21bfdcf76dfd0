"""What a month is closed on, and the documents that were issued."""

from typing import NamedTuple

from parvis.core.money import Money
from parvis.domain.billing.invoice import InvoiceKind


class Span(NamedTuple):
    """Which requests a statement is about: booked up to `last`, started before `until`, and on no statement before.

    The statement before held what was booked up to `last_before` and started before `until_before`; 0 when there
    was none.
    """

    organisation_id: str
    last: int
    until_unix_ms: int
    last_before: int = 0
    until_before_unix_ms: int = 0


class Moved(NamedTuple):
    """What the ledger moved for the requests of a span."""

    tenant_id: str
    billed: Money
    written_off: Money


class Refunded(NamedTuple):
    """One correction by hand."""

    tenant_id: str
    reference: str
    note: str
    amount: Money
    booking: int


class Statement(NamedTuple):
    """A document that was issued: the statement of a month with its invoice, or a credit note. Never changed."""

    number: str
    kind: InvoiceKind
    series: str
    year: int
    sequence: int
    organisation_id: str
    month: int
    """0 of a credit note."""
    about: str
    """The number of the invoice that a credit note is about; empty otherwise."""
    last_booking: int
    """Up to which the books are in it."""
    total_cents: int
    """With tax."""
    content_sha256: str
    document: bytes
    """The signed file."""
    issued_unix_ms: int
