"""An engine's own counters, as its page for Prometheus tells them.

Sources: llama.cpp's `/metrics` (a prompt's cached tokens are not in it: they were not computed) and vLLM's (they are).
A server that is known by address only may have either.
"""

import re

from parvis.adapters.engines.asking import ask
from parvis.adapters.engines.upstream import Upstreams
from parvis.domain.fleet.replica import Replica
from parvis.domain.metering.comparison import Counters

PAGE = b"/metrics"
_LINE = re.compile(r"^(?P<name>[a-z]+:[a-z_]+)(?:\{[^}]*\})? (?P<value>[0-9.e+]+)$", re.MULTILINE)
_LLAMA_CPP = ("prompt_tokens_total", "tokens_predicted_total", "requests_processing", "requests_deferred")
_VLLM = ("prompt_tokens_total", "generation_tokens_total", "num_requests_running", "num_requests_waiting")
_KINDS = (("llamacpp:", _LLAMA_CPP, False), ("vllm:", _VLLM, True))


class EngineCounters:
    """Reads the page of the replica that is named."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def read(self, replica: Replica) -> Counters | None:
        """What it counted since it started; None where it does not say."""
        pool = self._upstreams.pool(replica)
        page = await ask(pool, pool.question(PAGE, replica.api_key))
        return None if page is None else counters_of(page.decode(errors="replace"))


def counters_of(page: str) -> Counters | None:
    """The sums over all labels: an engine that runs several models counts each apart."""
    sums: dict[str, int] = {}
    for line in _LINE.finditer(page):
        sums[line["name"]] = sums.get(line["name"], 0) + int(float(line["value"]))
    for prefix, names, with_cached in _KINDS:
        if all(prefix + name in sums for name in names):
            prompt, completion, running, waiting = (sums[prefix + name] for name in names)
            return Counters(prompt, completion, running + waiting, counts_cached=with_cached)
    return None
