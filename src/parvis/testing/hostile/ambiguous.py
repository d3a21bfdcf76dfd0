"""Requests that two readers could understand differently, by family: what smuggles, hides, folds and pretends.

Every attack is three requests in a row: a *front*, which is odd in one way; a *hidden* one, which only a reader that
misunderstands the front would see; a *tail*, which is proper and closes. Each is a chat that carries its own marker in
its target and in its text, so that every proxy's log and the engine's tell which of them were taken for requests.
"""

import random
from collections.abc import Iterator
from itertools import cycle

from parvis.testing.hostile import framing, lines, manners
from parvis.testing.hostile.attack import Attack, Parts

FAMILIES = (*framing.FAMILIES, *lines.FAMILIES, *manners.FAMILIES)
RIGHT = frozenset({"eight_bits", "request_in_a_body"})
"""Families that are strange and clear: they must be read, not refused."""


def attacks(count: int, key: str, model: str, seed: int) -> Iterator[Attack]:
    """So many attacks, all families in turn."""
    dice = random.Random(seed)
    for number, family in zip(range(count), cycle(FAMILIES), strict=False):
        parts = Parts(number, key, model, dice)
        data = family(parts) + parts.proper("c", b"Connection: close")
        yield Attack(family.__name__, number, data, dice.choice((1, 1, 1, 1, 2, 3)))
