"""Which HTTP status and which `type` each failure becomes. The only place that knows. Source: the protocol."""

from http import HTTPStatus

from parvis.api.rate_headers import rate_headers
from parvis.core.errors import (
    BadRequest,
    Conflict,
    EngineBroke,
    Failure,
    LimitReached,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    QuotaExhausted,
    TooLarge,
    TooManyAttempts,
    TooSlow,
    Unavailable,
)

_STATUSES: tuple[tuple[type[Failure], HTTPStatus, str], ...] = (
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "invalid_request_error"),
    (TooSlow, HTTPStatus.REQUEST_TIMEOUT, "invalid_request_error"),
    (BadRequest, HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED, "invalid_request_error"),
    (NotPermitted, HTTPStatus.FORBIDDEN, "permission_error"),
    (NotFound, HTTPStatus.NOT_FOUND, "invalid_request_error"),
    (MethodNotAllowed, HTTPStatus.METHOD_NOT_ALLOWED, "invalid_request_error"),
    (Conflict, HTTPStatus.CONFLICT, "invalid_request_error"),
    (TooManyAttempts, HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    (QuotaExhausted, HTTPStatus.TOO_MANY_REQUESTS, "insufficient_quota"),
    (LimitReached, HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable_error"),
    (EngineBroke, HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"),
)
_NO_RETRY = (NotAuthenticated, QuotaExhausted, TooManyAttempts)
"""Official SDKs retry these by themselves, which cannot help."""
RETRY_AFTER_S_MAX = 60
"""Beyond it the official SDKs do not wait at all."""


def status_of(failure: Failure) -> tuple[HTTPStatus, str]:
    """The status and the error `type` of a failure."""
    for kind, status, name in _STATUSES:
        if isinstance(failure, kind):
            return status, name
    return HTTPStatus.INTERNAL_SERVER_ERROR, "server_error"


def headers_of(failure: Failure) -> list[tuple[bytes, bytes]]:
    """What a failure adds to the head."""
    headers = []
    if failure.retry_after_s is not None:
        patient = isinstance(failure, TooManyAttempts)  # people, who are told the whole truth
        seconds = failure.retry_after_s if patient else min(failure.retry_after_s, RETRY_AFTER_S_MAX)
        headers.append((b"retry-after", str(seconds).encode()))
    if isinstance(failure, _NO_RETRY) or (isinstance(failure, Conflict) and failure.retry_after_s is None):
        headers.append((b"x-should-retry", b"false"))
    if isinstance(failure, LimitReached):
        headers.extend(rate_headers(failure.requests, failure.tokens))
    if isinstance(failure, NotAuthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(failure, MethodNotAllowed):
        headers.append((b"allow", failure.allow.encode()))
    return headers
