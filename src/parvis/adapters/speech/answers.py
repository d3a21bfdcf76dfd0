"""What was heard, in the formats of OpenAI's protocol."""

from collections.abc import Iterator
from typing import Any

import msgspec
from babel import Locale

from parvis.adapters.speech.asked import Deed
from parvis.adapters.speech.ear import Heard

JSON = b"application/json"
PLAIN = b"text/plain; charset=utf-8"
_NAMES = Locale("en").languages


def text_of(heard: Heard) -> str:
    """All of it."""
    return "".join(str(segment["text"]) for segment in heard.segments).lstrip()


def usage(heard: Heard) -> dict[str, Any]:
    """Started seconds."""
    return {"type": "duration", "seconds": -(-heard.ms // 1000)}


def verbose(heard: Heard, deed: Deed, *, words: bool) -> dict[str, Any]:
    """The object of `verbose_json`."""
    told = {
        "task": deed,
        "language": _NAMES.get(heard.language, heard.language).lower(),
        "duration": heard.ms / 1000,
        "text": text_of(heard),
        "segments": heard.segments,
        "usage": usage(heard),
    }
    return {**told, "words": heard.words} if words else told


def whole(heard: Heard, form: str, deed: Deed, *, words: bool) -> tuple[bytes, bytes]:
    """The content type and the body in one of TEXT_FORMATS."""
    if form == "verbose_json":
        return JSON, msgspec.json.encode(verbose(heard, deed, words=words))
    if form == "json":
        return JSON, msgspec.json.encode({"text": text_of(heard), "usage": usage(heard)})
    if form == "text":
        return PLAIN, text_of(heard).encode() + b"\n"
    return PLAIN, "".join(_subtitles(heard, webvtt=form == "vtt")).encode()


def _subtitles(heard: Heard, *, webvtt: bool) -> Iterator[str]:
    if webvtt:
        yield "WEBVTT\n\n"
    for number, segment in enumerate(heard.segments, start=1):
        begin, end = _clock(segment["start"], webvtt=webvtt), _clock(segment["end"], webvtt=webvtt)
        text = str(segment["text"]).strip().replace("-->", "->")
        if not webvtt:
            yield f"{number}\n"
        yield f"{begin} --> {end}\n{text}\n\n"


def _clock(seconds: float, *, webvtt: bool) -> str:
    ms = round(seconds * 1000)
    minutes, hours = ms // 60_000 % 60, ms // 3_600_000
    point = "." if webvtt else ","
    return f"{hours:02}:{minutes:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
