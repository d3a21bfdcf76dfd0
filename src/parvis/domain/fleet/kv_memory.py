"""The memory of an engine for what it has read: blocks that requests share, and what they hold alone. Pure.

A block is known by a number that stands for all tokens up to its end, and for whose they are. Blocks that nobody uses
stay until room is needed; the one that was left longest ago goes first, the end of a text before its beginning. So does
vLLM (vllm-project/vllm, `v1/core/block_pool.py`).
"""

from collections import OrderedDict
from collections.abc import Sequence


class KvMemory:
    """Counts tokens. What it holds is never more than `tokens_max`."""

    def __init__(self, tokens_max: int, block_tokens: int) -> None:
        self.tokens_max = tokens_max
        self.block_tokens = block_tokens
        self._used: dict[int, int] = {}
        """How many requests use a block."""
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._alone = 0
        """Tokens that are in no block which others could find."""

    @property
    def held_tokens(self) -> int:
        """In use: they cannot be given up."""
        return len(self._used) * self.block_tokens + self._alone

    @property
    def tokens(self) -> int:
        """In use, or kept for who may come."""
        return self.held_tokens + len(self._idle) * self.block_tokens

    @property
    def free_tokens(self) -> int:
        """What can be had, if what is idle goes."""
        return self.tokens_max - self.held_tokens

    def found(self, blocks: Sequence[int]) -> int:
        """How many of these, from the first on, are in memory."""
        count = 0
        for block in blocks:
            if block not in self._used and block not in self._idle:
                break
            count += 1
        return count

    def take(self, blocks: Sequence[int], alone: int, spare: int = 0) -> bool:
        """Use these blocks, which are in memory, and so many tokens beside them.

        Or nothing, if less than `spare` tokens would be left for others.
        """
        waking = sum(block in self._idle for block in blocks)
        if alone + waking * self.block_tokens + spare > self.free_tokens:
            return False
        for block in blocks:
            self._idle.pop(block, None)
            self._used[block] = self._used.get(block, 0) + 1
        self._alone += alone
        self._shrink()
        return True

    def grow(self, tokens: int) -> None:
        """Requests that run have written so many more. The caller knows that there is room (`free_tokens`)."""
        self._alone += tokens
        self._shrink()

    def share(self, blocks: Sequence[int]) -> None:
        """Tokens that were held alone are whole blocks now, which others find. Who has the same uses one of them."""
        for block in blocks:
            self._idle.pop(block, None)
            self._used[block] = self._used.get(block, 0) + 1
        self._alone -= len(blocks) * self.block_tokens

    def leave(self, blocks: Sequence[int], alone: int) -> None:
        """A request has ended: nobody needs what it held alone; its blocks stay, for who comes next."""
        self._alone -= alone
        for block in reversed(blocks):
            users = self._used[block] - 1
            if users:
                self._used[block] = users
            else:
                del self._used[block]
                self._idle[block] = None
        self._shrink()

    def _shrink(self) -> None:
        over = self.tokens - self.tokens_max
        while over > 0 and self._idle:
            self._idle.popitem(last=False)
            over -= self.block_tokens
