"""The shape of a chat request, apart from `chat`, which is compiled, as structs cannot be.

Source: OpenAI's API reference for chat completions, and what its official SDKs send. Unknown fields are refused by
name. Fields set to null mean "not given".
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parvis.core.errors import BadRequest

MESSAGES_MAX = 2_048
CHOICES_MAX = 8
TOOLS_MAX = 128
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
    include_cost: bool | None = None

    def check(self, *, stream: bool | None) -> None:
        """What types alone cannot. Raises BadRequest."""
        if not stream:
            raise BadRequest("'stream_options' needs 'stream': true.", param="stream_options")
        if self.include_cost and not self.include_usage:
            raise BadRequest("'include_cost' needs 'include_usage': true.", param="stream_options.include_cost")


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

    def texts(self) -> list[str]:
        """Every text of the caller's that the model will read."""
        texts: list[str] = []
        for message in self.messages:
            _add_texts(texts, message)
        for tool in self.tools or ():
            texts.append(tool.function.description or "")
            if tool.function.parameters is not None:
                texts.append(msgspec.json.encode(tool.function.parameters).decode())
        return texts


def _add_texts(texts: list[str], message: Message) -> None:
    content = message.content
    if isinstance(content, str):
        texts.append(content)
    elif content is not None:
        for part in content:
            if isinstance(part, TextPart):
                texts.append(part.text)
            elif isinstance(part, RefusalPart):
                texts.append(part.refusal)
    for call in message.tool_calls or ():
        texts += (call.id, call.function.arguments)
    for text in (message.name, message.tool_call_id, message.reasoning_content, message.refusal):
        if text:
            texts.append(text)
