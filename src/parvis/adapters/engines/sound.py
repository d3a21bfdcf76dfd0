"""Sound for engines, and from them: what is sent, how long it is, and what their refusals mean.

Every engine is asked for `verbose_json`, and every form that callers know is made of that here. Those of kind `speech`
say besides how long a sound is, before anything is computed and in the head of every answer.
"""

import asyncio
import secrets

import msgspec
from msgspec import Struct

from parvis.adapters.engines.asking import Page
from parvis.adapters.engines.one_body import GOOD
from parvis.adapters.engines.refusals import refusal
from parvis.adapters.engines.upstream import UpstreamPool, Upstreams
from parvis.core.errors import BadRequest, EngineUnavailable, Failure, TooLarge
from parvis.domain.fleet.replica import EngineKind, Replica
from parvis.domain.metering.records import Operation
from parvis.flows.ports import Job, Sound
from parvis.wire.audio import ListeningBody, SpeakingBody

MEASURE_S_MAX = 30.0
_MEASURE = b"/v1/audio/measure"
_PATHS = {
    Operation.TRANSCRIPTION: b"/v1/audio/transcriptions",
    Operation.TRANSLATION: b"/v1/audio/translations",
    Operation.SPEECH: b"/v1/audio/speech",
}
_UNKNOWN_PAGE = (404, 405, 501)
_TOO_LARGE = 413


class _Measured(Struct):
    duration_ms: int


class _Error(Struct):
    code: str | int | None = None
    param: str | None = None


class _Refusal(Struct):
    error: _Error


_read_measured = msgspec.json.Decoder(_Measured).decode
_read_refusal = msgspec.json.Decoder(_Refusal).decode


def sound_request(pool: UpstreamPool, job: Job) -> bytes:
    """The whole request for an engine."""
    asked, body = job.request, job.request.body
    bound = b"" if asked.quantities is None else b"x-audio-ms-max: %d\r\n" % asked.quantities.audio_ms
    if isinstance(body, SpeakingBody):
        said = msgspec.structs.replace(body, model=job.model.engine_model)
        content_type, content = b"application/json", msgspec.json.encode(said)
    else:
        assert isinstance(body, ListeningBody)  # noqa: S101 - the operation says so
        content_type, content = _form(_wanted(job, body), Sound(*body.file))
    path = _PATHS[asked.operation]
    return pool.post(path, job.replica.api_key, asked.request_id, content, content_type, bound)


def streams(job: Job) -> bool:
    """Whether this engine tells what it hears while it hears it."""
    return job.request.stream and job.replica.kind is EngineKind.SPEECH


def _wanted(job: Job, body: ListeningBody) -> list[tuple[bytes, str]]:
    wanted = body.wanted
    fields = [(b"model", job.model.engine_model), (b"response_format", "verbose_json")]
    if wanted.language is not None:
        fields.append((b"language", wanted.language))
    if wanted.prompt:
        fields.append((b"prompt", wanted.prompt))
    if wanted.temperature is not None:
        fields.append((b"temperature", str(wanted.temperature)))
    if "word" in wanted.granularities:
        fields += [(b"timestamp_granularities[]", "word"), (b"timestamp_granularities[]", "segment")]
    if streams(job):
        fields.append((b"stream", "true"))
    return fields


def _form(fields: list[tuple[bytes, str]], sound: Sound) -> tuple[bytes, bytes]:
    """A content type and a form. Nobody can have put a boundary into the file that was drawn a moment ago."""
    boundary = secrets.token_hex(16).encode()
    parts: list[bytes | memoryview] = []
    for name, text in fields:
        head = b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n' % (boundary, name)
        parts += (head, text.encode(), b"\r\n")
    name = b"audio.%b" % sound.ending.encode() if sound.ending else b"audio"
    head = b'--%b\r\ncontent-disposition: form-data; name="file"; filename="%b"\r\n' % (boundary, name)
    parts += (head, b"content-type: application/octet-stream\r\n\r\n", sound.content, b"\r\n--%b--\r\n" % boundary)
    return b"multipart/form-data; boundary=%b" % boundary, b"".join(parts)


def sound_refusal(status: int, body: bytes, job: Job) -> Failure:
    """The failure behind a status other than 200."""
    return _own_words(status, body) or refusal(status, body, job)


def _own_words(status: int, body: bytes) -> Failure | None:
    """What the caller can mend, in our own words."""
    if status == _TOO_LARGE:
        return TooLarge("The file is larger than the engine takes. Send it in parts.", param="file")
    try:
        error = _read_refusal(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if error.code == "invalid_audio":
        said = "The file cannot be read as sound. Send flac, mp3, mp4, ogg, wav or webm, whole."
        return BadRequest(said, code="invalid_audio", param="file")
    if error.code == "audio_too_long":
        return BadRequest("The sound is longer than the model takes. Send it in parts.", code="audio_too_long")
    if status == 400 and error.param in ("voice", "language", "input"):  # noqa: PLR2004 - HTTP's bad request
        return BadRequest(f"The engine of this model does not take this '{error.param}'.", param=error.param)
    return None


class HttpSoundMeter:
    """How long a file is, as the engine that will hear it counts it."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def measure(self, replica: Replica, request_id: str, sound: Sound) -> int | None:
        """See `flows.ports.SoundMeter`."""
        pool = self._upstreams.pool(replica)
        content_type, content = _form([], sound)
        asked = pool.post(_MEASURE, replica.api_key, request_id, content, content_type)
        try:
            async with asyncio.timeout(MEASURE_S_MAX):
                status, said = await _answer(pool, asked)
        except TimeoutError:
            raise _silent() from None
        if status == GOOD:
            return _duration(said)
        if status in _UNKNOWN_PAGE:
            return None
        raise _own_words(status, said) or _silent()


async def _answer(pool: UpstreamPool, request: bytes) -> tuple[int, bytes]:
    """On a connection of its own, which ends when nobody waits any more. Raises EngineUnavailable."""
    connection = await pool.connect()
    end: asyncio.Future[tuple[int, bytes]] = connection.new_future()
    connection.send(Page(connection, end), request)
    try:
        return await end
    finally:
        if not end.done() or end.cancelled():
            connection.abort()


def _duration(said: bytes) -> int:
    try:
        return max(_read_measured(said).duration_ms, 1)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _silent() from None


def _silent() -> EngineUnavailable:
    return EngineUnavailable("The engine does not say how long the sound is. Try again shortly.", retry_after_s=2)
