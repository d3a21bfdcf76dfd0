"""What an engine's error response means. Its own words are not passed on: they may name machines or paths."""

import msgspec
from msgspec import Struct

from parvis.core.errors import BadRequest, EngineBroke, EngineUnavailable, Failure, KeyRefused
from parvis.domain.fleet.replica import EngineKind
from parvis.domain.metering.records import Operation
from parvis.flows.ports import Job


class _Error(Struct):
    message: str = ""
    type: str = ""
    code: str | int | None = None


class _Body(Struct):
    error: _Error | str | None = None
    message: str = ""


_read = msgspec.json.Decoder(_Body).decode
_UNSUPPORTED_SCHEMA = "unsupported_schema"
_SHORTER = {
    Operation.CHAT: ("Shorten the messages or lower max_tokens.", "messages"),
    Operation.RERANK: ("Shorten query and documents, or send 'max_tokens_per_doc' to have them cut.", "documents"),
}
"""What to do about a request that is too long, and which field is meant."""
_CONTEXT_SIGNS = ("context", "maximum model length", "too long", "too large to process")


def refusal(status: int, body: bytes, job: Job) -> Failure:
    """The failure behind a status other than 200."""
    if status in (429, 502, 503, 504):
        busy = EngineUnavailable("The engine is busy or starting. Try again shortly.", retry_after_s=2)
        busy.reason = f"It answers {status}."
        return busy
    if status in (401, 403):
        stranger = KeyRefused(_misconfigured(job))
        stranger.reason = f"It refuses our key ({status})."
        return stranger
    if status == 404:  # noqa: PLR2004 - no such model, or no such page
        return EngineBroke(_misconfigured(job), code="engine_misconfigured")
    if 400 <= status < 500:  # noqa: PLR2004 - HTTP's class of client errors
        return _wrong_request(body, job)
    return broken("The engine failed on this request. Try again.")


def _misconfigured(job: Job) -> str:
    return f"The engine of '{job.model.id}' does not know us or the model. Tell your operator to check its settings."


def broken(sentence: str) -> EngineBroke:
    """The failure of an engine that took the request; the sentence is ours, not its own."""
    return EngineBroke(sentence)


def _wrong_request(body: bytes, job: Job) -> Failure:
    try:
        report = _read(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        report = _Body()
    error = report.error
    if job.replica.kind is EngineKind.OPENVINO and isinstance(error, _Error) and error.code == _UNSUPPORTED_SCHEMA:
        return BadRequest(error.message, code=_UNSUPPORTED_SCHEMA, param="response_format")  # it is a part of us
    text = (error.message + error.type if isinstance(error, _Error) else error or report.message).lower()
    if any(sign in text for sign in _CONTEXT_SIGNS):
        advice, param = _SHORTER.get(job.request.operation, _SHORTER[Operation.CHAT])
        return BadRequest(
            f"This model's maximum context length is {job.model.context_tokens} tokens; the request is longer. "
            + advice,
            code="context_length_exceeded",
            param=param,
        )
    return BadRequest(
        "The engine cannot honour this request. Check tools, response_format and the sampling parameters.",
        code="refused_by_engine",
    )
