"""Transcriptions and translations, and the length of a sound."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from threading import Event

import msgspec

from parvis.adapters.speech.answers import text_of, usage, verbose, whole
from parvis.adapters.speech.asked import Deed, HearAsked, read_file, read_hearing
from parvis.adapters.speech.door import (
    JSON,
    Headers,
    Posts,
    Receive,
    Send,
    begin,
    end,
    more,
    ms_allowed,
    read_body,
    say,
    while_here,
)
from parvis.adapters.speech.ear import Ear, Heard
from parvis.adapters.speech.line import Line
from parvis.adapters.speech.refused import Json, unreadable
from parvis.adapters.speech.sound import measure

EVENTS = b"text/event-stream; charset=utf-8"
STILL_HERE = b": still here\n\n"
_DEEDS: dict[str, Deed] = {"/v1/audio/transcriptions": "transcribe", "/v1/audio/translations": "translate"}


class Hearing:
    """`line` is for Whisper, `counters` for those who only measure: they wait for nobody who transcribes."""

    def __init__(self, ear: Ear, line: Line, counters: Line, *, ms_max: int, bytes_max: int) -> None:
        self._ear, self._line, self._counters = ear, line, counters
        self._ms_max, self._bytes_max = ms_max, bytes_max
        self._ms_heard = 0
        self.posts: Posts = {**dict.fromkeys(_DEEDS, self._hear), "/v1/audio/measure": self._measure}

    def entry(self) -> Json:
        return {"kind": "transcription", "languages": sorted(self._ear.languages)}

    def metrics(self) -> dict[str, int]:
        return {
            "speech_requests_running": self._line.running,
            "speech_requests_waiting": self._line.waiting,
            "speech_audio_ms": self._ms_heard,
        }

    async def _measure(self, _path: str, headers: Headers, receive: Receive, send: Send) -> None:
        with self._counters.place():
            body = await read_body(receive, self._bytes_max)
            file = read_file(headers.get(b"content-type", b""), body)

            def count(stop: Event) -> Iterator[int]:
                yield measure(file, ms_allowed(headers, self._ms_max), stop)

            async with while_here(receive), self._counters.steps(count) as counts:
                async for ms in counts:
                    if ms is not None:
                        await say(send, JSON, msgspec.json.encode({"duration": ms / 1000, "duration_ms": ms}))

    async def _hear(self, path: str, headers: Headers, receive: Receive, send: Send) -> None:
        with self._line.place():
            body = await read_body(receive, self._bytes_max)
            asked = read_hearing(headers.get(b"content-type", b""), body, _DEEDS[path], self._ear.languages)
            work = partial(self._ear.hear, asked, ms_allowed(headers, self._ms_max))
            async with while_here(receive), self._line.steps(work) as progress:
                self._ms_heard += await (_stream if asked.stream else _whole)(asked, progress, send)


async def _whole(asked: HearAsked, progress: AsyncIterator[Heard | None], send: Send) -> int:
    """The ms that were heard."""
    heard = await _first(progress)
    async for _ in progress:
        pass
    await say(send, *whole(heard, asked.form, asked.deed, words=asked.words), _length(heard))
    return heard.ms


async def _stream(asked: HearAsked, progress: AsyncIterator[Heard | None], send: Send) -> int:
    """The ms that were heard."""
    heard = await _first(progress)
    await begin(send, EVENTS, _length(heard))
    told = ""
    async for news in progress:
        text = text_of(heard)
        if news is None:
            await more(send, STILL_HERE)
        elif text != told:
            await _event(send, {"type": "transcript.text.delta", "delta": text[len(told) :]})
        told = text
    done: Json = {"type": "transcript.text.done", "text": told, "usage": usage(heard)}
    if asked.form == "verbose_json":
        done["verbose"] = verbose(heard, asked.deed, words=asked.words)
    await _event(send, done)
    await end(send)
    return heard.ms


async def _first(progress: AsyncIterator[Heard | None]) -> Heard:
    """What is heard, once its length is known: it grows while `progress` is followed. Raises Refused."""
    async for heard in progress:
        if heard is not None:
            return heard
    raise unreadable()


async def _event(send: Send, event: Json) -> None:
    await more(send, b"data: %b\n\n" % msgspec.json.encode(event))


def _length(heard: Heard) -> tuple[bytes, bytes]:
    return b"x-audio-ms", b"%d" % heard.ms
