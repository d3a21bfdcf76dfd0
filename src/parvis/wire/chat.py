"""`POST /v1/chat/completions`: reading a request, strictly.

What an engine receives is encoded anew from what was read here, so both read the same.
"""

import re
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from parvis.core.errors import BadRequest
from parvis.wire.chat_shapes import ChatBody, ImagePart, Message, NamedTool, ResponseFormat
from parvis.wire.schemas import bound_schema
from parvis.wire.validation import decode

TOOLS_BYTES_MAX = 262_144
TOOLS_PARTS_MAX = 10_000
"""Of all schemas of a request's tools together."""
ANNOTATIONS_BYTES_MAX = 65_536
"""Of all messages together: echoed by clients, and without effect."""
IMAGES_MAX = 32
EXTRAS = ("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "reasoning_effort")
_WITHOUT_EFFECT = (
    "metadata",
    "store",
    "user",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
    "verbosity",
    "modalities",
)
_without_effect = attrgetter(*_WITHOUT_EFFECT)
_NONE_GIVEN = (None,) * len(_WITHOUT_EFFECT)
_extras = attrgetter(*EXTRAS)
_NO_EXTRAS = (None,) * len(EXTRAS)
_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,")
_decoder = msgspec.json.Decoder(ChatBody)


def read_chat(body: bytes) -> ChatBody:
    """Decode and check what types alone cannot. Raises BadRequest."""
    chat = decode(_decoder, body)
    _check_messages(chat.messages)
    if chat.tools is not None or chat.tool_choice is not None:
        _check_tools(chat)
    if chat.response_format is not None:
        _check_format(chat.response_format)
    if chat.top_logprobs is not None and not chat.logprobs:
        raise BadRequest("'top_logprobs' needs 'logprobs': true.", param="top_logprobs")
    if chat.stream_options is not None:
        chat.stream_options.check(stream=chat.stream)
    if chat.max_tokens is not None and chat.max_completion_tokens is not None:
        raise BadRequest("Set 'max_completion_tokens' or 'max_tokens', not both.", param="max_tokens")
    if _without_effect(chat) != _NONE_GIVEN:
        for name in _WITHOUT_EFFECT:
            setattr(chat, name, None)
    return chat


def needs_vision(chat: ChatBody) -> bool:
    """Whether a message holds an image."""
    for message in chat.messages:
        content = message.content
        if isinstance(content, list) and any(isinstance(part, ImagePart) for part in content):
            return True
    return False


def extras(chat: ChatBody) -> tuple[str, ...]:
    """Which parameters beyond OpenAI's were given."""
    values = _extras(chat)
    return () if values == _NO_EXTRAS else given(chat, EXTRAS)


def given(body: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Which of these parameters were given."""
    return tuple([name for name in names if getattr(body, name) is not None])


def _check_messages(messages: list[Message]) -> None:
    images = annotations_bytes = 0
    for place, message in enumerate(messages):
        images += _check_message(message, place)
        if message.annotations is not UNSET:
            annotations_bytes += len(message.annotations)
            message.annotations = UNSET
    if images > IMAGES_MAX:
        raise BadRequest(f"'messages' holds {images} images; at most {IMAGES_MAX} are taken.", param="messages")
    if annotations_bytes > ANNOTATIONS_BYTES_MAX:
        raise BadRequest(
            f"All 'annotations' together are over {ANNOTATIONS_BYTES_MAX} bytes. Remove them; they have no effect.",
            param="messages",
        )


def _check_message(message: Message, place: int) -> int:
    """How many images it has."""
    if message.role == "tool" and message.tool_call_id is None:
        raise _missing(f"messages[{place}].tool_call_id")
    if message.content is None and not (message.role == "assistant" and (message.tool_calls or message.refusal)):
        raise _missing(f"messages[{place}].content", " Only an assistant message with tool calls may lack it.")
    if not isinstance(message.content, list):
        return 0
    images = [part.image_url.url for part in message.content if isinstance(part, ImagePart)]
    for url in images:
        if not _IMAGE.match(url):
            raise BadRequest(
                "Images are taken as 'data:image/TYPE;base64,...' only, since nothing is fetched from elsewhere "
                f"('messages[{place}]').",
                code="invalid_image_url",
                param=f"messages[{place}]",
            )
    return len(images)


def _missing(param: str, hint: str = "") -> BadRequest:
    return BadRequest(f"Missing required parameter: '{param}'.{hint}", code="missing_required_parameter", param=param)


def _check_tools(chat: ChatBody) -> None:
    names = [tool.function.name for tool in chat.tools or ()]
    if len(msgspec.json.encode(chat.tools)) > TOOLS_BYTES_MAX:
        raise BadRequest(f"'tools' is over {TOOLS_BYTES_MAX} bytes.", code="schema_too_large", param="tools")
    parts = 0
    for place, tool in enumerate(chat.tools or ()):
        parts += bound_schema(tool.function.parameters, f"tools[{place}].function.parameters")
        if parts > TOOLS_PARTS_MAX:
            raise BadRequest(
                f"The schemas in 'tools' have over {TOOLS_PARTS_MAX} parts together.",
                code="schema_too_large",
                param="tools",
            )
    if isinstance(chat.tool_choice, NamedTool) and chat.tool_choice.function.name not in names:
        raise BadRequest(
            f"'tool_choice' names '{chat.tool_choice.function.name}', which is not in 'tools'.",
            param="tool_choice",
        )
    if chat.tool_choice not in (None, "none", "auto") and not names:
        raise BadRequest("'tool_choice' needs 'tools'.", param="tool_choice")
    if len(set(names)) < len(names):
        raise BadRequest("Two tools have the same name.", param="tools")
    if not names:
        chat.tools = chat.tool_choice = None


def _check_format(wanted: ResponseFormat) -> None:
    if wanted.type == "json_schema":
        if wanted.json_schema is None or wanted.json_schema.schema is None:
            raise _missing("response_format.json_schema.schema")
        bound_schema(wanted.json_schema.schema, "response_format.json_schema.schema")
