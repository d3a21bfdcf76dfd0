"""Which replica has read the beginning of a prompt lately: hashes of its blocks, and a table of who had them.

A block ends where a text ends, because there a conversation goes on, and in long texts every now and then. The longer a
prompt is, the longer its blocks are, so that a few hashes stand for it. Each hash is of all that comes up to the end of
its block, and of a secret of this gateway, the pool and the tenant: the same text of two tenants has nothing in common
here, so none can find out by asking what another one has asked.
"""

import mmap
from collections.abc import Sequence
from typing import Final
from zlib import crc32

BLOCKS_MAX: Final = 64
BLOCK_CHARS: Final = 32
"""What a text must have so that a block ends with it; or the sixteenth part of what comes before it."""
BLOCK_CHARS_MAX: Final = 256
"""After so many a block ends within a text; or after the fourth part of what comes before it."""
_GROWTH: Final = 16
_GROWTH_MAX: Final = 4
HOME_CHARS: Final = 4_096
"""Of the first text: so much of it says where conversations that begin so are at home."""
WAYS: Final = 4
HAD: Final = 3
"""How many replicas a block remembers: who had it last."""
BYTES_OF_SET: Final = WAYS * 16
_ERA: Final = 1 << 14
_NUMBER: Final = (1 << 16) - 1
_NUMBERS: Final = (1 << 16 * HAD) - 1
"""Of the facts of an entry, who had the block: last in the lowest 16 bits, then before. Above them is its era."""


def _ends() -> tuple[int, ...]:
    ends = [BLOCK_CHARS]
    while len(ends) < BLOCKS_MAX:
        ends.append(ends[-1] + max(BLOCK_CHARS, ends[-1] // _GROWTH))
    return tuple(ends)


ENDS = _ends()
"""Where blocks end, in characters, in a prompt of the shortest texts: nowhere are they shorter."""


class Prompt:
    """A prompt, as routing knows it. Made for each request, so a plain class: cheap where it is compiled."""

    __slots__ = ("blocks", "common", "home")

    def __init__(self, blocks: tuple[int, ...], common: int, home: int) -> None:
        self.blocks = blocks
        """A hash for each block, at most `BLOCKS_MAX`: of all that the prompt has up to there, in 62 bits."""
        self.common = common
        """So many of the first ones are of its first text: instructions, with which other conversations begin too."""
        self.home = home
        """Stands for that text in 30 bits, the same at every gateway and after every start; 0 where there is none."""


def read_prompt(texts: Sequence[str], secret: int, tenant_id: str) -> Prompt:
    """Work out what routing knows of a prompt.

    Python's own hash of strings is a keyed SipHash at several gigabytes a second; `secret` (see `secret_of`) is mixed
    in first, so that nothing depends on the key of the process alone. Two bits less are small integers where compiled.
    """
    blocks: list[int] = []
    so_far, at, ended, common = secret, 0, 0, 0
    for number, text in enumerate(texts):
        start, length = 0, len(text)
        step = max(BLOCK_CHARS_MAX, ended // _GROWTH_MAX) - (at - ended)
        while length - start > step:
            so_far = hash((so_far, text[start : start + step])) >> 2
            blocks.append(so_far)
            start += step
            at = ended = at + step
            step = max(BLOCK_CHARS_MAX, ended // _GROWTH_MAX)
        so_far = hash((so_far, text[start:])) >> 2
        at += length - start
        if at - ended >= max(BLOCK_CHARS, ended // _GROWTH):
            ended = at
            blocks.append(so_far)
        if number == 0:
            common = len(blocks)
        if len(blocks) >= BLOCKS_MAX:
            break
    return Prompt(tuple(blocks[:BLOCKS_MAX]), common, _home(texts[0], tenant_id) if texts else 0)


def _home(text: str, tenant_id: str) -> int:
    """Depends on nothing that others have asked, so it needs no secret."""
    return crc32(text[:HOME_CHARS].encode(errors="surrogatepass"), crc32(tenant_id.encode())) >> 2 or 1


def secret_of(salt: bytes, pool: str, tenant_id: str) -> int:
    """Where the hashes of a tenant's prompts for a pool begin."""
    return hash((salt, pool, tenant_id))


class PrefixIndex:
    """Who had which block lately, in a table of fixed size: what was not met again for longest makes way.

    Sets of four entries of 16 bytes: the block's hash, and its facts in one number: when it was last met (in eras of
    the table, from 1 on), and the numbers of the three replicas that had it last, 1 to 65,535. To make it forget a
    replica, give that replica another number. Memory is taken as entries are first written.
    """

    def __init__(self, bytes_max: int) -> None:
        self._sets = max(1, bytes_max // BYTES_OF_SET)
        entries = self._sets * WAYS
        self._table = memoryview(mmap.mmap(-1, entries * 16)).cast("q")
        self._era_writes = max(1, entries >> 10)
        self._writes = 0
        self._era = 1

    def find(self, blocks: Sequence[int]) -> dict[int, int]:
        """How many blocks from the beginning each replica that had any probably has, by its number."""
        found: dict[int, int] = {}
        depth, missed = 0, 0
        for block in blocks:
            depth += 1
            at = self._entry(block)
            if at < 0:
                missed += 1
                if missed > 1:  # one alone may have been pushed out
                    break
                continue
            missed = 0
            had = self._table[at + 1] & _NUMBERS
            while had:
                found[had & _NUMBER] = depth
                had >>= 16
        return found

    def note(self, blocks: Sequence[int], replica: int) -> int:
        """This replica has read all of these; of how many that was not known."""
        new = 0
        for block in blocks:
            at = self._entry(block)
            if at < 0:
                at = self._make_room(block)
            new += self._remember(at, replica)
        return new

    def _entry(self, block: int) -> int:
        """Where the entry of a block begins; -1 if it is not known."""
        first = block % self._sets * (WAYS * 2)
        table = self._table
        for at in range(first, first + WAYS * 2, 2):
            if table[at] == block:
                return at
        return -1

    def _make_room(self, block: int) -> int:
        """Put a block in the place of the one of its set that was not met for longest."""
        first = block % self._sets * (WAYS * 2)
        table, era = self._table, self._era
        victim, oldest = first, -1
        for at in range(first, first + WAYS * 2, 2):
            met = table[at + 1] >> 48
            age = (era - met) % _ERA if met else _ERA
            if age > oldest:
                victim, oldest = at, age
        table[victim] = block
        table[victim + 1] = 0
        self._writes += 1
        if self._writes % self._era_writes == 0:
            self._era = self._era % (_ERA - 1) + 1  # never 0: that is an entry that was never written
        return victim

    def _remember(self, at: int, replica: int) -> bool:
        facts = self._table[at + 1]
        last, before, third = facts & _NUMBER, facts >> 16 & _NUMBER, facts >> 32 & _NUMBER
        new = replica not in (last, before, third)
        if last != replica:
            if before != replica:
                third = before
            last, before = replica, last
        fresh = ((self._era << 16 | third) << 16 | before) << 16 | last
        if fresh != facts:
            self._table[at + 1] = fresh
        return new
