"""Requests to rerank, and the scores of engines, in all shapes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.core.tokens import TokenCount
from parvis.wire import ranked
from parvis.wire.rerank import BYTES_PER_TOKEN, DOCUMENTS_MAX, read_rerank_v1, read_rerank_v2

Json = dict[str, Any]
TEXTS = st.text(min_size=1, max_size=60, alphabet=st.characters(exclude_categories=["Cs"]))
USUAL: Json = {"model": "m", "query": "sea", "documents": ["one", {"text": "two"}]}


def encoded(**fields: Any) -> bytes:
    return json.dumps(USUAL | fields).encode()


def test_both_versions_are_read_by_one_reader() -> None:
    first, second = read_rerank_v1(encoded()), read_rerank_v2(encoded())
    for asked in (first, second):
        assert (asked.model, asked.query, asked.documents, asked.top_n) == ("m", "sea", ["one", "two"], None)
        assert list(asked.texts()) == ["sea", "one", "two"]
    assert (first.version, first.repeat) == (1, True)
    assert (second.version, second.repeat) == (2, False)
    assert not read_rerank_v1(encoded(return_documents=False)).repeat
    assert read_rerank_v2(encoded(return_documents=True)).repeat


def test_what_clients_send_beside_it_is_taken() -> None:
    read_rerank_v1(encoded(top_n=1, rank_fields=["text"], max_chunks_per_doc=1, user="u"))
    read_rerank_v2(encoded(top_n=9, max_tokens_per_doc=4096, priority=0))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["x"] * (DOCUMENTS_MAX + 1)}, "documents"),
        ({"documents": ["x", ""]}, "documents[1]"),
        ({"documents": [{"text": "x", "title": "y"}]}, "documents[0].title"),
        ({"documents": [7]}, "documents[0]"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": True}, "top_n"),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        ({"rank_fields": ["title"]}, "rank_fields[0]"),
        ({"stream": True}, "stream"),
    ],
)
def test_everything_else_is_refused_by_name(fields: Json, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_rerank_v1(encoded(**fields))
    assert refused.value.param == param


@given(TEXTS, st.integers(1, 20))
def test_a_document_is_cut_to_whole_characters(text: str, tokens: int) -> None:
    asked = read_rerank_v1(encoded(documents=[text], max_tokens_per_doc=tokens))
    [read] = asked.read
    assert asked.documents == [text]
    assert read
    assert text.startswith(read)
    assert len(read.encode()) <= tokens * BYTES_PER_TOKEN
    if len(text.encode()) <= tokens * BYTES_PER_TOKEN:
        assert read == text
    else:
        assert len((read + text[len(read)]).encode()) > tokens * BYTES_PER_TOKEN


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=9))
def test_the_bytes_to_read_bound_both_ways(query: str, documents: list[str]) -> None:
    asked = read_rerank_v1(encoded(query=query, documents=documents))
    sizes, query_bytes = [len(text.encode()) for text in documents], len(query.encode())
    assert asked.read_bytes == sum(sizes) + len(sizes) * query_bytes
    assert asked.read_bytes >= sum(len(text.encode()) for text in asked.texts())


SHAPES = {
    "vllm": {
        "id": "score-1",
        "results": [
            {"index": 1, "document": {"text": "two"}, "relevance_score": 0.9},
            {"index": 0, "document": {"text": "one"}, "relevance_score": 0.1},
        ],
        "usage": {"total_tokens": 9},
    },
    "llama.cpp": {
        "results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}],
        "usage": {"prompt_tokens": 9, "total_tokens": 9},
        "object": "list",
    },
    "sglang": [
        {"score": 0.9, "document": "two", "index": 1, "meta_info": {"prompt_tokens": 4, "id": "x"}},
        {"score": 0.1, "document": "one", "index": 0, "meta_info": {"prompt_tokens": 5, "id": "y"}},
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_scores_of_each_engine_are_read(shape: str) -> None:
    told = ranked.read_scores(json.dumps(SHAPES[shape]).encode())
    usage = ranked.read_usage(told)
    assert ranked.by_document(told, 2) == [0.1, 0.9]
    assert usage is not None
    assert usage.prompt_tokens == 9


def test_a_list_without_counts_has_none() -> None:
    told = ranked.read_scores(b'[{"index":0,"score":0.5}]')
    assert ranked.by_document(told, 1) == [0.5]
    assert ranked.read_usage(told) is None


@pytest.mark.parametrize(
    "results",
    [
        [{"index": 0, "relevance_score": 0.1}],
        [{"index": 0, "relevance_score": 0.1}, {"index": 0, "relevance_score": 0.2}],
        [{"index": 0, "relevance_score": 0.1}, {"index": 2, "relevance_score": 0.2}],
        [{"index": 0, "relevance_score": 0.1}, {"index": 1}],
        [{"index": place % 2, "relevance_score": 0.1} for place in range(3)],
    ],
)
def test_an_answer_that_does_not_score_each_once_is_none(results: list[Json]) -> None:
    told = ranked.read_scores(json.dumps({"results": results}).encode())
    assert ranked.by_document(told, 2) is None


def test_jina_and_cohere_find_what_they_read() -> None:
    asked = read_rerank_v2(encoded(return_documents=True, top_n=1))
    body = json.loads(
        ranked.answer_json(
            asked, [(1, 0.75)], request_id="rerank-1", model="m", method="embedding-cosine", tokens=TokenCount(7)
        )
    )
    assert body == {
        "id": "rerank-1",
        "object": "list",
        "model": "m",
        "method": "embedding-cosine",
        "results": [{"index": 1, "relevance_score": 0.75, "document": {"text": "two"}}],
        "meta": {"api_version": {"version": "2"}, "tokens": {"input_tokens": 7}},
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
