"""The `Engine` for every server that speaks OpenAI's protocol over HTTP: vLLM, SGLang, llama.cpp and others.

What differs between them stands in `domain.fleet.profile`; what has to be built for it stands beside this module.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from parvis.adapters.engines.assembly import Assembly
from parvis.adapters.engines.embeddings import EmbeddingAnswer
from parvis.adapters.engines.endings import Endings, may_differ
from parvis.adapters.engines.hearing import TranscriptAnswer, TranscriptStream
from parvis.adapters.engines.own_count import Count
from parvis.adapters.engines.probing import Prober
from parvis.adapters.engines.relay import Outlet, Passing, StreamRelay, answer_id
from parvis.adapters.engines.reranking import (
    RerankAnswer,
    VectorsAnswer,
    by_cosine,
    page_of,
    receiver_of,
)
from parvis.adapters.engines.shaping import engine_json
from parvis.adapters.engines.sound import HttpSoundMeter, sound_request, streams
from parvis.adapters.engines.speaking import SoundAnswer
from parvis.adapters.engines.stalls import Stalls
from parvis.adapters.engines.tokenizer import Tokenizer
from parvis.adapters.engines.tool_calls import ToolCalls
from parvis.adapters.engines.upstream import Unheard, UpstreamConnection, Upstreams
from parvis.adapters.engines.whole import WholeAnswer
from parvis.core.errors import EngineUnavailable
from parvis.domain.metering.records import Operation
from parvis.flows.ports import Answer, Job, Sink
from parvis.wire.chat_shapes import ChatBody

_PATHS = {
    Operation.CHAT: b"/v1/chat/completions",
    Operation.COMPLETION: b"/v1/completions",
    Operation.EMBEDDING: b"/v1/embeddings",
}
AnyAnswer = StreamRelay | WholeAnswer | EmbeddingAnswer | RerankAnswer | VectorsAnswer
SoundLike = SoundAnswer | TranscriptAnswer | TranscriptStream
_RERANK: Final = Operation.RERANK
_SPEECH: Final = Operation.SPEECH
_LISTENING: Final = (Operation.TRANSCRIPTION, Operation.TRANSLATION)


class HttpEngine:
    """The `Engine` port over HTTP/1.1 with keep-alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._upstreams = Upstreams(loop)
        self.tokenizer = Tokenizer(self._upstreams)
        self.prober = Prober(self._upstreams)
        self.stalls = Stalls(self._upstreams)
        self.meter = HttpSoundMeter(self._upstreams)

    async def start(self, job: Job, sink: Sink) -> Answer:
        """See `flows.ports.Engine`."""
        asked = job.request
        pool = self._upstreams.pool(job.replica)
        page = _PATHS.get(asked.operation)
        if page is None and asked.operation is not _RERANK:
            request = sound_request(pool, job)
        elif page := page or page_of(job):
            request = pool.request(page, job.replica.api_key, asked.request_id, engine_json(job))
        else:
            return await by_cosine(self._vectors, job, sink)
        connection = pool.idle()
        unheard: Unheard | None = None
        if connection is not None:
            try:
                return await self._ask(job, sink, connection, request)
            except Unheard as failure:
                # The engine may have closed it while it was idle, just as we used it: that is no news about it.
                if sink.left:
                    raise
                unheard = failure
        try:
            connection = await pool.connect()
        except EngineUnavailable as problem:
            if unheard is not None:  # it died of something just now, and this request may be it
                unheard.reason = problem.reason
                raise unheard from None
            raise problem  # noqa: TRY201 - mypyc loses what a bare `raise` means behind an await
        try:
            return await self._ask(job, sink, connection, request)
        except Unheard as failure:
            pool.hung_up(failure)
            raise

    async def _ask(self, job: Job, sink: Sink, connection: UpstreamConnection, request: bytes) -> Answer:
        answer = _receiver(job, sink, connection, self._count)
        connection.single_use = job.profile.closes_after_stream and isinstance(answer, StreamRelay)
        connection.send(answer, request)
        sink.attach(answer)
        await answer.first_event()
        return answer

    async def _vectors(self, job: Job, sink: Sink) -> VectorsAnswer:
        answer = await self.start(job, sink)
        assert isinstance(answer, VectorsAnswer)  # noqa: S101 - a job of `by_cosine`
        return answer

    async def _count(self, job: Job, text: str) -> int | None:
        return await self.tokenizer.count(job.replica, job.model.engine_model, text)

    def keep(self, replica_ids: Collection[str]) -> None:
        """Let go of what leads to other replicas."""
        self._upstreams.keep(replica_ids)

    async def renew(self) -> None:
        """Read the TLS files of all engines anew, for connections to come. Never raises: the log tells."""
        await self._upstreams.renew()

    def close(self) -> None:
        self._upstreams.close()


def _receiver(job: Job, sink: Sink, connection: UpstreamConnection, count: Count) -> AnyAnswer | SoundLike:
    request = job.request
    if request.operation is Operation.EMBEDDING:
        return EmbeddingAnswer(job, connection, count)
    if request.operation is _RERANK:
        return receiver_of(job, connection, count)
    if request.operation is _SPEECH:
        return SoundAnswer(job, connection)
    if request.operation in _LISTENING:
        return TranscriptStream(job, sink, connection) if streams(job) else TranscriptAnswer(job, sink, connection)
    if not request.stream and not job.profile.always_stream:
        return WholeAnswer(job, connection, count)
    return StreamRelay(job, sink, connection, _outlet(job), count)


def _outlet(job: Job) -> Outlet:
    request = job.request
    inner: Outlet
    if request.stream:
        inner = Passing(answer_id(job), job.model.id, usage_null=request.include_usage)
    else:
        inner = Assembly(answer_id(job), job.model.id, chat=request.operation is Operation.CHAT)
    body = request.body
    if job.profile.tools_by_schema and isinstance(body, ChatBody) and body.tools and body.tool_choice != "none":
        names = frozenset(tool.function.name for tool in body.tools)
        return ToolCalls(inner, names, request.request_id.removeprefix("req_"))
    return Endings(inner) if may_differ(job) else inner
