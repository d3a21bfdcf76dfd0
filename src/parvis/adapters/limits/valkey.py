"""Rates and places in Valkey or Redis: one script a trade, on the server's clock.

What the server forgets is not limited: it should write its changes to disk (`appendonly yes`) and evict nothing
(`maxmemory-policy noeviction`), which is its usual setting.
"""

from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from parvis.core.errors import Conflict, Misconfigured, Unavailable
from parvis.core.secret import Secret
from parvis.domain.quota.gcra import interval_ns
from parvis.domain.quota.slices import Limited, Returned, Slice, is_places

T = TypeVar("T")
_Word = str | int
ANSWER_S_MAX = 1.0
LIFE_MS = 120_000
"""A run of which nobody has heard for so long holds no places."""
_BUCKET, _RUN = "{parvis}:limit:", "{parvis}:run:"
"""One hash tag, so that a cluster keeps all of it in one place."""
_FIGURES = len(Slice._fields)
_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis": "redis", "rediss": "rediss", "unix": "unix"}
SCRIPT = files("parvis.adapters.limits").joinpath("trade.lua").read_text()


class ValkeyRates:
    """`RateStore` on a server at `valkey://[user:password@]host:port/0`; with TLS `valkeys://`; or `unix://PATH`."""

    def __init__(self, url: Secret, script: str = SCRIPT) -> None:
        self._client: Redis = Redis.from_url(
            _read(url), socket_timeout=ANSWER_S_MAX, socket_connect_timeout=ANSWER_S_MAX, decode_responses=True
        )
        self._script = self._client.register_script(script)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    async def trade_rates(
        self, incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited]
    ) -> list[Slice]:
        """See the port."""
        return read_slices(
            await _answered(cast("Awaitable[str]", self._script(*script_call(incarnation, number, unused, wants))))
        )

    async def keep_places(self, incarnations: Sequence[str]) -> None:
        """See the port."""
        pipeline = self._client.pipeline(transaction=False)
        for incarnation in incarnations:
            pipeline.set(_RUN + incarnation, 0, nx=True, px=LIFE_MS)
            pipeline.pexpire(_RUN + incarnation, LIFE_MS)
        await _answered(pipeline.execute())

    async def free_places(self, incarnation: str) -> None:
        """See the port. Who has no life holds nothing; its name is taken off a limit when somebody wants of it."""
        await _answered(self._client.delete(_RUN + incarnation))


def script_call(
    incarnation: str, number: int, unused: Sequence[Returned], wants: Sequence[Limited]
) -> tuple[list[str], list[_Word]]:
    """The keys and the arguments of the script."""
    named = [one.unused.bucket for one in unused] + [one.want.bucket for one in wants]
    said: list[_Word] = [number, incarnation, _RUN, LIFE_MS, len(unused)]
    said += [word for one in unused for word in _returned(one)] + [word for one in wants for word in _wanted(one)]
    return [_RUN + incarnation, *(_BUCKET + bucket for bucket in named)], said


def read_slices(answer: str) -> list[Slice]:
    """What the script said."""
    figures = [int(figure) for figure in answer.split()]
    return [Slice(*figures[start : start + _FIGURES]) for start in range(0, len(figures), _FIGURES)]


def _read(url: Secret) -> str:
    """The address in the spelling of the client. Raises Misconfigured."""
    scheme, mark, rest = url.reveal().partition("://")
    if scheme not in _SCHEMES or not mark or not rest:
        raise Misconfigured("limits.valkey must look like valkey://host:6379/0.")
    return f"{_SCHEMES[scheme]}://{rest}"


def _returned(returned: Returned) -> list[_Word]:
    unused, rate = returned
    if rate is None:
        return ["places" if is_places(unused.bucket) else "free", unused.amount, 0, 0, 0]
    known = unused.unit_ns == interval_ns(rate)
    return ["rate", unused.amount if known else 0, unused.taken_us, rate.amount, interval_ns(rate)]


def _wanted(wanted: Limited) -> list[_Word]:
    want, rate, places_max = wanted
    if rate is not None:
        return ["rate", want.at_least, want.up_to, rate.amount, interval_ns(rate)]
    kind = "places" if is_places(want.bucket) else "free"
    return [kind, want.at_least, want.up_to, -1 if places_max is None else places_max, 0]


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except ResponseError as error:
        if str(error).startswith("STALE"):
            raise Conflict("This trade of a gateway run is over.") from None
        raise Unavailable("The server of rate limits refuses. Its own log says why.", retry_after_s=2) from None
    except (RedisError, OSError):
        raise Unavailable("The server of rate limits cannot be reached.", retry_after_s=2) from None
