"""Chat requests as clients really send them, and as they must not."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.chat import (
    EXTRAS,
    IMAGES_MAX,
    TOOLS_BYTES_MAX,
    extras,
    needs_vision,
    read_chat,
)
from parvis.wire.chat import given as given_of
from parvis.wire.chat_shapes import MESSAGES_MAX, TOOLS_MAX, ChatBody

USER = {"role": "user", "content": "hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"q":1}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": [USER], **fields})


def read(**fields: Any) -> ChatBody:
    return read_chat(body(**fields))


def sent_on(**fields: Any) -> dict[str, Any]:
    """What an engine would get."""
    forwarded: dict[str, Any] = msgspec.to_builtins(read(**fields))
    return forwarded


def refusal(raw: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        read_chat(raw)
    return refused.value


def told(raw: bytes) -> tuple[str, str | None]:
    failure = refusal(raw)
    assert len(str(failure)) < 1000
    assert str(failure).endswith(".")
    return failure.code, failure.param


# ----------------------------------------------------------------------------------------- what clients send

GOOD: dict[str, dict[str, Any]] = {
    "content null beside tool calls": {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        ]
    },
    "no content beside tool calls": {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]},
    "the developer role": {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
    "max_completion_tokens": {"max_completion_tokens": 16},
    "max_tokens": {"max_tokens": 16},
    "content in parts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    },
    "an image in the request itself": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "what?"}, IMAGE]}]
    },
    "a refusal as a part": {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]},
    "a named tool choice": {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
    },
    "a required tool choice": {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    "several choices": {"n": 3},
    "logprobs": {"logprobs": True, "top_logprobs": 5},
    "logprobs null": {"logprobs": None, "top_logprobs": None},
    "usage of a stream": {"stream": True, "stream_options": {"include_usage": True}},
    "one stop": {"stop": "\n"},
    "several stops": {"stop": ["a", "b", "c", "d"]},
    "sampling": {"temperature": 0, "top_p": 0.5, "seed": -1, "presence_penalty": -2, "frequency_penalty": 2},
    "a bias": {"logit_bias": {"50256": -100}},
    "a json schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        }
    },
    "json": {"response_format": {"type": "json_object"}},
    "engine extras": {"top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1, "ignore_eos": True, "min_tokens": 1},
}


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_what_clients_send_reaches_the_engine_unchanged(fields: dict[str, Any]) -> None:
    wanted = {"model": "m", "messages": [USER], **{k: v for k, v in fields.items() if v is not None}}
    assert without_null(sent_on(**fields)) == without_null(wanted)


def without_null(value: Any) -> Any:
    """A field that is null says the same as none."""
    if isinstance(value, dict):
        return {key: without_null(inner) for key, inner in value.items() if inner is not None}
    return [without_null(inner) for inner in value] if isinstance(value, list) else value


def test_what_sdks_echo_of_an_answer_is_taken_back() -> None:
    echoed = {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "annotations": [{"type": "url_citation"}],
        "audio": None,
        "function_call": None,
        "tool_calls": [{**CALL, "index": 0}],
        "reasoning_content": "because",
    }
    message = sent_on(messages=[USER, echoed])["messages"][1]
    assert message["reasoning_content"] == "because"
    assert "annotations" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metadata", {"a": "b"}),
        ("store", True),
        ("store", False),
        ("metadata", {}),
        ("user", ""),
        ("user", "u"),
        ("service_tier", "auto"),
        ("safety_identifier", "s"),
        ("prompt_cache_key", "k"),
        ("prompt_cache_retention", "24h"),
        ("prediction", {"type": "content", "content": "x"}),
        ("verbosity", "medium"),
        ("modalities", ["text"]),
    ],
)
def test_what_has_no_effect_is_taken_and_not_sent_on(name: str, value: object) -> None:
    assert sent_on(**{name: value}) == sent_on()


def test_without_tools_no_tool_choice_is_sent_on() -> None:
    assert sent_on(tools=[], tool_choice="auto") == sent_on(tool_choice="none") == sent_on()


def test_of_two_equal_names_the_engine_gets_the_one_that_was_read() -> None:
    twice = body(n=2)[:-1] + b',"n":3}'
    chat = read_chat(twice)
    assert chat.n == 3
    assert msgspec.json.encode(chat).count(b'"n":') == 1


def test_a_tool_call_is_sent_on_with_its_type() -> None:
    untyped = {name: value for name, value in CALL.items() if name != "type"}
    message = {"role": "assistant", "tool_calls": [untyped]}
    assert sent_on(messages=[message])["messages"][0]["tool_calls"] == [CALL]


def test_extras_are_known_by_name() -> None:
    assert given_of(read(top_k=5, ignore_eos=False), EXTRAS) == ("top_k", "ignore_eos")
    assert extras(read(top_k=5, ignore_eos=False)) == ("top_k", "ignore_eos")
    assert extras(read()) == ()


def test_an_image_needs_a_model_that_sees() -> None:
    assert needs_vision(read(messages=[{"role": "user", "content": [IMAGE]}]))
    assert not needs_vision(read())


def test_every_text_that_a_model_may_read_is_told() -> None:
    chat = read(
        messages=[
            {"role": "user", "content": "t1", "name": "t2"},
            {"role": "user", "content": [{"type": "text", "text": "t3"}, {"type": "refusal", "refusal": "t4"}]},
            {
                "role": "assistant",
                "refusal": "t5",
                "reasoning_content": "t6",
                "tool_calls": [{"id": "t7", "function": {"name": "f", "arguments": "t8"}}],
            },
            {"role": "tool", "tool_call_id": "t9", "content": ""},
        ],
        tools=[{"type": "function", "function": {"name": "f", "description": "t10", "parameters": {"t11": 1}}}],
    )
    texts = list(chat.texts())
    assert [n for n in range(1, 12) if not any(f"t{n}" in text for text in texts)] == []


# --------------------------------------------------------------------------------------- what is refused, by name

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no choices": ({"n": 0}, "invalid_value", "n"),
    "too many choices": ({"n": 9}, "invalid_value", "n"),
    "best_of": ({"best_of": 100}, "unknown_parameter", "best_of"),
    "no tokens": ({"max_tokens": 0}, "invalid_value", "max_tokens"),
    "endless tokens": ({"max_tokens": 2**31}, "invalid_value", "max_tokens"),
    "tokens in a float": ({"max_completion_tokens": 1.5}, "invalid_value", "max_completion_tokens"),
    "both token limits": ({"max_tokens": 1, "max_completion_tokens": 1}, "invalid_value", "max_tokens"),
    "too many logprobs": ({"logprobs": True, "top_logprobs": 21}, "invalid_value", "top_logprobs"),
    "top_logprobs alone": ({"top_logprobs": 1}, "invalid_value", "top_logprobs"),
    "a bias beyond 100": ({"logit_bias": {"1": 101}}, "invalid_value", "logit_bias[...]"),
    "a bias of many tokens": ({"logit_bias": dict.fromkeys(map(str, range(301)), 1)}, "invalid_value", "logit_bias"),
    "five stops": ({"stop": list("abcde")}, "invalid_value", "stop"),
    "an empty stop": ({"stop": ""}, "invalid_value", "stop"),
    "a long stop": ({"stop": ["a" * 257]}, "invalid_value", "stop[0]"),
    "too many tools": ({"tools": [TOOL] * (TOOLS_MAX + 1)}, "invalid_value", "tools"),
    "a tool twice": ({"tools": [TOOL, TOOL]}, "invalid_value", "tools"),
    "large tools": (
        {"tools": [{"type": "function", "function": {"name": "f", "description": "x" * TOOLS_BYTES_MAX}}]},
        "schema_too_large",
        "tools",
    ),
    "a choice of no tool": ({"tool_choice": "required"}, "invalid_value", "tool_choice"),
    "a choice of another tool": (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
        "invalid_value",
        "tool_choice",
    ),
    "a tool named with a line break": (
        {"tools": [{"type": "function", "function": {"name": "f\n"}}]},
        "invalid_value",
        "tools[0].function.name",
    ),
    "a format without its schema": (
        {"response_format": {"type": "json_schema"}},
        "missing_required_parameter",
        "response_format.json_schema.schema",
    ),
    "stream options without a stream": ({"stream_options": {}}, "invalid_value", "stream_options"),
    "chat_template": ({"chat_template": "{{x}}"}, "unknown_parameter", "chat_template"),
    "chat_template_kwargs": ({"chat_template_kwargs": {}}, "unknown_parameter", "chat_template_kwargs"),
    "guided_json": ({"guided_json": {}}, "unknown_parameter", "guided_json"),
    "guided_regex": ({"guided_regex": "(a*)*"}, "unknown_parameter", "guided_regex"),
    "cache_salt": ({"cache_salt": "x"}, "unknown_parameter", "cache_salt"),
    "priority": ({"priority": -1}, "unknown_parameter", "priority"),
    "a name that nobody knows": ({"warmth": 1}, "unknown_parameter", "warmth"),
    "an unknown name with a line break": ({"a\nb": 1}, "unknown_parameter", "a\nb"),
    "an unknown name within": ({"messages": [{**USER, "weight": 1}]}, "unknown_parameter", "messages[0].weight"),
    "functions": ({"functions": []}, "unsupported_parameter", "functions"),
    "function_call": ({"function_call": "auto"}, "unsupported_parameter", "function_call"),
    "audio": ({"audio": {"voice": "x"}}, "unsupported_parameter", "audio"),
    "a web search": ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
    "spoken answers": ({"modalities": ["text", "audio"]}, "unsupported_parameter", "modalities[1]"),
    "a temperature in words": ({"temperature": "hot"}, "invalid_value", "temperature"),
    "a temperature of 3": ({"temperature": 3}, "invalid_value", "temperature"),
    "a seed beyond 64 bits": ({"seed": 2**63}, "invalid_value", "seed"),
    "no messages": ({"messages": []}, "invalid_value", "messages"),
    "too many messages": ({"messages": [USER] * (MESSAGES_MAX + 1)}, "invalid_value", "messages"),
    "a role that nobody has": ({"messages": [{"role": "x" * 9999}]}, "invalid_value", "messages[0].role"),
    "no role": ({"messages": [{"content": "x"}]}, "missing_required_parameter", "messages[0].role"),
    "no content": ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
    "content null without tool calls": (
        {"messages": [USER, {"role": "assistant", "content": None}]},
        "missing_required_parameter",
        "messages[1].content",
    ),
    "a tool's answer to no call": (
        {"messages": [{"role": "tool", "content": "x"}]},
        "missing_required_parameter",
        "messages[0].tool_call_id",
    ),
    "a part of no known kind": (
        {"messages": [{"role": "user", "content": [{"type": "x" * 9999}]}]},
        "invalid_value",
        "messages[0].content[0].type",
    ),
    "too many images": (
        {"messages": [{"role": "user", "content": [IMAGE] * (IMAGES_MAX + 1)}]},
        "invalid_value",
        "messages",
    ),
}


@pytest.mark.parametrize(("fields", "code", "param"), REFUSED.values(), ids=REFUSED)
def test_what_could_hurt_is_refused_by_its_name(fields: dict[str, Any], code: str, param: str) -> None:
    assert told(body(**fields)) == (code, param)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x.png", "https://example.org", "file:///etc/passwd", "DATA:text/html,x", "data:text/html,x", ""],
)
def test_no_image_is_fetched_from_anywhere(url: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    assert told(body(messages=[{"role": "user", "content": [part]}])) == ("invalid_image_url", "messages[0]")


def inside(value: bytes) -> bytes:
    """The value as a part of a tool's schema, where any JSON may stand."""
    return body(tools=[TOOL]).replace(b'"object"', value)


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "half": body()[:-1],
    "more than one": body() + body(),
    "no UTF-8": body(user="?").replace(b"?", b"\xff"),
    "no UTF-8 in a schema": inside(b'"\xff"'),
    "a lone surrogate": body(user="?").replace(b"?", b"\\ud800"),
    "a lone surrogate in a schema": inside(b'"\\ud800"'),
    "a control character": body(user="?").replace(b"?", b"\x01"),
    "NaN": body(temperature=1).replace(b"1", b"NaN"),
    "Infinity": body(temperature=1).replace(b"1", b"Infinity"),
    "NaN in a schema": inside(b"NaN"),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_what_is_no_json_is_refused_as_such(raw: bytes) -> None:
    assert told(raw) == ("invalid_json", None)


@pytest.mark.parametrize(
    "raw",
    [inside(b'{"a":' * 20_000 + b"1" + b"}" * 20_000), inside(b"[" * 200_000)],
    ids=["a schema", "an unfinished list"],
)
def test_what_is_too_deep_is_refused_as_such(raw: bytes) -> None:
    assert told(raw) == ("too_deep", None)


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"x"', b"null", b"[" * 100_000])
def test_a_body_is_an_object(raw: bytes) -> None:
    failure = refusal(raw)
    assert (failure.code, failure.param) == ("invalid_value", None)
    assert str(failure).startswith("The body must be a JSON object.")


def test_a_number_beyond_floats_is_refused_at_its_place() -> None:
    assert told(body(temperature=1).replace(b"1", b"1e999")) == ("invalid_value", "temperature")


def test_a_missing_model_is_named() -> None:
    assert told(b'{"messages":[{"role":"user","content":"x"}]}') == ("missing_required_parameter", "model")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(sorted(ChatBody.__struct_fields__))


def never_breaks(act: Callable[[], object]) -> None:
    """Whatever comes in, it is taken or refused; nothing else is raised."""
    try:
        act()
    except BadRequest as refused:
        assert refused.code  # noqa: PT017 - both ends are right


@given(st.dictionaries(fields | st.text(), json_values, max_size=4))
def test_no_body_breaks_the_reader(strange: dict[str, Any]) -> None:
    never_breaks(lambda: read(**strange))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    never_breaks(lambda: read_chat(raw))
    never_breaks(lambda: read_chat(body()[:-1] + b"," + raw + b"}"))
