"""What turns an invoice into files."""

from typing import Protocol

from parvis.domain.billing.invoice import Invoice


class Press(Protocol):
    """The same invoice gives the same file."""

    def xml(self, invoice: Invoice) -> bytes:
        """EN 16931 in CII syntax."""

    def pdf(self, invoice: Invoice, content_sha256: str, language: str) -> bytes:
        """Factur-X: a PDF/A-3 in `en` or `fr` that has the XML in it.

        Raises Unavailable where no PDF can be made.
        """
