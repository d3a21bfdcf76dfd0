"""Sound through the whole service, with the official client: spoken, heard, and billed by started minutes."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI, PermissionDeniedError

from parvis.flows.first_start import TENANT_ID
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, served_by, service, wait_until

EAR, UNPRICED, CHAT = "ear", "unpriced", "fake-8b"
SENTENCE = "The quick brown fox jumps over the lazy dog."
CENT = 10_000_000_000
"""Of a started minute, by the first price list."""
MINUTE_MS = 60_000
OPEN = ExitStack()


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    with fake_engine(flavour="plain", model=(EAR, UNPRICED)) as one:
        yield one


@pytest.fixture(scope="module")
def running(engine: FakeEngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fake_engine(model=CHAT) as chat, OPEN:
        engines = {name: served_by(engine, "speech", name) for name in (EAR, UNPRICED)}
        engines["chat"] = served_by(chat, model=CHAT)
        with service(tmp_path_factory.mktemp("speech") / "home", engines=engines) as one:
            tokens = {f"{name}_microeuro_per_mtoken": 1 for name in ("input", "cached", "output", "reasoning")}
            one.operator.post(
                "/v1/prices", json={"version": "no audio", "model_id": UNPRICED, **tokens}
            ).raise_for_status()
            yield one


def client(running: Service, key: str = "") -> OpenAI:
    """Closed at the end of the module."""
    return OPEN.enter_context(OpenAI(base_url=running.base_url, api_key=key or running.api_key, max_retries=0))


def sound(ms: int, text: str = SENTENCE, **more: bool) -> tuple[str, bytes]:
    """A file as the fake engine understands it."""
    return "../a name.wav", json.dumps({"ms": ms, "text": text, **more}).encode()


def booked(running: Service, request_id: str) -> Any:
    return next(row for row in running.usage_rows(of=[request_id]) if row["id"] == request_id)


def heard(running: Service, ms: int, **more: Any) -> tuple[Any, str]:
    """The answer, and the id of its request."""
    audio = client(running).audio.transcriptions.with_raw_response
    raw = audio.create(model=EAR, file=sound(ms), **more)
    return raw.parse(), raw.headers["x-request-id"]


def test_what_was_spoken_is_heard_and_both_are_billed_by_the_started_minute(running: Service) -> None:
    assert "audio" in client(running).models.retrieve(EAR).model_dump()["capabilities"]
    spoken = client(running).audio.speech.create(model=EAR, voice="joe", input=SENTENCE, response_format="mp3")
    assert spoken.response.headers["content-type"] == "audio/mpeg"
    assert spoken.response.headers["x-parvis-cost"] == "0.01 EUR"
    raw = client(running).audio.transcriptions.with_raw_response.create(model=EAR, file=("a.mp3", spoken.content))
    assert raw.parse().text == SENTENCE
    rows = [booked(running, one.headers["x-request-id"]) for one in (spoken.response, raw)]
    assert [row["operation"] for row in rows] == ["speech", "transcription"]
    for row in rows:
        assert row["tokens"]["total"] == 0
        assert row["quantities"]["audio_ms"] == json.loads(spoken.content)["ms"]
        assert row["billed"]["pico_euro"] == CENT


@pytest.mark.parametrize(("ms", "minutes"), [(1, 1), (MINUTE_MS, 1), (MINUTE_MS + 1, 2), (61 * MINUTE_MS, 61)])
def test_a_minute_is_billed_when_it_has_begun(running: Service, ms: int, minutes: int) -> None:
    answer, request_id = heard(running, ms)
    row = booked(running, request_id)
    assert (row["quantities"]["audio_ms"], row["billed"]["pico_euro"]) == (ms, minutes * CENT)
    assert answer.usage.seconds == -(-ms // 1000)


def test_every_form_says_the_same(running: Service) -> None:
    assert heard(running, 9000, response_format="text")[0].strip() == SENTENCE
    assert "\n2\n00:00:03,000 --> 00:00:06,000\nfox jumps over\n" in heard(running, 9000, response_format="srt")[0]
    assert heard(running, 9000, response_format="vtt")[0].startswith("WEBVTT\n\n00:00:00.000 -->")
    whole, _ = heard(running, 9000, response_format="verbose_json", timestamp_granularities=["segment"])
    assert (whole.duration, whole.task, len(whole.segments)) == (9.0, "transcribe", 3)
    events = client(running).audio.transcriptions.create(model=EAR, file=sound(9000), stream=True)
    *deltas, done = (event.model_dump() for event in events)
    assert "".join(event["delta"] for event in deltas) == done["text"] == SENTENCE
    assert done["usage"]["seconds"] == 9
    with pytest.deprecated_call():  # the client's own word for it
        translated = client(running).audio.translations.create(model=EAR, file=sound(9000))
    assert translated.text == SENTENCE


def test_the_engine_is_told_what_it_needs_and_no_name(running: Service, engine: FakeEngineProcess) -> None:
    _, request_id = heard(running, 1234, prompt="Parvis", language="en", temperature=0.5)
    asked = [one for one in engine.ended() if one.x_request_id == request_id]
    assert [one.endpoint for one in asked] == ["/v1/audio/measure", "/v1/audio/transcriptions"]
    fields = {
        "model": EAR,
        "response_format": "verbose_json",
        "prompt": "Parvis",
        "language": "en",
        "temperature": "0.5",
    }
    assert asked[1].body == fields
    assert asked[1].headers["x-audio-ms-max"] == "1234"
    assert "name" not in running.complained()


def test_who_may_not_or_cannot_is_told_why_and_pays_nothing(running: Service) -> None:
    _, last = heard(running, 1)
    before = len(running.usage_rows(of=[last]))
    create = client(running).audio.transcriptions.create

    def made(**more: Any) -> str:
        asked = {"name": "n", "tenant_id": TENANT_ID, **more}
        key: str = running.operator.post("/v1/keys", json=asked).raise_for_status().json()["key"]
        wait_until(lambda: knows(running, key), "the gateway knows the key")
        return key

    with pytest.raises(NotFoundError):
        client(running, made(models_denied=[EAR])).audio.transcriptions.create(model=EAR, file=sound(1))
    with pytest.raises(PermissionDeniedError):
        client(running, made(endpoints=["chat", "models"])).audio.speech.create(model=EAR, voice="joe", input="x")
    with pytest.raises(BadRequestError) as refusal:
        create(model=CHAT, file=sound(1))
    assert refusal.value.code == "unsupported_parameter"
    for wanted, file in (("invalid_audio", b"noise"), ("invalid_audio", b"")):
        with pytest.raises(BadRequestError) as refusal:
            create(model=EAR, file=("a.wav", file))
        assert refusal.value.code == wanted
    with pytest.raises(APIStatusError) as large:
        create(model=EAR, file=("a.wav", bytes((25 << 20) + 1)))
    assert (large.value.status_code, large.value.code) == (413, "request_too_large")
    for ask in (
        lambda: create(model=UNPRICED, file=sound(1)),
        lambda: client(running).audio.speech.create(model=UNPRICED, voice="joe", input="x"),
    ):
        with pytest.raises(BadRequestError) as refusal:
            ask()
        assert refusal.value.code == "not_sold"
    rows = running.usage_rows()
    assert sum(row["billed"]["pico_euro"] for row in rows[: len(rows) - before]) == 0


def knows(running: Service, key: str) -> bool:
    head = {"authorization": f"Bearer {key}"}
    return (
        httpx.get(f"{running.base_url}/models", headers=head, trust_env=False).status_code != httpx.codes.UNAUTHORIZED
    )


def test_a_stream_that_breaks_is_free_and_one_that_is_left_is_not(running: Service) -> None:
    audio = client(running).audio.transcriptions
    cut = audio.with_raw_response.create(model=EAR, file=sound(70_000, cut=True), stream=True)
    with pytest.raises(Exception, match="no sense"):
        list(cut.parse())
    row = booked(running, cut.headers["x-request-id"])
    assert (row["outcome"], row["billed"]["pico_euro"]) == ("engine_broke", 0)
    left = audio.with_raw_response.create(model=EAR, file=sound(70_000, slow=True), stream=True)
    stream = left.parse()
    next(iter(stream))
    stream.close()
    row = booked(running, left.headers["x-request-id"])
    assert (row["outcome"], row["billed"]["pico_euro"], row["quantities"]["audio_ms"]) == (
        "client_left",
        2 * CENT,
        70_000,
    )


def test_under_an_idempotency_key_it_is_heard_once(running: Service) -> None:
    """Here the bytes of the form must be the same: its boundary is part of them."""
    asked = httpx.Request(
        "POST",
        f"{running.base_url}/audio/transcriptions",
        data={"model": EAR, "response_format": "srt"},
        files={"file": sound(5)},
    )
    head = {"authorization": f"Bearer {running.api_key}", "idempotency-key": "once", **asked.headers}
    body = asked.read()
    answers = [httpx.post(asked.url, content=body, headers=head, trust_env=False) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["content-type"] == answers[1].headers["content-type"] == "text/plain; charset=utf-8"
    assert answers[1].headers["original-request"] == answers[0].headers["x-request-id"]


def test_minutes_stand_wherever_usage_does_and_the_books_agree(running: Service) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = [request_id for _, request_id in pool.map(lambda ms: heard(running, ms), range(59_998, 60_003))]
    rows = running.usage_rows(of=ids)
    minutes = sum(-(-row["quantities"]["audio_ms"] // MINUTE_MS) for row in rows if row["quantities"])
    total = running.get("/v1/usage")["total"]
    assert total["units"] == {"audio_minutes": minutes, "documents": 0, "images": 0}
    assert total["billed"]["pico_euro"] == minutes * CENT
    shown = running.command("usage", "--by", "model").stdout
    assert "audio minutes" in shown
    assert str(minutes) in shown
    exported = running.command("usage", "export", "--to", "-").stdout
    assert "audio_minutes" in exported
    assert running.check() == []
    receipt = wait_for_receipt(running, ids[0])
    assert receipt["receipt"]["row"]["pico_euro_per_unit"]["audio_pico_euro_per_minute"] == str(CENT)


def test_real_voices_are_understood(tmp_path: Path) -> None:
    """The two models that come in packages, from the sentence to the words of every form."""
    weights = {"whisper": "builtin:whisper-tiny", "joe": "builtin:piper-joe"}
    engines = {name: {"kind": "speech", "model": name, "weights": those} for name, those in weights.items()}
    with (
        service(tmp_path / "home", engines=engines) as one,
        OpenAI(base_url=one.base_url, api_key=one.api_key) as caller,
    ):
        forms: tuple[Literal["mp3", "wav"], ...] = ("mp3", "wav")
        for form in forms:
            spoken = caller.audio.speech.create(model="joe", voice="joe", input=SENTENCE, response_format=form)
            file = f"a.{form}", spoken.content
            said = caller.audio.transcriptions.create(model="whisper", file=file)
            assert words(said.text) == words(SENTENCE)
        events = [
            event.model_dump() for event in caller.audio.transcriptions.create(model="whisper", file=file, stream=True)
        ]
        assert words(events[-1]["text"]) == words(SENTENCE)
        srt = caller.audio.transcriptions.create(model="whisper", file=file, response_format="srt")
        assert str(srt).startswith("1\n00:00:0")
        rows = one.usage_rows(of=[spoken.response.headers["x-request-id"]])
        assert {row["billed"]["pico_euro"] for row in rows} == {CENT}
        assert one.check() == []


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def wait_for_receipt(running: Service, request_id: str) -> Any:
    deadline_s = time.monotonic() + 20
    while True:
        answer = running.operator.get(f"/v1/receipts/{request_id}")
        if answer.is_success or time.monotonic() > deadline_s:
            return answer.raise_for_status().json()
        time.sleep(0.2)
