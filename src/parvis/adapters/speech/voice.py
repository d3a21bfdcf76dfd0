"""A Piper voice: from text to samples. gruut makes phonemes of the text, ONNX Runtime makes sound of the phonemes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import gruut
import numpy as np
import onnxruntime

from parvis.adapters.speech.refused import Refused, too_long
from parvis.adapters.speech.sentences import sentences
from parvis.core.engine_process import NotReady

_PAD, _BEGIN, _END = "_", "^", "$"
_SILENT = " _.,:;!?()'\""
_PLAIN = re.compile(r"[^\W\d_]+|\d")
"""Words, and digits one by one."""


class Voice:
    """One voice of one speaker. Several threads may speak at once."""

    def __init__(self, file: Path, *, threads: int) -> None:
        """Raises NotReady."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        try:
            facts = json.loads(file.with_suffix(".onnx.json").read_bytes())
            self._ids: dict[str, list[int]] = facts["phoneme_id_map"]
            self._silent = {number for sign in _SILENT for number in self._ids.get(sign, ())}
            self._language: str = facts["espeak"]["voice"]
            self._noise, self._pace, self._variety = (
                float(facts["inference"][name]) for name in ("noise_scale", "length_scale", "noise_w")
            )
            self.rate_hz = int(facts["audio"]["sample_rate"])
            self.name = str(facts.get("dataset") or file.stem)
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise NotReady(f"The voice {file} cannot be loaded: check that it and its .json are whole.") from error
        if not gruut.is_language_supported(self._language) or facts.get("num_speakers", 1) > 1:
            raise NotReady(f"The voice {file} is not of one speaker, or of the language {self._language}: use another.")
        list(self.speak("Hello.", 1.0, 60_000, Event()))  # nobody shall pay for the first

    def speak(self, text: str, speed: float, ms_max: int, stop: Event) -> Iterator[bytes]:
        """Samples of a sentence at a time, 16 bits each. Blocks. Raises Refused."""
        spoken = 0
        for sentence in sentences(text):
            ids = self._phonemes(sentence)
            if stop.is_set() or not ids:
                continue
            samples = self._sound(ids, speed)
            spoken += len(samples) // 2
            if spoken * 1000 > ms_max * self.rate_hz:
                raise too_long(ms_max)
            yield samples
        if not spoken:
            raise Refused("`input` has nothing that this voice can speak: send words.", param="input")

    def _phonemes(self, sentence: str) -> list[int]:
        """Empty where there is nothing to say."""
        try:
            ids = self._spelt(sentence)
        except (ArithmeticError, LookupError, NotImplementedError, ValueError):
            ids = []  # gruut reckons with what looks like a number, a date or money, and some of it is none
        return ids or self._spelt(" ".join(_PLAIN.findall(sentence)))

    def _spelt(self, sentence: str) -> list[int]:
        ids: list[int] = []
        for part in gruut.sentences(sentence, lang=self._language, espeak=True):
            for word in part:
                pause = word.is_minor_break or word.is_major_break
                if not pause and ids:
                    ids += self._of(" ")
                for sign in word.text if pause else "".join(word.phonemes or ()):
                    ids += self._of(sign)
        if not self._silent.issuperset(ids):
            return [*self._ids[_BEGIN], *self._ids[_PAD], *ids, *self._ids[_END]]
        return []

    def _of(self, sign: str) -> list[int]:
        known = self._ids.get(sign)
        return [*known, *self._ids[_PAD]] if known else []

    def _sound(self, ids: list[int], speed: float) -> bytes:
        scales = np.array([self._noise, self._pace / speed, self._variety], np.float32)
        feed: dict[str, Any] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": scales,
        }
        wave = self._session.run(None, feed)[0].squeeze()
        return bytes((wave.clip(-1, 1) * 32767).astype("<i2").tobytes())
