"""The bearer credential of a request."""

from starlette.requests import Request


def bearer(request: Request) -> str | None:
    """What stands after `Bearer`; None without one. Anything that is not ASCII cannot be a credential."""
    values = request.headers.getlist("authorization")
    if len(values) != 1 or not values[0].isascii():
        return None
    scheme, _, value = values[0].partition(" ")
    return (value.strip() or None) if scheme.lower() == "bearer" else None
