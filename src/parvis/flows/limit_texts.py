"""What a caller reads whose request is not inside a limit: which one, how it stands, when it frees, how to raise it."""

from typing import NamedTuple

from parvis.core.errors import LimitReached
from parvis.domain.quota.limit import Level, Metric, Rate, Window
from parvis.domain.quota.slices import Slice, subject_of

_S_PER_UNIT = {"day": 86_400, "h": 3_600, "min": 60, "s": 1}
_WHOSE = {
    Level.CONTRACT: "your contract",
    Level.ORGANISATION: "your organisation",
    Level.TENANT: "your tenant",
    Level.PROJECT: "the project of this key",
    Level.USER: "the owner of this key",
    Level.KEY: "this key",
}
_WHAT = {
    Metric.REQUESTS: ("request", "requests"),
    Metric.INPUT_TOKENS: ("input token", "input tokens"),
    Metric.OUTPUT_TOKENS: ("output token", "output tokens"),
}
_EVERY = {Window.MINUTE: "a minute", Window.HOUR: "an hour", Window.DAY: "a day"}
_RAISE = "Whoever administers your organisation can raise it."
_RAISE_CONTRACT = "Your operator can raise it."
PLACES_RETRY_S = 1
"""When somebody else's request ends, nobody knows."""


class Reached(NamedTuple):
    """A limit that a request is not inside."""

    bucket: str
    rate: Rate | None
    """None for requests at a time."""
    limit: int
    needed: int
    answer: Slice | None
    """What its owner said; None when so much never passes."""


def refusal(reached: list[Reached]) -> LimitReached:
    """Of several limits, the one that frees last, or never."""
    worst = max(reached, key=_patience)
    level = Level(subject_of(worst.bucket).partition(":")[0])
    raising = _RAISE_CONTRACT if level is Level.CONTRACT else _RAISE
    if worst.rate is None:
        return _places(worst.limit, _WHOSE[level], raising)
    return _rate(worst, worst.rate, f"{_count(worst.limit, worst.rate)} of {_WHOSE[level]}", raising)


def _places(places_max: int, whose: str, raising: str) -> LimitReached:
    many = "request" if places_max == 1 else "requests"
    return LimitReached(
        f"The limit of {places_max} {many} at a time of {whose} is reached: all are running. "
        f"Try again when one has ended. {raising}",
        retry_after_s=PLACES_RETRY_S,
    )


def _rate(reached: Reached, rate: Rate, limit: str, raising: str) -> LimitReached:
    answer, needed = reached.answer, _amount(reached.needed, rate.metric)
    if answer is None:
        return LimitReached(
            f"This request can be {needed}, which is more than the limit of {limit} ever lets pass at once. "
            f"{_shorten(rate.metric)} {raising}"
        )
    wait_s = max(-(-answer.wait_ms // 1000), 1)
    refused = LimitReached(
        f"The limit of {limit} is reached: {answer.remaining:,} of it left, and this request can be {needed}. "
        f"There is room in {duration(wait_s)}. {_shorten(rate.metric)} {raising}".replace("  ", " "),
        retry_after_s=wait_s,
    )
    state = reached.limit, answer.remaining, answer.full_ms
    if rate.metric is Metric.REQUESTS:
        refused.requests = state
    else:
        refused.tokens = state
    return refused


def duration(seconds: int) -> str:
    """Its two largest units: `4 s`, `2 min 5 s`, `1 h 30 min`."""
    parts = []
    for unit, length_s in _S_PER_UNIT.items():
        count, seconds = divmod(seconds, length_s)
        if count:
            parts.append(f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}")
    return " ".join(parts[:2]) or "0 s"


def _patience(reached: Reached) -> tuple[bool, int]:
    return (reached.answer is None, reached.answer.wait_ms if reached.answer is not None else 0)


def _count(limit: int, rate: Rate) -> str:
    return f"{_amount(limit, rate.metric)} {_EVERY[rate.window]}"


def _amount(count: int, metric: Metric) -> str:
    one, many = _WHAT[metric]
    return f"{count:,} {one if count == 1 else many}"


def _shorten(metric: Metric) -> str:
    match metric:
        case Metric.OUTPUT_TOKENS:
            return "A lower max_tokens needs less of it."
        case Metric.INPUT_TOKENS:
            return "A shorter prompt needs less of it."
        case Metric.REQUESTS:
            return ""
