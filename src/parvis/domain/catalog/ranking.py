"""How documents stand to a query: by the angle between embeddings, and in which order they are told."""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from operator import mul
from typing import NamedTuple

from parvis.domain.catalog.model import Capability


class RankingMethod(StrEnum):
    """How it comes about. Catalogue and answers name it: the scores of one say nothing about those of the other."""

    RERANKER = "reranker"
    """A model read each document together with the query. Its scores have a scale of its own."""
    COSINE = "embedding-cosine"
    """Both were embedded, each by itself, and the angle between them was taken."""


def ranking_method(capabilities: Sequence[Capability], *, has_page: bool = True) -> RankingMethod | None:
    """How a model ranks documents, on an engine that has a page for rerankers or not. None: it cannot."""
    if has_page and Capability.RERANK in capabilities:
        return RankingMethod.RERANKER
    return RankingMethod.COSINE if Capability.EMBEDDINGS in capabilities else None


class Ranked(NamedTuple):
    """A document, by its place in the request."""

    place: int
    score: float


class Direction:
    """Where an embedding points. Asked for thousands of cosines, so what does not change is worked out once."""

    __slots__ = ("_unit",)

    def __init__(self, vector: Sequence[float]) -> None:
        length = math.hypot(*vector)
        self._unit: list[float] = [number / length for number in vector] if 0 < length < math.inf else []

    def cosine(self, vector: Sequence[float]) -> float:
        """-1 to 1: 1 is the same direction, 0 has nothing to do with it. 0 too where one of both points nowhere.

        Raises ValueError for a vector of another length.
        """
        length = math.hypot(*vector)
        if not self._unit or not 0 < length < math.inf:
            return 0.0
        if len(vector) != len(self._unit):
            raise ValueError(f"{len(vector)} numbers cannot be compared with {len(self._unit)}")
        product: float = sum(map(mul, self._unit, vector))
        return min(1.0, max(-1.0, product / length))


def best(scores: Iterable[float], top_n: int | None) -> list[Ranked]:
    """The documents by falling score, at most `top_n`; those of the same score in the order of the request."""
    ranked = [Ranked(place, score) for place, score in enumerate(scores)]
    ranked.sort(key=lambda one: -one.score)
    return ranked[:top_n]
