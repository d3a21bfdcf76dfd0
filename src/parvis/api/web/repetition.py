"""`Idempotency-Key`: a POST that is sent again because its answer was lost does nothing twice.

The first request claims the key. Its success is kept for a day and given to who sends the same again; after a refusal
nothing has happened and the key is free. What broke in the middle is neither: it is not done again under this key.
"""

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from parvis.api.statuses import status_of
from parvis.api.web.desk import front_desk
from parvis.api.web.routes import Route
from parvis.core.errors import BadRequest, Conflict, Failure
from parvis.domain.audit.once import Claim, Earlier, Kept
from parvis.domain.identity.principal import Kind

KEPT_MS = 86_400_000
LOST_MS = 300_000
"""A request that has not ended by then never will: its process died."""
KEY_CHARS_MAX = 255
SERVER_ERRORS = 500
_BROKEN = Kept(SERVER_ERRORS, None)
_log = logging.getLogger("parvis.repetition")
_Answer = Callable[[Request], Awaitable[Response]]


async def once(route: Route, request: Request, answer: _Answer) -> Response:
    """The answer, or that of the first request of the same key. Of who has no credential nothing is remembered."""
    key = request.headers.get("idempotency-key")
    if key is None or route.method != "POST" or request.state.principal.kind is Kind.NOBODY:
        return await answer(request)
    store = front_desk(request).store
    claim = await _claim_of(key, request)
    at = claim.at_unix_ms
    earlier = await store.claim(claim, forget_unix_ms=at - KEPT_MS, lost_unix_ms=at - LOST_MS)
    if earlier is not None:
        return _again(claim, earlier)
    try:
        response = await answer(request)
    except Exception as problem:
        await _settle(store.release(claim) if _harmless(request, problem) else store.keep_answer(claim, _BROKEN))
        raise
    await _settle(store.keep_answer(claim, _kept(route, request, response)))
    return response


async def _claim_of(key: str, request: Request) -> Claim:
    if not 0 < len(key) <= KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise BadRequest(f"'Idempotency-Key' must be 1 to {KEY_CHARS_MAX} printable characters of ASCII.")
    desk = front_desk(request)
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
    # Keyed, because a body may hold something that could be guessed and tried against a plain digest.
    fingerprint = hmac.new(desk.pepper(), b"idempotency\n" + asked, hashlib.sha256).hexdigest()
    return Claim(request.state.principal.name, key, fingerprint, desk.clock.unix_ms())


def _again(claim: Claim, earlier: Earlier) -> Response:
    if not hmac.compare_digest(claim.fingerprint, earlier.fingerprint):
        raise Conflict(
            "This Idempotency-Key was used for another request. Take a new one for each thing that you want done.",
            code="idempotency_key_reused",
        )
    if earlier.kept is None:
        raise Conflict(
            "The first request with this Idempotency-Key still runs. Wait for it, then ask again.",
            code="idempotency_in_progress",
            retry_after_s=1,
        )
    if earlier.kept.body is None:
        raise _not_kept(earlier.kept)
    headers = {"idempotent-replayed": "true"}
    return Response(earlier.kept.body, earlier.kept.status, headers, media_type="application/json")


def _not_kept(kept: Kept) -> Conflict:
    if kept.status >= SERVER_ERRORS:
        return Conflict(
            "The first request with this Idempotency-Key broke midway. See what came of it, then take a new one.",
            code="idempotent_result_not_kept",
        )
    return Conflict(
        f"This was done already and made '{kept.made}'. Its answer held a secret, which is not kept.",
        code="idempotent_result_not_kept",
    )


def _harmless(request: Request, problem: Exception) -> bool:
    """Whether nothing has happened for certain."""
    refused = isinstance(problem, Failure) and status_of(problem)[0] < SERVER_ERRORS
    return refused or not request.state.acting


def _kept(route: Route, request: Request, response: Response) -> Kept:
    body = None if route.secret_answer else bytes(response.body)
    return Kept(response.status_code, body, ", ".join(request.state.made.values()))


async def _settle(settling: Awaitable[None]) -> None:
    """What was done stands; a key that cannot be settled is taken for lost after a while."""
    try:
        await settling
    except Failure as failure:
        _log.error("an idempotency key stays claimed", extra={"kind": failure.code})
