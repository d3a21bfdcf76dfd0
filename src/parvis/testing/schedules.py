"""Schedules of simulated worlds: a seed makes one, a virtual clock runs it, and the laws that it broke come out."""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Protocol

from parvis.flows.virtual_time import StalledError, VirtualLoop


class World(Protocol):
    """What lives through one schedule."""

    broken: list[str]
    """The laws that did not hold, as sentences."""

    def step(self) -> None:
        """Called after each step of the loop."""

    async def live(self) -> None:
        """From the beginning to the end."""


def run_schedule(make: Callable[[int], World], seed: int, loop: VirtualLoop | None = None) -> list[str]:
    """Run one schedule; the laws that it broke. A loop may be used again and again."""
    if loop is None:
        with closing(VirtualLoop()) as fresh:
            return run_schedule(make, seed, fresh)
    worlds: list[World] = []
    logging.disable()  # faults are the rule here
    try:
        loop.run_until_complete(_life(make, seed, loop, worlds))
    except (StalledError, TimeoutError) as stuck:
        worlds[0].broken.append(f"somebody waits for ever: {type(stuck).__name__}")
    finally:
        loop.watch(None)
        loop.clear()
        logging.disable(logging.NOTSET)
    return worlds[0].broken


async def _life(make: Callable[[int], World], seed: int, loop: VirtualLoop, worlds: list[World]) -> None:
    world = make(seed)
    worlds.append(world)
    loop.watch(world.step)
    await world.live()


def print_broken(make: Callable[[int], World]) -> None:
    """`python -m MODULE FIRST COUNT`: the schedules that broke a law, by their seeds, as JSON."""
    first, count = map(int, sys.argv[1:])
    with closing(VirtualLoop()) as loop:
        broken = {seed: laws for seed in range(first, first + count) if (laws := run_schedule(make, seed, loop))}
    print(json.dumps(broken))  # noqa: T201 - it is asked for on a command line
