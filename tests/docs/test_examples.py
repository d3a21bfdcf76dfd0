"""Every block of README and of the documents is run as a newcomer would run it, page after page.

`sh` and `python` blocks run, `sql` goes to a real PostgreSQL, `toml` becomes `data/parvis.toml` or `models.toml`;
`text`, `json` and `yaml` are shown only. A page that says `parvis up` gets a service of its own for it, the others
share one, with the real engine.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from parvis.adapters.certificates.authority import new_authority, server_names, sign_server
from parvis.adapters.engines.weights import locate
from parvis.settings import load
from parvis.testing.false_provider import FalseProvider
from parvis.testing.postgres import postgres
from parvis.testing.processes import fake_engine
from parvis.testing.service import Service, service

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "README.fr.md", *sorted((ROOT / "docs").rglob("*.md")))
OPERATE = "docs/how-to/operate.md"
PRIVACY = "docs/how-to/privacy.md"
CUSTOMERS = "docs/how-to/customers.md"
SIGN_IN = "docs/how-to/sign-in.md"
OPENID = "docs/how-to/openid.md"
AUTO = "docs/how-to/auto.md"
FLEET = "docs/how-to/fleet.md"
LIMITS = "docs/how-to/limits.md"
SIMULATE = "docs/how-to/simulate.md"
SPEECH = "docs/how-to/speech.md"
INVOICES = "docs/how-to/invoices.md"
EXPORTS = "docs/how-to/export-usage.md"
ORGANIZATION = "docs/reference/organization-api.md"
ROTATE, KEYS = "docs/how-to/rotate-keys.md", "docs/reference/keys.md"
ON_A_SHARED_SERVICE = (
    *("README.md", "docs/reference/cli.md", OPERATE, PRIVACY, SIGN_IN, ROTATE, KEYS, LIMITS, INVOICES),
    EXPORTS,
    SIMULATE,
    AUTO,
    FLEET,
)
ON_ITS_OWN = (
    CUSTOMERS,
    ORGANIZATION,
    OPENID,
    "docs/how-to/own-model.md",
    "docs/how-to/postgresql.md",
    SPEECH,
    "docs/how-to/tls.md",
)
NOT_AGAIN = {
    "apt-get install -y make git python3-venv": "needs root and a network",
    "make run": "what the fixture has done",
    "make test": "what runs now",
}
SHOWN = {"text", "json", "yaml"}
UP = "parvis up"
CHOSEN = re.compile(r"\w+: (OpenVINO|llama\.cpp), \d+ replica")
STEP_S_MAX = 200
KEY = "sk-parvis_..."
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CURL_SETTINGS = "fail-with-body\nsilent\nshow-error\n"
"""An answer of 400 and above fails the command. A user sees it; a test must be told."""


@dataclass(frozen=True)
class Block:
    """One fenced block, and where it stands."""

    place: str
    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    text, name = page.read_text(), page.relative_to(ROOT)
    return [Block(f"{name}:{text[: m.start()].count(chr(10)) + 1}", m[1], m[2]) for m in FENCE.finditer(text)]


@dataclass
class Newcomer:
    """Follows a page in an empty folder that has `data` and `.venv`, as a checkout has."""

    folder: Path
    running: Service
    elsewhere: dict[str, str] = field(default_factory=dict)
    """What stands in a page for something of this machine."""
    up: Callable[[], Service] | None = None
    """How to start the service again; None where it must not be."""
    sql: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        (self.folder / "data").symlink_to(self.running.home)
        (self.folder / ".venv").symlink_to(sys.prefix)
        (self.folder / ".curlrc").write_text(CURL_SETTINGS)
        commands = self.folder / "commands"
        commands.mkdir()
        if shutil.which("curl") is None:
            stand_in = Path(__file__).with_name("curl.py")
            (commands / "curl").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
            (commands / "curl").chmod(0o700)

    def follow(self, page: str) -> None:
        for block in blocks(ROOT / page):
            self._do(Block(block.place, block.language, self._here(block.code)))

    def _do(self, block: Block) -> None:
        match block.language:
            case "sh":
                self._shell(block)
            case "python":
                self._run(block.place, [sys.executable, "-c", block.code])
            case "toml":
                models = "[[models]]" in block.code
                (self.folder / ("models.toml" if models else "data/parvis.toml")).write_text(block.code)
            case "sql":
                assert self.sql is not None, block.place
                self.sql(block.code)
            case other:
                assert other in SHOWN, f"{block.place}: '{other}' is a language that nobody runs"

    def _shell(self, block: Block) -> None:
        lines = [line for line in block.code.splitlines() if line not in NOT_AGAIN]
        for part in re.split(rf"^({UP})$", "\n".join(lines), flags=re.MULTILINE):
            if part == UP:
                assert self.up is not None, block.place
                self.running = self.up()
            elif part.strip():
                self._run(block.place, ["bash", "-e", "-o", "pipefail", "-c", part])

    def _run(self, place: str, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=STEP_S_MAX,
        )
        assert done.returncode == 0, f"{place}\n{command[-1]}\n{done.stdout}"

    def _environ(self) -> Mapping[str, str]:
        own = {name: text for name, text in self.running.environ.items() if name != "PARVIS_HOME"}
        path = os.pathsep.join([str(Path(sys.executable).parent), str(self.folder / "commands"), own["PATH"]])
        loopback = "127.0.0.1,localhost"
        found = {"PATH": path, "CURL_HOME": str(self.folder), "no_proxy": loopback, "NO_PROXY": loopback}
        return {**own, **found, "OPENAI_API_KEY": self.running.api_key}

    def _here(self, code: str) -> str:
        for there, here in {**self.elsewhere, **addresses(self.running), KEY: self.running.api_key}.items():
            code = code.replace(there, here)
        return code


def execute(connection: psycopg.Connection, text: str) -> None:
    """Each statement by itself: a database cannot be made inside of a transaction."""
    for statement in text.split(";"):
        if statement.strip():
            connection.execute(statement.encode())


def addresses(running: Service) -> dict[str, str]:
    """The listeners' addresses as the pages write them, and as they are here."""
    listeners = {8000: "INFERENCE", 8001: "CONSOLE", 8002: "OPERATOR"}
    here = {f"127.0.0.1:{port}": running.environ[f"PARVIS_{name}__LISTEN"] for port, name in listeners.items()}
    return {**here, "localhost:8000": f"localhost:{running.port}"}


def as_it_comes(home: Path) -> Path:
    """A data folder whose settings say nothing, so that a page meets what its reader has."""
    home.mkdir(mode=0o700)
    (home / "parvis.toml").touch()
    return home


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(as_it_comes(tmp_path_factory.mktemp("shared") / "home")) as shared:
        yield shared


@pytest.fixture
def newcomer(running: Service, tmp_path: Path) -> Newcomer:
    """Somebody with a service that runs already."""
    return Newcomer(tmp_path, running)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Newcomer]:
    """Somebody whose service has run once, and who starts it as often as the page says."""
    home, started = as_it_comes(tmp_path / "home"), ExitStack()
    with started:
        owner = Newcomer(tmp_path, started.enter_context(service(home)), {"/etc/parvis": f"{tmp_path}/etc/parvis"})
        (tmp_path / "etc").mkdir()
        key = owner.running.api_key

        def again() -> Service:
            started.close()
            fresh: Service = started.enter_context(service(home, api_key=key))
            shown = re.search("^API key: (.*)$", fresh.said(), re.MULTILINE)
            fresh.api_key = shown[1] if shown else key
            return fresh

        owner.up = again
        yield owner


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "page", ["README.md", "docs/reference/cli.md", PRIVACY, SIGN_IN, ROTATE, KEYS, LIMITS, INVOICES, EXPORTS]
)
def test_what_a_page_says_works(newcomer: Newcomer, page: str) -> None:
    newcomer.follow(page)


@pytest.mark.timeout(300)
def test_the_service_is_operated_as_the_page_says_and_its_backup_is_a_service(
    newcomer: Newcomer, running: Service
) -> None:
    newcomer.follow(OPERATE)
    with service(newcomer.folder / "backup", api_key=running.api_key) as restored:
        key = {"authorization": f"Bearer {running.api_key}"}
        assert httpx.get(f"{restored.base_url}/models", headers=key, trust_env=False).status_code == 200
        assert restored.check() == []


@pytest.mark.timeout(300)
def test_own_models_are_served_as_the_page_says(owner: Newcomer, tmp_path: Path) -> None:
    weights = tmp_path / "my-model.gguf"
    weights.symlink_to(locate("builtin:smollm2-135m-instruct", tmp_path))
    with fake_engine(model="org/large-instruct", api_key="the-key-of-the-engine") as engine:
        owner.elsewhere |= {"/srv/models/my-model.gguf": str(weights), "http://10.0.0.5:8000": engine.address}
        owner.follow("docs/how-to/own-model.md")
        assert len(engine.ended()) == 1


@pytest.mark.timeout(300)
def test_it_hears_and_speaks_as_the_page_says(owner: Newcomer) -> None:
    owner.follow(SPEECH)
    assert owner.running.check() == []


@pytest.mark.timeout(300)
def test_postgresql_is_used_as_the_page_says(owner: Newcomer) -> None:
    with postgres() as url, psycopg.connect(url, autocommit=True) as connection:
        there = httpx.URL(url)
        first = owner.running.api_key
        owner.elsewhere["db.example.org:5432"] = f"{there.host}:{there.port}"
        owner.sql = partial(execute, connection)
        owner.follow("docs/how-to/postgresql.md")
        assert owner.running.api_key != first, "a new store has a new key"
        assert owner.running.check() == []
        owner.running.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [CUSTOMERS, ORGANIZATION])
def test_customers_are_taken_in_and_administered_as_the_pages_say(owner: Newcomer, page: str) -> None:
    owner.follow(page)
    assert owner.running.check() == []


@pytest.mark.timeout(300)
def test_tls_is_served_as_the_page_says(owner: Newcomer) -> None:
    owner.follow("docs/how-to/tls.md")


@pytest.mark.timeout(300)
def test_an_identity_provider_is_set_as_the_page_says(owner: Newcomer, tmp_path: Path) -> None:
    """Everything but its address is as it stands there: ours is on this machine, and its certificate of our hand."""
    now, etc = datetime.now(UTC), tmp_path / "papers"
    etc.mkdir()
    authority = new_authority("docs", now)
    signed = sign_server(authority, server_names(["localhost"]), now, 1)
    (etc / "ca.pem").write_bytes(authority.certificate_pem())
    (etc / "cert.pem").write_bytes(signed.certificate_pem())
    (etc / "key.pem").write_bytes(signed.key_pem())
    with FalseProvider((etc / "cert.pem", etc / "key.pem"), "parvis") as provider:
        here = f'private_hosts = ["{provider.issuer.removeprefix("https://")}"]\ntls_ca = "{etc / "ca.pem"}"'
        owner.elsewhere |= {'hosts = ["login.example.eu:443"]': here, "https://login.example.eu": provider.issuer}
        owner.follow(OPENID)
    shown = owner.running.get("/v1/organisations/acme/sign_in")
    assert (shown["vouches_for_factor"], shown["domains"]) == (True, ["acme.example", "acme.fr"])
    assert [mapping["role"] for mapping in shown["mappings"]] == ["developer", "organisation_owner"]
    assert shown["redirect_uri"] in (ROOT / OPENID).read_text()


def test_a_start_prints_what_the_readme_shows(running: Service) -> None:
    shown = next(block.code for block in blocks(PAGES[0]) if block.language == "text")
    said = running.said().replace(running.api_key, KEY)
    for there, here in addresses(running).items():
        said = said.replace(here, there)
    choices = ([line for line in text.splitlines() if CHOSEN.match(line)] for text in (said, shown))
    named, meant = ({line.partition(":")[0] for line in lines} for lines in choices)
    assert named == meant  # which engine, and why, is another thing on another machine
    rest = ([line for line in text.splitlines() if not CHOSEN.match(line)] for text in (said, shown))
    ours, theirs = (sorted(lines) for lines in rest)  # two engines load at once
    assert ours == theirs


def test_every_block_of_settings_is_right(tmp_path: Path) -> None:
    for block in (block for page in PAGES for block in blocks(page) if block.language == "toml"):
        if "[[models]]" not in block.code:
            (tmp_path / "parvis.toml").write_text(block.code)
            load(tmp_path, {})


def test_no_page_has_blocks_that_nobody_runs() -> None:
    run = {ROOT / page for page in (*ON_A_SHARED_SERVICE, *ON_ITS_OWN)}
    idle = [page for page in PAGES if page not in run and page.name != "README.fr.md"]
    assert {block.place for page in idle for block in blocks(page) if block.language not in SHOWN | {"toml"}} == set()


def test_the_twins_have_the_same_blocks() -> None:
    english, french = ([(block.language, block.code) for block in blocks(page)] for page in PAGES[:2])
    assert english == french


def test_the_twins_have_the_same_sections_and_links() -> None:
    english, french = (FENCE.sub("", page.read_text()) for page in PAGES[:2])
    for pattern in (r"^(#+) ", r"\]\(((?!README)[^)]+)\)", r"^(- \*\*)"):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, french, re.MULTILINE)
