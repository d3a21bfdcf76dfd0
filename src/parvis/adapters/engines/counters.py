"""An engine's own counters, as its page for Prometheus tells them.

Sources: llama.cpp's `/metrics` (a prompt's cached tokens are not in it: they were not computed), vLLM's and SGLang's
(they are), and our own of OpenVINO (as vLLM's). TGI counts only answers that came to their end, and Ollama nothing. A
server that is known by address only may have any of them.
"""

from parvis.adapters.engines.asking import ask
from parvis.adapters.engines.gauges import sums_of, told
from parvis.adapters.engines.upstream import Upstreams
from parvis.domain.fleet.replica import Replica
from parvis.domain.metering.comparison import Counters

PAGE = b"/metrics"
_LLAMA_CPP = ("prompt_tokens_total", "tokens_predicted_total", "requests_processing", "requests_deferred")
_VLLM = ("prompt_tokens_total", "generation_tokens_total", "num_requests_running", "num_requests_waiting")
_SGLANG = ("prompt_tokens_total", "generation_tokens_total", "num_running_reqs", "num_queue_reqs")
_KINDS = (
    ("llamacpp:", _LLAMA_CPP, False),
    ("openvino:", _VLLM, True),
    ("vllm:", _VLLM, True),
    ("sglang:", _SGLANG, True),
)


class EngineCounters:
    """Reads the page of the replica that is named."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def read(self, replica: Replica) -> Counters | None:
        """What it counted since it started; None where it does not say."""
        pool = self._upstreams.pool(replica)
        page = await ask(pool, pool.question(PAGE, replica.api_key), kept=True)
        return None if page is None else counters_of(page.decode(errors="replace"))


def counters_of(page: str) -> Counters | None:
    """The sums over all labels: an engine that runs several models counts each apart."""
    sums = sums_of(page)
    for prefix, names, with_cached in _KINDS:
        found = [value for name in names if (value := told(sums, prefix + name)) is not None]
        if len(found) == len(names):
            prompt, completion, running, waiting = map(int, found)
            return Counters(prompt, completion, running + waiting, counts_cached=with_cached)
    return None
