"""From a file in memory to samples, by FFmpeg's decoders (PyAV), and never further than a bound.

FFmpeg can open addresses and lists of other files. None of that is reachable here: the container is known by its first
bytes and one of a short list, bytes in memory are all there is to read, and only decoders of sound are allowed.
"""

import io
from collections.abc import Iterator
from threading import Event
from typing import Any

import av

from parvis.adapters.speech.refused import too_long, unreadable

RATE_HZ = 16_000
"""What Whisper hears: one channel of so many samples a second."""
SAMPLE_BYTES = 2
_DEMUXERS = "wav,mp3,flac,ogg,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac,aiff"
_DECODERS = frozenset({"mp3", "mp3float", "flac", "vorbis", "opus", "libopus", "aac", "alac"})
_OPTIONS = {"protocol_whitelist": "none", "format_whitelist": _DEMUXERS, "enable_drefs": "0"}
_BEGINNINGS = {
    b"RIFF": "wav",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"\x1a\x45\xdf\xa3": "matroska",
    b"FORM": "aiff",
    b"ID3": "mp3",
    **dict.fromkeys((b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2"), "mp3"),
    **dict.fromkeys((b"\xff\xf1", b"\xff\xf9"), "aac"),
}


def measure(data: memoryview, ms_max: int, stop: Event) -> int:
    """How long it plays, in ms, rounded up: decoded and counted, whatever its header says. Blocks. Raises Refused."""
    ms = 0
    for _frame, reached in _frames(data, ms_max, stop):
        ms = reached
    return _something(ms)


def decode(data: memoryview, ms_max: int, stop: Event) -> tuple[bytearray, int]:
    """All of it as 16-bit samples at RATE_HZ, one channel, and its length in ms. Blocks. Raises Refused."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    samples, ms = bytearray(), 0
    try:
        for frame, reached in _frames(data, ms_max, stop):
            _append(samples, resampler.resample(frame))
            ms = reached
        if ms:
            _append(samples, resampler.resample(None))
    except (av.error.FFmpegError, ValueError) as error:  # a format that changes on the way
        raise unreadable() from error
    return samples, _something(ms)


def _frames(data: memoryview, ms_max: int, stop: Event) -> Iterator[tuple[Any, int]]:
    """Decoded pieces, each with the ms up to its end; `stop` ends it early. Raises Refused."""
    try:
        with av.open(io.BytesIO(data), format=_container(bytes(data[:8])), options=_OPTIONS) as container:
            stream = container.streams.audio[0]
            name = stream.codec_context.name
            if name not in _DECODERS and not name.startswith("pcm_"):
                raise unreadable()
            counted, rate = 0, 0
            for frame in _decoded(container, stream):
                rate = rate or frame.sample_rate
                counted += frame.samples
                if frame.sample_rate != rate or stop.is_set():
                    raise unreadable()
                ms = -(-counted * 1000 // rate)
                if ms > ms_max:
                    raise too_long(ms_max)
                yield frame, ms
    except (av.error.FFmpegError, IndexError, ValueError, ZeroDivisionError) as error:
        raise unreadable() from error


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Frames; a packet that is damaged is passed over, as players do."""
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _container(head: bytes) -> str:
    if head[4:] == b"ftyp":
        return "mov"
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    raise unreadable()


def _append(samples: bytearray, frames: list[Any]) -> None:
    for frame in frames:
        samples += memoryview(frame.planes[0])[: frame.samples * SAMPLE_BYTES]


def _something(ms: int) -> int:
    if not ms:
        raise unreadable()
    return ms
