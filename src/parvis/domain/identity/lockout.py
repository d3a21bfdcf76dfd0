"""Lock-out: after some failures in a row each further one costs a longer wait. Times are since the epoch.

Who guesses is slowed down, for one account and from one address; who mistypes is not. What is counted is the same for
accounts that do not exist.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from parvis.domain.identity.person import same_email

HOUR_MS = 3_600_000
FORGOTTEN_MS = 24 * HOUR_MS
"""After so long without another failure it begins anew."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How many failures are free, and what the next ones cost."""

    free: int
    first_ms: int = 30_000
    longest_ms: int = HOUR_MS


ACCOUNT = Rule(free=5)
ADDRESS = Rule(free=20)
"""Several people come from one address; and a success of one of them says nothing of the others."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Of one account or address: how many in a row, and when the last was."""

    count: int = 0
    last_unix_ms: int = 0


def wait_ms(rule: Rule, count: int) -> int:
    """How long nothing is tried after so many failures in a row."""
    if count < rule.free:
        return 0
    doublings = min(count - rule.free, rule.longest_ms.bit_length())
    return min(rule.first_ms << doublings, rule.longest_ms)


def locked_until(rule: Rule, failures: Failures, now_unix_ms: int) -> int:
    """When it may be tried again; 0 when it may be tried now."""
    until = failures.last_unix_ms + wait_ms(rule, failures.count)
    return until if until > now_unix_ms else 0


def counted(failures: Failures, now_unix_ms: int) -> Failures:
    """With one more. An attempt is counted before it is judged, so that many at once are not judged by one count."""
    forgotten = now_unix_ms - failures.last_unix_ms >= FORGOTTEN_MS
    return Failures(1 if forgotten else failures.count + 1, now_unix_ms)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose failures are counted together. `name` is what the store keeps: no e-mail address stands in it."""

    name: str
    rule: Rule


def account(email: str) -> Subject:
    """An account, whether it exists or not."""
    return Subject(f"account {hashlib.sha256(same_email(email).encode()).hexdigest()}", ACCOUNT)


def address(text: str) -> Subject:
    """An IPv4 address, or the /64 of an IPv6 address; anything else by itself."""
    try:
        known = ip_address(text)
    except ValueError:
        return Subject(f"address {text[:64]}", ADDRESS)
    inner = getattr(known, "ipv4_mapped", None) or known
    bits = 64 if inner.version == 6 else 32  # noqa: PLR2004 - the versions of the protocol
    return Subject(f"address {ip_network((inner, bits), strict=False)}", ADDRESS)
