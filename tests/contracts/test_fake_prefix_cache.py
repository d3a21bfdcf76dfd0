"""The modelled prefix cache keeps its word: benches and the prefix attack lean on it."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.testing.fake_engine.flavours import Flavour
from parvis.testing.fake_engine.prefix_cache import PrefixCache
from parvis.testing.processes import FakeEngineProcess, fake_engine

BLOCK = 4
texts = st.text(alphabet="ab", max_size=40)


@given(texts, texts)
def test_what_is_cached_is_a_common_beginning_of_whole_blocks(kept: str, asked: str) -> None:
    cache = PrefixCache(1_000, BLOCK)
    cache.keep("", kept)
    found = cache.cached_chars("", asked)
    assert found % BLOCK == 0
    assert found < max(len(asked), 1)
    assert kept[:found] == asked[:found]
    following = asked[found : found + BLOCK]
    if found + BLOCK < len(asked) and len(kept) >= found + BLOCK:
        assert kept[found : found + BLOCK] != following


@given(texts, st.text(max_size=3), st.text(max_size=3))
def test_a_salt_keeps_caches_apart(text: str, one: str, other: str) -> None:
    cache = PrefixCache(1_000, BLOCK)
    cache.keep(one, text)
    assert (cache.cached_chars(other, text) > 0) == (one == other and len(text) > BLOCK)


@given(st.lists(texts, max_size=12), st.integers(0, 6))
def test_it_has_no_more_blocks_than_it_may_and_forgets_ends_first(prompts: list[str], blocks_max: int) -> None:
    cache = PrefixCache(blocks_max, BLOCK)
    for prompt in prompts:
        cache.keep("", prompt)
    last = prompts[-1] if prompts else ""
    assert cache.cached_chars("", last + "?") == min(len(last) // BLOCK, blocks_max) * BLOCK


def cached(engine: FakeEngineProcess, messages: list[dict[str, str]], **fields: object) -> tuple[str, int]:
    url = f"{engine.address}/v1/chat/completions"
    answer = httpx.post(url, json={"messages": messages, **fields}, timeout=20).json()
    [choice] = answer["choices"]
    return choice["message"]["content"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]


@pytest.mark.parametrize("flavour", ["llamacpp", "sglang", "vllm"])
def test_a_conversation_finds_its_beginning_and_the_switches_work(flavour: Flavour) -> None:
    first = [{"role": "user", "content": "one two three " * 20}]
    with fake_engine(flavour=flavour, prefix_blocks=100, prefix_block_chars=8) as engine:
        said, none = cached(engine, first, cache_salt="a")
        again = cached(engine, first, cache_salt="a")[1]
        turn = [*first, {"role": "assistant", "content": said}, {"role": "user", "content": "And then?"}]
        second = cached(engine, turn, cache_salt="a")[1]
        stranger = cached(engine, turn, cache_salt="b")[1]
        switched_off = cached(engine, turn, cache_salt="a", cache_prompt=False)[1]
    assert none == 0
    assert 50 <= again <= 63
    assert second > again
    assert (stranger == 0) == (flavour != "llamacpp")
    assert (switched_off == 0) == (flavour == "llamacpp")
