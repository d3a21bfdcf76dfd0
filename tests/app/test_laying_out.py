"""What nobody has said of engines is chosen for the machine, once, and what was said is kept."""

from pathlib import Path

import pytest

from parvis.app import laying_out
from parvis.app.changes import compare
from parvis.app.laying_out import lay_out, make_weights, say_layouts
from parvis.app.machine import look
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.layout import GB, Machine
from parvis.domain.fleet.replica import EngineKind
from parvis.settings import FILE, EngineSettings, Settings, load

OURS = Machine(2, 24 * GB, frozenset({"AVX2", "AVX-512"}), openvino=True)
SMOLLM2 = "builtin:smollm2-135m-instruct"


def settings(tmp_path: Path, **engines: EngineSettings) -> Settings:
    return Settings(tmp_path, engines=engines) if engines else Settings(tmp_path)


def test_the_bundled_models_are_laid_out_for_the_machine(tmp_path: Path) -> None:
    chosen = lay_out(settings(tmp_path), OURS).settings.engines
    chat, embedding = chosen["smollm2"], chosen["minilm"]
    assert (chat.kind, chat.replicas, chat.threads, chat.parallel) == (EngineKind.OPENVINO, 1, 2, 64)
    assert (embedding.kind, embedding.replicas, embedding.threads) == (EngineKind.LLAMA_CPP, 1, 1)
    without = lay_out(settings(tmp_path), Machine(2, 24 * GB)).settings.engines["smollm2"]
    assert (without.kind, without.requantise) == (EngineKind.LLAMA_CPP, True)


def test_the_same_machine_is_laid_out_the_same_again(tmp_path: Path) -> None:
    first, again = (lay_out(settings(tmp_path), OURS).settings for _ in range(2))
    assert compare(first, again).live == ()
    assert lay_out(first, OURS).settings == first


def test_what_was_said_stays_and_addresses_are_left_alone(tmp_path: Path) -> None:
    said = EngineSettings(
        weights=SMOLLM2, kind=EngineKind.LLAMA_CPP, replicas=3, threads=2, parallel=5, requantise=False
    )
    there = EngineSettings(addresses=("http://h:1",))
    chosen = lay_out(settings(tmp_path, said=said, there=there), OURS)
    assert chosen.settings.engines["said"] == said
    assert (there.server, chosen.settings.engines["there"].kind) == (EngineKind.LLAMA_CPP, EngineKind.LLAMA_CPP)
    assert list(chosen.layouts) == ["said"]


def test_two_chats_share_a_machine(tmp_path: Path) -> None:
    two = {name: EngineSettings(weights=SMOLLM2) for name in ("one", "other")}
    chosen = lay_out(settings(tmp_path, **two), OURS).settings.engines
    assert [chosen[name].replicas * chosen[name].threads for name in two] == [1, 1]


def test_weights_that_are_not_there_are_complained_of_later(tmp_path: Path) -> None:
    chosen = lay_out(settings(tmp_path, away=EngineSettings(weights=str(tmp_path / "no.gguf"))), OURS)
    assert chosen.settings.engines["away"].replicas == 1


def test_each_engine_has_its_line_and_a_gpu_has_one(tmp_path: Path) -> None:
    said: list[str] = []
    gpu = Machine(2, 24 * GB, frozenset({"AVX2", "AVX-512"}), ("NVIDIA",), openvino=True)
    say_layouts(lay_out(settings(tmp_path), gpu), gpu, said.append)
    assert said[0].startswith("smollm2: OpenVINO, 1 replica of 2 threads (2 cores with AVX-512): ")
    assert said[1].startswith("minilm: llama.cpp, 1 replica of 1 thread ")
    assert "NVIDIA" in said[2]
    assert len(said) == 3


def test_weights_are_served_by_engines_of_ours(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('[engines.a]\nkind = "vllm"\nweights = "/srv/a"\n')
    with pytest.raises(Misconfigured, match=r"engines\.a\.kind = vllm: weights are served by llama\.cpp or openvino"):
        load(tmp_path, {})


async def test_faster_weights_that_cannot_be_made_are_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and no more")
    said: list[str] = []
    wanted = settings(tmp_path, mine=EngineSettings(weights=str(broken), requantise=True))
    await make_weights(wanted, said.append)
    assert [line.partition(" (")[0] for line in said] == [
        "mine: making Q8_0 weights once, which are faster ...",
        "mine: Q8_0 weights cannot be made",
    ]
    monkeypatch.setattr(laying_out, "_TIMES_DISK", 1 << 60)
    await make_weights(wanted, said.append)
    assert "no room" in said[-1]
    assert not list((tmp_path / "cache").iterdir())


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_container_has_what_its_group_has(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        proc__meminfo="MemTotal:       8388608 kB\nMemFree: 1 kB\n",
        proc__cpuinfo="processor : 0\nflags\t\t: fpu avx2 avx512f\n",
        sys__fs__cgroup__cpuDOTmax="150000 100000\n",
        sys__fs__cgroup__memoryDOTmax="2147483648\n",
        dev__nvidia0="",
    )
    seen = look(root)
    assert (seen.cores, seen.memory_bytes) == (1, 2 * GB)
    assert seen.instruction_sets == {"AVX2", "AVX-512"}
    assert seen.gpus == ("NVIDIA",)


def test_without_bounds_the_machine_counts_and_without_files_the_least(tmp_path: Path) -> None:
    unbounded = {"sys__fs__cgroup__cpuDOTmax": "max 100000\n", "sys__fs__cgroup__memoryDOTmax": "max\n"}
    root = write(tmp_path / "a", proc__meminfo="MemTotal: 8388608 kB\n", **unbounded)
    assert look(root).memory_bytes == 8 * GB
    empty = look(tmp_path / "b")
    assert (empty.memory_bytes, empty.gpus, empty.instruction_sets) == (GB, (), frozenset())
    assert empty.cores >= 1
