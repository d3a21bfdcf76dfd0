"""A gateway's own view of the fleet: whom it may use, how much it has given each, and why."""

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from parvis.core.errors import EngineUnavailable
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.domain.fleet.seat import Placement
from parvis.flows.decisions import DECISIONS_MAX
from parvis.flows.fleet import LocalFleet

STORY = "Once upon a time there was a machine that had read everything and remembered nothing of it. " * 40


def replica(
    name: str,
    engine: str = "e",
    state: ReplicaState = ReplicaState.READY,
    *,
    weight: int = 1,
    slots: int = 0,
    port: int = 1,
) -> Replica:
    address = f"http://127.0.0.1:{port}"
    return Replica(name, engine, EngineKind.VLLM, address, state, weight=weight, slots=slots)


def fleet(*replicas: Replica) -> LocalFleet:
    known = LocalFleet()
    known.load(replicas)
    return known


def placed(known: LocalFleet, ask: Ask | None = None) -> Placement:
    placement = known.place_now(ask or Ask("e"))
    assert placement is not None
    return placement


def told(tenant: str, *texts: str) -> Ask:
    return Ask("e", tenant, texts=lambda: texts)


def served(known: LocalFleet, ask: Ask) -> str:
    """By whom, from the first byte to the end."""
    placement = placed(known, ask)
    known.first_byte(placement)
    known.release(placement)
    return name_of(placement)


def name_of(placement: Placement) -> str:
    return placement.replica.replica_id


def test_equals_take_turns() -> None:
    known = fleet(replica("a"), replica("b"), replica("c"))
    seen = []
    for _ in range(9):
        placement = placed(known)
        seen.append(name_of(placement))
        known.release(placement)
    assert Counter(seen) == {"a": 3, "b": 3, "c": 3}


def test_work_goes_where_least_is_under_way_for_the_weight() -> None:
    known = fleet(replica("a"), replica("b", weight=3))
    assert Counter(name_of(placed(known)) for _ in range(8)) == {"a": 2, "b": 6}
    assert known.in_flight == 8


def test_a_replica_that_took_nothing_is_not_tried_again() -> None:
    known, ask = fleet(replica("a"), replica("b")), Ask("e")
    first = placed(known, ask)
    known.release(first, Ending.UNAVAILABLE)
    second = placed(known, ask)
    assert name_of(second) != name_of(first)
    known.release(second, Ending.UNAVAILABLE)
    with pytest.raises(EngineUnavailable) as refused:
        known.place_now(ask)
    assert refused.value.retry_after_s
    assert (known.in_flight, ask.attempts) == (0, 2)


@pytest.mark.parametrize("state", sorted(set(ReplicaState) - {ReplicaState.READY, ReplicaState.ASLEEP}))
def test_nobody_is_asked_who_cannot_answer(state: ReplicaState) -> None:
    known = fleet(replica("a", state=state), replica("b", engine="other"))
    for engine in ("e", "unknown"):
        with pytest.raises(EngineUnavailable):
            known.place_now(Ask(engine))


async def test_who_asks_for_a_sleeper_waits_until_it_is_ready() -> None:
    asleep = replica("a-asleep", state=ReplicaState.ASLEEP, slots=2)
    known = fleet(asleep)
    hurried: list[bool] = []
    known.room.on_wait = lambda: hurried.append(True)
    assert known.serves("e")
    assert known.explain(Ask("e")).why == "All that could take it are busy or asleep: it waits."
    assert known.place_now(Ask("e")) is None
    waiting = asyncio.ensure_future(known.place(Ask("e")))
    await asyncio.sleep(0)
    assert (waiting.done(), hurried, list(known.seats())) == (False, [True], [])
    known.load((replica("a", slots=2),))
    assert (await waiting).replica.replica_id == "a"


async def test_who_waits_for_what_cannot_be_loaded_is_told_so() -> None:
    asleep = replica("a-asleep", state=ReplicaState.ASLEEP)
    known = fleet(asleep)
    waiting = asyncio.ensure_future(known.place(Ask("e")))
    await asyncio.sleep(0)
    known.load((replace(asleep, failed=True),))
    with pytest.raises(EngineUnavailable, match="could not be loaded") as told:
        await waiting
    assert (told.value.code, known.serves("e")) == ("model_not_loaded", False)
    with pytest.raises(EngineUnavailable, match="could not be loaded"):
        known.place_now(Ask("e"))
    known.load((asleep,))
    assert known.place_now(Ask("e")) is None, "it is asleep again, and the next request wakes it"


def test_nobody_waits_for_a_sleeper_where_another_has_room() -> None:
    known = fleet(replica("a-asleep", state=ReplicaState.ASLEEP), replica("b", slots=1))
    placed = known.place_now(Ask("e"))
    assert placed is not None
    assert placed.replica.replica_id == "b"
    assert known.place_now(Ask("e")) is None
    assert [seat.replica.replica_id for seat in known.seats()] == ["b"], "it is not weighed, whatever comes"


def test_a_new_list_keeps_the_counts_of_requests_under_way() -> None:
    known = fleet(replica("a"))
    first = placed(known)
    known.load((replica("a"), replica("b")))
    assert name_of(placed(known)) == "b"
    known.load((replica("b"),))
    known.release(first)
    assert known.in_flight == 1
    assert not known.uses("a")


# ------------------------------------------------------------------------------------------------------- prefixes


def test_a_conversation_finds_the_replica_that_has_its_cache() -> None:
    known = fleet(*(replica(f"r{n}") for n in range(5)))
    home = served(known, told("t", STORY))
    again = [served(known, told("t", STORY, "And then?", "It forgot.", str(turn))) for turn in range(9)]
    assert set(again) == {home}


def prefixes(known: LocalFleet, tenant: str) -> dict[str, float]:
    """What each replica would get for having read the story, whoever's turn it is."""
    return {one.replica_id: one.prefix for one in known.explain(told(tenant, STORY, "And then?")).candidates}


def test_what_another_tenant_has_said_is_not_known() -> None:
    known = fleet(*(replica(f"r{n}") for n in range(5)))
    before = prefixes(known, "u"), prefixes(known, "t")
    served(known, told("t", STORY, "And then?"))
    assert prefixes(known, "u") == before[0]
    assert max(prefixes(known, "t").values()) > max(before[1].values())


def test_gateways_that_know_nothing_of_each_other_agree() -> None:
    """Most of the time: they send prompts that begin alike to one place, which is another one for each beginning."""
    fleets = [fleet(*(replica(f"r{n}") for n in range(5))) for _ in range(3)]
    homes = []
    for beginning in range(20):
        asked = [told("t", f"{beginning}: {STORY}", f"Question {number}") for number in range(3)]
        (home,) = {served(one, ask) for one, ask in zip(fleets, asked, strict=True)}
        homes.append(home)
    assert len(set(homes)) == 5


@pytest.mark.parametrize("how", ["gone and back", "moved", "told"])
def test_a_replica_that_was_started_anew_has_read_nothing(how: str) -> None:
    known = fleet(replica("a"), replica("b"))
    before = prefixes(known, "t")
    home = served(known, told("t", STORY, "And then?"))
    assert prefixes(known, "t") != before
    other = "b" if home == "a" else "a"
    if how == "told":
        known.forget(home)
    elif how == "moved":
        known.load((replica(home, port=2), replica(other)))
    else:
        known.load((replica(home, state=ReplicaState.STARTING), replica(other)))
        known.load((replica(home), replica(other)))
    assert prefixes(known, "t") == before


def test_a_prompt_is_not_read_where_it_makes_no_difference() -> None:
    def unread() -> list[str]:
        raise AssertionError

    known = fleet(replica("a"), replica("b", state=ReplicaState.CORDONED))
    assert name_of(placed(known, Ask("e", "t", texts=unread))) == "a"


# ---------------------------------------------------------------------------------------------- what others tell


def test_the_work_of_others_counts() -> None:
    known = fleet(replica("a", slots=8), replica("b", slots=8))
    first = placed(known)
    known.learn_loads({"a": 4, "b": 4, "unknown": 9})
    elsewhere = {seat.replica.replica_id: seat.elsewhere for seat in known.seats()}
    assert elsewhere == {"a": 4, "b": 4} | {name_of(first): 3}
    known.learn_loads({"a": 7, "b": 4})
    assert name_of(placed(known)) == "b"


def test_what_was_ours_when_a_replica_told_its_load_is_not_taken_for_the_work_of_others() -> None:
    known = fleet(replica("a"))
    first = placed(known)
    known.release(first)
    known.learn_loads({"a": 1})
    assert [seat.elsewhere for seat in known.seats()] == [0]
    known.learn_loads({"a": 1})
    assert [seat.elsewhere for seat in known.seats()] == [1]


@pytest.mark.parametrize(("gateways", "spread"), [(0, 1), (1, 2), (2, 1)])
def test_who_serves_alone_needs_no_home(gateways: int, spread: int) -> None:
    """Two new texts that have the same home: of an only gateway each goes where least is."""
    known = fleet(replica("a"), replica("b"))
    known.learn_company(gateways)
    at_home: dict[str, list[str]] = {}
    for number in range(40):
        probe = fleet(replica("a"), replica("b"))
        text = f"{number} " * 400
        at_home.setdefault(name_of(placed(probe, Ask("e", "t", texts=partial(tuple, [text])))), []).append(text)
    texts = max(at_home.values(), key=len)[:2]
    names = {name_of(placed(known, Ask("e", "t", texts=partial(tuple, [text])))) for text in texts}
    assert len(names) == spread


def test_those_who_come_in_a_burst_meet() -> None:
    """The second one comes before the first one has its first byte."""
    known = fleet(replica("a"), replica("b"), replica("c"))
    known.learn_company(1)
    names = {name_of(placed(known, Ask("e", "t", texts=lambda: ("text " * 400,)))) for _ in range(3)}
    assert len(names) == 1


async def test_who_finds_no_room_waits_and_is_not_overtaken() -> None:
    known = fleet(replica("a", slots=1))
    first = placed(known)
    assert known.place_now(Ask("e")) is None
    waiting = asyncio.ensure_future(known.place(Ask("e")))
    await asyncio.sleep(0)
    seat = next(known.seats())
    seat.slots = 2
    assert known.place_now(Ask("e")) is None, "somebody waits"
    known.release(first)
    assert name_of(await waiting) == "a"
    assert known.in_flight == 1


async def test_a_share_of_nothing_is_no_room_and_a_larger_one_lets_the_next_ones_in() -> None:
    known = fleet(replica("a", slots=4))
    known.learn_shares({"a": 0})
    waiting = [asyncio.ensure_future(known.place(Ask("e"))) for _ in range(3)]
    await asyncio.sleep(0)
    known.learn_shares({"a": 2})
    await asyncio.gather(*waiting[:2])
    assert (known.in_flight, waiting[2].done()) == (2, False)
    known.load((replica("a", slots=4), replica("b", slots=4)))
    assert name_of(await waiting[2]) == "b"


def test_a_half_open_replica_takes_one_request() -> None:
    known = fleet(replica("a"), replica("b"))
    for seat in known.seats():
        seat.probing = seat.replica.replica_id == "a"
    assert Counter(name_of(placed(known)) for _ in range(5)) == {"a": 1, "b": 4}


# --------------------------------------------------------------------------------------------------- explanations


def test_a_decision_is_remembered_as_it_was() -> None:
    known = fleet(replica("a"), replica("b", weight=3), replica("c"))
    for seat in known.seats():
        if seat.replica.replica_id == "c":
            seat.open, seat.why = False, "It took no request."
    asks = [Ask("e", request_id=f"req_{n}") for n in range(6)]
    before = []
    for ask in asks:
        known_now = known.explain(ask)
        placement = placed(known, ask)
        before.append((known_now, name_of(placement)))
    known.load((replica("d"),))
    for ask, (expected, name) in zip(asks, before, strict=True):
        found = known.explained(ask.request_id)
        assert found is not None
        assert found.picked == name
        assert {one.replica_id: one.filtered for one in found.candidates} == {
            "a": "",
            "b": "",
            "c": "closed: It took no request.",
        }
        totals = {one.replica_id: one.total for one in expected.candidates}
        assert {one.replica_id: one.total for one in found.candidates} == pytest.approx(totals)
    assert known.explained("req_9") is None


def test_only_the_last_decisions_are_remembered() -> None:
    known = fleet(replica("a"), replica("b"))
    for number in range(DECISIONS_MAX + 1):
        known.release(placed(known, Ask("e", request_id=f"req_{number}")))
    assert known.explained("req_0") is None
    assert known.explained("req_1") is not None


def test_where_there_is_no_choice_nothing_is_weighed() -> None:
    known, ask = fleet(replica("a", slots=1)), Ask("e", request_id="req_1")
    placed(known, ask)
    found = known.explained("req_1")
    assert found is not None
    assert (found.picked, found.why) == ("a", "It is the only one of its pool: nothing was weighed.")
    full = known.explain(Ask("e"))
    assert (full.picked, full.candidates[0].filtered) == ("", "full")
    assert known.explain(Ask("unknown")).why == "None can take it."
