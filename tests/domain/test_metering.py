"""From a journal's records to bookings: each request at most once, none forgotten, nothing above its hold."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.money import Money
from parvis.core.tokens import NO_TOKENS, TokenCount
from parvis.domain.billing.price import charge
from parvis.domain.metering.records import Closed, Marked, Operation, Outcome, Record, Settled, Started, UsageRecord
from parvis.domain.metering.replay import Replay
from parvis.domain.metering.totals import day_of, day_text

HELD = 100


def started(request_id: str = "r", *, streamed: bool = True) -> Started:
    return Started(request_id, "org", "t", "k", "m", Operation.CHAT, "e-0", "p1", HELD, streamed, 0)


def settled(request_id: str = "r", due: int = 60) -> Settled:
    billed, written_off = charge(Money(due), Money(HELD))
    return Settled(
        request_id,
        Outcome.COMPLETED,
        TokenCount(output=due),
        billed_pico_euro=billed.pico_euro,
        written_off_pico_euro=written_off.pico_euro,
    )


def replayed(*records: Record) -> tuple[list[UsageRecord], list[UsageRecord]]:
    """What was final while the gateway lived, and what its death made final."""
    replay = Replay()
    alive = [final for record in records for final in replay.feed(record)]
    return alive, replay.end()


# ---------------------------------------------------------------------------------------- one request at a time


def test_a_stream_is_booked_when_it_settles() -> None:
    alive, rest = replayed(started(), settled())
    assert alive == [UsageRecord(started(), settled())]
    assert rest == []


def test_a_whole_answer_is_booked_when_it_was_handed_over() -> None:
    whole = started(streamed=False)
    replay = Replay()
    assert replay.feed(whole) == []
    assert replay.feed(settled()) == []
    assert replay.feed(Closed(("r",))) == [UsageRecord(whole, settled())]
    assert replay.open_count == 0


def test_a_whole_answer_that_costs_nothing_waits_for_nobody() -> None:
    refused = Settled("r", Outcome.REFUSED)
    assert replayed(started(streamed=False), refused, Closed(("r",)))[0] == [
        UsageRecord(started(streamed=False), refused)
    ]


def test_a_whole_answer_whose_client_had_gone_is_written_off() -> None:
    alive, _ = replayed(started(streamed=False), settled(due=130), Closed((), ("r",)))
    assert [record.settled for record in alive] == [
        settled(due=130)._replace(outcome=Outcome.IN_DOUBT, billed_pico_euro=0, written_off_pico_euro=130)
    ]


def test_a_whole_answer_in_doubt_at_death_is_written_off() -> None:
    alive, rest = replayed(started(streamed=False), settled())
    assert alive == []
    assert [record.settled for record in rest] == [
        settled()._replace(outcome=Outcome.IN_DOUBT, billed_pico_euro=0, written_off_pico_euro=60)
    ]


def test_a_stream_lost_with_its_gateway_is_billed_to_its_last_mark() -> None:
    marks = [Marked("r", TokenCount(output=n), 10 * n) for n in (1, 3)]
    alive, rest = replayed(started(), *marks)
    assert alive == []
    assert [record.settled for record in rest] == [
        Settled("r", Outcome.GATEWAY_LOST, TokenCount(output=3), billed_pico_euro=30)
    ]


def test_a_mark_above_the_hold_is_billed_up_to_it() -> None:
    _, rest = replayed(started(), Marked("r", TokenCount(output=9), HELD + 7))
    assert (rest[0].settled.billed_pico_euro, rest[0].settled.written_off_pico_euro) == (HELD, 7)


def test_a_request_lost_before_its_first_mark_costs_nothing() -> None:
    for streamed in (True, False):
        _, rest = replayed(started(streamed=streamed))
        assert [record.settled for record in rest] == [Settled("r", Outcome.GATEWAY_LOST, NO_TOKENS)]


def test_a_retry_on_another_replica_is_the_same_request() -> None:
    again = started()._replace(replica_id="e-1")
    assert replayed(started(), again, settled())[0] == [UsageRecord(again, settled())]


def test_records_of_unknown_requests_book_nothing() -> None:
    assert replayed(Marked("r", NO_TOKENS, 5), settled(), Closed(("r",), ("q",))) == ([], [])


# ------------------------------------------------------------------------------------------- any interleaving


@st.composite
def lives(draw: st.DrawFn, request_id: str) -> list[Record]:
    """What a gateway may write of one request, up to the moment of its death."""
    streamed = draw(st.booleans())
    dues = sorted(draw(st.lists(st.integers(0, 2 * HELD), min_size=1, max_size=4)))
    records: list[Record] = [started(request_id, streamed=streamed)]
    if draw(st.booleans()):
        records.append(started(request_id, streamed=streamed)._replace(replica_id="e-1"))
    if streamed:
        records += [Marked(request_id, TokenCount(output=due), due) for due in dues[:-1]]
    records.append(settled(request_id, dues[-1]))
    if not streamed:
        delivered = draw(st.booleans())
        records.append(Closed((request_id,)) if delivered else Closed((), (request_id,)))
    return records[: draw(st.integers(1, len(records)))]


@st.composite
def journals(draw: st.DrawFn) -> tuple[list[Record], list[list[Record]]]:
    """Many requests, their records in any order that keeps each request's own."""
    all_lives = [draw(lives(f"r{n}")) for n in range(draw(st.integers(1, 6)))]
    turns = draw(st.permutations([n for n, life in enumerate(all_lives) for _ in life]))
    left = [iter(life) for life in all_lives]
    return [next(left[turn]) for turn in turns], all_lives


def ids(records: list[UsageRecord]) -> list[str]:
    return [record.started.request_id for record in records]


@given(journals())
def test_each_request_is_booked_exactly_once(journal: tuple[list[Record], list[list[Record]]]) -> None:
    records, all_lives = journal
    alive, rest = replayed(*records)
    assert Counter(ids(alive + rest)) == Counter(f"r{n}" for n in range(len(all_lives)))


@given(journals())
def test_nothing_is_billed_above_its_hold_and_nothing_vanishes(
    journal: tuple[list[Record], list[list[Record]]],
) -> None:
    records, all_lives = journal
    alive, rest = replayed(*records)
    for record in alive + rest:
        end = record.settled
        assert 0 <= end.billed_pico_euro <= HELD
        assert end.written_off_pico_euro >= 0
        assert end.billed_pico_euro + end.written_off_pico_euro == last_due(
            all_lives[int(record.started.request_id[1:])]
        )


def last_due(life: list[Record]) -> int:
    """The cost of a request as its last record knew it."""
    dues = [0]
    for record in life:
        if isinstance(record, Marked):
            dues.append(record.due_pico_euro)
        if isinstance(record, Settled):
            dues.append(record.billed_pico_euro + record.written_off_pico_euro)
    return dues[-1]


@given(journals())
def test_how_it_ended_is_what_its_life_says(journal: tuple[list[Record], list[list[Record]]]) -> None:
    records, all_lives = journal
    alive, rest = replayed(*records)
    outcomes = {record.started.request_id: record.settled.outcome for record in alive + rest}
    assert outcomes == {f"r{n}": expected(life) for n, life in enumerate(all_lives)}


def expected(life: list[Record]) -> Outcome:
    last = life[-1]
    if isinstance(last, Closed):
        free = any(isinstance(record, Settled) and not record.billed_pico_euro for record in life)
        return Outcome.COMPLETED if last.request_ids or free else Outcome.IN_DOUBT
    if not isinstance(last, Settled):
        return Outcome.GATEWAY_LOST
    streamed = isinstance(life[0], Started) and life[0].streamed
    return Outcome.COMPLETED if streamed or not last.billed_pico_euro else Outcome.IN_DOUBT


@given(journals())
def test_a_journal_read_in_any_two_parts_books_the_same(
    journal: tuple[list[Record], list[list[Record]]],
) -> None:
    records, _ = journal
    whole = replayed(*records)
    replay = Replay()
    for half in (records[: len(records) // 2], records[len(records) // 2 :]):
        for record in half:
            replay.feed(record)
    assert ids(replay.end()) == ids(whole[1])
    assert (replay.open_count, replay.end()) == (0, [])


@given(journals())
def test_what_is_open_is_what_the_end_closes(journal: tuple[list[Record], list[list[Record]]]) -> None:
    replay = Replay()
    for record in journal[0]:
        replay.feed(record)
    assert replay.open_count == len(replay.end())


# -------------------------------------------------------------------------------------------------------- days


@pytest.mark.parametrize(
    ("unix_ms", "text"), [(0, "1970-01-01"), (86_399_999, "1970-01-01"), (1_784_030_400_000, "2026-07-14")]
)
def test_a_day_is_a_day_of_utc(unix_ms: int, text: str) -> None:
    assert day_text(day_of(unix_ms)) == text
