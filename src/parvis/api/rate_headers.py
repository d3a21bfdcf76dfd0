"""How rates stand, as headers. Source: OpenAI's guide to rate limits; official clients read these."""

from collections.abc import Iterator

_MS_PER_S, _S_PER_MINUTE, _MINUTES_PER_HOUR = 1000, 60, 60
State = tuple[int, int, int]
"""Limit, remaining, ms until it is full again."""


def rate_headers(requests: State | None, tokens: State | None) -> Iterator[tuple[bytes, bytes]]:
    """Three headers for each that is limited."""
    for name, state in ((b"requests", requests), (b"tokens", tokens)):
        if state is not None:
            limit, remaining, reset_ms = state
            yield b"x-ratelimit-limit-" + name, b"%d" % limit
            yield b"x-ratelimit-remaining-" + name, b"%d" % remaining
            yield b"x-ratelimit-reset-" + name, duration_text(reset_ms).encode()


def duration_text(ms: int) -> str:
    """`120ms`, `1s`, `8.64s`, `6m0s`, `1h0m30s`; from a minute on in whole seconds, rounded up."""
    if ms < _MS_PER_S:
        return f"{ms}ms"
    if ms < _MS_PER_S * _S_PER_MINUTE:
        seconds, rest = divmod(ms, _MS_PER_S)
        return f"{seconds}.{rest:03d}".rstrip("0").rstrip(".") + "s"
    minutes, seconds = divmod(-(-ms // _MS_PER_S), _S_PER_MINUTE)
    hours, minutes = divmod(minutes, _MINUTES_PER_HOUR)
    return f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"
