"""What may be asked of a sound, and every form of what was heard."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parvis.core.errors import BadRequest
from parvis.wire.audio import INPUT_CHARS_MAX, ListeningBody, TextFormat, read_listening, read_speaking
from parvis.wire.multipart import File, Form
from parvis.wire.transcript import Segment, Transcript, Word, delta_event, done_event, rendered

SUBTITLES: tuple[TextFormat, ...] = ("srt", "vtt")
HEARD = Transcript(
    " One two. Three.",
    61.004,
    "english",
    [Segment(" One two.", 0.0, 59.9996), Segment(" Three\n--> four.", 3600.5, 3661.004)],
)
FILE = File(memoryview(b"sound"), "wav")


def listening(said: dict[str, Any], *, translate: bool = False, file: File = FILE) -> ListeningBody:
    fields = {name: [value] if isinstance(value, str) else value for name, value in {"model": "ear", **said}.items()}
    return read_listening(Form(fields, {"file": file}), translate=translate)


def refused(said: dict[str, Any], *, translate: bool = False) -> str | None:
    with pytest.raises(BadRequest) as refusal:
        listening(said, translate=translate)
    return refusal.value.param


def test_texts_of_a_form_become_values() -> None:
    body = listening({"temperature": "0.5", "stream": "true", "language": "de", "prompt": "Parvis"})
    wanted = body.wanted
    assert (wanted.temperature, wanted.stream, wanted.language, list(body.texts())) == (0.5, True, "de", ["Parvis"])
    words = listening({"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]})
    assert words.wanted.granularities == ["word", "segment"]


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"unknown": "1"}, "unknown"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"stream": "perhaps"}, "stream"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "srt", "stream": "true"}, "stream"),
        ({"timestamp_granularities[]": ["word"]}, "timestamp_granularities[]"),
        ({"model": ""}, "model"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(said: dict[str, str], param: str) -> None:
    assert refused(said) == param


@pytest.mark.parametrize("name", ["language", "stream", "timestamp_granularities[]"])
def test_a_translation_has_fewer_parameters(name: str) -> None:
    assert refused({name: "word"}, translate=True) == name


@pytest.mark.parametrize(
    "files", [{}, {"file": FILE, "more": FILE}, {"sound": FILE}, {"file": File(memoryview(b""), "")}]
)
def test_there_is_one_file_with_something_in_it(files: dict[str, File]) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_listening(Form({"model": ["ear"]}, files), translate=False)
    assert refusal.value.param == "file"


def test_an_ending_that_is_no_format_is_not_passed_on() -> None:
    assert listening({}, file=File(memoryview(b"x"), "exe")).file.ending == ""
    assert listening({}, file=File(memoryview(b"x"), "mp3")).file.ending == "mp3"


def test_what_may_be_spoken() -> None:
    spoken = read_speaking(b'{"model":"voice","input":"Hello.","voice":"joe","speed":2}')
    assert (spoken.response_format, spoken.speed, list(spoken.texts())) == ("mp3", 2.0, ["Hello."])
    for wrong in ({"input": ""}, {"input": "x" * (INPUT_CHARS_MAX + 1)}, {"speed": 5}, {"instructions": "sing"}):
        with pytest.raises(BadRequest) as refusal:
            read_speaking(json.dumps({"model": "voice", "input": "x", "voice": "joe", **wrong}).encode())
        assert refusal.value.param == next(iter(wrong))


def test_subtitles() -> None:
    srt, kind = rendered(HEARD, "srt", 61_004, "transcribe")
    assert kind == b"text/plain; charset=utf-8"
    assert srt.decode() == (
        "1\n00:00:00,000 --> 00:01:00,000\nOne two.\n\n2\n01:00:00,500 --> 01:01:01,004\nThree → four.\n"
    )
    vtt = rendered(HEARD, "vtt", 61_004, "transcribe")[0].decode()
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:01:00.000\nOne two.\n\n")
    assert rendered(HEARD, "text", 61_004, "transcribe")[0] == b"One two. Three.\n"


def test_json() -> None:
    told, kind = rendered(HEARD, "json", 61_004, "transcribe")
    assert (json.loads(told), kind) == ({"text": HEARD.text, "usage": {"type": "duration", "seconds": 62}}, b"")
    heard = Transcript("Hi.", 1.0, "english", [], [Word("Hi.", 0.0, 1.0)])
    whole = json.loads(rendered(heard, "verbose_json", 1000, "translate")[0])
    assert (whole["task"], whole["duration"], whole["words"]) == (
        "translate",
        1.0,
        [{"word": "Hi.", "start": 0, "end": 1}],
    )
    assert "words" not in json.loads(rendered(HEARD, "verbose_json", 61_004, "transcribe")[0])


def test_events() -> None:
    assert delta_event("é") == 'data: {"type":"transcript.text.delta","delta":"é"}\n\n'.encode()
    done = json.loads(done_event("é", 1001).removeprefix(b"data: "))
    assert done == {"type": "transcript.text.done", "text": "é", "usage": {"type": "duration", "seconds": 2}}


@given(st.lists(st.tuples(st.text(max_size=30), st.floats(0, 10**6), st.floats(0, 10**6)), max_size=6))
def test_no_text_makes_a_cue_of_its_own(told: list[tuple[str, float, float]]) -> None:
    heard = Transcript("", 1.0, "", [Segment(*one) for one in told])
    for form in SUBTITLES:
        text = rendered(heard, form, 1000, "transcribe")[0].decode(errors="replace")
        assert len(re.findall(r"^\d\d+:\d\d:\d\d[.,]\d{3} --> \d\d+:\d\d:\d\d[.,]\d{3}$", text, re.MULTILINE)) == len(
            told
        )
        assert text.count("-->") == len(told)
