"""The embedded engine's own process: llama.cpp's HTTP server with one set of weights, on loopback.

    python -m parvis.adapters.engines.llama_child

Its parent writes one JSON line, the `Spec`, to its standard input and keeps that pipe open. Standard output
carries one JSON line in return: `{"address": "http://127.0.0.1:PORT"}` when the first request would be fast,
or `{"error": "one sentence"}` before exit status 1. It lives exactly as long as its parent: the kernel kills
it when the thread that started it dies, and the end of the pipe ends it too. SIGTERM ends it at once,
whatever runs; the parent drains first.

The parameters are those that were measured on small machines: one thread for each replica, because two
threads collapse as soon as another process wants a core. Once it is ready, what the library prints is
dropped: at every level of verbosity it prints grammars and schemas, which are the callers' content.
"""

import signal
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any, Literal

import xllamacpp as llama

from parvis.core.engine_process import NotReady, Report, first_line, silence, spec_of, tie_to_parent

READY_S_MAX = 120.0
POLL_S = 0.05
# A prompt is read in steps of so many tokens; between two steps the other requests advance, and a caller who
# left is noticed. With the library's 2,048 one long prompt stops every stream for 5 s; with 128 for 1 s, at
# equal speed.
PROMPT_STEP_TOKENS = 128
WARM_UP = {
    "chat": ("/v1/chat/completions", '{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}'),
    "embedding": ("/v1/embeddings", '{"input": "Hello"}'),
}


@dataclass(frozen=True)
class Spec:
    """What to serve. `context` is in tokens for one request; `parallel` requests run side by side. Port 0: any."""

    weights: str
    alias: str
    kind: Literal["chat", "embedding"]
    api_key: str
    parallel: int = 8
    context: int = 8192
    threads: int = 1
    port: int = 0


def read_spec(line: bytes) -> Spec:
    """Decode the one line of standard input. Raises NotReady."""
    spec = spec_of(Spec, line)
    if spec.kind not in ("chat", "embedding"):
        raise NotReady(f"The engine's kind is '{spec.kind}', which is neither 'chat' nor 'embedding'.")
    return spec


def parameters(spec: Spec) -> Any:
    """llama.cpp's settings for `spec` (`Any`: the package ships no types)."""
    settings = llama.CommonParams()
    settings.model.path = spec.weights
    settings.model_alias = {spec.alias}
    settings.hostnames, settings.port = ["127.0.0.1"], spec.port
    settings.api_keys = [spec.api_key]
    settings.cors_origins, settings.cors_credentials = "", False
    settings.offline, settings.ui, settings.verbosity = True, False, 0
    settings.endpoint_metrics = settings.endpoint_slots = True
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = spec.threads
    settings.n_parallel = spec.parallel
    settings.n_ctx = spec.parallel * spec.context
    settings.cache_ram_mib = 0
    if spec.kind == "embedding":
        _embed(settings)
    else:
        _chat(settings)
    return settings


def _chat(settings: Any) -> None:
    settings.use_jinja = settings.cache_prompt = settings.cont_batching = True
    settings.flash_attn_type = llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO
    settings.n_batch = settings.n_ubatch = PROMPT_STEP_TOKENS


def _embed(settings: Any) -> None:
    settings.embedding = True
    settings.pooling_type = llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # An encoder attends in both directions, so a text must fit one physical batch: this holds every slot's.
    settings.n_batch = settings.n_ubatch = settings.n_ctx


def wait_until_ready(address: str, spec: Spec) -> None:
    """Poll /health (503 while the weights load), then run one request, so that no user pays for the first."""
    deadline_s = time.monotonic() + READY_S_MAX
    while not _healthy(address):
        if time.monotonic() > deadline_s:
            raise NotReady(f"The weights did not load within {READY_S_MAX:.0f} s.")
        time.sleep(POLL_S)
    _warm_up(address, spec)


def _healthy(address: str) -> bool:
    return _ask(address, "GET", "/health", {}) == HTTPStatus.OK


def _warm_up(address: str, spec: Spec) -> None:
    path, body = WARM_UP[spec.kind]
    headers = {"Authorization": f"Bearer {spec.api_key}", "Content-Type": "application/json"}
    status = _ask(address, "POST", path, headers, body)
    if status != HTTPStatus.OK:
        raise NotReady(f"The weights loaded, but answer a {spec.kind} request with status {status}.")


def _ask(address: str, method: str, path: str, headers: dict[str, str], body: str | None = None) -> int:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=READY_S_MAX)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    except OSError as error:
        raise NotReady(f"The server started, but does not answer {path} ({error}).") from error
    finally:
        connection.close()


def serve(spec: Spec) -> Any:
    """Start the server and return it when ready; it stops when the object is dropped. Raises NotReady."""
    try:
        server = llama.Server(parameters(spec))
    except RuntimeError as error:
        raise NotReady(
            f"The weights {spec.weights} cannot be loaded: check that the file is whole and fits the memory."
        ) from error
    wait_until_ready(server.listening_address, spec)
    return server


def main() -> int:
    """Run until the parent ends it; exit status 1 when the server cannot start."""
    report = Report()
    try:
        spec = read_spec(first_line())
        tie_to_parent()
        server = serve(spec)
    except NotReady as error:
        report.failed(error)
        return 1
    silence()
    report.ready(server.listening_address)
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
