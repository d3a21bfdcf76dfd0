"""Bugs of routing and queue, to be planted in a running simulation: each breaks a law of `fleet_simulation`.

with pytest.MonkeyPatch.context() as planted:
    double_release(planted)
    assert first_fleet_broken(1_000) != []
"""

# ruff: noqa: D103 - a bug's name is its sentence, and it reaches into what it breaks

from collections.abc import Callable, Collection
from contextlib import closing
from typing import Any

import pytest

from parvis.domain.fleet import routing
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.breaker import Breaker
from parvis.domain.fleet.fair_queue import Ticket, _Class
from parvis.domain.fleet.routing import barred_by
from parvis.domain.fleet.seat import Placement, Seat
from parvis.domain.metering.records import Outcome
from parvis.flows import fleet as flows_fleet
from parvis.flows.fleet import LocalFleet
from parvis.flows.ports import Delivery
from parvis.flows.serve import serve
from parvis.flows.standing import Standing
from parvis.flows.trail import Trail
from parvis.flows.virtual_time import VirtualLoop
from parvis.flows.waiting import WaitingRoom
from parvis.testing import fleet_simulation
from parvis.testing.fleet_simulation import simulate_fleet

Plant = Callable[[pytest.MonkeyPatch], None]


def first_fleet_broken(schedules: int) -> list[str]:
    """The laws that the first of these schedules breaks which breaks any."""
    with closing(VirtualLoop()) as loop:
        return next((broken for seed in range(schedules) if (broken := simulate_fleet(seed, loop))), [])


# ---------------------------------------------------------------------------------------------- seats and places


def a_cancelled_turn_keeps_its_seat(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(WaitingRoom, "_give_up", lambda *_: None)


def a_failed_start_keeps_its_seat(plant: pytest.MonkeyPatch) -> None:
    release = Trail.release

    def unless_unavailable(self: Trail, ending: Ending | None = None) -> None:
        if ending is Ending.UNAVAILABLE:
            self._placement = None
        release(self, ending)

    plant.setattr(Trail, "release", unless_unavailable)


def double_release(plant: pytest.MonkeyPatch) -> None:
    def again(self: Trail, ending: Ending | None = None) -> None:
        if self._placement is not None:
            self._house.fleet.release(self._placement, ending or self._ending)

    plant.setattr(Trail, "release", again)


def slots_are_advice(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(routing, "has_room", lambda seat: seat.slots >= 0)


def closed_ones_are_picked(plant: pytest.MonkeyPatch) -> None:
    _bar(plant, lambda seat, tried: 0.0 if seat.takes_new and not seat.open else barred_by(seat, tried))


def cordoned_ones_are_picked(plant: pytest.MonkeyPatch) -> None:
    _bar(plant, lambda seat, tried: 0.0 if not seat.takes_new else barred_by(seat, tried))


def the_same_again(plant: pytest.MonkeyPatch) -> None:
    _bar(plant, lambda seat, _: barred_by(seat, frozenset()))


def a_trial_is_not_alone(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Breaker, "entered", lambda _: None)


def _bar(plant: pytest.MonkeyPatch, instead: Callable[[Seat, frozenset[str]], float]) -> None:
    plant.setattr(routing, "barred_by", instead)
    plant.setattr(flows_fleet, "barred_by", instead)


# -------------------------------------------------------------------------------------------------------- the queue


def _sleep(pool: str) -> None:
    """Nobody is looked at."""


def nobody_is_woken(plant: pytest.MonkeyPatch) -> None:
    ended = LocalFleet.release

    def quietly(self: LocalFleet, placement: Placement, ending: Ending = Ending.GOOD) -> None:
        wake, self.room.next = self.room.next, _sleep  # type: ignore[method-assign]  # for this call
        ended(self, placement, ending)
        self.room.next = wake  # type: ignore[method-assign]  # as it was

    plant.setattr(LocalFleet, "release", quietly)


def a_new_list_wakes_nobody(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(LocalFleet, "room_was_made", lambda _: None)


def who_comes_last_goes_first(plant: pytest.MonkeyPatch) -> None:
    def newest(self: _Class, passed: Collection[Ticket]) -> Ticket | None:
        waiting = [one for line in self.lines.values() for one in line.tickets if one not in passed]
        return max(waiting, key=lambda one: one.number, default=None)

    plant.setattr(_Class, "first", newest)


def turns_cost_nothing(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(_Class, "charge", lambda *_: None)


def one_refused_holds_up_all(plant: pytest.MonkeyPatch) -> None:
    first = _Class.first

    def unless_passed(self: _Class, passed: Collection[Ticket]) -> Ticket | None:
        found = first(self, ())
        return None if found in passed else found

    plant.setattr(_Class, "first", unless_passed)


# ----------------------------------------------------------------------------------------------------- second attempts


def tried_again_after_the_first_byte(plant: pytest.MonkeyPatch) -> None:
    async def serve_again(*values: Any) -> Delivery:
        delivery = await serve(*values)
        return await serve(*values) if delivery.outcome is Outcome.ENGINE_BROKE else delivery

    plant.setattr(fleet_simulation, "serve", serve_again)


def tried_without_end(plant: pytest.MonkeyPatch) -> None:
    def always(_: LocalFleet, ask: Ask) -> bool:
        ask.tried = frozenset()
        return True

    plant.setattr(LocalFleet, "may_retry", always)


def the_budget_is_not_asked(plant: pytest.MonkeyPatch) -> None:
    plant.setattr(Standing, "may_retry", lambda *_: True)


BUGS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        a_cancelled_turn_keeps_its_seat,
        a_failed_start_keeps_its_seat,
        a_new_list_wakes_nobody,
        a_trial_is_not_alone,
        closed_ones_are_picked,
        cordoned_ones_are_picked,
        double_release,
        nobody_is_woken,
        one_refused_holds_up_all,
        slots_are_advice,
        the_budget_is_not_asked,
        the_same_again,
        tried_again_after_the_first_byte,
        tried_without_end,
        turns_cost_nothing,
        who_comes_last_goes_first,
    )
}
