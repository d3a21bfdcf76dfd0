"""Spoken text."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from parvis.adapters.speech.asked import INPUT_CHARS_MAX, SpeakAsked, read_speaking
from parvis.adapters.speech.door import (
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
from parvis.adapters.speech.encoding import STREAMED, WAV_HEADER_BYTES, WHOLE, encode, wav_header
from parvis.adapters.speech.line import Line
from parvis.adapters.speech.refused import Json, Refused
from parvis.adapters.speech.voice import Voice

BODY_BYTES_MAX = 64 * INPUT_CHARS_MAX


class Cut(Exception):
    """The rest of an answer that was begun cannot follow: the server closes the connection before its end."""


class Speaking:
    """One voice."""

    def __init__(self, voice: Voice, line: Line, *, ms_max: int) -> None:
        self._voice, self._line, self._ms_max = voice, line, ms_max
        self._ms_spoken = 0
        self.posts: Posts = {"/v1/audio/speech": self._speak}

    def entry(self) -> Json:
        return {"kind": "speech", "voices": [self._voice.name]}

    def metrics(self) -> dict[str, int]:
        return {
            "speech_requests_running": self._line.running,
            "speech_requests_waiting": self._line.waiting,
            "speech_audio_ms": self._ms_spoken,
        }

    async def _speak(self, _path: str, headers: Headers, receive: Receive, send: Send) -> None:
        with self._line.place():
            body = await read_body(receive, BODY_BYTES_MAX)
            asked = read_speaking(body, (self._voice.name,))
            ms_max = ms_allowed(headers, self._ms_max)
            work = partial(self._voice.speak, asked.input, asked.speed, ms_max)
            async with while_here(receive), self._line.steps(work) as sentences:
                answer = self._stream if asked.response_format in STREAMED else self._whole
                self._ms_spoken += await answer(asked, sentences, send) * 1000 // (2 * self._voice.rate_hz)

    async def _stream(self, asked: SpeakAsked, sentences: AsyncIterator[bytes | None], send: Send) -> int:
        """The bytes of samples that were sent."""
        wav = asked.response_format == "wav"
        sent = 0
        try:
            async for samples in sentences:
                if samples is None:
                    continue
                if not sent:
                    facts = (b"x-audio-rate", b"%d" % self._voice.rate_hz)
                    header_bytes = (b"x-audio-header-bytes", b"%d" % (WAV_HEADER_BYTES if wav else 0))
                    await begin(send, STREAMED[asked.response_format].encode(), facts, header_bytes)
                    if wav:
                        await more(send, wav_header(self._voice.rate_hz))
                await more(send, samples)
                sent += len(samples)
        except Refused as refused:
            if not sent:
                raise
            raise Cut from refused
        await end(send)
        return sent

    async def _whole(self, asked: SpeakAsked, sentences: AsyncIterator[bytes | None], send: Send) -> int:
        """The bytes of samples in it."""
        samples = bytearray()
        async for sentence in sentences:
            samples += sentence or b""
        coding = WHOLE[asked.response_format]
        body = await asyncio.to_thread(encode, bytes(samples), self._voice.rate_hz, coding)
        ms = -(-len(samples) * 1000 // (2 * self._voice.rate_hz))
        await say(send, coding.media_type.encode(), body, (b"x-audio-ms", b"%d" % ms))
        return len(samples)
