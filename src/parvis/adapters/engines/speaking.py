"""Speech: one file of sound, and how long it is."""

import asyncio
import struct

from parvis.adapters.engines.one_body import OneBody
from parvis.adapters.engines.refusals import broken
from parvis.adapters.engines.sound import sound_refusal
from parvis.core.errors import Failure
from parvis.core.quantities import Quantities
from parvis.wire.audio import SpeakingBody

TYPES = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/ogg",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
CHARACTERS_PER_S = 15
"""About so many are spoken in a second, where an engine does not say how long it spoke."""
_SAMPLE_BYTES = 2
_UNKNOWN_SIZE = 0xFFFFFFFF


class SoundAnswer(OneBody):
    """The answer to `POST /v1/audio/speech`."""

    body_bytes_max = 128 << 20

    def first_event(self) -> "asyncio.Future[None]":
        """Its headers are wanted too, and no other answer of this connection has come."""
        self._told: dict[bytes, int] = {}
        self._connection.hear_headers(self._header)
        return super().first_event()

    def _header(self, name: bytes, value: bytes) -> None:
        if name.lower().startswith(b"x-audio-") and value.isdigit():
            self._told[name.lower()] = int(value)

    def _take(self, body: bytes) -> Failure | None:
        wanted = self._job.request.body
        assert isinstance(wanted, SpeakingBody)  # noqa: S101 - the operation says so
        if not body:
            return broken("The engine gave no sound. Try again.")
        audio_ms = self._audio_ms(body)
        if audio_ms is None:
            self.delivery.estimated = True
            audio_ms = round(len(wanted.input) * 1000 / CHARACTERS_PER_S / wanted.speed)
        self.delivery.quantities = Quantities(audio_ms=max(audio_ms, 1))
        self.delivery.content_type = TYPES[wanted.response_format]
        self.delivery.body = _with_sizes(body) if wanted.response_format == "wav" else body
        return None

    def _audio_ms(self, body: bytes) -> int | None:
        """As the engine says it, or as many samples as came; None where nobody can say."""
        told_ms, rate = self._told.get(b"x-audio-ms"), self._told.get(b"x-audio-rate")
        if told_ms is not None or not rate:
            return told_ms
        return -(-(len(body) - self._told.get(b"x-audio-header-bytes", 0)) * 1000 // (_SAMPLE_BYTES * rate))

    def _refused(self, body: bytes) -> Failure:
        return sound_refusal(self._status, body, self._job)


def _with_sizes(wav: bytes) -> bytes:
    """A WAV file whose sizes were not known while it was spoken, and now are."""
    if wav[:4] != b"RIFF" or wav[36:40] != b"data" or struct.unpack_from("<I", wav, 40)[0] != _UNKNOWN_SIZE:
        return wav
    riff, data = struct.pack("<I", len(wav) - 8), struct.pack("<I", len(wav) - 44)
    return b"".join((wav[:4], riff, wav[8:40], data, wav[44:]))
