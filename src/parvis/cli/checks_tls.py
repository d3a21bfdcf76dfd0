"""What the doctor looks at of TLS: certificates that end soon, keys that others can read, what is really served."""

import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from parvis.adapters.engines.tls import engine_context
from parvis.app.tls import server_context
from parvis.cli.certificate import read_certificate
from parvis.cli.finding import Finding, ok, problem, skipped
from parvis.cli.place import reachable
from parvis.core.errors import Misconfigured
from parvis.settings import EngineSettings, Inference, Settings, WebListener

PROBE_S_MAX = 3.0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_tls(settings: Settings) -> Iterator[Finding]:
    """The files of the listeners and of the way to engines."""
    for name, listener in listeners(settings).items():
        if listener.tls_cert:
            yield check_certificate(name, listener)
            yield check_key(f"{name}.tls_key", listener.tls_key)
    for name, engine in settings.engines.items():
        if engine.tls is not None:
            yield check_engine_files(name, engine)
        if engine.tls_key:
            yield check_key(f"engines.{name}.tls_key", engine.tls_key)


def listeners(settings: Settings) -> dict[str, Inference | WebListener]:
    """All three, by the name of their section."""
    return {"inference": settings.inference, "console": settings.console, "operator": settings.operator}


def check_certificate(name: str, listener: Inference | WebListener) -> Finding:
    """It can be served, and will be for a while."""
    what = f"{name}.tls_cert"
    try:
        server_context(listener.tls_cert, listener.tls_key, name)
    except Misconfigured as wrong:
        return problem(what, str(wrong), f"`parvis cert show {listener.tls_cert}` may tell more.")
    return _lasting(what, listener.tls_cert)


def check_engine_files(name: str, engine: EngineSettings) -> Finding:
    """They can be used, and the client's certificate will be accepted for a while."""
    what = f"TLS of engine {name}"
    assert engine.tls is not None  # noqa: S101 - the caller has looked
    try:
        engine_context(engine.tls)
    except Misconfigured as wrong:
        return problem(what, str(wrong), f"Correct engines.{name} in parvis.toml.")
    return _lasting(what, engine.tls_cert) if engine.tls_cert else ok(what, engine.tls_ca or "this machine's trust")


def check_key(what: str, path: str) -> Finding:
    """A private key is its owner's alone."""
    try:
        mode = stat.S_IMODE(Path(path).stat().st_mode)
    except OSError as error:
        return problem(what, f"{path}: {error.strerror}", f"Correct {what} in parvis.toml.")
    if mode & _OTHERS:
        return problem(what, f"others may use {path} ({mode:o})", f"chmod 600 {path}")
    return ok(what, "readable by its owner alone")


def check_served(name: str, listener: Inference | WebListener) -> Finding:
    """A service that runs serves the certificate that is in the file."""
    what = "served certificate" if name == "inference" else f"served certificate of {name}"
    host, _, port = reachable(listener).rpartition(":")
    try:
        served = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=PROBE_S_MAX)
        kept = read_certificate(Path(listener.tls_cert)).pem
    except (OSError, Misconfigured) as error:
        return skipped(what, f"could not be compared: {error}")
    if served.split() != kept.split():
        return problem(what, "the service serves another one than the file holds", "Say `parvis reload`.")
    return ok(what, "the one in the file")


def _lasting(what: str, path: str) -> Finding:
    facts = read_certificate(Path(path))
    now = datetime.now(UTC)
    left = f"{path}, {facts.left(now).days} days left"
    if facts.soon_over(now):
        return problem(what, left, "Renew it in place, then say `parvis reload`.")
    return ok(what, left)
