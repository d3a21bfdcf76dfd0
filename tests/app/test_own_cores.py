"""Replicas beside each other keep to cores of their own, as long as there are enough."""

from hypothesis import given
from hypothesis import strategies as st

from parvis.app.engine_start import own_cores

CORES = st.lists(st.integers(0, 255), min_size=1, max_size=64, unique=True)


@given(CORES, st.integers(1, 8))
def test_replicas_share_no_core_while_there_are_enough(cores: list[int], threads: int) -> None:
    if threads >= len(cores):
        assert own_cores(0, threads, cores) == []
        return
    each = [own_cores(number, threads, cores) for number in range(len(cores) // threads)]
    assert all(len(mine) == threads for mine in each)
    assert len({core for mine in each for core in mine}) == threads * len(each)
    assert {core for mine in each for core in mine} <= set(cores)


def test_after_the_last_core_comes_the_first() -> None:
    assert [own_cores(number, 1, [2, 3]) for number in range(3)] == [[2], [3], [2]]
    assert own_cores(1, 2, [0, 1, 2]) == [0, 2]
    assert own_cores(5, 1, []) == []
