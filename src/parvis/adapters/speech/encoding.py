"""From samples to a file: 16-bit, one channel, in memory."""

import io
import struct
from typing import NamedTuple

import av
import numpy as np

WAV_HEADER_BYTES = 44
_ENDLESS = 0xFFFFFFFF  # as the length of a WAV file that is still being written


class Coding(NamedTuple):
    """A format that is written whole. `rate_hz` 0: the voice's own."""

    container: str
    codec: str
    media_type: str
    rate_hz: int = 0


STREAMED = {"pcm": "audio/pcm", "wav": "audio/wav"}
"""Formats whose beginning can be heard before the end is made; samples lie in them as they are."""
WHOLE = {
    "flac": Coding("flac", "flac", "audio/flac"),
    "mp3": Coding("mp3", "libmp3lame", "audio/mpeg"),
    "opus": Coding("ogg", "libopus", "audio/ogg", 48_000),
    "aac": Coding("adts", "aac", "audio/aac"),
}


def wav_header(rate_hz: int) -> bytes:
    """Of a WAV file whose length nobody knows yet."""
    facts = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", _ENDLESS, b"WAVE") + facts + struct.pack("<4sI", b"data", _ENDLESS)


def encode(samples: bytes, rate_hz: int, coding: Coding) -> bytes:
    """The whole file. Blocks: about 10 ms for a second."""
    frame = av.AudioFrame.from_ndarray(np.frombuffer(samples, np.int16)[None, :], format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate_hz, 0
    file = io.BytesIO()
    with av.open(file, "w", format=coding.container) as container:
        stream = container.add_stream(coding.codec, rate=coding.rate_hz or rate_hz, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
