"""What a caller asks for, checked."""

from typing import Literal, NamedTuple

import msgspec

from parvis.adapters.speech.encoding import STREAMED, WHOLE
from parvis.adapters.speech.refused import Refused
from parvis.wire.multipart import File, read_form

INPUT_CHARS_MAX = 4096
PROMPT_CHARS_MAX = 2048
TEXT_FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
Deed = Literal["transcribe", "translate"]
_GRANULARITIES = ("timestamp_granularities[]", "timestamp_granularities")
_KNOWN = {"model", "language", "prompt", "temperature", "response_format", "stream", *_GRANULARITIES}


class HearAsked(NamedTuple):
    """A sound, and what to make of it."""

    file: memoryview
    deed: Deed
    language: str
    """Its code, such as `de`; empty: to be found out."""
    prompt: str
    temperature: float
    """0: as sure as possible, and higher by itself where that fails."""
    form: str
    """Of TEXT_FORMATS."""
    words: bool
    stream: bool


class SpeakAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text to be spoken, as OpenAI's clients send it."""

    input: str
    model: str = ""
    voice: str = ""
    response_format: str = "mp3"
    speed: float = 1.0
    instructions: str | None = None
    stream_format: str = "audio"

    def check(self, voices: tuple[str, ...]) -> None:
        """Raises Refused."""
        if not 0 < len(self.input) <= INPUT_CHARS_MAX:
            raise Refused(f"`input` must have 1 to {INPUT_CHARS_MAX} characters.", param="input")
        one_of("response_format", self.response_format, (*STREAMED, *WHOLE))
        one_of("voice", self.voice or voices[0], voices)
        if not 0.25 <= self.speed <= 4:  # noqa: PLR2004 - as OpenAI has it
            raise Refused("`speed` must be from 0.25 to 4.", param="speed")
        if self.instructions is not None:
            raise _unsupported("instructions", "this voice follows no instructions: leave it out")
        if self.stream_format != "audio":
            raise _unsupported("stream_format", "only `audio` is streamed here")


def read_file(content_type: bytes, body: bytes) -> memoryview:
    """The file alone, of a form whose other fields do not matter. Raises Failure, Refused."""
    return _file(read_form(content_type, body).files)


def read_hearing(content_type: bytes, body: bytes, deed: Deed, languages: frozenset[str]) -> HearAsked:
    """`languages`: what the weights know. Raises Failure, Refused."""
    form = read_form(content_type, body)
    if strange := sorted(form.fields.keys() - _KNOWN):
        raise _unsupported(strange[0], "it is unknown here: leave it out")
    fields = {name: texts[0] for name, texts in form.fields.items()}
    granularities = [text for name in _GRANULARITIES for text in form.fields.get(name, ())]
    for text in granularities:
        one_of(_GRANULARITIES[0], text, ("word", "segment"))
    asked = HearAsked(
        file=_file(form.files),
        deed=deed,
        language=fields.get("language", ""),
        prompt=fields.get("prompt", ""),
        temperature=_temperature(fields.get("temperature", "0")),
        form=fields.get("response_format", "json"),
        words="word" in granularities,
        stream=one_of("stream", fields.get("stream", "false").lower(), ("true", "false")) == "true",
    )
    _check_hearing(asked, languages)
    return asked


def _check_hearing(asked: HearAsked, languages: frozenset[str]) -> None:
    one_of("response_format", asked.form, TEXT_FORMATS)
    if asked.stream and asked.form not in ("json", "verbose_json"):
        raise _unsupported("response_format", f"`{asked.form}` is not streamed: use `json`, or leave `stream` out")
    if asked.language and asked.language not in languages:
        raise _unsupported("language", f"these weights know {', '.join(sorted(languages))}")
    if asked.deed == "translate" and languages == {"en"}:
        raise _unsupported("model", "its weights know English only and cannot translate: use a multilingual one")
    if len(asked.prompt) > PROMPT_CHARS_MAX:
        raise Refused(f"`prompt` may have {PROMPT_CHARS_MAX} characters.", param="prompt")


def _temperature(text: str) -> float:
    try:
        temperature = float(text)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise Refused("`temperature` must be a number from 0 to 1.", param="temperature")
    return temperature


def read_speaking(body: bytes, voices: tuple[str, ...]) -> SpeakAsked:
    """Raises Refused."""
    try:
        asked = msgspec.json.decode(body, type=SpeakAsked)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"The body cannot be read: {error}.", "invalid_json") from error
    asked.check(voices)
    return asked


def one_of(param: str, text: str, known: tuple[str, ...]) -> str:
    """Raises Refused."""
    if text not in known:
        raise Refused(f"`{param}` must be one of {', '.join(known)}.", param=param)
    return text


def _file(files: dict[str, File]) -> memoryview:
    file = files.get("file")
    if file is None or len(files) > 1:
        raise Refused("Send one file, as the part `file`.", "missing_field", param="file")
    return file.content


def _unsupported(param: str, why: str) -> Refused:
    return Refused(f"`{param}`: {why}.", "unsupported_value", param=param)
