"""Whisper, by faster-whisper: from samples to segments of text."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import faster_whisper
import numpy as np

from parvis.adapters.speech.asked import HearAsked
from parvis.adapters.speech.sound import RATE_HZ, SAMPLE_BYTES, decode
from parvis.core.engine_process import NotReady

PIECE_S = 120
"""Heard in one go: its features take 100 MB, those of three hours would take gigabytes."""
_SURE_FIRST = [0.0, 0.4, 0.8]


@dataclass
class Heard:
    """What was heard so far."""

    ms: int
    """The whole sound's length."""
    language: str
    segments: list[dict[str, Any]] = field(default_factory=list)
    """As `verbose_json` has them; times are in seconds."""
    words: list[dict[str, Any]] = field(default_factory=list)


class Ear:
    """One set of weights. Several threads may hear at once."""

    def __init__(self, folder: Path, *, threads: int, workers: int) -> None:
        """Raises NotReady."""
        try:
            self._model = faster_whisper.WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=threads,
                num_workers=workers,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise NotReady(f"The weights {folder} cannot be loaded: check that they are whole.") from error
        self.languages = frozenset(self._model.supported_languages)
        # Nobody shall pay for the first.
        list(self._model.transcribe(np.zeros(RATE_HZ, np.float32), vad_filter=True)[0])

    def hear(self, asked: HearAsked, ms_max: int, stop: Event) -> Iterator[Heard]:
        """The same object again and again, as it grows; first when the length is known. Blocks. Raises Refused."""
        samples, ms = decode(asked.file, ms_max, stop)
        heard = Heard(ms, asked.language)
        yield heard
        begin_s, end_s = 0.0, len(samples) / (RATE_HZ * SAMPLE_BYTES)
        while begin_s < end_s and not stop.is_set():
            last = begin_s + PIECE_S >= end_s
            piece = _cut(samples, begin_s)
            begin_s += PIECE_S
            kept: Any = None
            for segment in self._segments(piece, asked, heard):
                if kept is not None:
                    _add(heard, kept, begin_s - PIECE_S)
                    yield heard
                kept = segment
            if kept is None:
                continue
            if last or not kept.start:
                _add(heard, kept, begin_s - PIECE_S)
                yield heard
            else:
                begin_s += kept.start - PIECE_S  # it may have been cut in two: it is heard again, whole

    def _segments(self, piece: Any, asked: HearAsked, heard: Heard) -> Iterator[Any]:
        segments, found = self._model.transcribe(
            piece,
            task=asked.deed,
            language=heard.language or None,
            initial_prompt=asked.prompt if asked.prompt and not heard.segments else None,
            temperature=asked.temperature or _SURE_FIRST,
            word_timestamps=asked.words,
            condition_on_previous_text=False,  # otherwise one invented sentence breeds the next
            vad_filter=True,  # in silence it invents
        )
        for segment in segments:
            heard.language = found.language
            yield segment


def _cut(samples: bytearray, begin_s: float) -> Any:
    """The piece from there, as numbers from -1 to 1."""
    first = int(begin_s * RATE_HZ)
    count = min(PIECE_S * RATE_HZ, len(samples) // SAMPLE_BYTES - first)
    return np.frombuffer(samples, np.int16, count, first * SAMPLE_BYTES).astype(np.float32) / 32768.0


def _add(heard: Heard, segment: Any, begin_s: float) -> None:
    def time(seconds: float) -> float:
        return round(min(begin_s + float(seconds), heard.ms / 1000), 3)

    heard.segments.append(
        {
            "id": len(heard.segments),
            "seek": segment.seek + round(begin_s * 100),
            "start": time(segment.start),
            "end": time(segment.end),
            "text": segment.text,
            "tokens": list(segment.tokens),
            "temperature": segment.temperature or 0.0,
            "avg_logprob": segment.avg_logprob,
            "compression_ratio": segment.compression_ratio,
            "no_speech_prob": segment.no_speech_prob,
        }
    )
    heard.words += [
        {"word": word.word.strip(), "start": time(word.start), "end": time(word.end)} for word in segment.words or ()
    ]
