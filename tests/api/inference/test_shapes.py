"""The protocol's letter: bodies, headers and events as they stand on the wire."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from parvis.testing.raw_http import Json, Response, request, responses, said

CHAT, EMBED, OTHER = "smollm2-135m-instruct", "all-minilm-l6-v2", "other-8b"
CHAT_PATH = "/v1/chat/completions"
HELLO = {"model": CHAT, "messages": [{"role": "user", "content": "Hello."}]}
ALWAYS = {"x-request-id", "openai-processing-ms", "openai-version"}
ID = r"[0-9A-Za-z]{26}"


@pytest.fixture(scope="module")
def http(house: Any) -> Iterator[httpx.Client]:
    root = house.service.base_url.removesuffix("/v1")
    headers = {"authorization": f"Bearer {house.key}"}
    with httpx.Client(base_url=root, headers=headers, timeout=30, trust_env=False) as client:
        yield client


def read(answer: httpx.Response) -> Response:
    return Response(answer.status_code, dict(answer.headers), answer.content)


def masked(answer: httpx.Response) -> str:
    """A body with what differs from run to run told apart: ids and the time."""
    text = re.sub(rf"(chatcmpl|cmpl)-{ID}", r"\1-ID", answer.text)
    return re.sub(r'"created":\d{10}', '"created":NOW', text)


# ----------------------------------------------------------------------------------------------- golden bodies


def test_a_whole_chat(http: httpx.Client) -> None:
    answer = http.post(CHAT_PATH, json=HELLO | {"max_tokens": 3})
    assert masked(answer) == (
        f'{{"id":"chatcmpl-ID","object":"chat.completion","created":NOW,"model":"{CHAT}","choices":[{{"index":0,'
        '"message":{"role":"assistant","content":" w39 w15 w54"},"logprobs":null,"finish_reason":"length",'
        '"stop_reason":null}],"usage":{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7,'
        '"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":0}}}'
    )
    assert answer.headers["content-type"] == "application/json"


def test_a_streamed_chat(http: httpx.Client) -> None:
    fields = {"max_tokens": 2, "stream": True, "stream_options": {"include_usage": True}}
    answer = http.post(CHAT_PATH, json=HELLO | fields)
    head = f'"id":"chatcmpl-ID","object":"chat.completion.chunk","created":NOW,"model":"{CHAT}"'

    def event(delta: str, finish: str) -> str:
        choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
        return f'data: {{"usage":null,{head},"choices":[{choice}]}}\n\n'

    assert masked(answer) == (
        event('{"role":"assistant","content":""}', "null")
        + event('{"content":" w39"}', "null")
        + event('{"content":" w15"}', '"length","stop_reason":null')
        + f'data: {{{head},"choices":[],"usage":{{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6,'
        '"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":0}}}\n\n'
        "data: [DONE]\n\n"
    )
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


def test_usage_that_was_not_asked_for_is_taken_out(http: httpx.Client, house: Any) -> None:
    house.engine.reset()
    answer = http.post(CHAT_PATH, json=HELLO | {"stream": True})
    assert '"usage"' not in answer.text
    [record] = house.engine.ended(count=1)
    assert record.body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_a_stream_that_breaks_ends_with_an_error_and_without_done(http: httpx.Client) -> None:
    broken = {"model": CHAT, "messages": [{"role": "user", "content": "@tokens=9 @cut_after=4 Hello."}]}
    answer = http.post(CHAT_PATH, json=broken | {"stream": True})
    *events, last, rest = answer.text.split("\n\n")
    assert rest == ""
    assert all('"error"' not in event for event in events)
    error = Response(200, {}, last.removeprefix("data: ").encode()).error
    assert (error["type"], error["code"]) == ("server_error", "engine_error")
    assert "[DONE]" not in answer.text


def test_the_list_of_models(http: httpx.Client) -> None:
    page = http.get("/v1/models").json()
    assert page["object"] == "list"
    assert [card["id"] for card in page["data"]] == [EMBED, OTHER, CHAT]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, EMBED, CHAT)
    for card in page["data"]:
        assert card.keys() >= {"id", "object", "created", "owned_by"}
        assert card == http.get(f"/v1/models/{card['id']}").json()
    assert "fake-8b" not in json.dumps(page)


# -------------------------------------------------------------------------------------------------- headers

ERRORS: dict[str, tuple[tuple[str, str], Json | bytes | None, int, str, str]] = {
    "an unknown route": (("GET", "/v1/nothing"), None, 404, "invalid_request_error", "unknown_route"),
    "the root": (("GET", "/"), None, 404, "invalid_request_error", "unknown_route"),
    "an unknown model": (("GET", "/v1/models/nobody"), None, 404, "invalid_request_error", "model_not_found"),
    "a wrong verb": (("GET", CHAT_PATH), None, 405, "invalid_request_error", "method_not_allowed"),
    "a verb of nobody's": (("DELETE", "/v1/models"), None, 405, "invalid_request_error", "method_not_allowed"),
    "no JSON": (("POST", CHAT_PATH), b"{", 400, "invalid_request_error", "invalid_json"),
    "no body": (("POST", CHAT_PATH), b"", 400, "invalid_request_error", "invalid_json"),
    "no object": (("POST", CHAT_PATH), b"[]", 400, "invalid_request_error", "invalid_value"),
    "no model": (
        ("POST", CHAT_PATH),
        {"messages": HELLO["messages"]},
        400,
        "invalid_request_error",
        "missing_required_parameter",
    ),
    "a bad value": (("POST", CHAT_PATH), HELLO | {"n": 0}, 400, "invalid_request_error", "invalid_value"),
    "a body too large": (("POST", CHAT_PATH), b" " * (5 << 20), 413, "invalid_request_error", "request_too_large"),
    "an engine's no": (
        ("POST", CHAT_PATH),
        {"model": CHAT, "messages": [{"role": "user", "content": "@status=422"}]},
        400,
        "invalid_request_error",
        "refused_by_engine",
    ),
    "an engine's failure": (
        ("POST", CHAT_PATH),
        {"model": CHAT, "messages": [{"role": "user", "content": "@status=500"}]},
        500,
        "server_error",
        "engine_error",
    ),
    "no engine": (
        ("POST", CHAT_PATH),
        {"model": CHAT, "messages": [{"role": "user", "content": "@status=503"}]},
        503,
        "service_unavailable_error",
        "engine_unavailable",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_the_protocols_shape(http: httpx.Client, name: str) -> None:
    (method, path), body, status, kind, code = ERRORS[name]
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    answer = read(http.request(method, path, content=content))
    assert answer.status == status
    assert (answer.error["type"], answer.error["code"]) == (kind, code)
    assert answer.error["message"].endswith((".", "]"))
    assert answer.headers.keys() >= ALWAYS
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers.get("retry-after", 0)) <= 60


@pytest.mark.parametrize(
    "credential", ["", "Bearer", "Bearer wrong", "Basic YTpi", "Bearer sk-parvis_a_b_c", "bearer é"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("GET", "/v1/models/x"), ("POST", CHAT_PATH)])
def test_a_credential_that_is_none(house: Any, credential: str, method: str, path: str) -> None:
    headers = (f"Authorization: {credential}",) if credential else ()
    body = json.dumps(HELLO).encode() if method == "POST" else b""
    [answer] = responses(said(house.port, request(method, path, *headers, "Connection: close", body=body)))
    assert answer.status == 401
    assert (answer.error["type"], answer.error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_is_not_tried_again(http: httpx.Client, house: Any) -> None:
    made = house.service.operator.post("/v1/keys", json={"name": "short-lived"}).json()
    revoked = {"authorization": f"Bearer {made['key']}"}
    assert http.get("/v1/models", headers=revoked).status_code == 200
    house.service.operator.delete(f"/v1/keys/{made['id']}").raise_for_status()
    answer = http.get("/v1/models", headers=revoked)
    assert answer.status_code == 401
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [False, True])
def test_good_answers_have_the_headers_too(http: httpx.Client, *, stream: bool) -> None:
    answer = http.post(CHAT_PATH, json=HELLO | {"stream": stream})
    assert answer.headers.keys() >= ALWAYS
    assert re.fullmatch(rf"req_{ID}", answer.headers["x-request-id"])
    assert answer.headers["openai-version"] == "2020-10-01"
    assert int(answer.headers["openai-processing-ms"]) >= 0
    assert answer.headers["x-request-id"].removeprefix("req_") in answer.text


def test_a_wrong_verb_is_told_the_right_ones(http: httpx.Client) -> None:
    assert http.get(CHAT_PATH).headers["allow"] == "POST, OPTIONS"
    assert http.post("/v1/models").headers["allow"] == "GET, HEAD, OPTIONS"


def test_head_is_get_without_a_body(house: Any) -> None:
    key = house.key
    data = said(
        house.port,
        request("HEAD", "/v1/models", key=key),
        request("HEAD", "/v1/nothing", key=key),
        request("HEAD", "/v1/models", "Connection: close"),
    )
    answers = responses(data, "HEAD", "HEAD", "HEAD")
    assert [answer.status for answer in answers] == [200, 404, 401]
    assert all(int(answer.headers["content-length"]) > 0 for answer in answers)
    assert not data.endswith(b"}")


@pytest.mark.parametrize("path", ["/v1/models/", f"/v1/models/{CHAT}/", f"/v1/models/{CHAT.replace('-', '%2D')}"])
def test_a_trailing_slash_does_not_matter(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 200


def test_a_trailing_slash_does_not_matter_for_post(http: httpx.Client) -> None:
    assert http.post(CHAT_PATH + "/", json=HELLO).status_code == 200
    assert http.post(CHAT_PATH + "?api-version=1", json=HELLO).status_code == 200


# ----------------------------------------------------------------------------------------------------- CORS


@pytest.mark.parametrize("path", [CHAT_PATH, "/v1/models", "/v1/models/x", "/v1/embeddings", "/v1/completions"])
def test_a_browser_may_ask_first(http: httpx.Client, path: str) -> None:
    """Without a credential: browsers send none with this question."""
    headers = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    answer = httpx.options(str(http.base_url) + path, headers=headers, trust_env=False)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert {"authorization", "content-type", "*"} <= set(answer.headers["access-control-allow-headers"].split(", "))
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers.keys() >= ALWAYS


@pytest.mark.parametrize(("path", "status"), [(CHAT_PATH, 405), ("/v1/models", 200), ("/v1/nothing", 404)])
def test_a_browser_may_read_the_headers(http: httpx.Client, path: str, status: int) -> None:
    answer = http.get(path, headers={"origin": "https://app.example"})
    assert answer.status_code == status
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    assert exposed >= ALWAYS | {"retry-after", "x-should-retry"}
    assert exposed >= {f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")}
    assert exposed >= {f"x-ratelimit-{what}-tokens" for what in ("limit", "remaining", "reset")}


def test_who_is_no_browser_is_spared_them(http: httpx.Client) -> None:
    assert not any(name.startswith("access-control") for name in http.get("/v1/models").headers)
