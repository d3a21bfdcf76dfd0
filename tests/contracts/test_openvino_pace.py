"""Long prompts give way to answers under way, and yet are read; beginnings that were computed are known again."""

from hypothesis import given
from hypothesis import strategies as st

from parvis.adapters.openvino.pace import ALONE_TOKENS, BESIDE_TOKENS, BLOCK_TOKENS, Known, allowance

tokens = st.lists(st.integers(0, 3), max_size=5 * BLOCK_TOKENS)


@given(st.integers(1, 1_000))
def test_the_more_write_the_less_is_read_and_never_nothing(writing: int) -> None:
    assert BESIDE_TOKENS <= allowance(writing + 1) <= allowance(writing) <= allowance(0) == ALONE_TOKENS


@given(tokens, tokens)
def test_what_begins_alike_is_known_in_whole_blocks(first: list[int], second: list[int]) -> None:
    known = Known()
    assert known.length(second) == 0
    known.add(first)
    alike = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    assert known.length(second) == alike // BLOCK_TOKENS * BLOCK_TOKENS


def test_what_was_used_longest_ago_is_forgotten() -> None:
    known = Known(most=2)
    one, two, three = ([number] * BLOCK_TOKENS for number in range(3))
    for prompt in (one, two, one, three):
        known.add(prompt)
    assert [known.length(prompt) for prompt in (one, two, three)] == [BLOCK_TOKENS, 0, BLOCK_TOKENS]
