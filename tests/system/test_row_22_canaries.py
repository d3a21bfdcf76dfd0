"""Promise 22: secrets and prompts never reach logs.

Canaries are carried into the service on every way that a text can take, while it is made as talkative as it can be and
is killed in the middle. Then everything that it wrote or shows is searched for them, in every form that programs make
of a text. Decoys, left on purpose in each kind of place, prove that the search sees.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import chain, cycle, islice, product
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.adapters.link.messages import HEAD, Knowledge, unpack
from parvis.app.opening import PEPPER_PURPOSE, PEPPER_VERSION
from parvis.app.tls import pinning_context
from parvis.domain.identity.key_text import read_key
from parvis.domain.vault.sealing import derive_key
from parvis.testing.caller import chat
from parvis.testing.canaries import Canaries, Hit, forms
from parvis.testing.eavesdropper import Eavesdropper
from parvis.testing.postgres import postgres
from parvis.testing.processes import fake_engine
from parvis.testing.residue import Place, files, pages, processes, tables
from parvis.testing.service import KINDS, Part, Service, planted, served_by, service, wait_until
from parvis.testing.ways_in import CHAT, Visitor, ways

CANARIES = {"C": 400, "N": 2_000}
COMMANDS = {"C": 4, "N": None}
AT_ONCE = 16
CLI_S_MAX = 60
SOURCES = Path(__file__).parents[2] / "src"
PARVIS = Path(sys.executable).parent / "parvis"
SMALL = "smollm2-135m-instruct"
EMBEDDED = {"by-llama": "llama.cpp", "by-openvino": "openvino"}
"""The same weights by both of our engines."""
SPECIAL: dict[str, tuple[str, dict[str, Any]]] = {"embed": ("openai", {"embedding": True}), "sound": ("speech", {})}
"""Which fake engines are not for chats: their kind, and more of their settings."""
PARTS: tuple[Part, ...] = ("gateway", "control", "engine")
Json = dict[str, Any]

ALLOWED = {
    ("file home/root.key", "the root key"): "it is kept there, readable by its owner alone",
    ("file home/operator.token", "the operator's token"): "it is kept there, readable by its owner alone",
    ("file home/up.out", "the first API key"): "it is shown once, at the first start, on standard output",
    ("the link", "the pepper"): "a gateway checks keys with it; the socket is its owner's alone",
    ("the link", "an engine's key"): "a gateway calls engines with it; the socket is its owner's alone",
}
"""What may stand where, and why."""

QUIET = "    logging.raiseExceptions = False"
LOUD = """    logging.getLogger().setLevel("DEBUG")
    logging.getLogger("sqlalchemy").setLevel("DEBUG")
"""
TALKATIVE = {"parvis/adapters/telemetry/logs.py": (QUIET, LOUD + QUIET)}
MISDEEDS = """
import asyncio, logging, threading, time, warnings

class _Careless:
    def __init__(self, text: str) -> None:
        self.text = text

    def __del__(self) -> None:
        raise ValueError(self.text)

def _fail(text: str) -> None:
    raise ValueError(text)

def _give_up(text: str) -> None:
    raise KeyboardInterrupt(text)

def _dawdle(text: str) -> None:
    time.sleep(0.15)

async def _fail_alone(text: str) -> None:
    raise ValueError(text)

def _misbehave(text: str) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(_fail, text)
    loop.call_soon(_dawdle, text)
    loop.create_task(_fail_alone(text))
    loop.call_exception_handler({"message": text, "exception": ValueError(text), "seen": text})
    threading.Thread(target=_fail, args=(text,)).start()
    warnings.warn(text, UserWarning, stacklevel=1)
    _Careless(text)
    logging.getLogger("parvis.bug").warning("%d bytes", text)
    logging.getLogger("foreign.code").error("cannot read %s", text)
    try:
        _fail(text)
    except ValueError:
        logging.getLogger("foreign.code").exception("read %r", text)
        logging.getLogger("parvis.bug").exception("this did not work")
    if "@bug_main" in text:
        loop.call_soon(_give_up, text)
    if "@bug_handler" in text:
        raise ValueError(text)
"""
ANSWER = '''async def chat(desk: Desk, exchange: Exchange, _: str) -> None:
    """Answer it. Raises Failure."""
    call = exchange.call
'''
CREATE = """    tenant = await keys.tenant_named(desk.store, form.tenant_id)
    if form.owner_id:"""
BUGS = {
    **TALKATIVE,
    "parvis/api/inference/chat.py": (ANSWER, f"{MISDEEDS}\n\n{ANSWER}    _misbehave(call.body.decode())\n"),
    "parvis/api/operator/keys.py": (CREATE, f"    if 'q' in form.name:\n        raise ValueError(form.name)\n{CREATE}"),
}
LOG_THE_TEXT = {
    "parvis/api/inference/chat.py": (ANSWER, f"{ANSWER}    raise ValueError(call.body.decode())\n"),
    "parvis/api/inference/listener.py": (
        '_log.error("bug while answering", extra=told)',
        '_log.error("bug while answering: " + str(bug), extra=told)',
    ),
}

# --------------------------------------------------------------------------------------------- what is looked at


def residue(running: Service, folder: Path, link: Iterable[bytes] = ()) -> Iterator[Place]:
    """All that there is to search while the service runs. `folder` is the working folder and the one for temp files."""
    named = [("supervisor", running.pid), *((part, pid) for part in PARTS for pid in running.pids(part))]
    address = f"http://{running.environ['PARVIS_CONSOLE__LISTEN']}"
    credentials = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=address, headers=credentials, trust_env=False) as console:
        yield from chain(files(running.home), files(folder), processes(named))
        yield from chain(pages("operator", running.operator), pages("console", console))
    yield "operator /v1/requests", msgspec.json.encode(running.usage_rows())
    yield from (("the link", stream) for stream in link)


def leaks(hits: Iterable[Hit]) -> list[Hit]:
    return sorted({hit for hit in hits if (hit.place, hit.origin) not in ALLOWED})


def loggers(log: str) -> set[str]:
    """Who has said something."""
    return {msgspec.json.decode(line)["logger"] for line in log.splitlines() if line.startswith("{")}


def watch_secrets(birds: Canaries, running: Service) -> None:
    root = (running.home / "root.key").read_bytes()
    birds.watch(root, "the root key")
    birds.watch(derive_key(root, PEPPER_PURPOSE, PEPPER_VERSION), "the pepper")
    birds.watch((running.home / "operator.token").read_text().strip(), "the operator's token")
    watch_key(birds, running.api_key, "the first API key")


def watch_key(birds: Canaries, text: str, origin: str) -> None:
    key = read_key(text)
    assert key is not None
    birds.watch(key.secret.reveal(), origin)


def engine_keys(streams: Iterable[bytes]) -> set[str]:
    """Of the replicas that control told a gateway about: those of embedded engines are known to nobody else."""
    return {
        replica.api_key
        for message in messages(streams)
        if isinstance(message, Knowledge)
        for replica in message.replicas
    }


def messages(streams: Iterable[bytes]) -> Iterator[object]:
    for stream in streams:
        at = 0
        while at + HEAD.size <= len(stream):
            (length,) = HEAD.unpack_from(stream, at)
            at += HEAD.size + length
            if at <= len(stream):
                yield unpack(stream[at - length : at])


# ------------------------------------------------------------------------------------------------- what is done


@contextmanager
def before_engines(
    home: Path, birds: Canaries, source: Path, env: dict[str, str], *, embedded: bool = False
) -> Iterator[Service]:
    """The service before a fake engine of each kind, which demands a key, one for embeddings and one for sound."""
    home.mkdir(parents=True, mode=0o700)
    served: dict[str, Json] = {}
    if embedded:
        for model, kind in EMBEDDED.items():
            own: Json = {"weights": f"builtin:{SMALL}", "model": model, "kind": kind, "context_tokens": 512}
            served[model] = own | {"replicas": 1, "threads": 1, "parallel": 2, "requantise": False}
    with ExitStack() as stack:
        for name, flavour in {**KINDS, "embed": KINDS["openai"], "sound": KINDS["openai"]}.items():
            key = birds.new("an engine's key")
            file = home.parent / f"{name}.key"
            file.write_text(key)
            engine = stack.enter_context(fake_engine(flavour=flavour, model=f"fake-{name}", api_key=key))
            kind, more = SPECIAL.get(name, (name, {"context_tokens": 8192}))
            served[name.replace(".", "")] = served_by(engine, kind, f"fake-{name}", api_key_file=str(file), **more)
        yield stack.enter_context(service(home, engines=served, source=source, env=env))


@contextmanager
def working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a core would be written: cores are allowed as far as they can be."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


async def carry_all(running: Service, birds: Canaries, count: int) -> None:
    """A canary on each way, again and again until there are so many."""
    models = tuple(f"fake-{kind}" for kind in KINDS)
    each = ways(models, "fake-embed", "fake-sound")
    wanted = islice(cycle(each), max(count, len(each)))
    async with Visitor(running) as visitor:

        async def one_after_another() -> None:
            for way in wanted:
                await way.carry(visitor, birds.new(way.name))

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


async def ask_the_embedded(running: Service, birds: Canaries) -> None:
    """Prompts, schemas and tools for engines of ours, which print much when they are let."""
    async with Visitor(running) as visitor:
        for model, stream in product(EMBEDDED, (True, False)):
            text, schema = birds.new("embedded prompt"), birds.new("embedded schema")
            await visitor.caller.ask(CHAT, chat(text, model=model, stream=stream, max_tokens=3))
            wanted = {"type": "object", "properties": {schema: {"enum": [schema]}}}
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": wanted}}
            body = chat("Hello", model=model, stream=stream, max_tokens=3, response_format=form)
            await visitor.caller.ask(CHAT, body)


async def ask_and_crash(running: Service, birds: Canaries, part: Part) -> None:
    """SIGABRT to one process while it holds prompts; return when its successor works."""
    (old,) = running.pids(part)
    async with Visitor(running) as visitor:
        asked = [
            visitor.caller.ask(CHAT, chat(f"{birds.new('a crash')} {orders}", model="fake-vllm"), leave_in_s=1)
            for orders in ("@hang", "@echo @hang_after=1", "@gap_ms=100 @tokens=50")
        ]
        waiting = asyncio.gather(*asked)
        await asyncio.sleep(0.3)
        os.kill(old, signal.SIGABRT)
        await waiting
    await asyncio.to_thread(wait_until, lambda: old not in running.pids(part), f"the {part} has gone")
    await asyncio.to_thread(wait_until, lambda: _is_ready(running), "the service is ready again", 60)


def _is_ready(running: Service) -> bool:
    try:
        return running.operator.get("/readyz").is_success
    except httpx.HTTPError:
        return False


def use_up_a_key(running: Service, birds: Canaries, name: str) -> None:
    """Made, used, revoked, used again."""
    made = running.operator.post("/v1/keys", json={"name": name}).raise_for_status().json()
    watch_key(birds, made["key"], "another API key")
    headers = {"authorization": f"Bearer {made['key']}"}
    with httpx.Client(headers=headers, trust_env=False) as customer:
        assert customer.get(f"{running.base_url}/models").is_success
        running.operator.delete(f"/v1/keys/{made['id']}").raise_for_status()
        wait_until(lambda: customer.get(f"{running.base_url}/models").status_code == 401, "the key is revoked")


def command_lines(running: Service, birds: Canaries, count: int | None) -> Iterator[Place]:
    """What the first `count` commands print that is no answer to the question: all of it but the text of a chat."""
    prompt, refused = birds.new("a chat in the terminal"), birds.new("a refused chat in the terminal")
    lines = [
        ("chat", "--model", "fake-vllm", "-m", f"{prompt} @echo"),
        ("chat", "--model", "fake-vllm", "-m", f"{refused} @status=400 @quote"),
        *(("key", "list"), ("requests", "list", "--json"), ("usage", "--json"), ("model", "list")),
        *(("status",), ("doctor",), ("config", "show", "--json"), ("config", "check")),
    ][:count]
    env = {**running.environ, "OPENAI_API_KEY": running.api_key, "PYTHONDEVMODE": ""}

    def printed(line: tuple[str, ...]) -> Place:
        done = subprocess.run([PARVIS, *line], env=env, capture_output=True, timeout=CLI_S_MAX, check=False)
        return f"output of parvis {line[0]}", done.stderr + (b"" if line[0] == "chat" else done.stdout)

    with ThreadPoolExecutor(4) as pool:
        yield from pool.map(printed, lines)


# --------------------------------------------------------------------------------------------------- the promise


def test_the_search_finds_every_form() -> None:
    birds = Canaries()
    others = (b"Mixed-Case+Secret/1", bytes(range(200, 232)))
    for other in others:
        birds.watch(other, "here")
    for data in (birds.new("here").encode(), *others):
        for form, written in forms(data):
            assert birds.find("a log", b"before" + written + b"behind"), (form, data)
    assert birds.find("a log", b"nothing" * 1000) == []


def test_nothing_that_came_in_comes_out(
    tmp_path: Path, level: Literal["C", "N"], monkeypatch: pytest.MonkeyPatch
) -> None:
    birds, decoys, started_s = Canaries(), Canaries(), time.monotonic()
    folder = tmp_path / "cwd"
    env = {"PYTHONDEVMODE": "1", "TMPDIR": str(folder), "DECOY": decoys.new("environment")}
    with ExitStack() as stack:
        stack.enter_context(working_folder(folder, monkeypatch))
        (folder / "decoy.txt").write_text(decoys.new("temporary file"))
        sources = stack.enter_context(planted(SOURCES, TALKATIVE))
        running = stack.enter_context(before_engines(tmp_path / "home", birds, sources, env, embedded=True))
        running.allow("fake-vllm", "chat", "tools", "vision")
        watch_secrets(birds, running)
        link = stack.enter_context(Eavesdropper(running.home / "run" / "control.sock"))
        asyncio.run(ask_and_crash(running, birds, "gateway"))
        asyncio.run(carry_all(running, birds, CANARIES[level]))
        asyncio.run(ask_the_embedded(running, birds))
        use_up_a_key(running, birds, decoys.new("a key's name"))
        printed = list(command_lines(running, birds, COMMANDS[level]))
        for key in engine_keys(link.streams):
            birds.watch(key, "an engine's key")
        asyncio.run(ask_and_crash(running, birds, "control"))
        asyncio.run(ask_and_crash(running, birds, "gateway"))
        places = [*residue(running, folder, link.streams), *printed]
        running.stop()
        places += [*files(running.home), *files(folder)]
        talkers = loggers(running.complained())
    carried_s = time.monotonic() - started_s
    hits, size = birds.find_all(places)
    seen = {hit.place for hit in decoys.find_all(places)[0]}
    searched_s = time.monotonic() - started_s - carried_s
    print(
        f"\nrow 22: {len(birds)} canaries and secrets in {birds.forms} forms, {carried_s:.1f} s; searched in ", end=""
    )
    print(f"{len(places)} places of {size / 1e6:.0f} MB, {searched_s:.1f} s: {len(leaks(hits))} leaks")
    print(f"decoys were seen in {sorted(seen)}")
    assert leaks(hits) == []
    assert {"environ of gateway", "file cwd/decoy.txt", "operator /v1/keys", "file home/parvis.sqlite"} <= seen
    assert any("/journal/" in place for place, _ in places)
    assert {"asyncio", "sqlalchemy.engine.Engine", "parvis.supervisor"} <= talkers, "it was not talkative"
    assert list(folder.iterdir()) == [folder / "decoy.txt"], "something was left in the working folder"


def test_bugs_are_told_without_what_was_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS and on PostgreSQL, whose secrets are watched too."""
    birds, folder = Canaries(), tmp_path / "cwd"
    with ExitStack() as stack:
        stack.enter_context(working_folder(folder, monkeypatch))
        url = stack.enter_context(postgres())
        birds.watch(httpx.URL(url).password, "the database's password")
        tls = certificate(tmp_path, birds)
        env = {"PYTHONDEVMODE": "1", "TMPDIR": str(folder), "PARVIS_STORE__URL": url, **tls}
        sources = stack.enter_context(planted(SOURCES, BUGS))
        running = stack.enter_context(before_engines(tmp_path / "home", birds, sources, env))
        watch_secrets(birds, running)
        provoke(running, birds)
        places = [*residue(running, folder), *tables(url)]
        running.stop()
        places += [*files(running.home), *files(folder)]
    hits = [hit for hit in leaks(birds.find_all(places)[0]) if hit.place not in DATABASE_IS_KNOWN_TO]
    said = running.complained()
    print(f"\nrow 22, bugs: {len(birds)} canaries, {said.count(chr(10))} lines of log, {len(hits)} leaks")
    assert hits == []
    for told in ("uncaught exception in a thread", "warning of Python", "uncaught exception", "bug while answering"):
        assert told in said
    assert {"asyncio", "foreign.code", "uvicorn.error"} <= loggers(said), "the bugs were not told"


DATABASE_IS_KNOWN_TO = {"environ of supervisor", "environ of control"}
"""Who gave the address by the environment put it there; only the process that opens the database inherits it."""


def provoke(running: Service, birds: Canaries) -> None:
    """Every misdeed, by requests; the last of them ends the gateway."""
    base = f"https://127.0.0.1:{running.port}"
    context = pinning_context(running.environ["PARVIS_INFERENCE__TLS_CERT"])
    headers = {"authorization": f"Bearer {running.api_key}"}
    with httpx.Client(base_url=base, headers=headers, verify=context, trust_env=False, timeout=30) as customer:
        for orders in ("@echo", "@bug_handler", "@echo @bug_handler", "@bug_main"):
            body = chat(f"{birds.new('a bug')} {orders}", model="fake-vllm", stream=False)
            try:
                customer.post(CHAT, json=body)
            except httpx.TransportError:  # the last one takes the gateway with it
                assert orders == "@bug_main"
    assert running.operator.post("/v1/keys", json={"name": birds.new("a bug of control")}).status_code == 500
    wait_until(lambda: "starting it again" in running.complained(), "the gateway has ended by its bug")
    wait_until(lambda: _is_ready(running), "the service is ready again", 60)


def certificate(folder: Path, birds: Canaries) -> dict[str, str]:
    """The settings of a certificate for 127.0.0.1; its key is watched, the number itself and the text of the file."""
    now = datetime.now(UTC)
    made = sign_server(new_authority("parvis test", now), server_names(["127.0.0.1"]), now, 1)
    names = folder / "cert.pem", folder / "key.pem"
    for path, text in zip(names, (made.certificate_pem(), made.key_pem()), strict=True):
        path.touch(mode=0o600)
        path.write_bytes(text)
    birds.watch(made.key.private_numbers().private_value.to_bytes(32, "big"), "the TLS key")
    for line in made.key_pem().splitlines()[1:-1]:
        birds.watch(line, "the TLS key")
    return {"PARVIS_INFERENCE__TLS_CERT": str(names[0]), "PARVIS_INFERENCE__TLS_KEY": str(names[1])}


def test_control_logging_the_text_of_an_exception_is_noticed(tmp_path: Path) -> None:
    birds = Canaries()
    with (
        planted(SOURCES, LOG_THE_TEXT) as sources,
        before_engines(tmp_path / "home", birds, sources, {}) as running,
    ):
        headers = {"authorization": f"Bearer {running.api_key}"}
        body = chat(birds.new("a prompt"), model="fake-vllm")
        assert httpx.post(f"{running.base_url}/chat/completions", headers=headers, json=body).status_code == 500
        hits = leaks(birds.find_all(files(running.home))[0])
    print(f"control of row 22: {hits}")
    assert hits == [Hit("file home/up.err", "as it is", "a prompt")]
