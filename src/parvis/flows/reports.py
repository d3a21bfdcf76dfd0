"""Leaked keys: whoever holds one may hand it in, and it works no more. What is answered never says whether it did."""

from collections import OrderedDict
from ipaddress import ip_address, ip_network
from math import ceil

from parvis.core.errors import TooManyAttempts
from parvis.flows.keys import Mint
from parvis.flows.notices import tell_reported
from parvis.flows.rotation import revoke_presented
from parvis.flows.store import Store

ADDRESS_BURST, ADDRESS_EVERY_MS = 10, 6_000
ALL_BURST, ALL_EVERY_MS = 200, 100
ADDRESSES_MAX = 10_000
MS_PER_S = 1000
_ALL = ""


class ReportCounter:
    """How many reports come from one address and from all together. In memory: who restarts control begins anew.

    A leaky bucket each: some at once, then one for every so many seconds. Of an IPv6 address its /64 counts.
    """

    def __init__(self) -> None:
        self._empty_at_ms: OrderedDict[str, int] = OrderedDict()
        """When the bucket of an address will be empty, the one that was touched longest ago first."""

    def count(self, address: str, now_s: float) -> None:
        """One more from there. Raises TooManyAttempts."""
        now_ms = int(now_s * MS_PER_S)
        self._pour(_network(address), now_ms, ADDRESS_BURST, ADDRESS_EVERY_MS)
        self._pour(_ALL, now_ms, ALL_BURST, ALL_EVERY_MS)

    def _pour(self, name: str, now_ms: int, burst: int, every_ms: int) -> None:
        empty_at_ms = max(self._empty_at_ms.get(name, 0), now_ms) + every_ms
        wait_ms = empty_at_ms - now_ms - burst * every_ms
        if wait_ms > 0:
            raise TooManyAttempts(
                "Too many keys were reported. Try again later.",
                code="too_many_reports",
                retry_after_s=ceil(wait_ms / MS_PER_S),
            )
        self._empty_at_ms[name] = empty_at_ms
        self._empty_at_ms.move_to_end(name)
        while len(self._empty_at_ms) > ADDRESSES_MAX:
            self._empty_at_ms.popitem(last=False)


async def report_key(store: Store, mint: Mint, text: str) -> str | None:
    """Revoke the key whose whole and right text this is, and tell its owners; durable on return. Its id, if it was."""
    key = await revoke_presented(store, mint, text)
    if key is None:
        return None
    await tell_reported(store, mint.clock, mint.randomness, key)
    return key.key_id


def _network(address: str) -> str:
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return "elsewhere"
    inner = getattr(known, "ipv4_mapped", None) or known
    return str(ip_network(f"{inner}/64", strict=False)) if inner.version == 6 else str(inner)  # noqa: PLR2004 - IPv6
