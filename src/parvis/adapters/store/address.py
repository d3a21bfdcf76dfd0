"""Reading a database's address."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from parvis.core.errors import Misconfigured

_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}


def read_address(address: str | URL) -> URL:
    """The URL with our driver in it. Raises Misconfigured; its sentence shows no password."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise Misconfigured("The store's address is no URL: write sqlite:///FILE or postgresql://…") from None
    kind = url.get_backend_name()
    if kind not in _DRIVERS:
        raise Misconfigured(f"The store cannot be '{kind}': write sqlite:///FILE or postgresql://…")
    if kind == "sqlite" and url.database in {None, "", ":memory:"}:
        raise Misconfigured("The store needs a file: write sqlite:///FILE.")
    return url.set(drivername=_DRIVERS[kind])
