"""How an engine process of this machine is started, whoever wants it: the settings or a deployment."""

import asyncio
import secrets
from pathlib import Path
from typing import NamedTuple

from parvis.adapters.engines.weights import locate
from parvis.app.crew import Child, Crew


class EngineWork(NamedTuple):
    """What one process is to serve."""

    weights: str
    alias: str
    embedding: bool
    parallel: int
    context_tokens: int
    threads: int


class Started(NamedTuple):
    """A process that would answer at once."""

    child: Child
    address: str
    api_key: str


async def start_engine(crew: Crew, cache: Path, work: EngineWork) -> Started:
    """Load weights and wait until they serve. Raises Misconfigured with the reason; nothing is left running then."""
    weights = await asyncio.to_thread(locate, work.weights, cache)
    api_key = secrets.token_hex(16)
    spec = {
        "weights": str(weights),
        "alias": work.alias,
        "kind": "embedding" if work.embedding else "chat",
        "parallel": work.parallel,
        "context": work.context_tokens,
        "threads": work.threads,
        "api_key": api_key,
    }
    child, word = await crew.start("parvis.adapters.engines.llama_child", first=spec)
    return Started(child, word["address"], api_key)
