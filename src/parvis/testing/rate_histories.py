"""Histories of several gateways under one limit, with clocks that nobody should believe, in time that does not pass.

The gateways are real throttles, and the owner of the rates is the real transaction or the real script; only their
clocks are ours. Each history follows from its seed.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import redis
from sqlalchemy import Connection, create_engine

from parvis.adapters.limits.valkey import SCRIPT, read_slices, script_call
from parvis.adapters.store.rate_tables import rate_buckets, rate_places, rate_trades
from parvis.adapters.store.rates import trade
from parvis.core.errors import LimitReached
from parvis.domain.quota.limit import Amounts, Limits, Metric, Rate, Window
from parvis.domain.quota.slices import Limited, Returned, Slice, Trade, Unused, Want, limited
from parvis.flows.hold import Passage
from parvis.flows.throttle import LeasedThrottle
from parvis.flows.virtual_time import VirtualLoop

EPOCH_MS = 1_700_000_000_000
ASTRAY_MS_MAX = 600_000
"""How far a gateway's clock is off: ten minutes."""
REQUESTS = 12
AMOUNTS = (1, 2, 3, 5, 7, 20, 60, 99, 500, 3_000, 100_000, 60_000_000)


def run_histories(owner: "RateOwner", seeds: range, *, node_clock: bool = False) -> tuple[list[str], int, int]:
    """The overruns of these histories, and how many requests passed and were refused in them."""
    overruns, passed, refused = [], 0, 0
    for seed in seeds:
        history, loop = History(owner, seed, node_clock), VirtualLoop()  # months into one, seconds would lose digits
        loop.run_until_complete(history.run())
        loop.clear()
        loop.close()
        overruns += [overrun] if (overrun := history.overrun()) else []
        passed += len(history.uses)
        refused += history.refused
    return overruns, passed, refused


class RateOwner(Protocol):
    """What keeps the buckets, asked at an instant of our choice."""

    def trade(
        self, incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited], unix_ms: int
    ) -> list[Slice]: ...


@dataclass
class _Clock:
    """The `Clock` of an owner or of a gateway."""

    ms: Callable[[], int]
    drift: float = 1.0

    def unix_ms(self) -> int:
        return self.ms()

    def monotonic_s(self) -> float:
        """Steps never, and runs a little too fast or too slow."""
        return asyncio.get_running_loop().time() * self.drift + 1_000.0


class SqlOwner:
    """The transaction of the store, on SQLite in memory."""

    def __init__(self) -> None:
        self._connection: Connection = create_engine("sqlite://").connect()
        for table in (rate_buckets, rate_places, rate_trades):
            table.create(self._connection)

    def trade(
        self, incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited], unix_ms: int
    ) -> list[Slice]:
        """See the port."""
        return trade(self._connection, incarnation, number, unused, wants, _Clock(lambda: unix_ms))


class ScriptOwner:
    """The script, on a server of which only the clock is ours."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True)
        clock = 'redis.call("TIME")'
        assert SCRIPT.count(clock) == 1
        self._script = self._client.register_script(SCRIPT.replace(clock, 'redis.call("LRANGE", "clock", 0, 1)'))

    def trade(
        self, incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited], unix_ms: int
    ) -> list[Slice]:
        """See the port."""
        keys, said = script_call(incarnation, number, unused, wants)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.delete("clock")
            pipeline.rpush("clock", unix_ms // 1000, unix_ms % 1000 * 1000)
            pipeline.execute()
        return read_slices(str(self._script(keys, said)))


@dataclass
class History:
    """One of them. `node_clock` plants the bug: the owner believes the clock of whoever asks."""

    owner: RateOwner
    seed: int
    node_clock: bool = False
    uses: list[tuple[int, int]] = field(default_factory=list)
    """When, in ms, and how much was used of what was let pass then."""
    refused: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.greedy = self.dice.choice((True, False))  # all is used, at once; else much is given back, late
        window = self.dice.choice((Window.MINUTE, Window.MINUTE, Window.HOUR, Window.DAY))
        self.rate = Rate(Metric.OUTPUT_TOKENS, window, self.dice.choice(AMOUNTS))
        self.subject = f"key:{self.seed}-{id(self)}"
        self.limits = Limits((self.rate,))

    async def run(self) -> None:
        """Requests come to gateways, alone and in crowds; each runs for a while and uses a part of what it took."""
        gateways = [_Gateway(self, f"gw_{self.subject}_{number}") for number in range(self.dice.randint(1, 4))]
        running = []
        for _ in range(REQUESTS):
            await asyncio.sleep(self._pause_ms() / 1000)
            gateway = self.dice.choice(gateways)
            gateway.step_its_clock()
            running.append(asyncio.create_task(self._request(gateway)))
        await asyncio.gather(*running)

    def overrun(self) -> str | None:
        """An interval in which more was used than the amount and what refills in it."""
        uses = sorted(self.uses)
        sums = [0, *accumulate(units for _, units in uses)]
        for i, (first_ms, _) in enumerate(uses):
            for j in range(i, len(uses)):
                span_ms, used = uses[j][0] - first_ms, sums[j + 1] - sums[i]
                if used * self.rate.window.ms > self.rate.amount * (self.rate.window.ms + span_ms):
                    return f"seed {self.seed}: {used} in {span_ms} ms of {self.rate}"
        return None

    async def _request(self, gateway: "_Gateway") -> None:
        dice = self.dice
        most = max(self.rate.amount // dice.choice((1, 2, 3, 10, 10, 50)), 1)
        try:
            passage = await gateway.throttle.enter((self.subject,), Amounts(1, 0, most))
        except LimitReached:
            self.refused += 1
            return
        passed_ms = gateway.passed_ms(passage)
        window_ms = self.rate.window.ms
        await asyncio.sleep(dice.choice((0, 5) if self.greedy else (0, 300, window_ms // 7, window_ms)) / 1000)
        used = most if self.greedy else most * dice.choice((0, 0, 1, 4)) // 4
        gateway.throttle.leave(passage, Amounts(1, 0, used))
        self.uses.append((passed_ms, used))

    def _pause_ms(self) -> int:
        scale = self.rate.window.ms // self.dice.choice((20, 50, 500))
        now_and_then = (scale,) if self.greedy else (scale, self.rate.window.ms)
        pauses: list[int] = [0, 0, 0, 0, 0, 1, self.dice.randint(0, scale), *now_and_then]
        return self.dice.choice(pauses)


class _Gateway:
    """A throttle, and the way from it to the owner, on which time passes and questions get lost."""

    def __init__(self, history: History, incarnation: str) -> None:
        self._history = history
        self._dice = history.dice
        self._incarnation = incarnation
        self._number = 0
        self._traded_ms = -1
        self._astray_ms = self._anything()
        self._clock = _Clock(self._own_ms, self._dice.choice((0.9995, 1.0, 1.0005)))
        self.throttle = LeasedThrottle(self, self._clock)
        self.throttle.learn({history.subject: history.limits})

    def step_its_clock(self) -> None:
        """Sometimes somebody sets it, wrongly."""
        if self._dice.randrange(5) == 0:
            self._astray_ms = self._anything()

    def passed_ms(self, passage: Passage) -> int:
        """When the request passed: at the owner's answer if it waited for one, else when it came."""
        asked_ms = EPOCH_MS + round((passage.entered_s - 1_000.0) / self._clock.drift * 1000)
        return max(self._traded_ms, asked_ms) if asked_ms < _now_ms() else asked_ms

    async def trade(self, unused: list[Unused], wants: list[Want]) -> Trade:
        """See `RateSource`."""
        await asyncio.sleep(self._dice.choice((0, 1, 20, 700)) / 1000)
        self._number += 1
        limits = self._history.limits
        back = [Returned(one, self._history.rate) for one in unused]
        under = [limited(want, limits) for want in wants]
        answers = []
        for _ in range(self._dice.choice((1, 1, 1, 2))):  # the same question again, when nobody heard the answer
            unix_ms = self._own_ms() if self._history.node_clock else _now_ms()
            answers.append(self._history.owner.trade(self._incarnation, self._number, back, under, unix_ms))
        self._traded_ms = _now_ms()
        assert all(answer == answers[0] for answer in answers)
        await asyncio.sleep(self._dice.choice((0, 1, 20, 700)) / 1000)
        return Trade(answers[0], 4)

    def _own_ms(self) -> int:
        return _now_ms() + self._astray_ms

    def _anything(self) -> int:
        return self._dice.randint(-ASTRAY_MS_MAX, ASTRAY_MS_MAX)


def _now_ms() -> int:
    return EPOCH_MS + round(asyncio.get_running_loop().time() * 1000)
