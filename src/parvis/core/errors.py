"""Every way in which Parvis says no, or admits that it broke.

    Failure                     a sentence for the caller, a stable code for programs
    ├── BadRequest              the request cannot be understood or honoured; sending it again is useless
    │   ├── TooLarge            one of its sizes is beyond a bound
    │   └── TooSlow             it did not arrive in time
    ├── NotAuthenticated        no credential, or none that we know
    ├── NotPermitted            a known credential without the right
    ├── NotFound                no such model, route or object
    ├── MethodNotAllowed        the route exists, the verb does not
    ├── Conflict                it clashes with something that exists
    ├── TooManyAttempts         failures in a row; nothing is tried before a while
    ├── QuotaExhausted          the money or quota of the tenant does not cover it
    ├── LimitReached            too many requests or tokens in too short a time; it frees by itself
    ├── Unavailable             a part that we need is away; later it may work
    │   └── EngineUnavailable   no engine took the request
    │       └── KeyRefused      one does not accept our key
    ├── EngineBroke             an engine took the request and failed
    ├── ServerBug               something that nobody foresaw
    └── Misconfigured           the operator's settings or machine are wrong; start is refused

Only `parvis.api` knows which HTTP status each becomes. Anything else that is raised is a bug.
"""


class Failure(Exception):
    """An expected failure. `str(failure)` is a public sentence: it names what, why and how to fix it."""

    code = "failure"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.param = param
        self.retry_after_s = retry_after_s


class BadRequest(Failure):
    """The request cannot be understood or honoured."""

    code = "invalid_value"


class TooLarge(BadRequest):
    """One of the request's sizes is beyond its bound."""

    code = "request_too_large"


class TooSlow(BadRequest):
    """The request did not arrive in time."""

    code = "request_timeout"


class NotAuthenticated(Failure):
    """No credential, or none that we know.

    `reason` and `key_id` are for the log alone: who asks gets one answer, whatever is wrong.
    """

    code = "invalid_api_key"
    reason = ""
    key_id = ""


class NotPermitted(Failure):
    """A known credential without the right that the act needs."""

    code = "permission_denied"


class NotFound(Failure):
    """No such model, route or object (or none that the caller may know of)."""

    code = "not_found"


class MethodNotAllowed(Failure):
    """The route exists, the verb does not. `allow` lists the verbs that do."""

    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Conflict(Failure):
    """It clashes with something that exists."""

    code = "conflict"


class TooManyAttempts(Failure):
    """Too many attempts to sign in have failed in a row. `retry_after_s` says when the next one is looked at."""

    code = "too_many_attempts"


class QuotaExhausted(Failure):
    """The tenant's money or quota does not cover the worst case of this request."""

    code = "insufficient_quota"


class LimitReached(Failure):
    """A rate or the number of requests at a time is reached; `retry_after_s` says when there is room.

    `requests` and `tokens` are how the tightest rates stand, for headers: limit, remaining, ms until full.
    """

    code = "rate_limit_exceeded"
    requests: tuple[int, int, int] | None = None
    tokens: tuple[int, int, int] | None = None


class Unavailable(Failure):
    """A part that we need is away for now."""

    code = "service_unavailable"


class EngineUnavailable(Unavailable):
    """No engine took the request; nothing was computed, so another replica may be tried.

    `reason` is for the operator alone: a sentence about the replica, without a secret.
    """

    code = "engine_unavailable"
    reason = ""


class KeyRefused(EngineUnavailable):
    """An engine does not accept our key; it would refuse every request."""

    code = "engine_misconfigured"


class EngineBroke(Failure):
    """An engine took the request and then failed."""

    code = "engine_error"


class ServerBug(Failure):
    """Something that nobody foresaw. Details are in the log, under the request id."""

    code = "internal_error"


class Misconfigured(Failure):
    """The settings or the machine are wrong: the service refuses to start and says what to change."""

    code = "misconfigured"
