"""A second replica for a stream whose first byte is late: whichever begins first answers, the other one is stopped.

Off by default (`routing.hedge_after_ms`). It costs a place on a second replica, so it spends of the budget for retries,
and happens once a request. Nothing of the loser reaches the client, and nothing of it is billed.
"""

import asyncio
from collections.abc import Callable

from parvis.core.errors import EngineUnavailable, Failure
from parvis.domain.fleet.ask import Ask, Ending
from parvis.domain.fleet.seat import Placement
from parvis.domain.metering.records import Outcome
from parvis.flows.hold import Hold
from parvis.flows.ports import Answer, Flow, House, Job, Sink
from parvis.flows.trail import Trail, gave_nothing

JobOn = Callable[[Placement], Job]
Running = dict["asyncio.Task[Answer]", tuple[Placement, "Lane"]]


class Lane:
    """The `Sink` of one attempt: what it says passes once it has begun first, and is dropped otherwise."""

    def __init__(self, race: "Race", sink: Sink) -> None:
        self.flow: Flow | None = None
        self._race = race
        self._sink = sink

    def attach(self, flow: Flow) -> None:
        self.flow = flow
        if self._sink.left or self._race.winner not in (None, self):
            flow.cancel()

    def events(self, data: bytes) -> None:
        if self._race.won_by(self):
            self._sink.events(data)

    def flushed(self) -> bool:
        return self._sink.flushed()

    async def drained(self) -> None:
        await self._sink.drained()

    def admitted(self, hold: Hold) -> None:
        self._sink.admitted(hold)

    def chosen(self, model_id: str, why: str) -> None:
        self._sink.chosen(model_id, why)

    @property
    def left(self) -> bool:
        return self._sink.left


class Race:
    """The attempts of one request, and the `Flow` that their receiver steers."""

    def __init__(self, sink: Sink) -> None:
        self.winner: Lane | None = None
        self._lanes: list[Lane] = []
        self._sink = sink

    def lane(self) -> Lane:
        """For one more attempt."""
        lane = Lane(self, self._sink)
        self._lanes.append(lane)
        return lane

    def won_by(self, lane: Lane) -> bool:
        """Whether this one is first; who says something while nobody is, is it, and the others are stopped."""
        if self.winner is None:
            self.winner = lane
            self.stop_others(lane)
        return self.winner is lane

    def stop_others(self, lane: Lane | None) -> None:
        """Their engines are told at once."""
        for other in self._lanes:
            if other is not lane and other.flow is not None:
                other.flow.cancel()

    def pause(self) -> None:
        for lane in self._lanes:
            if lane.flow is not None:
                lane.flow.pause()

    def resume(self) -> None:
        for lane in self._lanes:
            if lane.flow is not None:
                lane.flow.resume()

    def cancel(self, outcome: Outcome = Outcome.CLIENT_LEFT) -> None:
        for lane in self._lanes:
            if lane.flow is not None:
                lane.flow.cancel(outcome)


async def start_hedged(house: House, sink: Sink, trail: Trail, ask: Ask, first: Placement, job_on: JobOn) -> Answer:
    """Start on `first`, which the trail has; where its first byte is late, on another one too.

    Afterwards the trail has the placement of who answered, or of who failed last. Raises what `Engine.start` raises.
    """
    race = Race(sink)
    sink.attach(race)
    running: Running = {}

    def begin(placement: Placement) -> None:
        lane = race.lane()
        running[asyncio.ensure_future(house.engine.start(job_on(placement), lane))] = placement, lane

    begin(first)
    trail.let_go()
    try:
        begun, _ = await asyncio.wait(running, timeout=house.fleet.hedge_after_s)
        if not begun and (second := _second(house, sink, ask, first)) is not None:
            try:
                begin(second)
            except Failure:  # its kind of engine cannot do what the first one's can
                house.fleet.release(second)
        return await _first_answer(house, trail, race, running)
    finally:
        for task, (placement, lane) in running.items():
            _stop(house, task, placement, lane, Ending.GOOD if race.winner is None else Ending.LATE)


def _second(house: House, sink: Sink, ask: Ask, first: Placement) -> Placement | None:
    """Another replica that has room now, if there is one and the budget allows it."""
    ask.tried |= {first.replica.replica_id}
    if sink.left or not house.fleet.may_retry(ask):
        return None
    try:
        return house.fleet.place_now(ask)
    except EngineUnavailable:
        return None


async def _first_answer(house: House, trail: Trail, race: Race, running: Running) -> Answer:
    while True:
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            placement, lane = running.pop(task)
            if race.winner not in (None, lane):
                _stop(house, task, placement, lane, Ending.LATE)
                continue
            failure = task.exception()
            if isinstance(failure, EngineUnavailable) and running:
                house.fleet.release(placement, gave_nothing(placement, failure))
                continue
            trail.follow(placement)
            if failure is not None:
                raise failure
            race.won_by(lane)  # also where it ended without a word
            return task.result()


def _stop(house: House, task: "asyncio.Task[Answer]", placement: Placement, lane: Lane, ending: Ending) -> None:
    """Nobody waits for this one; its place is free when it has ended."""
    if lane.flow is None:
        task.cancel()  # it is still on its way to the engine
    else:
        lane.flow.cancel()

    def ended(task: "asyncio.Task[Answer]") -> None:
        failure = None if task.cancelled() else task.exception()
        told = gave_nothing(placement, failure) if isinstance(failure, EngineUnavailable) else ending
        house.fleet.release(placement, told)

    task.add_done_callback(ended)
