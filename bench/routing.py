"""What routing costs and knows: a decision among 1, 12 and 200 replicas, hashing prompts, and the prefix index.

Everything is a gateway's own. Times are the best of rounds, in microseconds of CPU; a decision is `place_now`, its
first byte and its release, with health, queue and memory of decisions as in a gateway. Ends with 1 when, compiled, a
decision takes longer than it may. Of the index: what it knows of conversations that are asked again, after so many
different blocks.

usage: routing.py [--blocks 10000000] [--conversations 50000,200000,500000]
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from resource import getpagesize

from parvis.core.clock import SystemClock
from parvis.domain.fleet.ask import Ask
from parvis.domain.fleet.prefix import PrefixIndex, read_prompt
from parvis.domain.fleet.replica import EngineKind, Replica, ReplicaState
from parvis.flows import fleet as fleet_module
from parvis.flows.fleet import LocalFleet
from parvis.flows.standing import Standing

ROUNDS = 15
GOALS_US = {1: None, 12: 20.0, 200: 60.0}
INDEX_BYTES = 64_000_000
SENTENCE = "The five boxing wizards jump quickly over a lazy dog. "
PROMPTS_CHARS = (1_000, 8_000, 200_000)
TURNS = 6
"""Of a conversation, on average."""
BLOCKS_OF_TURN = 3
ACTIVE = "50000,200000,500000"
"""Conversations that go on at a time, each of which may be asked again next."""


def best_us(work: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one go, in the best of rounds."""
    best_ns = float("inf")
    for _ in range(ROUNDS):
        began_ns = time.thread_time_ns()
        for _ in range(times):
            work()
        best_ns = min(best_ns, (time.thread_time_ns() - began_ns) / times)
    return best_ns / 1000


def text_of(chars: int) -> str:
    """Some English."""
    return (SENTENCE * (chars // len(SENTENCE) + 1))[:chars]


def decision_us(replicas: int, prompt_chars: int) -> float:
    """One request among so many replicas, each with some other ones; without a prompt if it has no characters."""
    clock = SystemClock()
    fleet = LocalFleet(clock, standing=Standing(clock))
    fleet.load(
        tuple(
            Replica(f"r{n}", "e", EngineKind.VLLM, "http://127.0.0.1:1", ReplicaState.READY, slots=16)
            for n in range(replicas)
        )
    )
    dice = Random(1)
    for seat in fleet.seats():
        seat.in_flight = dice.randrange(8)
    texts = (text_of(prompt_chars),) if prompt_chars else ()

    def decide() -> None:
        placement = fleet.place_now(Ask("e", "t", 500, texts=lambda: texts, request_id="req_1"))
        if placement is None:
            raise RuntimeError
        fleet.first_byte(placement)
        fleet.release(placement)

    return best_us(decide, max(20, 2_000 // replicas))


def resident_bytes() -> int:
    """Of this process, now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def reasked(active: int, blocks: int) -> tuple[float, int]:
    """The share of what is read again that the index knows where, after so many different blocks; and its memory."""
    before = resident_bytes()
    index, dice = PrefixIndex(INDEX_BYTES), Random(2)
    conversations = [0] * active
    turns = [0] * active
    names = made = known = asked = 0
    while made < blocks:
        at = dice.randrange(active)
        if not turns[at] or dice.randrange(TURNS) == 0:
            names += 1
            conversations[at], turns[at] = names, 0
        had = turns[at] * BLOCKS_OF_TURN
        turns[at] += 1
        prompt = [hash((conversations[at], depth)) for depth in range(had + BLOCKS_OF_TURN)]
        if had:
            asked += had
            known += min(had, max(index.find(prompt).values(), default=0))
        index.note(prompt, 1 + conversations[at] % 12)
        made += BLOCKS_OF_TURN
    return known / max(1, asked), resident_bytes() - before


def main() -> int:
    """0 unless a compiled decision takes longer than it may."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--blocks", type=int, default=10_000_000)
    options.add_argument("--conversations", default=ACTIVE)
    asked = options.parse_args()
    compiled = not str(fleet_module.__file__).endswith(".py")
    print(f"a decision, {'compiled' if compiled else 'interpreted'}: without a prompt, with one of 1,000 characters")
    late = False
    for replicas, goal_us in GOALS_US.items():
        plain_us, prompt_us = decision_us(replicas, 0), decision_us(replicas, 1_000)
        late |= goal_us is not None and plain_us > goal_us
        print(f"{replicas:3} replicas: {plain_us:7.2f} µs, {prompt_us:7.2f} µs")
    for chars in PROMPTS_CHARS:
        us = best_us(partial(read_prompt, [text_of(chars)], 1, "t"), 100)
        print(f"hashes of a prompt of {chars:7,} characters: {us:6.2f} µs")
    for active in map(int, asked.conversations.split(",")):
        share, taken = reasked(active, asked.blocks)
        print(f"{active:9,} conversations: {share:6.1%} known of what was read before, {taken / 1e6:4.0f} MB")
    return int(compiled and late)


if __name__ == "__main__":
    sys.exit(main())
