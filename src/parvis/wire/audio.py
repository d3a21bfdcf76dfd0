"""Bodies of `/v1/audio/...`: a form with a file, or the text to be spoken. Source: OpenAI's API reference."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from parvis.core.errors import BadRequest
from parvis.wire.chat_shapes import ModelName
from parvis.wire.multipart import File, Form
from parvis.wire.validation import decode, explain

INPUT_CHARS_MAX = 4_096
GRANULARITIES = "timestamp_granularities[]"
_ENDINGS = frozenset({"flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "opus", "wav", "webm"})
TextFormat = Literal["json", "text", "srt", "vtt", "verbose_json"]
SoundFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class ListeningFields(Struct, forbid_unknown_fields=True):
    """What a form says beside its file."""

    model: ModelName
    language: Annotated[str, Meta(min_length=2, max_length=16)] | None = None
    prompt: str = ""
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    response_format: TextFormat = "json"
    granularities: list[Literal["word", "segment"]] = field(default_factory=list, name=GRANULARITIES)
    stream: bool = False


@dataclass(frozen=True, slots=True)
class ListeningBody:
    """A file of sound, and what is wanted of it."""

    wanted: ListeningFields
    file: File
    measured_ms: int | None = None
    """How long it is, when an engine has counted that."""

    def texts(self) -> Iterator[str]:
        yield self.wanted.prompt


class SpeakingBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A text to be spoken."""

    model: ModelName
    input: Annotated[str, Meta(min_length=1, max_length=INPUT_CHARS_MAX)]
    voice: Annotated[str, Meta(min_length=1, max_length=64)]
    response_format: SoundFormat = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio"] = "audio"
    instructions: str | None = None

    def texts(self) -> Iterator[str]:
        yield self.input


_speaking = msgspec.json.Decoder(SpeakingBody)


def read_speaking(body: bytes) -> SpeakingBody:
    """Decode and check what types alone cannot. Raises BadRequest."""
    wanted = decode(_speaking, body)
    if wanted.instructions:
        raise BadRequest(
            "'instructions' is not supported: the voices speak one way. Remove it.",
            code="unsupported_parameter",
            param="instructions",
        )
    wanted.instructions = None
    return wanted


def read_listening(form: Form, *, translate: bool) -> ListeningBody:
    """What a form asks for. Raises BadRequest: for what is unknown, missing or cannot go together too."""
    if set(form.files) != {"file"}:
        raise BadRequest("Send exactly one file, as the part 'file'.", code="missing_required_parameter", param="file")
    said: dict[str, Any] = {name: texts if name == GRANULARITIES else texts[0] for name, texts in form.fields.items()}
    only = sorted({"language", "stream", GRANULARITIES} & said.keys()) if translate else []
    if only:
        raise _unsupported(only[0], "a translation has no such parameter")
    try:
        wanted = msgspec.convert(said, ListeningFields, strict=False)
    except msgspec.ValidationError as problem:
        raise explain(str(problem)) from None
    if wanted.granularities and wanted.response_format != "verbose_json":
        raise _unsupported(GRANULARITIES, "it goes with the response_format verbose_json alone")
    if wanted.stream and wanted.response_format not in ("json", "text"):
        raise _unsupported("stream", f"a stream has no {wanted.response_format}")
    file = form.files["file"]
    if not file.content:
        raise BadRequest("The file is empty.", code="invalid_audio", param="file")
    return ListeningBody(wanted, file if file.ending in _ENDINGS else File(file.content, ""))


def _unsupported(name: str, why: str) -> BadRequest:
    return BadRequest(f"'{name}' is not supported here: {why}. Remove it.", code="unsupported_parameter", param=name)
