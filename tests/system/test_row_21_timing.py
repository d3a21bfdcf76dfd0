"""Promise 21, its first half: the time that a refusal takes does not tell what was wrong with the key.

Three kinds of wrong keys are shown in random order over one connection that stays open: an id that nobody has, a wrong
secret of a key that exists, and the right secret of a key that was revoked. The slowest tenth of all attempts is cut
off, for there the machine speaks; of the rest Welch's t is worked out for each pair of kinds.

At level N t is judged, with the whole number of attempts. A machine that others use too can be slow for one kind by
chance, though not by much: so with every `make test` the medians are compared roughly, and it is shown, in this
process, that the method finds a comparison that tells.
"""

import asyncio
import gc
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Literal

import pytest

from parvis.adapters.link.packing import DIGEST_BYTES, PackedKeys, PackedTenants, pack_key, pack_tenant, unpack_key
from parvis.core.clock import SystemClock
from parvis.core.errors import NotAuthenticated
from parvis.core.secret import Secret
from parvis.domain.identity.api_key import ApiKey, KeySecret, secret_digest
from parvis.domain.identity.key_text import write_key
from parvis.domain.identity.organisation import Tenant
from parvis.flows.directory import SnapshotDirectory
from parvis.flows.ports import KeyBook, Snapshot
from parvis.testing.locksmith import Locksmith
from parvis.testing.processes import fake_engine
from parvis.testing.service import planted, served_by, service

ATTEMPTS = {"C": 6_000, "N": 200_000}
ATTEMPTS_OF_CONTROL = {"C": 15_000, "N": 60_000}
ATTEMPTS_INSIDE = 9_000
T_MAX = 4.5
ALIKE_C = 0.25
"""How far apart, at level C, the medians may be, as a part of them."""
WARM_UP = 300
KEPT = 0.9
SEED = 21
KNOWN_AFTER_S = 1.0
"""By then every gateway knows the keys that were made."""
pytestmark = pytest.mark.alone
PEPPER = b"p" * 32
SOURCES = Path(__file__).parents[2] / "src"
TELLING = {
    "parvis/adapters/link/packing.py": (
        """        packed = self.by_id.get(key_id, _KEY_OF_NOBODY)
""",
        """        packed = self.by_id.get(key_id)
        if packed is None:
            return ApiKey("", "", "", "", (), active=False), False
        if not all(a == b for a, b in zip(digest, packed, strict=False)):
            return ApiKey("", "", "", "", (), active=False), False
""",
    )
}
"""Who is not there is not compared with, and a comparison ends at the first byte that differs."""

Kind = Literal["unknown", "wrong", "revoked"]
KINDS: tuple[Kind, ...] = ("unknown", "wrong", "revoked")
Texts = dict[Kind, str]


@dataclass(frozen=True)
class Spread:
    """What was measured of one kind, without its slowest."""

    mean: float
    median: float
    variance: float
    count: int

    def t(self, other: "Spread") -> float:
        """Welch's."""
        return (self.mean - other.mean) / math.sqrt(self.variance / self.count + other.variance / other.count)


def spreads(seconds: dict[Kind, list[float]]) -> dict[Kind, Spread]:
    """One bound for all kinds, so that cutting favours none."""
    everything = sorted(value for values in seconds.values() for value in values)
    bound = everything[int(len(everything) * KEPT)]
    found = {}
    for kind, values in seconds.items():
        kept = sorted(value for value in values if value <= bound)
        mean = math.fsum(kept) / len(kept)
        variance = math.fsum((value - mean) ** 2 for value in kept) / (len(kept) - 1)
        found[kind] = Spread(mean, kept[len(kept) // 2], variance, len(kept))
    return found


def worst_t(found: dict[Kind, Spread]) -> float:
    return max(abs(found[one].t(found[other])) for one, other in combinations(KINDS, 2))


def measure(attempt: Callable[[Kind], None], attempts: int) -> dict[Kind, Spread]:
    """Attempts of random kinds, one after another."""
    dice = Random(SEED)
    seconds: dict[Kind, list[float]] = {kind: [] for kind in KINDS}
    for kind in dice.choices(KINDS, k=WARM_UP):
        attempt(kind)
    gc.collect()
    gc.disable()
    try:
        for kind in dice.choices(KINDS, k=attempts):
            before_s = time.perf_counter()
            attempt(kind)
            seconds[kind].append(time.perf_counter() - before_s)
    finally:
        gc.enable()
    return spreads(seconds)


def tell(what: str, found: dict[Kind, Spread]) -> None:
    means = ", ".join(f"{kind} {spread.mean * 1e6:.2f} µs" for kind, spread in found.items())
    count = sum(spread.count for spread in found.values())
    print(f"\nrow 21, {what}: {count} attempts kept; {means}; |t| at most {worst_t(found):.2f}")


# ---------------------------------------------------------------------------------------- at a real gateway


class Asker:
    """One connection on which keys are shown. Asserts that all of them are refused in the same words."""

    def __init__(self, connection: socket.socket, texts: Texts) -> None:
        self.connection = connection
        self._requests = {
            kind: f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {text}\r\n\r\n".encode()
            for kind, text in texts.items()
        }
        self._body = b""

    def attempt(self, kind: Kind) -> None:
        self.connection.sendall(self._requests[kind])
        answer = self.connection.recv(4096)
        head, _, body = answer.partition(b"\r\n\r\n")
        self._body = self._body or body
        assert head.startswith(b"HTTP/1.1 401 ")
        assert body == self._body


async def texts_at(home: Path) -> Texts:
    """A wrong key of each kind for the service of this data folder."""
    async with Locksmith(home) as locksmith:
        _, revoked = await locksmith.make(active=False)
        known, _ = await locksmith.make()
    guess = Secret("0" * 40)
    return {
        "unknown": write_key("0" * 16, guess).reveal(),
        "wrong": write_key(known.key_id, guess).reveal(),
        "revoked": revoked,
    }


async def measure_at_a_gateway(home: Path, attempts: int, source: Path | None = None) -> dict[Kind, Spread]:
    with fake_engine() as engine, service(home, engines={"fake": served_by(engine)}, source=source) as running:
        asking = Asker(socket.create_connection(("127.0.0.1", running.port), timeout=30), await texts_at(home))
        with asking.connection:
            await asyncio.sleep(KNOWN_AFTER_S)
            return measure(asking.attempt, attempts)


@pytest.mark.timeout(600)
async def test_the_time_of_a_refusal_does_not_tell_what_was_wrong(tmp_path: Path, level: Literal["C", "N"]) -> None:
    found = await measure_at_a_gateway(tmp_path / "home", ATTEMPTS[level])
    tell("at a gateway", found)
    medians = [spread.median for spread in found.values()]
    assert max(medians) - min(medians) < ALIKE_C * min(medians)
    assert level == "C" or worst_t(found) < T_MAX


@pytest.mark.timeout(600)
async def test_control_a_comparison_that_tells_is_found_at_a_gateway(tmp_path: Path, level: Literal["C", "N"]) -> None:
    with planted(SOURCES, TELLING) as sources:
        found = await measure_at_a_gateway(tmp_path / "home", ATTEMPTS_OF_CONTROL[level], sources)
    tell("control, at a gateway", found)
    assert worst_t(found) > T_MAX


# ------------------------------------------------------------------------------------------ in this process


class TellingKeys(PackedKeys):
    """The planted bug, here."""

    def find(self, key_id: str, digest: bytes) -> tuple[ApiKey, bool]:
        packed = self.by_id.get(key_id)
        if packed is None or not all(a == b for a, b in zip(digest, packed[:DIGEST_BYTES], strict=True)):
            return ApiKey("", "", "", "", (), active=False), False
        return unpack_key(packed), True


def directory_of(keys: KeyBook) -> SnapshotDirectory:
    tenants = PackedTenants()
    tenants.take({"t": pack_tenant(Tenant("t", "org", "Test", credit_unlimited=True))})
    directory = SnapshotDirectory(SystemClock())
    directory.load(Snapshot(1, PEPPER, keys, tenants, {}, (), (), ()))
    return directory


def measure_here(book: PackedKeys) -> dict[Kind, Spread]:
    guess, right = Secret("0" * 40), Secret("1" * 40)
    known, revoked = ("1" * 16, "2" * 16)
    made = ApiKey(known, "org", "t", "made", (KeySecret(secret_digest(PEPPER, known, right), 1),))
    secret = KeySecret(secret_digest(PEPPER, revoked, right), 1)
    ended = replace(made, key_id=revoked, secrets=(secret,), active=False)
    book.take({key.key_id: pack_key(key) for key in (made, ended)})
    shown: Texts = {
        "unknown": write_key("0" * 16, guess).reveal(),
        "wrong": write_key(known, guess).reveal(),
        "revoked": write_key(revoked, right).reveal(),
    }
    directory = directory_of(book)

    def attempt(kind: Kind) -> None:
        try:
            directory.admit(shown[kind], "127.0.0.1")
        except NotAuthenticated:
            return
        raise AssertionError(kind)

    return measure(attempt, ATTEMPTS_INSIDE)


def apart(found: dict[Kind, Spread]) -> float:
    medians = [spread.median for spread in found.values()]
    return max(medians) - min(medians)


def test_control_a_comparison_that_tells_is_found_and_ours_is_not_one() -> None:
    ours, telling = measure_here(PackedKeys()), measure_here(TellingKeys())
    tell("ours, in this process", ours)
    tell("control, in this process", telling)
    assert worst_t(telling) > T_MAX
    assert apart(ours) < apart(telling) / 2
