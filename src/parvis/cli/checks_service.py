"""What the doctor asks of the network: ports, engines, and the service itself if it runs."""

import errno
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx

from parvis.adapters.engines.tls import engine_context
from parvis.cli.checks_tls import check_served, listeners
from parvis.cli.finding import Finding, ok, problem, skipped
from parvis.cli.operator_api import CHECK_S_MAX, NobodyAnswers, OperatorApi
from parvis.cli.place import reachable
from parvis.core.errors import Failure, Misconfigured
from parvis.settings import EngineSettings, Listen, Settings

PROBE_S_MAX = 3.0


def check_service(settings: Settings) -> Iterator[Finding]:
    """Everything that somebody else answers."""
    for name, listener in listeners(settings).items():
        yield check_port(name, listener, tls=bool(listener.tls_cert))
        if listener.tls_cert:
            yield check_served(name, listener)
    for name, engine in settings.engines.items():
        for address in engine.addresses:
            yield check_engine(name, engine, address)
    yield from check_running(settings)


def check_port(name: str, listener: Listen, *, tls: bool) -> Finding:
    """Free, or taken by Parvis."""
    what = f"port of {name}"
    try:
        with socket.socket(socket.AF_INET6 if ":" in listener.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listener.host, listener.port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE and _is_ours(f"{'https' if tls else 'http'}://{reachable(listener)}"):
            return ok(what, f"{listener.listen}, where Parvis answers")
        reason = "taken by another program" if error.errno == errno.EADDRINUSE else str(error.strerror)
        return problem(what, f"{listener.listen}: {reason}", f"Set PARVIS_{name.upper()}__LISTEN to another address.")
    return ok(what, f"{listener.listen} is free")


def check_engine(name: str, engine: EngineSettings, address: str) -> Finding:
    """A server by address: it answers, and takes the key that it is given."""
    what = f"engine {name}"
    try:
        key = Path(engine.api_key_file).read_text().strip() if engine.api_key_file else ""
    except OSError as error:
        return problem(what, f"{engine.api_key_file}: {error.strerror}", f"Correct engines.{name}.api_key_file.")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = _models_of(address, engine, headers)
    except (httpx.HTTPError, httpx.InvalidURL, Misconfigured) as error:
        return _away(what, address, error)
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return problem(
            what, f"{address} refuses the key", f"Put its key into a file named by engines.{name}.api_key_file."
        )
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return problem(what, f"{address} answers with status {answer.status_code}", "See the engine's own log.")
    return ok(what, address)


def _models_of(address: str, engine: EngineSettings, headers: dict[str, str]) -> httpx.Response:
    """Ask a server what it serves, over TLS as the gateway would. Raises what httpx does, and Misconfigured."""
    verify = engine_context(engine.tls) if engine.tls else True
    return httpx.get(f"{address}/v1/models", headers=headers, timeout=PROBE_S_MAX, trust_env=False, verify=verify)


def _away(what: str, address: str, error: Exception) -> Finding:
    if isinstance(error, Misconfigured) or "SSL" in str(error):
        return problem(what, f"no TLS with {address}: {error}", f"Correct tls_ca, tls_cert and tls_key of {what}.")
    return problem(what, f"nothing answers at {address}", "Start it, or correct its address in parvis.toml.")


def check_running(settings: Settings) -> Iterator[Finding]:
    """What only the running service knows: its books, its catalogue, its readiness."""
    try:
        with OperatorApi(settings) as api:
            yield _readiness(api)
            yield _catalogue(api, settings)
            yield _ledger(api)
    except Failure as failure:
        yield skipped("running service", str(failure))


def _readiness(api: OperatorApi) -> Finding:
    try:
        api.get("/readyz")
    except NobodyAnswers:
        raise
    except Failure as failure:
        return problem("service", str(failure), "See the log of `parvis up`.")
    return ok("service", "ready")


def _catalogue(api: OperatorApi, settings: Settings) -> Finding:
    entries = [entry for entry in api.every("/v1/models") if entry["state"] not in ("planned", "retired")]
    pools = settings.engines.keys() | {deployment["pool"] for deployment in api.every("/v1/deployments")}
    served = [entry for entry in entries if entry["auto"] is None]  # an `auto` entry has no engine of its own
    orphans = [f"{entry['id']} ({entry['engine']})" for entry in served if entry["engine"] not in pools]
    if orphans:
        fix = "Deploy their engine, name it in parvis.toml, or retire them with `parvis model apply`."
        return problem("catalogue", f"no such engine: {', '.join(orphans)}", fix)
    return ok("catalogue", f"{len(entries)} models served")


def _ledger(api: OperatorApi) -> Finding:
    found = api.get("/v1/check", CHECK_S_MAX)
    if not found["ok"]:
        first = found["differences"][0]
        fix = "Keep the data folder as it is and restore a backup beside it: `parvis usage --json` of both tells more."
        return problem("ledger", f"{len(found['differences'])} differences, first: {first}", fix)
    return ok("ledger", "every sum agrees")


def _is_ours(base: str) -> bool:
    """Whether a Parvis listener answers: it refuses a caller without a credential, in its own way."""
    blind = ssl.create_default_context()  # asked for nothing but a refusal, so whose certificate it is does not matter
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    try:
        answer = httpx.get(f"{base}/v1/models", timeout=PROBE_S_MAX, trust_env=False, verify=blind)
    except httpx.HTTPError:
        return False
    return answer.status_code == HTTPStatus.UNAUTHORIZED and "x-request-id" in answer.headers
