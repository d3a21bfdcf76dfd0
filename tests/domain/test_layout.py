"""What is chosen for a machine keeps within it, grows with it, and always has a reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.domain.fleet.layout import GB, MB, Burden, Layout, Machine, Said, choose, memory_bytes, told, told_of_gpus
from parvis.domain.fleet.replica import EngineKind

LLAMA_CPP, OPENVINO = EngineKind.LLAMA_CPP, EngineKind.OPENVINO
SETS = frozenset({"AVX2", "AVX-512"})
TWO_CORES = Machine(2, 24 * GB, SETS, openvino=True)
BUNDLED = Burden(98 * MB, 4096, architecture="llama", quantisation="Q4_1", cache_token_bytes=23_040)

machines = st.builds(
    Machine,
    cores=st.integers(1, 256),
    memory_bytes=st.integers(256 * MB, 2048 * GB),
    instruction_sets=st.frozensets(st.sampled_from(["AVX2", "AVX-512", "AMX"])),
    gpus=st.sampled_from([(), ("NVIDIA",), ("NVIDIA", "AMD")]),
    openvino=st.booleans(),
)
burdens = st.builds(
    Burden,
    weights_bytes=st.integers(0, 64 * GB),
    context_tokens=st.integers(64, 131_072),
    embedding=st.booleans(),
    architecture=st.sampled_from(["", "llama", "qwen3", "gemma3"]),
    quantisation=st.sampled_from(["", "Q4_0", "Q4_1", "Q4_K_M", "Q8_0", "F16", "IQ2_XS"]),
    cache_token_bytes=st.integers(0, 1 << 20),
)


def shape(layout: Layout) -> tuple[EngineKind, int, int, int, bool]:
    return (layout.kind, layout.replicas, layout.threads, layout.parallel, layout.requantise)


@pytest.mark.parametrize(
    ("machine", "chosen"),
    [
        (TWO_CORES, (OPENVINO, 1, 2, 64, False)),
        (replace(TWO_CORES, cores=1), (OPENVINO, 1, 1, 64, False)),
        (replace(TWO_CORES, cores=8), (OPENVINO, 4, 2, 64, False)),
        (replace(TWO_CORES, cores=8, memory_bytes=4 * GB), (OPENVINO, 1, 2, 64, False)),
        (replace(TWO_CORES, openvino=False), (LLAMA_CPP, 1, 1, 8, True)),
        (replace(TWO_CORES, openvino=False, cores=4), (LLAMA_CPP, 3, 1, 8, True)),
        (replace(TWO_CORES, instruction_sets=frozenset()), (LLAMA_CPP, 1, 1, 8, True)),
        (replace(TWO_CORES, memory_bytes=2 * GB), (LLAMA_CPP, 1, 1, 8, True)),
        (replace(TWO_CORES, memory_bytes=GB), (LLAMA_CPP, 1, 1, 5, False)),
    ],
)
def test_the_table_for_the_bundled_model(machine: Machine, chosen: tuple[EngineKind, int, int, int, bool]) -> None:
    assert shape(choose(machine, BUNDLED)) == chosen


def test_one_large_network_gets_all_cores_and_none_is_made_anew() -> None:
    large = replace(BUNDLED, weights_bytes=4 * GB)
    assert shape(choose(replace(TWO_CORES, cores=8, memory_bytes=64 * GB), large)) == (OPENVINO, 1, 8, 64, False)
    assert not choose(replace(TWO_CORES, openvino=False), large).requantise


def test_what_was_said_is_kept_and_the_rest_is_chosen_for_it() -> None:
    assert shape(choose(TWO_CORES, BUNDLED, Said(replicas=2))) == (OPENVINO, 2, 1, 64, False)
    assert shape(choose(TWO_CORES, BUNDLED, Said(LLAMA_CPP, threads=2))) == (LLAMA_CPP, 1, 2, 8, True)
    assert shape(choose(TWO_CORES, BUNDLED, Said(LLAMA_CPP, 3, 1, 2, requantise=False))) == (LLAMA_CPP, 3, 1, 2, False)


def test_the_fastest_quantisation_is_left_alone() -> None:
    assert not choose(replace(TWO_CORES, openvino=False), replace(BUNDLED, quantisation="Q4_0")).requantise


@given(machines, burdens)
def test_it_never_takes_more_threads_than_cores(machine: Machine, burden: Burden) -> None:
    layout = choose(machine, burden)
    assert layout.replicas >= 1
    assert layout.threads >= 1
    assert layout.parallel >= 1
    assert layout.replicas * layout.threads <= machine.cores


@given(machines, burdens)
def test_it_keeps_within_the_memory_or_says_that_it_cannot(machine: Machine, burden: Burden) -> None:
    layout = choose(machine, burden)
    fits = memory_bytes(layout, burden) <= machine.memory_bytes * 0.75
    least = layout.kind is LLAMA_CPP and (layout.replicas, layout.parallel, layout.requantise) == (1, 1, False)
    assert fits or (least and "more than" in layout.why)


@given(machines, burdens, st.integers(0, 64), st.integers(0, 64 * GB))
def test_more_machine_is_never_served_worse(machine: Machine, burden: Burden, cores: int, memory: int) -> None:
    less = choose(machine, burden)
    more = choose(replace(machine, cores=machine.cores + cores, memory_bytes=machine.memory_bytes + memory), burden)
    assert more.kind is less.kind or (less.kind, more.kind) == (LLAMA_CPP, OPENVINO)
    if more.kind is less.kind:
        assert more.replicas * more.threads >= less.replicas * less.threads
        assert more.replicas * more.parallel >= less.replicas * less.parallel
        assert more.requantise >= less.requantise


@given(machines, burdens)
def test_there_is_always_a_reason(machine: Machine, burden: Burden) -> None:
    layout = choose(machine, burden)
    assert layout.why
    line = told(layout, machine)
    assert machine.words in line
    assert line.endswith(".")
    assert not line.endswith("..")


@given(machines, burdens)
def test_a_gpu_changes_what_is_said_and_not_what_is_chosen(machine: Machine, burden: Burden) -> None:
    assert choose(replace(machine, gpus=("NVIDIA",)), burden) == choose(replace(machine, gpus=()), burden)
    assert "parvis engines settings" in told_of_gpus(replace(machine, gpus=("AMD",)))
    assert told_of_gpus(replace(machine, gpus=())) == ""
