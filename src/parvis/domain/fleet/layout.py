"""How weights are served on a machine where nobody has said how: by which engine, in how many processes. Pure.

The table behind it was measured with the bundled model (SmolLM2-135M, Q4_1) on two cores with AVX-512; `docs/adr/0021`
has the figures. `parvis bench engine` measures any other machine, and what it writes down goes before this.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from parvis.domain.fleet.deployment import REPLICAS_MAX
from parvis.domain.fleet.replica import EngineKind

EMBEDDED = (EngineKind.LLAMA_CPP, EngineKind.OPENVINO, EngineKind.SPEECH)
"""Those that Parvis starts itself."""
NAMES = {EngineKind.LLAMA_CPP: "llama.cpp", EngineKind.OPENVINO: "OpenVINO"}
"""For people."""
MB = 1 << 20
GB = 1 << 30
_MEMORY_SHARE = 0.75
"""Of the machine; the rest is for the gateway, control, the database and what else runs there."""
_LLAMA_BASE_BYTES = 150 * MB
_OPENVINO_BASE_BYTES = 330 * MB
_OPENVINO_TIMES_WEIGHTS = 5
"""Of 4-bit weights, while they are converted: with the base 820 MB for the bundled 98 MB."""
_OPENVINO_CACHE_BYTES = GB
_CACHE_TOKEN_BYTES = 24 << 10
"""Of one token in llama.cpp's cache where the file does not say: the bundled model's."""
_SMALL_BYTES = 512 * MB
"""Weights up to here are served by replicas of two threads; larger ones by one of all cores."""
_SMALL_THREADS = 2
_LLAMA_PARALLEL = 8
_OPENVINO_PARALLEL = 64
_OPENVINO_READS = frozenset({"llama", "qwen2", "qwen3"})
"""Architectures of GGUF files that OpenVINO GenAI turns into a network."""
_OPENVINO_QUANTISATIONS = frozenset({"F16", "BF16", "Q4_0", "Q4_1", "Q4_K_M", "Q4_K_S", "Q6_K", "Q8_0"})
_SLOWER_THAN_Q8_0 = frozenset({"Q4_1", "F16"})
"""Q4_0 is not among them: it is the fastest of all, and what it has lost does not come back."""
_NEEDED = "AVX2"
_BETTER = ("AMX", "AVX-512", "AVX2")


@dataclass(frozen=True, slots=True)
class Machine:
    """What engines find where they are to run."""

    cores: int
    """That this process may use."""
    memory_bytes: int
    """Of all that it may use, whatever is in use now: the choice shall be the same at the next look."""
    instruction_sets: frozenset[str] = frozenset()
    """Of x86-64: `AVX2`, `AVX-512`, `AMX`. Empty elsewhere."""
    gpus: tuple[str, ...] = ()
    """Makers whose driver is loaded: `NVIDIA`, `AMD`."""
    openvino: bool = False
    """Whether it is installed."""

    @property
    def words(self) -> str:
        """For people: `2 cores with AVX-512`."""
        best = next((one for one in _BETTER if one in self.instruction_sets), "")
        return f"{_counted(self.cores, 'core')}{f' with {best}' if best else ''}"

    def shared_by(self, engines: int) -> "Machine":
        """What one of so many engines may count on."""
        return replace(
            self, cores=max(1, self.cores // max(1, engines)), memory_bytes=self.memory_bytes // max(1, engines)
        )


@dataclass(frozen=True, slots=True)
class Burden:
    """What is to be served, as far as its file tells. Empty or 0: unknown."""

    weights_bytes: int
    context_tokens: int
    embedding: bool = False
    architecture: str = ""
    quantisation: str = ""
    cache_token_bytes: int = 0
    """That one token takes in an engine's cache of 16 bits a number."""


class Said(NamedTuple):
    """What the operator has said; it is kept. None or 0: it is to be chosen."""

    kind: EngineKind | None = None
    replicas: int = 0
    threads: int = 0
    parallel: int = 0
    requantise: bool | None = None


NOTHING_SAID = Said()


@dataclass(frozen=True, slots=True)
class Layout:
    """How weights are served: `replicas` processes of so many threads, each with `parallel` requests side by side."""

    kind: EngineKind
    replicas: int
    threads: int
    parallel: int
    requantise: bool
    """Whether llama.cpp's weights are first made Q8_0, once."""
    why: str
    """A sentence for people, without a full stop."""


def choose(machine: Machine, burden: Burden, said: Said = NOTHING_SAID) -> Layout:
    """What is chosen for this machine. What was said is kept, even where it is more than the machine has."""
    kind, why = _kind(machine, burden, said)
    layout = _openvino(machine, burden, said) if kind is EngineKind.OPENVINO else _llama(machine, burden, said)
    needed, there = memory_bytes(layout, burden), _room_bytes(machine)
    if not fits(layout, machine, burden):
        why += f". It needs about {_gb(needed)}, more than {_gb(there)}, which is three quarters of the memory"
    return replace(layout, why=why)


def memory_bytes(layout: Layout, burden: Burden) -> int:
    """What all replicas take at most. llama.cpp's share one copy of the weights, OpenVINO's have one each."""
    if layout.kind is EngineKind.OPENVINO:
        return layout.replicas * _openvino_bytes(burden)
    weights_bytes = burden.weights_bytes * (3 if layout.requantise else 1)
    return weights_bytes + layout.replicas * _llama_bytes(burden, layout.parallel)


def fits(layout: Layout, machine: Machine, burden: Burden) -> bool:
    """Whether it leaves the rest of the machine a quarter of the memory."""
    return memory_bytes(layout, burden) <= _room_bytes(machine)


def _kind(machine: Machine, burden: Burden, said: Said) -> tuple[EngineKind, str]:
    if said.kind is not None:
        return said.kind, "the settings say so"
    if burden.embedding:
        return EngineKind.LLAMA_CPP, "one thread embeds 135 short texts a second"
    lacking = _lacking(machine, burden)
    if lacking:
        return EngineKind.LLAMA_CPP, lacking
    if said.replicas > 1 or (machine.cores >= 2 * _SMALL_THREADS and not said.threads):
        return EngineKind.OPENVINO, "the most tokens a second of what was measured"
    return EngineKind.OPENVINO, "the earliest first token for few users"


def _lacking(machine: Machine, burden: Burden) -> str:
    """Why OpenVINO does not serve it; empty where it can."""
    if not machine.openvino:
        return "OpenVINO is not installed"
    if _NEEDED not in machine.instruction_sets:
        return "OpenVINO wants an x86-64 processor with AVX2"
    if burden.architecture not in _OPENVINO_READS or burden.quantisation not in _OPENVINO_QUANTISATIONS:
        network = f"{burden.architecture or 'unknown'} {burden.quantisation}".strip()
        return f"OpenVINO does not read a network of this form ({network})"
    if _openvino_bytes(burden) > _room_bytes(machine):
        return f"OpenVINO would need about {_gb(_openvino_bytes(burden))} of memory"
    return ""


def _openvino(machine: Machine, burden: Burden, said: Said) -> Layout:
    fitting = max(1, _room_bytes(machine) // _openvino_bytes(burden))
    small = burden.weights_bytes <= _SMALL_BYTES
    usual = min(_SMALL_THREADS, machine.cores) if small else machine.cores
    threads = said.threads or max(1, min(usual, machine.cores // max(1, said.replicas)))
    most = max(1, machine.cores // threads)
    replicas = said.replicas or min(most, fitting, REPLICAS_MAX)
    parallel = said.parallel or _OPENVINO_PARALLEL
    return Layout(EngineKind.OPENVINO, replicas, threads, parallel, requantise=False, why="")


def _llama(machine: Machine, burden: Burden, said: Said) -> Layout:
    """One thread a replica: two collapse as soon as another process wants a core. One core stays free.

    Memory goes to requests side by side first, then to faster weights, and to more replicas last.
    """
    room, kind, threads = _room_bytes(machine), said.kind or EngineKind.LLAMA_CPP, said.threads or 1
    one = Layout(kind, said.replicas or 1, threads, said.parallel or _LLAMA_PARALLEL, requantise=False, why="")
    anew = replace(one, requantise=_faster_as_q8_0(burden) if said.requantise is None else said.requantise)
    if fits(anew, machine, burden):
        more = min(max(1, (machine.cores - 1) // threads), REPLICAS_MAX)
        return anew if said.replicas or burden.embedding else _most(anew, "replicas", more, burden, room)
    narrow = replace(one, requantise=bool(said.requantise))
    return narrow if said.parallel else _most(narrow, "parallel", narrow.parallel, burden, room)


def _most(layout: Layout, name: str, most: int, burden: Burden, room: int) -> Layout:
    """With as much of `name` as has room: `most` at most, and 1 at least."""
    tried = [replace(layout, **{name: count}) for count in range(most, 0, -1)]  # type: ignore[arg-type]  # two integers
    return next((one for one in tried if memory_bytes(one, burden) <= room), tried[-1])


def _faster_as_q8_0(burden: Burden) -> bool:
    return not burden.embedding and burden.quantisation in _SLOWER_THAN_Q8_0 and burden.weights_bytes <= _SMALL_BYTES


def _room_bytes(machine: Machine) -> int:
    return int(machine.memory_bytes * _MEMORY_SHARE)


def _openvino_bytes(burden: Burden) -> int:
    return _OPENVINO_BASE_BYTES + _OPENVINO_TIMES_WEIGHTS * burden.weights_bytes + _OPENVINO_CACHE_BYTES


def _llama_bytes(burden: Burden, parallel: int) -> int:
    """Of one replica, the weights apart."""
    cache = 0 if burden.embedding else parallel * burden.context_tokens
    return _LLAMA_BASE_BYTES + cache * (burden.cache_token_bytes or _CACHE_TOKEN_BYTES)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def told(layout: Layout, machine: Machine) -> str:
    """For people: what is served how, and why."""
    shape = f"{_counted(layout.replicas, 'replica')} of {_counted(layout.threads, 'thread')}"
    made = ", weights as Q8_0" if layout.requantise else ""
    return f"{NAMES.get(layout.kind, layout.kind)}, {shape}{made} ({machine.words}): {layout.why}."


def told_of_gpus(machine: Machine) -> str:
    """Where to go with them; empty where there are none."""
    if not machine.gpus:
        return ""
    return (
        f"There is a GPU ({', '.join(machine.gpus)}), which Parvis's own engines do not use. Serve larger models with "
        "vLLM or SGLang: `parvis engines settings MODEL --kind vllm` prints how."
    )
