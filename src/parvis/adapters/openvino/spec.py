"""What a worker is told to serve, in the first line that it reads."""

import json
from dataclasses import dataclass

from parvis.adapters.openvino.errors import NotReady


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
    try:
        spec = Spec(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise NotReady("The engine's specification is not a JSON object with the fields of Spec.") from error
    if spec.kind != "chat":
        raise NotReady("OpenVINO serves chats here: embeddings are served by llama.cpp (kind = 'llama.cpp').")
    return spec
