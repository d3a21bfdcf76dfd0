"""Promise 27: no egress. Nothing dereferences a client's URL, and nothing calls home.

The service runs in a network namespace in which packets to elsewhere have a road, and are seen on it. Every spelling
of a URL is put into every place of every route, into headers and targets. This file is also the program that runs
inside: `python test_row_27_no_egress.py STORY HOME [SOURCES]`.
"""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from parvis.api.inference.routes import ROUTES
from parvis.app.child import die_with_parent
from parvis.testing.bait import Bait
from parvis.testing.caller import Caller
from parvis.testing.fake_engine.record import Record
from parvis.testing.island import island, settle
from parvis.testing.packets import Capture
from parvis.testing.processes import fake_engine
from parvis.testing.raw_http import request, responses, said
from parvis.testing.service import KINDS, Service, before_each_kind, free_port, planted, service
from parvis.testing.url_spellings import spellings
from parvis.testing.wire_places import BODIES, FORMS, Place, places

SPELLINGS_MIN = 300
PLACES_EACH_C = 10
"""Of each spelling; another ten of the next one, so that every place meets a few dozen."""
REAL = 60
AT_ONCE = 24
IDLE_S = {"C": 2.0, "N": 20.0}
INSIDE_S_MAX = {"C": 100, "N": 3_600}
COMPLETIONS = ("/v1/chat/completions", "/v1/completions")
PICTURE, PICTURE_PATH = "data:image/", "messages[0].content[0].image_url.url"
SOURCES = Path(__file__).parents[2] / "src"
Json = dict[str, Any]
Story = Literal["C", "N", "control", "real"]

ANSWER = '''async def chat(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it. Raises Failure."""
    call = exchange.call
'''
LOOK = """def _look(body: bytes) -> None:
    import contextlib, json, urllib.request
    with contextlib.suppress(Exception):
        (picture,) = json.loads(body)["messages"][0]["content"]
        urllib.request.urlopen(picture["image_url"]["url"], timeout=0.1).read()
"""
ONE_URLOPEN = {"parvis/api/inference/chat.py": (ANSWER, f"{LOOK}\n\n{ANSWER}    _look(call.body)\n")}

# ------------------------------------------------------------------------------------ where a URL can be put

NOT_OURS: dict[str, Callable[[str], Json]] = {
    "input_audio": lambda url: part({"type": "input_audio", "input_audio": {"data": url, "format": "wav"}}),
    "file_data": lambda url: part({"type": "file", "file": {"file_data": url}}),
    "file_id": lambda url: part({"type": "file", "file": {"file_id": url}}),
    "file_url": lambda url: part({"type": "input_file", "file_url": url}),
    "input_image": lambda url: part({"type": "input_image", "image_url": url}),
    "image_url as text": lambda url: part({"type": "image_url", "image_url": url}),
    "video_url": lambda url: part({"type": "video_url", "video_url": {"url": url}}),
    "audio_url": lambda url: part({"type": "audio_url", "audio_url": {"url": url}}),
    "mcp": lambda url: {"tools": [{"type": "mcp", "server_label": "x", "server_url": url}]},
    "tool with servers": lambda url: {"tools": [{"type": "openapi", "spec": {"servers": [{"url": url}]}}]},
    "web_search_options": lambda url: {"web_search_options": {"user_location": {"url": url}}},
    "functions": lambda url: {"functions": [{"name": "x", "parameters": {"$ref": url}}]},
    "guided_json": lambda url: {"guided_json": {"$ref": url}},
    "audio": lambda url: {"audio": {"voice": url, "format": "mp3"}},
    **{
        name: lambda url, name=name: {name: url}  # type: ignore[misc]  # mypy infers no lambda with a default
        for name in (
            *("base_url", "api_base", "proxy", "url", "image_url", "callback_url", "webhook", "chat_template"),
            *("guided_grammar", "lora", "model_path", "tokenizer", "previous_response_id", "documents", "extra_body"),
        )
    },
}
"""What other servers of this protocol take, some of them to their harm. Here each is refused by its name."""

HEADERS = (
    *("Host", "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Server", "Forwarded", "Via"),
    *("X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "X-Host", "X-HTTP-Host-Override", "X-Real-IP", "From"),
    *("True-Client-IP", "CF-Connecting-IP", "X-Client-IP", "X-Wap-Profile", "Profile", "Referer", "Origin", "Cookie"),
    *("OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta", "User-Agent", "Accept", "Link", "Location", "Refresh"),
    *("Destination", "Content-Location", "X-Callback-URL", "X-Webhook-URL", "Proxy-Authorization", "Authorization"),
    *("Authorization: Bearer", "X-API-Base", "X-Parvis-Engine", "traceparent", "baggage", "Idempotency-Key", "Alt-Svc"),
    *("Upgrade", "Expect", "SOAPAction", "X-Proxy-URL", "Proxy", "X-SSRF", "X-Request-Id", "Content-Type"),
)
TARGETS = ("{}", "/v1/models/{}", "/v1/models?url={}", "/{}", "/v1/chat/completions?callback={}", "/v1/proxy/{}")


def part(content: Json) -> Json:
    """A chat whose message has this part."""
    return {"messages": [{"role": "user", "content": [content]}]}


@dataclass(frozen=True)
class Head:
    """A header, or (with braces) the target of the request's first line."""

    name: str

    def holding(self, url: str, key: str) -> bytes:
        if "{}" in self.name:
            return request("GET", self.name.format(url), "Connection: close", key=key)
        body = b'{"model": "fake-vllm", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}'
        host, lines = ("localhost", [f"{self.name}: {url}"]) if self.name != "Host" else (url, [])
        key = "" if self.name.startswith("Authorization") else key
        return request("POST", "/v1/chat/completions", "Connection: close", *lines, body=body, key=key, host=host)


Where = Place | Head
Attempt = tuple[Where, str]


def all_places(model: str, embedding_model: str, sound_model: str = "") -> list[Place]:
    refused = [
        Place("/v1/chat/completions", f"NOT OURS {name}", _beside_messages(put), model)
        for name, put in NOT_OURS.items()
    ]
    return [*places(model, embedding_model, sound_model), *refused]


def _beside_messages(put: Callable[[str], Json]) -> Callable[[str], Json]:
    return lambda url: {"messages": [{"role": "user", "content": "Hello"}], **put(url)}


def attempts(story: Story, wheres: list[Where], urls: list[str]) -> Iterator[Attempt]:
    """At level N everything everywhere, else each URL as a picture and in some other places."""
    if story == "N":
        return product(wheres, urls)
    pictures = product([where for where in wheres if isinstance(where, Place) and where.path == PICTURE_PATH], urls)
    if story == "control":
        return pictures
    turns = ((number * PLACES_EACH_C + turn, url) for number, url in enumerate(urls) for turn in range(PLACES_EACH_C))
    return chain(pictures, ((wheres[turn % len(wheres)], url) for turn, url in turns))


# ----------------------------------------------------------------------------------------------------- inside


@dataclass
class Report:
    """What was done inside, and what was seen."""

    spellings: int = 0
    wheres: int = 0
    asked: int = 0
    statuses: dict[str, int] = field(default_factory=Counter)
    pictures: dict[str, int] = field(default_factory=Counter)
    """How pictures by URL (not `data:`) were answered."""
    packets: int = 0
    strangers: list[str] = field(default_factory=list)
    missed: int = 0
    touched: int = 0
    """The bait: a file and a socket that some spellings name."""
    extra_connections: int = 0
    """To our own ports, beyond those that we opened."""
    wrong_for_engines: list[str] = field(default_factory=list)
    took_s: float = 0.0


class Storm:
    """Puts URLs everywhere, and counts what comes back."""

    def __init__(self, running: Service, report: Report) -> None:
        self._running = running
        self._report = report
        self.connections = 0

    async def rage(self, wanted: Iterator[Attempt]) -> None:
        async with Caller(self._running.port, self._running.api_key) as caller:
            await asyncio.gather(*(self._one_after_another(caller, wanted) for _ in range(AT_ONCE)))
            self.connections += caller.opened

    async def _one_after_another(self, caller: Caller, wanted: Iterator[Attempt]) -> None:
        for where, url in wanted:
            if isinstance(where, Head):
                await asyncio.to_thread(self._head, where, url)
            else:
                await self._body(caller, where, url)
            self._report.asked += 1

    def _head(self, where: Head, url: str) -> None:
        if any(char < " " for char in url):  # it would not be one header; see the tests of the parser
            return
        self.connections += 1
        for response in responses(said(self._running.port, where.holding(url, self._running.api_key))):
            self._report.statuses[str(response.status)] += 1

    async def _body(self, caller: Caller, place: Place, url: str) -> None:
        body = place.holding(url)
        if place.route in COMPLETIONS:
            body.setdefault("max_tokens", 2)
        seen = await caller.ask(place.route, body, form=place.route in FORMS)
        self._report.statuses[str(seen.status)] += 1
        if place.path == PICTURE_PATH and not url.startswith(PICTURE):
            self._report.pictures[f"{seen.status} {seen.json()['error']['code']}"] += 1


def wrong_for_engines(records: list[Record]) -> list[str]:
    """Requests that an engine should never get: none of its routes, or something to fetch."""
    known = {*BODIES, "/tokenize", "/v1/audio/measure"}  # asked to count what it did not count itself
    strange = [f"{record.endpoint}: {record.headers}" for record in records if record.endpoint not in known]
    fetched = (found for record in records for found in things_to_fetch(record.body))
    return strange + [found for found in fetched if not found.startswith(PICTURE)]


def things_to_fetch(value: Any, key: str = "") -> Iterator[str]:
    """Every text under a key by which vLLM and its like fetch something, wherever it stands in a body."""
    if isinstance(value, dict):
        if key not in ("parameters", "schema"):  # a tool's own parameter may be called so
            yield from chain.from_iterable(things_to_fetch(inner, name) for name, inner in value.items())
    elif isinstance(value, list):
        yield from chain.from_iterable(things_to_fetch(inner, key) for inner in value)
    elif isinstance(value, str) and (key == "url" or key.endswith("_url")):
        yield value


def doctor(running: Service) -> None:
    command = [str(Path(sys.executable).parent / "parvis"), "doctor"]
    subprocess.run(command, env=dict(running.environ), stdout=subprocess.DEVNULL, check=True, timeout=60)


def ports_of(running: Service) -> set[int]:
    listeners = {int(running.environ[f"PARVIS_{name}__LISTEN"].rpartition(":")[2]) for name in ("CONSOLE", "OPERATOR")}
    engines = {urlsplit(replica["address"]).port or 0 for replica in running.get("/v1/status")["replicas"]}
    return listeners | engines | {running.port}


def storm(story: Story, home: Path, source: Path | None) -> Report:
    """Before fake engines of each kind: the whole storm, then the doctor, then nothing for a while."""
    report, started_s = Report(), time.monotonic()
    with ExitStack() as stack:
        bait = stack.enter_context(Bait(home.parent))
        capture = stack.enter_context(Capture())
        embed = stack.enter_context(fake_engine(port=free_port(), model="fake-embed", flavour="plain"))
        sounds = stack.enter_context(fake_engine(port=free_port(), model="fake-sound", flavour="plain"))
        served = before_each_kind(home, source, None, sounds, **{"fake-embed": embed})
        running, engines = stack.enter_context(served)
        running.allow("fake-vllm", "chat", "tools", "vision")
        ours = ports_of(running)
        urls = list(spellings(bait.file, bait.socket, sorted(ours)))
        if story == "control":
            urls = ["http://203.0.113.7/x", "http://egress.example/x", "http://127.0.0.1:22/x", f"file://{bait.file}"]
        models = [f"fake-{kind}" for kind in KINDS] if story == "N" else ["fake-vllm"]
        found = [place for model in models for place in all_places(model, "fake-embed", "fake-sound")]
        wheres: list[Where] = [*found, *(Head(name) for name in (*HEADERS, *TARGETS))]
        report.spellings, report.wheres = len(set(urls)), len(wheres)
        before = opened_by_others(capture, running)
        raging = Storm(running, report)
        first = capture_lag(capture, running)
        asyncio.run(raging.rage(iter(attempts(story, wheres, urls))))
        report.extra_connections = capture_lag(capture, running) - first - raging.connections
        report.extra_connections += opened_by_others(capture, running) - before
        records = [record for engine in engines.values() for record in engine.ended(within_s=30)]
        report.wrong_for_engines = wrong_for_engines(records)[:20]
        doctor(running)
        time.sleep(IDLE_S.get(story, 0.0))
        report.touched = bait.touched()
    return told(report, capture, ours, started_s)


def real(home: Path, count: int) -> Report:
    """The service as it comes: the embedded engine loads two models, and a part of the storm reaches it."""
    report, started_s = Report(), time.monotonic()
    with ExitStack() as stack:
        bait = stack.enter_context(Bait(home.parent))
        capture = stack.enter_context(Capture())
        running = stack.enter_context(service(home))
        ours = ports_of(running)
        urls = spellings(bait.file, bait.socket, sorted(ours))
        found = all_places("smollm2-135m-instruct", "all-minilm-l6-v2")
        report.spellings, report.wheres = len(set(urls)), len(found)
        picture = next(place for place in found if place.path == PICTURE_PATH)
        turns = [found[turn * 7 % len(found)] if turn % 6 else picture for turn in range(count)]
        asyncio.run(Storm(running, report).rage(iter(list(zip(turns, urls, strict=False)))))
        doctor(running)
        time.sleep(IDLE_S["C"])
        report.touched = bait.touched()
    return told(report, capture, ours, started_s)


def capture_lag(capture: Capture, running: Service) -> int:
    """Connections to the inference listener, once the capture has read what there is."""
    time.sleep(0.3)
    return capture.opened(running.port)


def opened_by_others(capture: Capture, running: Service) -> int:
    """Connections to the console and the operator's API, which nobody asks during the storm."""
    names = ("CONSOLE", "OPERATOR")
    return sum(capture.opened(int(running.environ[f"PARVIS_{name}__LISTEN"].rpartition(":")[2])) for name in names)


def told(report: Report, capture: Capture, ours: set[int], started_s: float) -> Report:
    return replace(
        report,
        packets=capture.packets.total(),
        strangers=capture.strangers(ours),
        missed=capture.missed,
        took_s=time.monotonic() - started_s,
    )


# ---------------------------------------------------------------------------------------------------- outside


def on_an_island(story: Story, home: Path, source: Path | None = None) -> Report:
    """Run this file inside; its last line is the report."""
    command = [*island(), sys.executable, __file__, story, str(home), *([str(source)] if source else [])]
    limit_s = INSIDE_S_MAX.get(story, INSIDE_S_MAX["C"])
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=limit_s, check=False)
    assert done.returncode == 0, f"exit status {done.returncode} inside; its complaint is above"
    report = msgspec.json.decode(done.stdout.splitlines()[-1], type=Report)
    print(f"\n{story}: {report.asked} requests, {report.spellings} spellings, {report.wheres} places, ", end="")
    print(f"{report.packets} packets seen, {len(report.strangers)} kinds of them strange, in {report.took_s:.1f} s")
    print(f"answers {dict(sorted(report.statuses.items()))}, pictures by URL {dict(report.pictures)}")
    return report


def assert_silence(report: Report) -> None:
    assert report.strangers == []
    assert (report.missed, report.touched, report.extra_connections) == (0, 0, 0)
    assert report.wrong_for_engines == []
    assert set(report.pictures) == {"400 invalid_image_url"}
    assert not [status for status in report.statuses if status >= "5" or status == "0"], report.statuses


def test_every_route_that_takes_a_body_is_known() -> None:
    assert {route.path for route in ROUTES if route.method == "POST"} == set(BODIES)


def test_no_url_of_a_client_makes_a_packet(tmp_path: Path, level: Literal["C", "N"]) -> None:
    report = on_an_island(level, tmp_path / "home")
    assert report.spellings >= SPELLINGS_MIN
    assert_silence(report)


def test_the_embedded_engine_calls_nobody(tmp_path: Path) -> None:
    assert_silence(on_an_island("real", tmp_path / "home"))


def test_control_one_urlopen_is_seen(tmp_path: Path) -> None:
    with planted(SOURCES, ONE_URLOPEN) as sources:
        report = on_an_island("control", tmp_path / "home", sources)
    print(f"control of row 27: {report.strangers}, bait touched {report.touched} times")
    assert "road0: tcp to 203.0.113.7 port 80" in report.strangers
    assert any(stranger.startswith("lo: tcp to 127.0.0.1 port 22") for stranger in report.strangers)
    assert report.touched > 0


def inside(story: Story, home: Path, source: Path | None) -> None:
    die_with_parent()
    settle()
    report = real(home, REAL) if story == "real" else storm(story, home, source)
    print(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    chosen, at, *planted_sources = sys.argv[1:]
    inside(chosen, Path(at), Path(planted_sources[0]) if planted_sources else None)  # type: ignore[arg-type]  # ours
