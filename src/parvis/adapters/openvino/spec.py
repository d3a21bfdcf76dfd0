"""What a worker is told to serve, in the first line that it reads."""

from dataclasses import dataclass

from parvis.core.engine_process import NotReady, spec_of


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to serve. `context` is in tokens for one request; `parallel` requests run side by side. Port 0: any."""

    weights: str
    """The path of a GGUF file."""
    alias: str
    api_key: str
    cache: str
    """A folder for weights that are converted once."""
    kind: str = "chat"
    parallel: int = 64
    context: int = 8192
    threads: int = 1
    cores: tuple[int, ...] = ()
    """The processor cores that it keeps to; empty: any. Replicas that wander halve each other's speed."""
    port: int = 0


def read_spec(line: bytes) -> Spec:
    """Decode the one line of standard input. Raises NotReady."""
    spec = spec_of(Spec, line)
    if spec.kind != "chat":
        raise NotReady("OpenVINO serves chats here: embeddings are served by llama.cpp (kind = 'llama.cpp').")
    return spec
