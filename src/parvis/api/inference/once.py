"""A request under an `Idempotency-Key`: served once, and its answer given to whoever sends the same again.

The order is that of the last word: usage is durable, then the answer is kept by control, then the final marker leaves.
Only a whole answer is kept. What ends otherwise (a refusal, an engine that broke, a client that left) frees the key,
and the next attempt runs; what was delivered until then is paid for, as without a key.
"""

import hashlib

from parvis.api.inference.call import Call
from parvis.api.inference.costs import tell_cost
from parvis.api.inference.exchange import Exchange
from parvis.core.errors import BadRequest
from parvis.domain.metering.records import Outcome
from parvis.flows.hold import Hold
from parvis.flows.permit import authorize
from parvis.flows.ports import ClaimSource, Delivery, Directory, Flow, House, Sink, Taken
from parvis.flows.request import InferenceRequest
from parvis.flows.serve import serve
from parvis.wire.kept_answer import KeptAnswer, read_kept, write_kept

KEY_CHARS_MAX = 255
KEPT_BYTES_MAX = 1_000_000
_FIRST_VISIBLE, _LAST_VISIBLE = 0x21, 0x7E


class Recording:
    """A `Sink` that keeps what passes to another, up to a bound."""

    __slots__ = ("_parts", "_sink", "_size_bytes")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def attach(self, flow: Flow) -> None:
        self._sink.attach(flow)

    def events(self, data: bytes) -> None:
        self._sink.events(data)
        self._size_bytes += len(data)
        if self._size_bytes <= KEPT_BYTES_MAX:
            self._parts.append(data)
        else:
            self._parts.clear()

    def admitted(self, hold: Hold) -> None:
        self._sink.admitted(hold)

    def chosen(self, model_id: str, why: str) -> None:
        self._sink.chosen(model_id, why)

    def flushed(self) -> bool:
        return self._sink.flushed()

    async def drained(self) -> None:
        await self._sink.drained()

    @property
    def left(self) -> bool:
        return self._sink.left

    def with_the_end(self, last: bytes) -> bytes | None:
        """All that passed, and this; None when that is more than is kept."""
        if self._size_bytes + len(last) > KEPT_BYTES_MAX:
            return None
        return b"".join((*self._parts, last))


async def take(claims: ClaimSource, directory: Directory, exchange: Exchange, request: InferenceRequest) -> Taken:
    """Claim the key for who may ask for this at all, or get the answer that was kept. Raises Failure."""
    key_text = read_key(exchange.call)
    prepared = directory.admit(request.credential, request.address)
    authorize(directory, prepared, request)
    tenant_id = prepared.key.tenant_id
    return await claims.take(tenant_id, key_text, fingerprint(exchange.call, tenant_id), exchange)


async def run(claims: ClaimSource, taken: Taken, house: House, request: InferenceRequest, sink: Sink) -> Delivery:
    """Serve it, and keep its answer; free the key when there is none to keep. Raises what `serve` does."""
    recording = Recording(sink)
    try:
        delivery = await serve(house, request, recording)
    except BaseException:
        claims.free(taken)
        raise
    tell_cost(delivery, request)
    if delivery.outcome is not Outcome.COMPLETED:
        claims.free(taken)
        return delivery
    body = recording.with_the_end(delivery.body)
    await claims.keep(taken, None if body is None else write_kept(_kept(request, delivery, body)))
    return delivery


def _kept(request: InferenceRequest, delivery: Delivery, body: bytes) -> KeptAnswer:
    return KeptAnswer(request.request_id, request.stream, body, delivery.content_type)


def replay(exchange: Exchange, answer: bytes, done: bytes) -> None:
    """Answer with what was kept: the same bytes, `done` after those of a stream."""
    kept = read_kept(answer)
    exchange.add_header(b"idempotent-replayed", b"true")
    exchange.add_header(b"original-request", kept.request_id.encode())
    if kept.stream:
        exchange.events(kept.body)
        exchange.finish_stream(done)
    elif kept.content_type:
        exchange.answer(kept.body, headers=((b"content-type", kept.content_type),))
    else:
        exchange.answer(kept.body)


def read_key(call: Call) -> str:
    """The text of the header. Raises BadRequest unless it is 1 to 255 visible characters of ASCII."""
    key = call.idempotency_key or b""
    if not 0 < len(key) <= KEY_CHARS_MAX or not all(_FIRST_VISIBLE <= char <= _LAST_VISIBLE for char in key):
        raise BadRequest(
            f"'Idempotency-Key' must be 1 to {KEY_CHARS_MAX} visible characters of ASCII, without spaces.",
            param="Idempotency-Key",
        )
    return key.decode("ascii")


def fingerprint(call: Call, tenant_id: str) -> str:
    """The same for the same tenant, method, path and body. SHA-256, in hexadecimal; control hashes it under a key."""
    asked = f"{tenant_id}\n{call.method} {call.path.rstrip('/')}\n".encode()
    return hashlib.sha256(asked + call.body).hexdigest()
