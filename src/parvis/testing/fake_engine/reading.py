"""How the fake engine reads prompts: with a modelled prefix cache, and in the time that the rest of them takes."""

import asyncio

from parvis.testing.fake_engine.answers import Answer, Json
from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.fake_engine.prefix_cache import PrefixCache, prompt_texts

SALTED: frozenset[Flavour] = frozenset({"vllm", "sglang"})
"""Those that keep the caches of different salts apart. The others share theirs among all."""


class Reader:
    """The one accelerator of an engine."""

    def __init__(self, flavour: Flavour, blocks_max: int, block_chars: int, us_per_char: float) -> None:
        self._flavour = flavour
        self._cache = PrefixCache(blocks_max, block_chars) if blocks_max else None
        self._s_per_char = us_per_char / 1e6
        self._free = asyncio.Lock()

    async def read(self, body: Json, answer: Answer) -> Answer:
        """Wait for the prompts to be read; the answer with what was cached of them."""
        if self._cache is None:
            return answer
        salt, texts = self._salt(body), prompt_texts(body)
        cached = []
        async with self._free:
            for text, tokens in zip(texts, answer.prompt_tokens, strict=True):
                found = self._cache.cached_chars(salt, text) if self._may_reuse(body) else 0
                cached.append(tokens * found // len(text))
                await asyncio.sleep((len(text) - found) * self._s_per_char)
                self._cache.keep(salt, text)
        self._keep_answers(salt, texts, answer)
        return answer._replace(cached_tokens=sum(cached), prompt_cached=tuple(cached))

    def _salt(self, body: Json) -> str:
        return str(body.get("cache_salt") or "") if self._flavour in SALTED else ""

    def _may_reuse(self, body: Json) -> bool:
        """llama.cpp's `cache_prompt`: false computes the whole prompt; what it computed stays for others to find."""
        return self._flavour != "llamacpp" or body.get("cache_prompt") is not False

    def _keep_answers(self, salt: str, texts: list[str], answer: Answer) -> None:
        """What was written stays behind its prompt, where the next turn of a conversation finds it."""
        assert self._cache is not None
        each = len(answer.choices) // len(texts)
        for choice in answer.choices:
            self._cache.keep(salt, texts[choice.number // each] + choice.text("content"))
