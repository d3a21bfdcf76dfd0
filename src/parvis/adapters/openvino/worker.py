"""What runs inside the process: the pipeline is loaded, one answer is computed, and only then is anybody let in."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openvino_genai
import uvicorn

from parvis.adapters.openvino.asked import Asked
from parvis.adapters.openvino.batch import Batch
from parvis.adapters.openvino.door import Door
from parvis.adapters.openvino.prompts import Prompts
from parvis.adapters.openvino.spec import Spec
from parvis.adapters.openvino.weights import prepare
from parvis.core.engine_process import NotReady

BATCH_TOKENS = 256
"""Of one step: so long a piece of a new prompt, beside a token of each answer under way."""
CACHE_GB = 1
IDLE_S_MAX = 600
"""Of a connection that nothing is asked on: the gateway keeps its own for later."""
LAST_WORDS_S = 0.2
"""For answers that tell of the failure, before the process ends."""
_log = logging.getLogger("parvis.openvino")


async def serve(spec: Spec, ready: Callable[[str], None]) -> None:
    """Run until the pipeline is beyond help; `ready` is told the address. Raises NotReady."""
    pipeline, prompts = _load(spec)
    batch = Batch(pipeline, prompts, seats=spec.parallel)
    stepping = asyncio.create_task(batch.run())
    await _warm_up(batch, prompts)
    server = _Server(_options(Door(batch, prompts, model=spec.alias, api_key=spec.api_key)))
    listening = socket.create_server(("127.0.0.1", spec.port))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    ready(f"http://127.0.0.1:{listening.getsockname()[1]}")
    await asyncio.wait({stepping, serving}, return_when=asyncio.FIRST_COMPLETED)
    _log.error("the process ends: only a new one can go on")
    await asyncio.sleep(LAST_WORDS_S)


class _Server(uvicorn.Server):
    """Signals do what they always do: SIGTERM ends the process at once. The parent drains first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _options(door: Door) -> uvicorn.Config:
    return uvicorn.Config(
        door,
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE_S_MAX,
    )


def _scheduler(spec: Spec) -> Any:
    """OpenVINO's settings of the batch, as they were measured to be fast on small machines."""
    settings = openvino_genai.SchedulerConfig()
    settings.cache_size = CACHE_GB
    settings.max_num_seqs = spec.parallel
    settings.max_num_batched_tokens = BATCH_TOKENS
    settings.dynamic_split_fuse = settings.enable_prefix_caching = True
    return settings


def _load(spec: Spec) -> tuple[Any, Prompts]:
    folder = prepare(Path(spec.weights), Path(spec.cache))
    try:
        tokenizer = openvino_genai.Tokenizer(folder)
        pipeline = openvino_genai.ContinuousBatchingPipeline(
            folder, tokenizer, _scheduler(spec), "CPU", INFERENCE_NUM_THREADS=spec.threads
        )
    except RuntimeError as error:
        raise NotReady(
            f"The weights {spec.weights} cannot be loaded: check that the file is whole and fits the memory."
        ) from error
    return pipeline, Prompts(tokenizer, spec.context)


async def _warm_up(batch: Batch, prompts: Prompts) -> None:
    """The first request takes seconds: it is ours."""
    request = batch.begin([prompts.of_chat([{"role": "user", "content": "Hello"}])], Asked(max_tokens=2))
    while not (await request.read()).finish:
        pass
