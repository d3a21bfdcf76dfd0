"""Prompts as blocks, and the table of who has read them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.prefix import BLOCK_CHARS, BLOCKS_MAX, PrefixIndex, read_prompt, secret_of

SALT = b"of this gateway"
texts = st.lists(st.text(max_size=700), max_size=8)


def blocks_of(prompt: list[str], secret: int, tenant: str = "t") -> tuple[int, ...]:
    return read_prompt(prompt, secret, tenant).blocks


def long_text(seed: int, chars: int) -> str:
    return Random(seed).randbytes(chars).hex()[:chars]


@given(texts, texts)
def test_prompts_have_the_blocks_of_their_common_beginning_in_common(begin: list[str], more: list[str]) -> None:
    one, other = blocks_of(begin, 7), blocks_of(begin + more, 7)
    assert other[: len(one)] == one


@given(st.integers(0, 5_000), st.integers(1, 5_000))
def test_blocks_differ_from_the_first_difference_on(same: int, more: int) -> None:
    begin = long_text(1, same)
    one, other = blocks_of([begin + "a" * more], 7), blocks_of([begin + "b" * more], 7)
    common = sum(a == b for a, b in zip(one, other, strict=True))
    assert len(blocks_of([begin], 7)) - 1 <= common <= len(blocks_of([begin], 7))
    assert one[:common] == other[:common]
    assert not set(one[common:]) & set(other[common:])


@given(st.text(), st.text(min_size=1), texts)
def test_prompts_that_begin_alike_are_at_home_together(first: str, other: str, more: list[str]) -> None:
    prompt = read_prompt([first, *more], 7, "t")
    assert prompt.home == read_prompt([first], 8, "t").home > 0
    assert prompt.home not in (read_prompt([other + first, *more], 7, "t").home, read_prompt([first], 7, "u").home)
    assert prompt.common == len(read_prompt([first], 7, "t").blocks)


def test_a_conversation_that_goes_on_is_told_from_others_that_began_alike() -> None:
    system, question = long_text(1, 800), "How far is it to the moon, on average, in light seconds?"
    first = blocks_of([system, question], 7)
    assert len(set(first) - set(blocks_of([system, "And to the sun, on average, in light seconds?"], 7))) == 1
    assert blocks_of([system, question, "1.28 or so.", "And back?"], 7)[: len(first)] == first


@given(st.text(min_size=BLOCK_CHARS, max_size=2_000))
def test_the_same_text_of_another_tenant_pool_or_gateway_is_another_text(text: str) -> None:
    secrets = (
        secret_of(SALT, "p", "t"),
        secret_of(SALT, "p", "u"),
        secret_of(SALT, "q", "t"),
        secret_of(b"", "p", "t"),
    )
    hashes = [set(blocks_of([text], secret)) for secret in secrets]
    assert len(set.union(*hashes)) == sum(len(one) for one in hashes)


def test_messages_do_not_run_into_one_another() -> None:
    assert blocks_of(["a" * 100, "a" * 200], 1) != blocks_of(["a" * 200, "a" * 100], 1)


@pytest.mark.parametrize("chars", [1, 40, 1_000, 4_000_000])
def test_a_prompt_has_few_blocks_however_long_it_is(chars: int) -> None:
    prompt = ["x" * chars] * (4_000_000 // chars // 10)
    assert len(blocks_of(prompt or ["x" * chars], 1)) <= BLOCKS_MAX
    assert len(blocks_of(["x" * 200_000], 1)) <= BLOCKS_MAX // 2


def test_the_index_knows_who_had_how_much() -> None:
    index, blocks = PrefixIndex(1 << 16), blocks_of([long_text(1, 4_000)], 1)
    assert index.note(blocks, 1) == len(blocks)
    assert index.note(blocks[:3], 2) == 3
    assert index.note(blocks, 1) == 0
    assert index.find(blocks) == {1: len(blocks), 2: 3}
    assert index.find(blocks_of([long_text(2, 4_000)], 1)) == {}


def test_a_block_remembers_the_last_three_that_had_it() -> None:
    index, blocks = PrefixIndex(1 << 16), (5,)
    for number in (1, 2, 3, 2, 4):
        index.note(blocks, number)
    assert index.find(blocks) == {4: 1, 2: 1, 3: 1}


@given(st.integers(1, 40))
def test_what_is_met_again_and_again_stays_while_the_rest_goes(sets: int) -> None:
    index = PrefixIndex(sets * 64)
    for stranger in range(1, 2_000):
        index.note((-9, -10), 1)
        index.note((stranger,), 2)
    assert index.find((-9, -10)) == {1: 2}
    known = sum(bool(index.find((stranger,))) for stranger in range(1, 2_000))
    assert known <= sets * 4 - 2
