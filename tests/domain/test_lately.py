"""What ended within the last minute: nothing older, nothing twice."""

from hypothesis import given
from hypothesis import strategies as st

from parvis.core.money import Money
from parvis.core.tokens import TokenCount
from parvis.domain.metering.lately import BUCKET_S, SPAN_S, Done, Lately, sum_of
from parvis.domain.metering.records import Operation, Outcome, Settled, Started, UsageRecord

NOON_UNIX_MS = 1_700_000_000_000


def ended(at_s: float, tokens: int = 3, tenant: str = "t", replica: str = "r") -> UsageRecord:
    started = Started(
        "req", "o", tenant, "k", "m", Operation.CHAT, replica, "v1", 100, streamed=False, started_unix_ms=NOON_UNIX_MS
    )
    counted = TokenCount(9, 0, tokens - 1, 1)
    settled = Settled("req", Outcome.COMPLETED, counted, billed_pico_euro=7, total_ms=int(at_s * 1000))
    return UsageRecord(started, settled)


@given(st.lists(st.integers(0, 300), max_size=40), st.integers(0, 400))
def test_it_is_the_sum_of_the_last_minute(at_s: list[int], now_s: int) -> None:
    lately, at_s = Lately(NOON_UNIX_MS), sorted(at for at in at_s if at <= now_s)
    for at in at_s:
        lately.note([ended(at)], NOON_UNIX_MS + at * 1000)
    now = NOON_UNIX_MS + now_s * 1000
    found = lately.of_replicas(now).get("r", Done())
    surely = sum(now_s - at <= SPAN_S - BUCKET_S for at in at_s)
    perhaps = sum(now_s - at < SPAN_S for at in at_s)
    assert surely <= found.requests <= perhaps
    assert (found.tokens, found.billed) == (3 * found.requests, Money(7 * found.requests))
    assert lately.of_tenants(now).get("t", Done()) == found
    assert 0 < lately.span_ms(now) <= SPAN_S * 1000


def test_what_was_booked_late_is_no_news() -> None:
    lately = Lately(NOON_UNIX_MS)
    lately.note([ended(1), ended(100, tenant="u")], NOON_UNIX_MS + 100_000)
    assert lately.of_tenants(NOON_UNIX_MS + 100_000) == {"u": Done(1, 3, Money(7))}
    assert sum_of([Done(1, 2, Money(3)), Done(4, 5, Money(6))]) == Done(5, 7, Money(9))
