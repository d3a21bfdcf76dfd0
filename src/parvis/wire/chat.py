"""`POST /v1/chat/completions`: the request as clients send it and as engines read it.

Source: OpenAI's API reference for chat completions, and what its official SDKs send. Unknown fields are refused by
name. Fields set to null mean "not given". What an engine receives is encoded anew from what was read here, so both
read the same.
"""

import re
from collections.abc import Iterator
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parvis.core.errors import BadRequest
from parvis.wire.schemas import bound_schema
from parvis.wire.validation import decode

MESSAGES_MAX = 2_048
CHOICES_MAX = 8
TOOLS_MAX = 128
TOOLS_BYTES_MAX = 262_144
TOOLS_PARTS_MAX = 10_000
"""Of all schemas of a request's tools together."""
ANNOTATIONS_BYTES_MAX = 65_536
"""Of all messages together: echoed by clients, and without effect."""
IMAGES_MAX = 32
PARTS_MAX = 256
"""Content parts, or calls, of one message."""

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]

Penalty = Annotated[float, Meta(ge=-2, le=2)]
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=4)]
PositiveInt = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
TokenNumber = Annotated[str, Meta(pattern=r"^[0-9]{1,9}\Z")]
Bias = Annotated[dict[TokenNumber, Annotated[float, Meta(ge=-100, le=100)]], Meta(max_length=300)]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
FunctionName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]


class TextPart(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str


class RefusalPart(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    refusal: str


class ImageUrl(Struct, forbid_unknown_fields=True, omit_defaults=True):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    image_url: ImageUrl


Part = TextPart | RefusalPart | ImagePart


class CalledFunction(Struct, forbid_unknown_fields=True):
    name: FunctionName
    arguments: str


class ToolCall(Struct, forbid_unknown_fields=True):
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"  # sent on even if it was left out: engines ask for it
    index: int | UnsetType | None = UNSET


class Message(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One message of any role. Fields that SDKs echo back from answers are accepted."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Annotated[list[Part], Meta(max_length=PARTS_MAX)] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Meta(max_length=PARTS_MAX)] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    annotations: msgspec.Raw | UnsetType = UNSET
    audio: None = None
    function_call: None = None


class Function(Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, forbid_unknown_fields=True):
    function: Function
    type: Literal["function"]


class NamedFunction(Struct, forbid_unknown_fields=True):
    name: FunctionName


class NamedTool(Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: FunctionName
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, forbid_unknown_fields=True, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(Struct, forbid_unknown_fields=True, omit_defaults=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None


class Prediction(Struct, forbid_unknown_fields=True):
    type: Literal["content"]
    content: str | Annotated[list[TextPart], Meta(max_length=PARTS_MAX)]


class ChatBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The whole request. `None` is "not given" and is not sent on."""

    model: ModelName
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MESSAGES_MAX)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    n: Annotated[int, Meta(ge=1, le=CHOICES_MAX)] | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Bias | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=TOOLS_MAX)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    # Beyond OpenAI: passed where the engine understands them.
    top_k: Annotated[int, Meta(ge=-1, le=100_000)] | None = None
    min_p: TopP | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    # Without effect here: accepted, not sent on.
    metadata: Metadata | None = None
    store: bool | None = None
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prediction: Prediction | None = None
    verbosity: Literal["medium"] | None = None
    modalities: list[Literal["text"]] | None = None

    def texts(self) -> Iterator[str]:
        """Every text of the caller's that the model will read."""
        for message in self.messages:
            yield from _texts(message)
        for tool in self.tools or ():
            yield tool.function.description or ""
            if tool.function.parameters is not None:
                yield msgspec.json.encode(tool.function.parameters).decode()


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
    if chat.stream_options is not None and not chat.stream:
        raise BadRequest("'stream_options' needs 'stream': true.", param="stream_options")
    if chat.max_tokens is not None and chat.max_completion_tokens is not None:
        raise BadRequest("Set 'max_completion_tokens' or 'max_tokens', not both.", param="max_tokens")
    if _without_effect(chat) != _NONE_GIVEN:
        for name in _WITHOUT_EFFECT:
            setattr(chat, name, None)
    return chat


def needs_vision(chat: ChatBody) -> bool:
    """Whether a message holds an image."""
    return bool(_images(chat))


def given(body: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Which of these parameters were given."""
    return tuple([name for name in names if getattr(body, name) is not None])


def _images(chat: ChatBody) -> list[ImagePart]:
    parts = (part for m in chat.messages if isinstance(m.content, list) for part in m.content)
    return [part for part in parts if isinstance(part, ImagePart)]


def _texts(message: Message) -> Iterator[str]:
    if isinstance(message.content, str):
        yield message.content
    for part in message.content if isinstance(message.content, list) else ():
        if isinstance(part, TextPart):
            yield part.text
        elif isinstance(part, RefusalPart):
            yield part.refusal
    for call in message.tool_calls or ():
        yield call.id
        yield call.function.arguments
    others = (message.name, message.tool_call_id, message.reasoning_content, message.refusal)
    yield from (text for text in others if text)


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
