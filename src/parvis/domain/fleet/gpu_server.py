"""How a server for GPUs is started for a model of the catalogue, and what our settings then say of it. Pure.

Sources: vLLM, `docs/serving/engine_args` and its `vllm serve --help` (2026); SGLang, `docs/advanced_features/
server_arguments` (2026). They were read, not run, for want of a GPU. Both cache prefixes unless they are told not to;
counts in every event need no flag, because each request asks for them.
"""

import json
import re
import shlex
from dataclasses import dataclass

from parvis.domain.fleet.replica import EngineKind

_PORTS = {EngineKind.VLLM: 8000, EngineKind.SGLANG: 30_000}
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
GPU_KINDS = tuple(_PORTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuServer:
    """One server, wanted."""

    kind: EngineKind
    model: str
    """The catalogue's id: the server is told to call it so, and then nothing needs to be translated."""
    weights: str
    """The folder of the weights on its machine."""
    context_tokens: int
    gpus: int = 1
    """Among which it divides the network (tensor parallel)."""
    parallel: int = 0
    """Requests side by side. 0: as many as the server finds room for."""
    embedding: bool = False
    host: str = "127.0.0.1"
    """A numeric address that only Parvis reaches."""
    port: int = 0
    """0: the server's usual one."""
    key_file: str = ""
    """A file with the key that it demands, of the same path on both machines."""
    reasoning_parser: str = ""
    """By which it tells reasoning from the answer, as `qwen3`; which one depends on the model."""
    tool_parser: str = ""
    """By which it finds calls of tools in the text, as `hermes`; the same."""

    @property
    def listens_on(self) -> int:
        """Its port."""
        return self.port or _PORTS[self.kind]


def options(wanted: GpuServer) -> list[str]:
    """What the server is told beside its weights, where it listens and its key: the same, whoever starts it."""
    return _vllm(wanted) if wanted.kind is EngineKind.VLLM else _sglang(wanted)


def command_line(wanted: GpuServer) -> str:
    """For a shell. The key comes from its file; SGLang takes it on its command line only, which its machine shows."""
    where = ["--host", wanted.host, "--port", str(wanted.listens_on)]
    told = [shlex.quote(word) for word in (*options(wanted), *where)]
    key = f'"$(cat {shlex.quote(wanted.key_file)})"' if wanted.key_file else ""
    weights = shlex.quote(wanted.weights)
    if wanted.kind is EngineKind.VLLM:
        secret = f"VLLM_API_KEY={key} " if key else ""
        return _folded([f"{secret}vllm serve {weights}", *_paired(told)])
    given = ["--api-key", key] if key else []
    return _folded([f"python -m sglang.launch_server --model-path {weights}", *_paired([*told, *given])])


def settings_block(wanted: GpuServer) -> str:
    """The section of `parvis.toml` that leads to it. The name of the section is the model's, in plain letters."""
    facts: dict[str, object] = {
        "kind": str(wanted.kind),
        "model": wanted.model,
        "addresses": [f"http://{_in_url(wanted.host)}:{wanted.listens_on}"],
        "context_tokens": wanted.context_tokens,
    }
    if wanted.key_file:
        facts["api_key_file"] = wanted.key_file
    if wanted.parallel:
        facts["slots"] = wanted.parallel
    if wanted.embedding:
        facts["embedding"] = True
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in facts.items()]
    return "\n".join([f"[engines.{engine_name(wanted.model)}]", *lines])


def engine_name(model: str) -> str:
    """A name for its engine: `Qwen3 32B` becomes `qwen3-32b`."""
    return _NOT_PLAIN.sub("-", model.lower()).strip("-") or "model"


def _vllm(wanted: GpuServer) -> list[str]:
    words = ["--served-model-name", wanted.model]
    words += ["--max-model-len", str(wanted.context_tokens), "--tensor-parallel-size", str(max(1, wanted.gpus))]
    if wanted.parallel:
        words += ["--max-num-seqs", str(wanted.parallel)]
    words += ["--disable-uvicorn-access-log"]
    if wanted.embedding:
        return [*words, "--runner", "pooling"]
    words += ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
    if wanted.reasoning_parser:
        words += ["--reasoning-parser", wanted.reasoning_parser]
    if wanted.tool_parser:
        words += ["--enable-auto-tool-choice", "--tool-call-parser", wanted.tool_parser]
    return words


def _sglang(wanted: GpuServer) -> list[str]:
    words = ["--served-model-name", wanted.model]
    words += ["--context-length", str(wanted.context_tokens), "--tensor-parallel-size", str(max(1, wanted.gpus))]
    if wanted.parallel:
        words += ["--max-running-requests", str(wanted.parallel)]
    words += ["--enable-metrics"]
    if wanted.embedding:
        return [*words, "--is-embedding"]
    words += ["--enable-cache-report"]
    if wanted.reasoning_parser:
        words += ["--reasoning-parser", wanted.reasoning_parser]
    if wanted.tool_parser:
        words += ["--tool-call-parser", wanted.tool_parser]
    return words


def _paired(words: list[str]) -> list[str]:
    """An option and what it is given, in one piece."""
    pieces: list[str] = []
    for word in words:
        if word.startswith("--"):
            pieces.append(word)
        else:
            pieces[-1] += f" {word}"
    return pieces


def _folded(pieces: list[str]) -> str:
    return " \\\n    ".join(pieces)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
