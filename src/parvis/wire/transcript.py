"""What was heard, and every form in which a caller may have it: one rendering for all engines."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from parvis.wire.audio import TextFormat

_TEXT = b"text/plain; charset=utf-8"


class Segment(Struct):
    """A stretch of the text. Times are seconds from the beginning of the sound."""

    text: str
    start: float
    end: float
    id: int = 0
    seek: int = 0
    tokens: list[int] = []
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0


class Word(Struct):
    """One word."""

    word: str
    start: float
    end: float


class Transcript(Struct):
    """An engine's `verbose_json`."""

    text: str
    duration: float = 0.0
    language: str = ""
    segments: list[Segment] = []
    words: list[Word] | None = None


_decoder = msgspec.json.Decoder(Transcript)


def read_transcript(body: bytes) -> Transcript:
    """Raises msgspec.DecodeError, UnicodeDecodeError."""
    return _decoder.decode(body)


def usage_of(audio_ms: int) -> dict[str, Any]:
    """As OpenAI tells it: started seconds."""
    return {"type": "duration", "seconds": -(-audio_ms // 1000)}


def rendered(heard: Transcript, form: TextFormat, audio_ms: int, task: str) -> tuple[bytes, bytes]:
    """The body for a caller, and its content type (empty: JSON)."""
    if form == "json":
        return msgspec.json.encode({"text": heard.text, "usage": usage_of(audio_ms)}), b""
    if form == "verbose_json":
        return _verbose(heard, audio_ms, task), b""
    return _PLAIN[form](heard).encode(), _TEXT


def delta_event(text: str) -> bytes:
    """A piece of the text, as an event of a stream."""
    return b"data: %b\n\n" % msgspec.json.encode({"type": "transcript.text.delta", "delta": text})


def done_event(text: str, audio_ms: int) -> bytes:
    """The whole text, as the last event of a stream."""
    done = {"type": "transcript.text.done", "text": text, "usage": usage_of(audio_ms)}
    return b"data: %b\n\n" % msgspec.json.encode(done)


def _verbose(heard: Transcript, audio_ms: int, task: str) -> bytes:
    whole: dict[str, Any] = {
        "task": task,
        "language": heard.language,
        "duration": audio_ms / 1000,
        "text": heard.text,
        "segments": heard.segments,
    }
    if heard.words is not None:
        whole["words"] = heard.words
    return msgspec.json.encode({**whole, "usage": usage_of(audio_ms)})


def _text(heard: Transcript) -> str:
    return heard.text.strip() + "\n"


def _srt(heard: Transcript) -> str:
    cues = (
        f"{number}\n{_instant(one.start, ',')} --> {_instant(one.end, ',')}\n{_line(one.text)}\n"
        for number, one in enumerate(heard.segments, 1)
    )
    return "\n".join(cues)


def _vtt(heard: Transcript) -> str:
    cues = (f"{_instant(one.start, '.')} --> {_instant(one.end, '.')}\n{_line(one.text)}\n" for one in heard.segments)
    return "\n".join(("WEBVTT\n", *cues))


def _line(text: str) -> str:
    """On one line, and without the arrow: neither can then be taken for another cue."""
    return " ".join(text.replace("-->", "→").split())


def _instant(seconds: float, point: str) -> str:
    """`01:02:03.004`."""
    ms = max(round(seconds * 1000), 0)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}{point}{ms % 1000:03d}"


_PLAIN: dict[str, Callable[[Transcript], str]] = {"text": _text, "srt": _srt, "vtt": _vtt}
