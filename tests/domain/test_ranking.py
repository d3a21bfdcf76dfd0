"""The order of documents: by any scores, and by the angle between vectors."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.catalog.model import Capability
from parvis.domain.catalog.ranking import Direction, RankingMethod, best, ranking_method

NUMBERS = st.floats(-1e3, 1e3, allow_nan=False, width=32)
VECTORS = st.lists(NUMBERS, min_size=3, max_size=3)
SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), max_size=30)


@given(VECTORS, VECTORS, st.floats(0.5, 100))
def test_a_cosine_is_a_cosine(one: list[float], other: list[float], factor: float) -> None:
    found = Direction(one).cosine(other)
    assert -1 <= found <= 1
    assert found == pytest.approx(Direction(other).cosine(one), abs=1e-9)
    assert found == pytest.approx(Direction([factor * number for number in one]).cosine(other), abs=1e-9)
    long = math.hypot(*one)
    assert Direction(one).cosine(one) == pytest.approx(1 if long else 0)


def test_what_points_nowhere_is_like_nothing() -> None:
    assert Direction([1, 0]).cosine([0, 2]) == 0
    assert Direction([1, 0]).cosine([-3, 0]) == -1
    for nowhere in ([0.0, 0.0], [math.inf, 1.0], [1e200, 1e308]):
        assert -1 <= Direction(nowhere).cosine([1, 1]) <= 1
        assert -1 <= Direction([1, 1]).cosine(nowhere) <= 1
    assert Direction([]).cosine([1, 1]) == 0


def test_vectors_of_two_lengths_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 numbers cannot be compared with 2"):
        Direction([1, 0]).cosine([1, 0, 0])


@given(SCORES, st.one_of(st.none(), st.integers(1, 40)))
def test_the_best_come_first_and_equals_in_their_order(scores: list[float], top_n: int | None) -> None:
    ranked = best(scores, top_n)
    assert len(ranked) == (len(scores) if top_n is None else min(top_n, len(scores)))
    assert [one.score for one in ranked] == [scores[one.place] for one in ranked]
    assert len({one.place for one in ranked}) == len(ranked)
    for before, after in pairwise(ranked):
        assert (-before.score, before.place) < (-after.score, after.place)
    left_out = set(range(len(scores))) - {one.place for one in ranked}
    assert all(scores[place] <= ranked[-1].score for place in left_out)


RERANK, EMBEDDINGS = Capability.RERANK, Capability.EMBEDDINGS


@pytest.mark.parametrize(
    ("capabilities", "has_page", "method"),
    [
        ((RERANK,), True, RankingMethod.RERANKER),
        ((RERANK, EMBEDDINGS), True, RankingMethod.RERANKER),
        ((RERANK, EMBEDDINGS), False, RankingMethod.COSINE),
        ((EMBEDDINGS,), True, RankingMethod.COSINE),
        ((RERANK,), False, None),
        ((Capability.CHAT,), True, None),
    ],
)
def test_a_reranker_where_there_is_one(
    capabilities: tuple[Capability, ...],
    has_page: bool,  # noqa: FBT001 - a case of the list above
    method: RankingMethod | None,
) -> None:
    assert ranking_method(capabilities, has_page=has_page) is method
