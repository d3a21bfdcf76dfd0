"""Reasoning and answer are the same however the text was cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parvis.adapters.engines.thoughts import CLOSES, NOTHING, OPENS, Parts, ThoughtSplitter, split

PIECES = st.sampled_from([OPENS, CLOSES, "<", "</", "think", ">", " ", "\n", "a", "é", "{"])
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def in_pieces(text: str, cuts: list[int], *, begun: bool) -> Parts:
    splitter = ThoughtSplitter(begun=begun)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    parts = NOTHING
    for start, end in pairwise(places):
        parts = parts.and_then(splitter.take(text[start:end]))
    return parts.and_then(splitter.end())


@given(text=TEXTS, cuts=st.lists(st.integers(0, 99), max_size=12), begun=st.booleans())
@example(text="<think>so</think>\n\nyes", cuts=[3, 10, 13, 17], begun=False)
def test_every_cut_gives_the_same_parts(*, text: str, cuts: list[int], begun: bool) -> None:
    assert in_pieces(text, cuts, begun=begun) == split(text, begun=begun)


@given(text=TEXTS, begun=st.booleans())
def test_nothing_is_lost_and_nothing_comes_twice(*, text: str, begun: bool) -> None:
    parts = split(text, begun=begun)
    assert parts.thought + parts.visible == text
    assert parts.content == (parts.visible.lstrip() if parts.thought else parts.visible)
    inside = parts.thought.lstrip().removeprefix(OPENS)
    assert parts.reasoning == inside.removesuffix(CLOSES).lstrip()


@pytest.mark.parametrize(
    ("text", "begun", "reasoning", "content"),
    [
        ("<think>so</think>yes", False, "so", "yes"),
        ("\n<think>\nso\n</think>\n\nyes", False, "so\n", "yes"),
        ("so</think>yes", True, "so", "yes"),
        ("<think>so</think>yes", True, "so", "yes"),
        ("so</think>yes", False, "", "so</think>yes"),
        ("<think>so", False, "so", ""),
        ("so", True, "so", ""),
        ("<think></think>yes", False, "", "yes"),
        ("yes <think>so</think>", False, "", "yes <think>so</think>"),
        ("<think>so</think>a</think>b", False, "so", "a</think>b"),
        ("<think>so </thin", False, "so </thin", ""),
        ("<thin", False, "", "<thin"),
        ("", True, "", ""),
    ],
)
def test_what_is_reasoning(*, text: str, begun: bool, reasoning: str, content: str) -> None:
    parts = split(text, begun=begun)
    assert (parts.reasoning, parts.content) == (reasoning, content)
