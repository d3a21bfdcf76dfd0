"""`/v1/rerank` and `/v2/rerank` at a real gateway: both clients' shapes, who may, and what it costs."""

from typing import Any

import httpx
import pytest

from parvis.testing.service import wait_until

CHAT, EMBED, OTHER = "smollm2-135m-instruct", "all-minilm-l6-v2", "other-8b"
DOCUMENTS: list[Any] = ["An invoice is due.", {"text": "The cat sleeps."}, "Engines want oil."]
ASKED = {"model": EMBED, "query": "The cat sleeps.", "documents": DOCUMENTS}
Json = dict[str, Any]


def ask(
    house: Any, path: str = "/v1/rerank", headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    sent = {"authorization": f"Bearer {house.key}"} | (headers or {})
    address = f"http://127.0.0.1:{house.port}{path}"
    return httpx.post(address, json=ASKED | fields, headers=sent, trust_env=False, timeout=30)


def row_of(house: Any, answer: httpx.Response) -> Json:
    """What was booked of it."""
    number = answer.headers["x-request-id"]
    rows: list[Json] = [row for row in house.service.usage_rows(of=[number]) if row["id"] == number]
    [row] = rows
    return row


def test_jina_and_cohere_get_what_they_read(house: Any) -> None:
    first = ask(house).json()
    assert [first["results"][0][name] for name in ("index", "document")] == [1, {"text": "The cat sleeps."}]
    assert first["results"][0]["relevance_score"] == pytest.approx(1)
    assert (first["model"], first["method"]) == (EMBED, "embedding-cosine")
    assert first["usage"]["total_tokens"] > 0
    second = ask(house, "/v2/rerank", top_n=2, max_tokens_per_doc=4096).json()
    assert [result.keys() for result in second["results"]] == [{"index", "relevance_score"}] * 2
    assert second["id"].startswith("rerank-")
    assert second["meta"]["api_version"] == {"version": "2"}


def test_documents_are_billed_by_the_document(house: Any) -> None:
    answer = ask(house)
    assert answer.headers["x-parvis-cost"] == "0.000012 EUR"
    row = row_of(house, answer)
    assert (row["operation"], row["billed"]["pico_euro"]) == ("rerank", 12_000_000)
    assert sum(row["tokens"].values()) == 0
    assert house.service.check() == []


def test_where_documents_have_no_price_their_tokens_are_billed(house: Any) -> None:
    prices = ("--input", "2", "--output", "4", "--reasoning", "8")
    added = house.service.command("price", "add", "--model", CHAT, *prices)
    assert added.returncode == 0, added.stderr
    house.service.allow(CHAT, "embeddings")
    try:
        wait_until(lambda: ask(house, model=CHAT).headers["x-parvis-cost"] != "0.000012 EUR", "the prices are known")
        answer = ask(house, model=CHAT)
        tokens = answer.json()["usage"]["total_tokens"]
        row = row_of(house, answer)
        assert row["tokens"]["input"] == tokens > 0
        assert row["billed"]["pico_euro"] == tokens * 2_000_000
        assert house.service.check() == []
    finally:
        house.service.allow(CHAT, "chat", "tools")


def test_a_model_that_is_made_for_it_scores_itself(house: Any) -> None:
    house.service.allow(OTHER, "rerank")
    try:
        answer = ask(house, model=OTHER).json()
        assert answer["method"] == "reranker"
        assert answer["results"][0]["relevance_score"] == 1
        cards = httpx.get(
            f"{house.service.base_url}/models", headers={"authorization": f"Bearer {house.key}"}, trust_env=False
        ).json()["data"]
        assert {card["id"]: card["rerank"] for card in cards} == {
            CHAT: None,
            EMBED: "embedding-cosine",
            OTHER: "reranker",
        }
    finally:
        house.service.allow(OTHER, "chat")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": CHAT}, 400, "unsupported_parameter"),
        ({"model": "nothing"}, 404, "model_not_found"),
        ({"documents": []}, 400, "invalid_value"),
        ({"documents": ["x"] * 1001}, 400, "invalid_value"),
        ({"nonsense": 1}, 400, "unknown_parameter"),
        ({"query": "@status=400 context too long"}, 400, "refused_by_engine"),
    ],
)
def test_what_cannot_be_ranked_is_refused(house: Any, fields: Json, status: int, code: str) -> None:
    answer = ask(house, **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_sent_again_it_is_ranked_once(house: Any) -> None:
    first, again = (ask(house, headers={"idempotency-key": "rank-once"}) for _ in range(2))
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
