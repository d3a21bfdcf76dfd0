"""Which layouts are tried, and which of them is the best."""

from dataclasses import replace

import pytest

from parvis.domain.fleet.layout import GB, MB, Burden, Machine
from parvis.domain.fleet.trial import Figure, best, candidates, percentile

MACHINE = Machine(2, 24 * GB, frozenset({"AVX2"}), openvino=True)
BURDEN = Burden(98 * MB, 4096, architecture="llama", quantisation="Q4_1", cache_token_bytes=23_040)


def names(machine: Machine, burden: Burden = BURDEN) -> list[str]:
    return list(candidates(machine, burden))


def test_what_is_possible_is_tried() -> None:
    assert names(MACHINE) == ["llama.cpp", "llama.cpp Q8_0", "OpenVINO 1 x 2", "OpenVINO 2 x 1"]
    assert names(replace(MACHINE, cores=8))[2:] == ["OpenVINO 1 x 8", "OpenVINO 4 x 2", "OpenVINO 8 x 1"]
    assert names(replace(MACHINE, cores=1))[2:] == ["OpenVINO 1 x 1"]
    assert names(replace(MACHINE, memory_bytes=3 * GB))[2:] == ["OpenVINO 1 x 2"]
    assert names(replace(MACHINE, openvino=False)) == ["llama.cpp", "llama.cpp Q8_0"]
    assert names(replace(MACHINE, openvino=False), replace(BURDEN, quantisation="Q8_0")) == ["llama.cpp"]


def test_the_most_tokens_win_and_among_those_alike_the_earliest_first_token() -> None:
    slow, fast, alike = Figure(64, 120, 90, 100), Figure(64, 600, 530, 900), Figure(64, 570, 400, 500)
    few = Figure(1, 60, 50, 60)
    assert best({"slow": [few, slow], "fast": [few, fast]}) == "fast"
    assert best({"slow": [slow], "fast": [fast], "alike": [alike]}) == "alike"
    assert best({"slow": [slow], "fast": [fast._replace(failed=1)]}) == "slow"
    assert best({"only": [fast._replace(failed=1)]}) == "only"
    with pytest.raises(ValueError, match="nothing"):
        best({})


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert percentile([], 50) == 0.0
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([3, 1, 2], 95) == 3
