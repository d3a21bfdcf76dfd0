"""Promise 24: one reading of each HTTP request.

Two thousand ambiguous requests, alone and behind real proxies that share their connections among all clients. The
oracle is a strict reading of RFC 9112 that knows nothing of the service: what it refuses must be refused, what it reads
must be answered once and in order, and the engine must have seen exactly that.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from parvis.testing.hostile.ambiguous import RIGHT, attacks
from parvis.testing.hostile.attack import Attack
from parvis.testing.hostile.proxies import FRONTS, Front
from parvis.testing.hostile.sending import Sender, Victim
from parvis.testing.hostile.tap import Tap, tapped
from parvis.testing.hostile.verdict import Exchanged, complaint, marker_in, reached, refused, unmeant
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, planted, served_by, service

pytestmark = pytest.mark.alone
ATTACKS = 2_000
ATTACKS_OF_A_CONTROL = 600
SEED = 24
MODEL = "fake-8b"
LOGGED_S_MAX = 5.0
SOURCES = Path(__file__).parents[2] / "src"
Open = Callable[[int], AbstractContextManager[Front]]
House = tuple[Service, FakeEngineProcess]


def lenient(*leniencies: str) -> dict[str, tuple[str, str]]:
    """A parser that is told to be kind."""
    place = "        self._transport: asyncio.Transport | None = None\n"
    kind = ", ".join(f"{name}=True" for name in leniencies)
    return {
        "parvis/api/inference/connection.py": (place, f"{place}        self._parser.set_dangerous_leniencies({kind})\n")
    }


BARE_LINE_FEEDS = lenient("lenient_optional_cr_before_lf")
LENGTHS_BESIDE_CHUNKS = lenient("lenient_headers", "lenient_chunked_length")


@contextmanager
def running(home: Path, source: Path | None = None) -> Iterator[House]:
    with fake_engine() as engine, service(home, engines={"fake": served_by(engine)}, source=source) as started:
        yield started, engine


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("house") / "home") as started:
        yield started


def complaints(exchanges: Sequence[Exchanged], engine: FakeEngineProcess) -> list[str]:
    """Every disagreement between the strict reading, the answers, and what the engine was asked."""
    seen = reached(engine.ended(within_s=20))
    told = [f"{why}: {exchanged.sent[:300]!r}" for exchanged in exchanges if (why := complaint(exchanged, seen))]
    return told or unmeant(exchanges, seen)


def alone(house: House, count: int) -> tuple[list[str], list[tuple[Attack, Exchanged]]]:
    started, engine = house
    engine.reset()
    sent = list(attacks(count, started.api_key, MODEL, SEED))
    exchanges = asyncio.run(Sender(started.port, started.api_key, MODEL).attack_all(sent))
    return complaints(exchanges, engine), list(zip(sent, exchanges, strict=True))


def was_refused(exchanged: Exchanged) -> bool:
    return bool(exchanged.answers) and refused(exchanged.answers[0])


def test_alone(house: House) -> None:
    began_s = time.monotonic()
    found, done = alone(house, ATTACKS)
    took_s = time.monotonic() - began_s
    odd = [attack.family for attack, exchanged in done if was_refused(exchanged)]
    print(f"\nrow 24, alone: {len(done)} requests in {took_s:.1f} s, {len(odd)} refused, {len(found)} disagreements")
    assert found == []
    assert not RIGHT & set(odd)
    assert house[0].check() == []
    assert "bug" not in house[0].complained()


async def exchange_behind(front: Open, started: Service, sent: list[Attack]) -> tuple[list[Victim], Tap, str]:
    """Victims, what the proxy and the service told each other, and the proxy's log."""
    async with tapped(started.port) as tap:
        with front(tap.port) as proxy:
            victims = await Sender(proxy.port, started.api_key, MODEL).attack_others(sent)
            return victims, tap, await log_of(proxy, {victim.marker for victim in victims})


async def log_of(proxy: Front, answered: set[str]) -> str:
    """A proxy writes of a request after its answer has left: wait for the last ones, as long as a test may."""
    deadline_s = time.monotonic() + LOGGED_S_MAX
    while answered - markers([proxy.handled()]).keys() and time.monotonic() < deadline_s:  # noqa: ASYNC110 - a file of another program has no event
        await asyncio.sleep(0.05)
    return proxy.handled()


def markers(texts: Iterable[str]) -> Counter[str]:
    return Counter(re.findall(r"q\d+[abc]|v\d+v", " ".join(texts)))


def behind(house: House, front: Open, count: int) -> tuple[list[str], list[Victim], list[Exchanged]]:
    """Complaints: of victims, of the strict reader, and about requests that the proxy did not mean."""
    started, engine = house
    engine.reset()
    sent = list(attacks(count, started.api_key, MODEL, SEED))
    victims, tap, handled = asyncio.run(exchange_behind(front, started, sent))
    records = {str(record.x_request_id): record for record in engine.ended(within_s=20)}
    harmed = [why for victim in victims if (why := victim.complaint(records))]
    exchanges = tap.exchanges()
    forwarded = markers(request.target.decode() for one in exchanges for request in one.reading.requests)
    smuggled = forwarded - markers([handled])
    unasked = Counter(filter(None, (marker_in(str(record.body)) for record in records.values()))) - forwarded
    found = [*harmed, *complaints(exchanges, engine), *(f"smuggled: {one}" for one in (*smuggled, *unasked))]
    return found, victims, exchanges


@pytest.mark.parametrize("front", FRONTS, ids=[front.__name__ for front in FRONTS])
def test_behind_a_proxy(house: House, front: Open) -> None:
    began_s = time.monotonic()
    found, victims, exchanges = behind(house, front, ATTACKS)
    took_s = time.monotonic() - began_s
    requests = sum(len(one.reading.requests) for one in exchanges)
    print(f"\nrow 24, behind {front.__name__}: {ATTACKS} requests and as many victims in {took_s:.1f} s,")
    print(f"{requests} were forwarded over {len(exchanges)} connections, {len(found)} disagreements")
    assert found == []
    assert len(victims) == ATTACKS
    assert requests > len(exchanges)  # connections were shared, or nothing was proven
    assert house[0].check() == []


def test_control_bare_line_feeds_are_noticed(tmp_path: Path) -> None:
    with planted(SOURCES, BARE_LINE_FEEDS) as sources, running(tmp_path / "home", sources) as lax:
        found, _ = alone(lax, ATTACKS_OF_A_CONTROL)
    print(f"control of row 24: {len(found)} disagreements alone")
    assert found


def test_control_lengths_beside_chunks_are_noticed_behind_a_proxy(tmp_path: Path) -> None:
    with planted(SOURCES, LENGTHS_BESIDE_CHUNKS) as sources, running(tmp_path / "home", sources) as lax:
        found = {front.__name__: len(behind(lax, front, ATTACKS_OF_A_CONTROL)[0]) for front in FRONTS}
    print(f"control of row 24: disagreements behind {found}")
    assert all(found.values())
