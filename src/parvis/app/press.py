"""The press of invoices. It is heavy and rarely used: an extra, and loaded when the first one is printed."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from parvis.core.errors import Unavailable
from parvis.domain.billing.invoice import Invoice
from parvis.flows.press import Press

_NEEDED = ("fpdf", "font_source_sans_pro")


class LazyPress:
    """A `Press` that says what is missing when it is asked."""

    def xml(self, invoice: Invoice) -> bytes:
        """See the port."""
        return _press().xml(invoice)

    def pdf(self, invoice: Invoice, content_sha256: str, language: str) -> bytes:
        """See the port."""
        return _press().pdf(invoice, content_sha256, language)


@cache
def _press() -> Press:
    if not all(find_spec(name) for name in _NEEDED):
        raise Unavailable("Nothing can be printed on this machine. Type: pip install 'parvis[invoices]'")
    made: Press = import_module("parvis.adapters.invoices.facturx").FacturX()
    return made
