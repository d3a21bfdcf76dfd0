"""Let three programs of others look at the inference listener: OpenSSL's client, sslyze and testssl.sh.

usage: scan_tls.py [--connect HOST:PORT --ca FILE] [--json FILE]

Without `--connect` a service is started for it, with a certificate of `parvis cert`. The exit status is 1 when one of
them finds fault. Two minutes; the first time sslyze gets an environment of its own, and testssl.sh comes from Debian.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peers import install_packages, say
from places import PEERS, SCRATCH

from parvis.testing.processes import fake_engine
from parvis.testing.service import served_by, service

SCAN_S_MAX = 600
SUITES = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}
OLD = {"-ssl3": "SSL 3.0", "-tls1": "TLS 1.0", "-tls1_1": "TLS 1.1", "-tls1_2": "TLS 1.2"}
OLD_IN_SSLYZE = {
    "ssl_2_0_cipher_suites": "SSL 2.0",
    "ssl_3_0_cipher_suites": "SSL 3.0",
    "tls_1_0_cipher_suites": "TLS 1.0",
    "tls_1_1_cipher_suites": "TLS 1.1",
    "tls_1_2_cipher_suites": "TLS 1.2",
}
SAFE_IN_SSLYZE = {
    "tls_compression": ("supports_compression", False),
    "tls_1_3_early_data": ("supports_early_data", False),
    "openssl_ccs_injection": ("is_vulnerable_to_ccs_injection", False),
    "heartbleed": ("is_vulnerable_to_heartbleed", False),
    "robot": ("robot_result", "NOT_VULNERABLE_RSA_NOT_SUPPORTED"),
    "session_renegotiation": ("is_vulnerable_to_client_renegotiation_dos", False),
}
"""What sslyze asks, and the answer that is good."""
FAULTS = {"WARN", "MEDIUM", "HIGH", "CRITICAL", "FATAL"}
EXCUSED = {
    "cert_revocation": "an authority for development publishes no list of what it has revoked",
    "security_headers": "they are for pages in a browser; this listener answers programs, in JSON",
    "engine_problem": "of the OpenSSL that the scanner uses, which lacks some national ciphers",
}
"""Faults that testssl.sh finds and that are none here."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """What is looked at, and whose signature is trusted."""

    host: str
    port: int
    authority: Path

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Verdict:
    """One line of the table."""

    tool: str
    what: str
    good: bool
    found: str


# ------------------------------------------------------------------------------------------------ OpenSSL


def by_openssl(target: Target) -> Iterator[Verdict]:
    """Old versions are refused, the new one is agreed on, and the certificate is right."""
    for option, name in OLD.items():
        said = s_client(target, option, "-cipher", "ALL:@SECLEVEL=0")
        if "unknown option" not in said.lower():  # SSL 3.0 is missing in most builds
            agreed = "New, TLS" in said or "New, SSL" in said
            yield Verdict("openssl", name, not agreed, "agreed" if agreed else "refused")
    for suite in sorted(SUITES):
        said = s_client(target, "-tls1_3", "-ciphersuites", suite)
        yield Verdict("openssl", f"TLS 1.3, {suite}", f"New, TLSv1.3, Cipher is {suite}" in said, fact(said, "New, "))
    said = s_client(target, "-tls1_3", "-groups", "ffdhe2048:ffdhe8192")
    yield Verdict("openssl", "keys in finite fields", "New, TLS" not in said, fact(said, "New, "))
    said = s_client(target, "-verify_return_error", "-verify_hostname", target.host)
    trusted = fact(said, "Verification: ")
    yield Verdict("openssl", "certificate", trusted == "Verification: OK", trusted)


def s_client(target: Target, *options: str) -> str:
    """All that OpenSSL's client says."""
    command = ["openssl", "s_client", "-connect", target.place, "-CAfile", str(target.authority), *options]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=SCAN_S_MAX, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def fact(said: str, begins: str) -> str:
    """The line that begins so."""
    return next((line for line in said.splitlines() if line.startswith(begins)), "nothing")


# ------------------------------------------------------------------------------------------------- sslyze


def install_sslyze() -> None:
    """An environment of its own, from locks with hashes; its mark holds their digest.

    It is published as source only, so what builds it is locked too, and installed before.
    """
    locks, home = [PEERS / "sslyze-build.txt", PEERS / "sslyze.txt"], SCRATCH / "sslyze"
    mark, digest = home / "installed", hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    if mark.exists() and mark.read_text() == digest:
        return
    say("installing sslyze (half a minute)")
    venv.create(home, clear=True, with_pip=True, symlinks=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    strict = ["--require-hashes", "--no-build-isolation", "--only-binary=:all:", "--no-binary=sslyze"]
    for lock in locks:
        subprocess.run([*pip, *strict, "-r", str(lock)], check=True)
    mark.write_text(digest)


def by_sslyze(target: Target, folder: Path) -> Iterator[Verdict]:
    """Its own list of weaknesses, and every suite that it knows of every version."""
    told = folder / "sslyze.json"
    scans = (
        "--sslv2 --sslv3 --tlsv1 --tlsv1_1 --tlsv1_2 --tlsv1_3 --early_data --compression --openssl_ccs --heartbleed"
    )
    options = [*scans.split(), "--robot", "--reneg", "--certinfo", f"--certinfo_ca_file={target.authority}"]
    command = [str(SCRATCH / "sslyze" / "bin" / "sslyze"), *options, "--mozilla_config=disable", f"--json_out={told}"]
    subprocess.run([*command, "--quiet", target.place], check=True, timeout=SCAN_S_MAX, capture_output=True)
    [scan] = json.loads(told.read_text())["server_scan_results"]
    results: Json = {name: entry["result"] for name, entry in scan["scan_result"].items() if entry["result"]}
    for name, version in OLD_IN_SSLYZE.items():
        taken = suites_of(results[name])
        yield Verdict("sslyze", version, not taken, ", ".join(sorted(taken)) or "refused")
    new = suites_of(results["tls_1_3_cipher_suites"])
    yield Verdict("sslyze", "TLS 1.3", new == SUITES, ", ".join(sorted(new)))
    for name, (question, good) in SAFE_IN_SSLYZE.items():
        answer = results[name][question]
        yield Verdict("sslyze", question, answer == good, str(answer))
    [deployment] = results["certificate_info"]["certificate_deployments"]
    trusted = any(path["was_validation_successful"] for path in deployment["path_validation_results"])
    yield Verdict("sslyze", "certificate", trusted, "trusted" if trusted else "not trusted")


def suites_of(result: Json) -> set[str]:
    """The names of what was accepted."""
    return {one["cipher_suite"]["name"] for one in result["accepted_cipher_suites"]}


# --------------------------------------------------------------------------------------------- testssl.sh


def by_testssl(target: Target, folder: Path) -> Iterator[Verdict]:
    """Every finding that it takes for a fault, and how many it does not."""
    program, told = shutil.which("testssl") or "testssl.sh", folder / "testssl.json"
    options = [
        "--quiet",
        "--color=0",
        "--warnings=off",
        "--nodns=none",
        "--ip=127.0.0.1",
        f"--add-ca={target.authority}",
    ]
    command = [program, *options, f"--jsonfile={told}", target.place]
    done = subprocess.run(command, capture_output=True, timeout=SCAN_S_MAX, check=False)
    findings: list[dict[str, str]] = json.loads(told.read_text())
    faults = [one for one in findings if one["severity"] in FAULTS]
    for one in faults:
        excuse = EXCUSED.get(one["id"])
        said = f"{one['severity']}: {one['finding']}" + (f" (excused: {excuse})" if excuse else "")
        yield Verdict("testssl.sh", one["id"], excuse is not None, said)
    whole = any(one["id"] == "TLS1_3" for one in findings) and any(one["id"] == "RC4" for one in findings)
    yield Verdict(
        "testssl.sh", "everything else", whole, f"{len(findings) - len(faults)} findings (exit {done.returncode})"
    )


# ---------------------------------------------------------------------------------------------------- run


@contextmanager
def own_service(folder: Path) -> Iterator[Target]:
    """A service with a certificate that `parvis cert` has made."""
    parvis = Path(sys.executable).with_name("parvis")
    command = [str(parvis), "--home", str(folder / "home"), "cert", "make", "--json"]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    env = {"PARVIS_INFERENCE__TLS_CERT": made["certificate"], "PARVIS_INFERENCE__TLS_KEY": made["key"]}
    with (
        fake_engine() as engine,
        service(folder / "home", engines={"fake": served_by(engine)}, env=env) as running,
    ):
        yield Target("localhost", running.port, Path(made["authority"]))


def scan(target: Target, folder: Path) -> list[Verdict]:
    """All verdicts; each tool is announced."""
    verdicts: list[Verdict] = []
    for name, verdict in (
        ("openssl", by_openssl(target)),
        ("sslyze", by_sslyze(target, folder)),
        ("testssl.sh (two minutes)", by_testssl(target, folder)),
    ):
        say(f"{target.place} is looked at by {name}")
        verdicts.extend(verdict)
    return verdicts


def show(verdicts: list[Verdict]) -> None:
    """The table."""
    what = max(len(verdict.what) for verdict in verdicts)
    for verdict in verdicts:
        mark = "ok   " if verdict.good else "FAULT"
        print(f"{mark}  {verdict.tool:<10}  {verdict.what:<{what}}  {verdict.found}")


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connect", metavar="HOST:PORT")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    install_packages([] if shutil.which("testssl") else ["testssl.sh"])
    install_sslyze()
    with tempfile.TemporaryDirectory(prefix="parvis-scan-") as name:
        folder = Path(name)
        if asked.connect:
            host, _, port = asked.connect.rpartition(":")
            verdicts = scan(Target(host, int(port), asked.ca), folder)
        else:
            with own_service(folder) as target:
                verdicts = scan(target, folder)
    show(verdicts)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts]))
    return 0 if all(verdict.good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
