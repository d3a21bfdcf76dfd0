"""The body that an engine receives: what was read of the caller's, encoded anew, with our own settings."""

from typing import Any

import msgspec
from msgspec.structs import replace

from parvis.adapters.engines.grammar import schema_grammar
from parvis.adapters.engines.tool_prompt import call_schema, with_tools_in_prompt
from parvis.core.errors import BadRequest
from parvis.domain.fleet.profile import EngineProfile
from parvis.flows.ports import Job
from parvis.wire.chat_shapes import ChatBody, Message, ResponseFormat, StreamOptions, TextPart
from parvis.wire.completion import CompletionBody
from parvis.wire.embedding import EmbeddingBody
from parvis.wire.ranked import engine_json as rerank_json
from parvis.wire.rerank import Ranking

_ANY_OBJECT = {"type": "object"}
_WITHOUT_EFFECT = (("n", 1), ("tool_choice", "auto"))
"""What every engine does unasked."""
_encode = msgspec.json.Encoder().encode


def engine_json(job: Job) -> bytes:
    """A fresh body for this job; the request's own is left as it is, for another replica. Raises BadRequest."""
    body = job.request.body
    if isinstance(body, EmbeddingBody):
        return _salted(job, _encode(_embedding_body(job, body)))
    if isinstance(body, Ranking):
        return _salted(job, rerank_json(body, job.model.engine_model))
    assert isinstance(body, ChatBody | CompletionBody)  # noqa: S101 - the operations of this adapter
    profile = job.profile
    streamed = (job.request.stream or profile.always_stream) or None
    fresh = replace(
        body,
        model=job.model.engine_model,
        max_tokens=job.output_tokens_max,
        stream=streamed,
        stream_options=_options(profile) if streamed and not profile.running_timings else None,
    )
    if isinstance(fresh, ChatBody):
        fresh.max_completion_tokens = None
    if fresh.min_tokens is not None:  # an answer may have been shortened below it
        fresh.min_tokens = min(fresh.min_tokens, job.output_tokens_max)
    if profile.running_timings:
        return _for_llama_cpp(fresh, job)
    if profile.lacks:
        _refuse_what_it_lacks(fresh, job)
    if profile.stop_as_list and isinstance(fresh.stop, str):
        fresh.stop = [fresh.stop]
    if profile.format_as_value and isinstance(fresh, ChatBody) and fresh.response_format is not None:
        return _salted(job, _with_format_as_value(fresh))
    if profile.tools_by_schema and isinstance(fresh, ChatBody):
        return _salted(job, _with_tools_by_schema(fresh))
    return _salted(job, _encode(fresh))


def _salted(job: Job, encoded: bytes) -> bytes:
    """With what keeps the tenant's prompts apart. A caller cannot say it: the protocol has no such field."""
    if not (job.profile.salt and job.cache_salt):
        return encoded
    return b'%b,"%b":"%b"}' % (encoded[:-1], job.profile.salt.encode(), job.cache_salt.encode())


def _with_format_as_value(body: ChatBody) -> bytes:
    """TGI's spelling: `{"type": ..., "value": ...}`, and nothing at all for text."""
    wanted, body.response_format = body.response_format, None
    if wanted is None or wanted.type == "text":
        return _encode(body)
    value = _ANY_OBJECT if wanted.type == "json_object" else {"name": "answer", "schema": _schema_of(wanted)}
    return b'%b,"response_format":%b}' % (_encode(body)[:-1], _encode({"type": wanted.type, "value": value}))


def _with_tools_by_schema(body: ChatBody) -> bytes:
    """Tools in words, and a call that is demanded as what the answer must look like."""
    schema = _wanted_schema(body)
    encoded = _encode(in_words(body))
    if schema is None:
        return encoded
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return b'%b,"response_format":%b}' % (encoded[:-1], _encode(wanted))


def _refuse_what_it_lacks(body: ChatBody | CompletionBody, job: Job) -> None:
    """Raises BadRequest for a parameter that this kind of engine would pass over in silence."""
    profile = job.profile
    if isinstance(body, ChatBody) and "tool_choice" in profile.lacks and body.tool_choice == "none":
        body.tools = body.tool_choice = None
    chat = isinstance(body, ChatBody)
    for name in profile.lacks if chat else profile.lacks | profile.lacks_in_completions:
        value = getattr(body, name, None)
        if value is not None and (name, value) not in _WITHOUT_EFFECT:
            raise BadRequest(
                f"'{name}' is not supported by the engine of '{job.model.id}'. Remove it.",
                code="unsupported_parameter",
                param=name,
            )


def _options(profile: EngineProfile) -> StreamOptions:
    return StreamOptions(include_usage=True, continuous_usage_stats=True if profile.running_usage else None)


def _for_llama_cpp(body: ChatBody | CompletionBody, job: Job) -> bytes:
    """Counts in every event, roles and content that templates know, and schemas as grammars that hold."""
    additions: dict[str, object] = {"timings_per_token": True}
    if not job.cache:
        additions[job.profile.cache_switch] = False
    if isinstance(body, ChatBody):
        body.messages = plain_messages(body.messages)
        schema = _wanted_schema(body)
        if body.tools:
            with_tools_in_prompt(body)
        if schema is not None:
            additions["grammar"] = schema_grammar(schema)
        if body.logprobs:
            body.top_logprobs = body.top_logprobs or 1  # it takes 0 for none at all, and nothing for about twenty
    elif body.logprobs is not None:
        raise BadRequest(
            "'logprobs' is not supported here by the engine of this model. Use chat completions.",
            code="unsupported_parameter",
            param="logprobs",
        )
    return msgspec.json.encode(body)[:-1] + b"," + msgspec.json.encode(additions)[1:]


def _wanted_schema(body: ChatBody) -> dict[str, Any] | None:
    """What the answer must look like: a forced call, else the caller's format, which is taken out of the body."""
    wanted, body.response_format = body.response_format, None
    forced = call_schema(body.tools or [], body.tool_choice)
    if forced is not None:
        return forced
    if wanted is None or wanted.type == "text":
        return None
    return _schema_of(wanted)


def _schema_of(wanted: ResponseFormat) -> dict[str, Any]:
    schema = wanted.json_schema.schema if wanted.json_schema else None
    return _ANY_OBJECT if schema is None else schema


def _embedding_body(job: Job, body: EmbeddingBody) -> EmbeddingBody:
    if body.dimensions is not None and body.dimensions != job.model.dimensions:
        length = job.model.dimensions or "a fixed number of"
        raise BadRequest(
            f"'dimensions' cannot be chosen for '{job.model.id}': its embeddings have {length} numbers. Remove it.",
            code="unsupported_parameter",
            param="dimensions",
        )
    return replace(body, model=job.model.engine_model, dimensions=None, encoding_format="float")


def in_words(chat: ChatBody) -> ChatBody:
    """A copy with tools, calls and results in words, for engines whose template ignores them."""
    fresh = replace(chat, messages=plain_messages(chat.messages))
    if fresh.tools:
        with_tools_in_prompt(fresh)
    return fresh


def plain_messages(messages: list[Message]) -> list[Message]:
    """What the templates of small models know."""
    return [_plain(message) for message in messages]


def _plain(message: Message) -> Message:
    """What the templates of small models know: a role of theirs, and text."""
    role = "system" if message.role == "developer" else message.role
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text for part in content if isinstance(part, TextPart))
    return Message(role, content, message.name, message.tool_calls, message.tool_call_id)
