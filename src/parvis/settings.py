"""Machine settings: one strict `parvis.toml`, overridden by `PARVIS_SECTION__NAME`. Read once, by `app` and `cli`.

Business settings (tenants, prices, models) are not here: they live in the database and change through flows.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from parvis.core.errors import Misconfigured
from parvis.domain.fleet.deployment import REPLICAS_MAX
from parvis.domain.fleet.fair_queue import Bounds
from parvis.domain.fleet.layout import EMBEDDED
from parvis.domain.fleet.replica import CacheSharing, EngineKind, TlsFiles
from parvis.domain.fleet.routing import Weights

FILE = "parvis.toml"
_OUTSIDE = ("PARVIS_HOME", "PARVIS_URL", "PARVIS_CA", "PARVIS_TOKEN_FILE")
"""Variables that are no settings."""
_HTTPS_PORT = 443
_HOST_NAME = re.compile("[0-9a-z.-]+", re.IGNORECASE)
_PUBLIC_URL = re.compile(
    r"https://[0-9a-z.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?", re.IGNORECASE
)


class Listen(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a listener accepts: `HOST:PORT`."""

    listen: str

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class Inference(Listen, frozen=True, forbid_unknown_fields=True):
    """The listener that customers' programs call."""

    listen: str = "127.0.0.1:8000"
    tls_cert: str = ""
    tls_key: str = ""
    plain_beyond_loopback: bool = False
    """Serve without TLS on an address that others reach. Only behind something that speaks TLS."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    forbidden_model: Literal["404", "403"] = "404"
    """What a key is told that asks for a model which it may not use: that there is none, or that it may not."""
    drain_s_max: Annotated[int, Meta(ge=1, le=3600)] = 30
    connections_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 8_192
    connections_per_address_max: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_048
    """Of one IPv4 address or IPv6 /64. Set to `connections_max` it bounds nothing: for use behind a load balancer."""
    body_bytes_max: Annotated[int, Meta(ge=1 << 10, le=256 << 20)] = 4 << 20
    audio_bytes_max: Annotated[int, Meta(ge=1 << 10, le=256 << 20)] = 25 << 20
    """Of a body with a file of sound, instead of `body_bytes_max`."""
    bodies_bytes_max: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
    """All bodies together that are being received or wait for their turn."""
    handshake_s_max: Annotated[int, Meta(ge=1, le=60)] = 5
    head_s_max: Annotated[int, Meta(ge=1, le=600)] = 10
    body_s_max: Annotated[int, Meta(ge=1, le=3600)] = 60
    idle_s_max: Annotated[int, Meta(ge=1, le=3600)] = 120
    stall_s_max: Annotated[int, Meta(ge=1, le=3600)] = 60


class WebListener(Listen, frozen=True, forbid_unknown_fields=True):
    """A listener of the administration."""

    tls_cert: str = ""
    tls_key: str = ""
    hosts: tuple[str, ...] = ()
    """Names by which it is called, beside those of loopback and its own address."""
    public_url: str = ""
    """How browsers reach it. Empty: made of `hosts`, or else of `listen`."""

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        if self.public_url:
            return self.public_url
        own = ip_address(self.host)
        name = self.hosts[0] if self.hosts else f"[{own}]" if ":" in str(own) else str(own)
        if not self.hosts and (own.is_loopback or own.is_unspecified):
            name = "localhost"  # passkeys are for names, not for numbers
        port = "" if self.tls_cert and self.port == _HTTPS_PORT else f":{self.port}"
        return f"{'https' if self.tls_cert else 'http'}://{name}{port}"


class Console(WebListener, frozen=True, forbid_unknown_fields=True):
    """The customers' API."""

    listen: str = "127.0.0.1:8001"


class Operator(WebListener, frozen=True, forbid_unknown_fields=True):
    """The operator's API, health and metrics."""

    listen: str = "127.0.0.1:8002"
    beyond_loopback: bool = False
    """Listen on an address that others reach. Needs TLS, and should be an address of a network of operators only."""


class OpenId(Struct, frozen=True, forbid_unknown_fields=True):
    """Which identity providers control may call: `HOST:PORT` each."""

    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    """Of these, addresses of this machine and of its own networks are called too."""
    tls_ca: str = ""
    """Who must have signed their certificates (PEM). Empty: this machine's trust."""


class Notices(Struct, frozen=True, forbid_unknown_fields=True):
    """Where control may send notices: webhooks to hosts, `HOST:PORT` each, and mail through one server."""

    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    """Hosts (and the mail server, if it is named here too) whose addresses may be of this machine and its networks."""
    tls_ca: str = ""
    """Who must have signed their certificates (PEM). Empty: this machine's trust."""
    mail_server: str = ""
    mail_from: str = ""
    mail_user: str = ""
    mail_password_file: str = ""


class Store(Struct, frozen=True, forbid_unknown_fields=True):
    """The database. Empty: SQLite in the data folder."""

    url: str = ""
    url_file: str = ""
    """A file that holds the URL, so that its password stands in no configuration."""


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """Where control hears gateways of other machines."""

    listen: str = ""
    """`HOST:PORT`. Empty: there are none. Always mutual TLS, by certificates of its own."""


class RateLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Who keeps rates and places. Without a server of their own the database does."""

    valkey: str = ""
    """`valkey://HOST:PORT/0`, with TLS `valkeys://`; Redis does as well. Empty: the database."""
    url_file: str = ""
    """A file that holds the URL, so that its password stands in no configuration."""


class Holding(Struct, frozen=True, forbid_unknown_fields=True):
    """How gateways hold money."""

    lease_euro: Annotated[int, Meta(ge=1, le=10_000)] = 50
    first_credit_euro: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """What the first tenant may spend, said before the first start; without it there is no limit."""


class Auto(Struct, frozen=True, forbid_unknown_fields=True):
    """How `auto` entries of the catalogue judge requests. Which entries there are, the database knows."""

    scorer: str = ""
    """`MODULE:FUNCTION`, installed beside Parvis: how hard a task is. Empty: `domain.catalog.difficulty`."""


_Weight = Annotated[float, Meta(ge=0, le=100)]
_USUAL = Weights()


class Routing(Struct, frozen=True, forbid_unknown_fields=True):
    """How much each score counts when a replica is chosen, and where affinity ends. See docs/reference/routing.md."""

    load: Annotated[float, Meta(gt=0, le=100)] = _USUAL.load
    prefix: _Weight = _USUAL.prefix
    latency: _Weight = _USUAL.latency
    weight: _Weight = _USUAL.weight
    cost: _Weight = _USUAL.cost
    affinity_load_max: Annotated[float, Meta(ge=1, le=100)] = _USUAL.affinity_load_max
    affinity_fill: Annotated[float, Meta(ge=0, le=1)] = _USUAL.affinity_fill
    index_mb: Annotated[int, Meta(ge=0, le=1024)] = 64
    """Memory of a gateway for which replica has read what; 0: none, and no affinity."""
    stall_s_max: Annotated[int, Meta(ge=1, le=3600)] = 60
    """For how long an engine may let an answer wait that it has begun."""
    frozen_s_max: Annotated[int, Meta(ge=5, le=3600)] = 30
    """An engine process of this machine whose health was not well for so long is killed and started again."""
    circuit_breaker: bool = True
    """Whether requests that fail make a gateway leave a replica alone. Looks at its health do in any case."""
    hedge_after_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    """A stream that has no first byte by then is asked of another replica too. 0: never."""

    @property
    def weights(self) -> Weights:
        """As routing reads them."""
        return Weights(
            self.load,
            self.prefix,
            self.latency,
            self.weight,
            self.cost,
            self.affinity_load_max,
            self.affinity_fill,
        )


class Ray(Struct, frozen=True, forbid_unknown_fields=True):
    """The Ray cluster on which deployments of the source `ray` run."""

    address: str = ""
    """As Ray knows it: `HOST:PORT` of its head, `auto` on one of its machines, or `ray://HOST:PORT`. Empty: none."""
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")] = "parvis"
    """Marks what is ours there. Two services that share a cluster need two names."""


_ROOM = Bounds()


class Queue(Struct, frozen=True, forbid_unknown_fields=True):
    """How much may wait for each pool at one gateway, and for how long. See docs/reference/queue.md."""

    waiting_max: Annotated[int, Meta(ge=1, le=1 << 20)] = _ROOM.waiting_max
    waiting_per_tenant_max: Annotated[int, Meta(ge=1, le=1 << 20)] = _ROOM.per_tenant_max
    wait_s_max: Annotated[int, Meta(ge=1, le=600)] = int(_ROOM.wait_s_max)

    @property
    def bounds(self) -> Bounds:
        """As a queue reads them."""
        per_tenant_max = min(self.waiting_per_tenant_max, self.waiting_max)
        return Bounds(self.waiting_max, per_tenant_max, wait_s_max=self.wait_s_max)


class EngineSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One engine: a server by address, or weights that Parvis serves itself.

    Of weights, what is None or 0 here was not said: `parvis.app.laying_out` chooses it for the machine.
    """

    kind: EngineKind | None = None
    """Read it as `server`."""
    model: str = ""
    """The catalogue id that it serves; the entry is made at the first start if there is none."""
    addresses: tuple[str, ...] = ()
    tls_ca: str = ""
    """Of `https://` addresses: who must have signed the servers' certificates (PEM). Empty: this machine's trust."""
    tls_cert: str = ""
    tls_key: str = ""
    """With `tls_cert`: how we prove who we are to servers that ask."""
    tls_min: Literal["1.2", "1.3"] = "1.3"
    slots: Annotated[int, Meta(ge=0, le=4096)] = 0
    """Requests side by side at which each of `addresses` is fastest; more wait in our queue. 0: nothing waits."""
    api_key_file: str = ""
    cache: CacheSharing = CacheSharing.TENANT
    """Whose prompts a request may find in its prefix cache (docs/adr/0017)."""
    engine_model: str = ""
    """What the server calls the model, when it is not `model`."""
    weights: str = ""
    """`builtin:NAME` or the path of a GGUF file."""
    replicas: Annotated[int, Meta(ge=0, le=REPLICAS_MAX)] = 0
    """Processes that serve the weights."""
    embedding: bool = False
    parallel: Annotated[int, Meta(ge=0, le=256)] = 0
    context_tokens: Annotated[int, Meta(ge=64, le=1 << 22)] = 4096
    threads: Annotated[int, Meta(ge=0, le=256)] = 0
    """Of each replica."""
    requantise: bool | None = None
    """Whether llama.cpp gets the weights as Q8_0, which is made of them once."""

    @property
    def server(self) -> EngineKind:
        """Which server it is; one by address of which nothing was said is taken for llama.cpp."""
        return self.kind or EngineKind.LLAMA_CPP

    @property
    def tls(self) -> TlsFiles | None:
        """For its `https://` addresses; None where it has none."""
        if not any(address.startswith("https:") for address in self.addresses):
            return None
        return TlsFiles(self.tls_ca, self.tls_cert, self.tls_key, self.tls_min)


def _builtin_engines() -> dict[str, EngineSettings]:
    return {
        "smollm2": EngineSettings(weights="builtin:smollm2-135m-instruct", model="smollm2-135m-instruct"),
        "minilm": EngineSettings(
            weights="builtin:all-minilm-l6-v2", model="all-minilm-l6-v2", embedding=True, context_tokens=512
        ),
    }


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All machine settings. `home` is the data folder."""

    home: Path
    inference: Inference = Inference()
    console: Console = Console()
    operator: Operator = Operator()
    openid: OpenId = OpenId()
    notices: Notices = Notices()
    store: Store = Store()
    limits: RateLimits = RateLimits()
    money: Holding = Holding()
    link: Link = Link()
    auto: Auto = Auto()
    ray: Ray = Ray()
    routing: Routing = Routing()
    queue: Queue = Queue()
    engines: dict[str, EngineSettings] = msgspec.field(default_factory=_builtin_engines)

    @property
    def store_url(self) -> str:
        """The database's URL, its secret included. Never logged."""
        if self.store.url_file:
            return _read_file(self.store.url_file, "store.url_file")
        return self.store.url or f"sqlite:///{self.home / 'parvis.sqlite'}"

    @property
    def valkey_url(self) -> str:
        """Of the server that keeps rates, its secret included; empty where the database does. Never logged."""
        if self.limits.url_file:
            return _read_file(self.limits.url_file, "limits.url_file")
        return self.limits.valkey


def data_folder(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where this installation keeps everything, whether or not its settings can be read."""
    return (home or Path(environ.get("PARVIS_HOME", "data"))).absolute()


def load(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises Misconfigured, naming the setting and what it should be."""
    folder = data_folder(home, environ)
    values = _read_toml(folder / FILE)
    for name, text in environ.items():
        if name.startswith("PARVIS_") and name not in _OUTSIDE:
            _override(values, name, text)
    if "home" in values:
        raise Misconfigured(f"{folder / FILE}: `home` is not set in the file it leads to. Set PARVIS_HOME instead.")
    try:
        settings = msgspec.convert({**values, "home": folder}, Settings, strict=False)
    except msgspec.ValidationError as problem:
        raise Misconfigured(f"{folder / FILE}: {problem}. `parvis config schema` shows what is known.") from None
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for name, listener in _listeners(settings).items():
        _check_address(name, listener.listen)
    inference = settings.inference
    _check_pair("inference", inference)
    if not (inference.tls_cert or inference.plain_beyond_loopback or ip_address(inference.host).is_loopback):
        raise Misconfigured(
            f"inference.listen = {inference.listen} is reachable from other machines without TLS. "
            "Set inference.tls_cert and tls_key, or inference.plain_beyond_loopback = true behind a TLS proxy."
        )
    _check_web("console", settings.console)
    _check_web("operator", settings.operator)
    operator = settings.operator
    if not (operator.beyond_loopback or ip_address(operator.host).is_loopback):
        raise Misconfigured(
            f"operator.listen = {operator.listen} is reachable from other machines. If only operators reach that "
            "address, set operator.beyond_loopback = true."
        )
    for setting in ("hosts", "private_hosts"):
        for listed in getattr(settings.openid, setting):
            _check_listed(f"openid.{setting}", listed)
    _check_notices(settings.notices)
    for name, engine in settings.engines.items():
        if bool(engine.addresses) == bool(engine.weights):
            raise Misconfigured(f"engines.{name} needs either 'addresses' or 'weights'.")
        if engine.weights and engine.server not in EMBEDDED:
            raise Misconfigured(
                f"engines.{name}.kind = {engine.server}: weights are served by {' or '.join(EMBEDDED)}. "
                "For another server give 'addresses'."
            )
        _check_engine_addresses(name, engine)


def _listeners(settings: Settings) -> dict[str, Listen]:
    return {"inference": settings.inference, "console": settings.console, "operator": settings.operator}


def _check_pair(name: str, listener: Inference | WebListener) -> None:
    if bool(listener.tls_cert) != bool(listener.tls_key):
        raise Misconfigured(f"{name}.tls_cert and {name}.tls_key go together; set both.")


def _check_web(name: str, listener: WebListener) -> None:
    _check_pair(name, listener)
    if not (listener.tls_cert or ip_address(listener.host).is_loopback):
        raise Misconfigured(
            f"{name}.listen = {listener.listen} is reachable from other machines without TLS. "
            f"Set {name}.tls_cert and {name}.tls_key, or listen on loopback."
        )
    for host in listener.hosts:
        if not _HOST_NAME.fullmatch(host):
            raise Misconfigured(f"{name}.hosts: '{host}' must be a name like console.example.eu, without a port.")
    if listener.public_url and not _PUBLIC_URL.fullmatch(listener.public_url):
        raise Misconfigured(
            f"{name}.public_url = '{listener.public_url}' must look like https://console.example.eu, without a path; "
            "http:// is for localhost only."
        )


def _check_notices(notices: Notices) -> None:
    for setting in ("hosts", "private_hosts"):
        for listed in getattr(notices, setting):
            _check_listed(f"notices.{setting}", listed)
    if notices.mail_server:
        _check_listed("notices.mail_server", notices.mail_server)
    if bool(notices.mail_server) != bool(notices.mail_from):
        raise Misconfigured("notices.mail_server and notices.mail_from go together; set both.")
    if bool(notices.mail_user) != bool(notices.mail_password_file):
        raise Misconfigured("notices.mail_user and notices.mail_password_file go together; set both.")


def _check_listed(setting: str, listed: str) -> None:
    host, _, port = listed.rpartition(":")
    if not _HOST_NAME.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise Misconfigured(f"{setting}: '{listed}' must look like login.example.eu:443 (a name and a port).")


def _check_address(name: str, listen: str) -> None:
    host, _, port = listen.rpartition(":")
    try:
        ip_address(host.strip("[]"))
        valid = 0 <= int(port) <= 65_535  # noqa: PLR2004 - the range of ports
    except ValueError:
        valid = False
    if not valid:
        raise Misconfigured(f"{name}.listen = '{listen}' must look like 127.0.0.1:8000 (a numeric address and a port).")


def _check_engine_addresses(name: str, engine: EngineSettings) -> None:
    for address in engine.addresses:
        try:
            parts = urlsplit(address)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise Misconfigured(
                f"engines.{name}.addresses: '{address}' must look like http://HOST:PORT or https://HOST:PORT."
            )
    if bool(engine.tls_cert) != bool(engine.tls_key):
        raise Misconfigured(f"engines.{name}.tls_cert and tls_key go together; set both.")
    if engine.tls is None and (engine.tls_ca or engine.tls_cert):
        raise Misconfigured(f"engines.{name} has TLS files but no https:// address. Correct its addresses.")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise Misconfigured(f"{path} cannot be read: {problem}.") from None


def _override(values: dict[str, Any], variable: str, text: str) -> None:
    """`PARVIS_INFERENCE__LISTEN=...` sets `inference.listen`."""
    parts = variable.removeprefix("PARVIS_").lower().split("__")
    if len(parts) < 2:  # noqa: PLR2004 - a section and a name
        raise Misconfigured(f"The variable {variable} is unknown. Settings look like PARVIS_SECTION__NAME.")
    *sections, name = parts
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise Misconfigured(f"The variable {variable} is unknown: '{section}' is a setting, not a section.")
    place[name] = text


def _read_file(path: str, setting: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as problem:
        raise Misconfigured(f"{setting} = {path} cannot be read: {problem.strerror}.") from None
