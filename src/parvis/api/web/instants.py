"""Instants as callers write them."""

from datetime import UTC, datetime

from parvis.core.errors import BadRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_instant(text: str | None, param: str) -> int | None:
    """Milliseconds since the epoch of `2026-07-14` (its start) or `2026-07-14T09:30:00Z`. Without a zone: UTC."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"'{param}' must look like 2026-07-14 or 2026-07-14T09:30:00Z.", param=param) from None
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def write_instant(unix_ms: int) -> str:
    """`2026-07-14T09:30:00.000Z`."""
    seconds, ms = divmod(unix_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
