"""A modelled prefix cache: which beginning of a prompt an engine need not compute again, and what the rest takes.

    python -m parvis.testing.fake_engine --prefix-blocks 4096 --prefix-block-chars 64 --prefill-us-per-char 20

What is modelled: blocks of a fixed length, each known by all that comes before it and by its salt, as vLLM names its
blocks (vllm-project/vllm, `v1/core/kv_cache_utils.py`); the least recently used one goes first, the end of a prompt
before its beginning; an answer is kept behind its prompt, for the next turn; the last block is computed in any case;
prompts are read one after another, because a machine has one accelerator. What is not: batches, chunked prefill,
memory that running requests need. Characters stand for tokens, so that a bench needs no tokenizer. Pure.
"""

from collections import OrderedDict

from parvis.testing.fake_engine.answers import Json, prompts, text_of

ANSWER = "<assistant>"
"""What a template writes before an answer."""


class PrefixCache:
    """The blocks that an engine has in memory."""

    def __init__(self, blocks_max: int, block_chars: int) -> None:
        self._blocks_max = blocks_max
        self._block_chars = block_chars
        self._blocks: OrderedDict[int, None] = OrderedDict()
        """Oldest first."""

    def cached_chars(self, salt: str, text: str) -> int:
        """How much of the beginning is in memory. Something is left to compute, always."""
        found = 0
        for key in self._keys(salt, text[:-1]):
            if key not in self._blocks:
                break
            found += 1
        return found * self._block_chars

    def keep(self, salt: str, text: str) -> None:
        """Remember all whole blocks of a text."""
        for key in reversed(self._keys(salt, text)):
            self._blocks[key] = None
            self._blocks.move_to_end(key)
        while len(self._blocks) > self._blocks_max:
            self._blocks.popitem(last=False)

    def _keys(self, salt: str, text: str) -> list[int]:
        size, key, keys = self._block_chars, hash(salt), []
        for start in range(0, len(text) - size + 1, size):
            key = hash((key, text[start : start + size]))
            keys.append(key)
        return keys


def prompt_texts(body: Json) -> list[str]:
    """Each prompt as the model reads it: of a chat all messages behind their roles, then the place of the answer."""
    messages = body.get("messages")
    if messages is None:
        return [prompt if isinstance(prompt, str) else str(prompt) for prompt in prompts(body)]
    return ["".join(f"<{message.get('role')}>{text_of(message.get('content'))}" for message in messages) + ANSWER]
