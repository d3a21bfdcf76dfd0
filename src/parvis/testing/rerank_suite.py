"""What every engine promises that ranks documents: by the embeddings of its model, or by a model made for it."""

# ruff: noqa: D103, PLR2004 - a promise's name is its sentence, and a number in it is the expectation

from dataclasses import replace

import msgspec
import pytest

from parvis.adapters.engines.reranking import TEXTS_AT_ONCE
from parvis.core.errors import BadRequest, EngineUnavailable
from parvis.domain.catalog.model import Capability
from parvis.domain.metering.records import Outcome
from parvis.flows.ports import Engine, Flow, Job
from parvis.testing.engine_bench import Bench, Client, ask, elsewhere
from parvis.testing.engine_suite import NOWHERE, Promise

SAYING = "The cat sleeps on the sofa."
DOCUMENTS = ["An invoice is due in thirty days.", SAYING, "Engines want oil."]
MANY = [f"Document number {number} of a long list." for number in range(2 * TEXTS_AT_ONCE + 5)]


class Leaving(Client):
    """Who leaves before the second question of several."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = 0

    def attach(self, flow: Flow) -> None:
        self.questions += 1
        if self.questions == 2:
            self.left = True
            flow.cancel()


def with_a_reranker(job: Job) -> Job:
    """The same of a model that is made for it."""
    return msgspec.structs.replace(job, model=replace(job.model, capabilities=(Capability.RERANK,)))


async def the_same_text_comes_first(engine: Engine, bench: Bench) -> None:
    job = bench.ranking(SAYING, DOCUMENTS)
    heard = await ask(engine, job)
    body, tokens = heard.body, heard.delivery.tokens
    assert (body["object"], body["model"], body["method"]) == ("list", bench.model.id, "embedding-cosine")
    assert body["id"] == "rerank-" + job.request.request_id.removeprefix("req_")
    first, *others = body["results"]
    assert (first["index"], first["document"]) == (1, {"text": SAYING})
    assert first["relevance_score"] == pytest.approx(1, abs=1e-2)
    assert {other["index"] for other in others} == {0, 2}
    assert all(-1 <= other["relevance_score"] < 0.9 for other in others)
    assert body["usage"] == {"prompt_tokens": tokens.prompt_total, "total_tokens": tokens.prompt_total}
    assert tokens.prompt_total > 0
    assert heard.data == b""


async def many_documents_are_asked_in_several_questions(engine: Engine, bench: Bench) -> None:
    whole = (await ask(engine, bench.ranking("number 77", MANY))).body["results"]
    assert [one["relevance_score"] for one in whole] == sorted((one["relevance_score"] for one in whole), reverse=True)
    assert sorted(one["index"] for one in whole) == list(range(len(MANY)))
    best = (await ask(engine, bench.ranking("number 77", MANY, top_n=3, return_documents=False))).body["results"]
    assert [one.keys() for one in best] == [{"index", "relevance_score"}] * 3
    assert [one["relevance_score"] for one in best] == pytest.approx(
        [one["relevance_score"] for one in whole[:3]], abs=2e-2
    )


async def who_leaves_is_asked_nothing_more_for(engine: Engine, bench: Bench) -> None:
    client = Leaving()
    heard = await client.listen(engine, bench.ranking("number 77", MANY))
    assert client.questions == 2
    assert heard.delivery.outcome is Outcome.CLIENT_LEFT
    assert heard.delivery.body == b""
    assert heard.delivery.tokens.total == 0
    await bench.free()


async def a_ranker_that_is_not_there_is_unavailable(engine: Engine, bench: Bench) -> None:
    for job in (bench.ranking(SAYING, DOCUMENTS), with_a_reranker(bench.ranking(SAYING, DOCUMENTS))):
        if bench.model.capabilities == job.model.capabilities or job.profile.rerank:
            with pytest.raises(EngineUnavailable):
                await ask(engine, elsewhere(job, NOWHERE))


async def a_reranker_gives_the_scores(engine: Engine, bench: Bench) -> None:
    job = with_a_reranker(bench.ranking("the cat oil is", DOCUMENTS))
    heard = await ask(engine, job)
    assert heard.body["method"] == "reranker"
    assert [one["index"] for one in heard.body["results"]] == [1, 0, 2]
    assert [one["relevance_score"] for one in heard.body["results"]] == [0.5, 0.25, 0.0]
    assert heard.body["usage"]["total_tokens"] == heard.delivery.tokens.prompt_total > 0
    assert not heard.delivery.estimated


async def a_false_count_of_a_reranker_is_not_believed(engine: Engine, bench: Bench) -> None:
    for lie in ("@wrong_prompt=900000", "@negative_usage", "@text_usage"):
        heard = await ask(engine, with_a_reranker(bench.ranking(f"{lie} oil", DOCUMENTS)))
        assert heard.delivery.quarantined
        assert heard.delivery.estimated
        assert 0 < heard.delivery.tokens.prompt_total < 900


async def who_has_no_page_says_so(engine: Engine, bench: Bench) -> None:
    with pytest.raises(BadRequest) as refused:
        await ask(engine, with_a_reranker(bench.ranking(SAYING, DOCUMENTS)))
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "model")


COSINE_PROMISES: tuple[Promise, ...] = (
    the_same_text_comes_first,
    many_documents_are_asked_in_several_questions,
    who_leaves_is_asked_nothing_more_for,
    a_ranker_that_is_not_there_is_unavailable,
)
RERANKER_PROMISES: tuple[Promise, ...] = (a_reranker_gives_the_scores, a_false_count_of_a_reranker_is_not_believed)
"""Of the fake engine, which scores a document by the part of the query's words that it has."""
