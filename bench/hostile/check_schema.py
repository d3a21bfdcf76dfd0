"""Let schemathesis try each listener against its own description: inference, console, operator. Exit status 0 or 1.

    make check-schema ARGS="--examples 500"

It runs in an environment of its own under the scratch folder, made from a lock with hashes. The service stands before a
fake engine in a folder of its own; the operator's listener is tried last, since its verbs change things.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import httpx

from parvis.api.inference.openapi import description
from parvis.testing.processes import FakeEngineProcess, fake_engine
from parvis.testing.service import Service, served_by, service

HERE = Path(__file__).resolve().parent
LOCK = HERE / "schemathesis.txt"
HOME = HERE.parents[1] / ".bench" / "schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
CHAT, EMBEDDING = "fake-8b", "fake-embedding"
EXAMPLES = 100
SEED = 23
ANSWER_S_MAX = 30
RUN_S_MAX = 3600
Json = dict[str, Any]


def say(text: str) -> None:
    """One line of progress."""
    print(f"check-schema: {text}", flush=True)


def install() -> Path:
    """The program, in an environment that is as its lock says; its mark holds the digest of that file."""
    mark, digest = HOME / "installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (mark.exists() and mark.read_text() == digest):
        say("installing schemathesis (a minute)")
        venv.create(HOME, clear=True, with_pip=True, symlinks=True)
        pip = [str(HOME / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", LOCK], check=True)
        mark.write_text(digest)
    return HOME / "bin" / "schemathesis"


def tried(program: Path, name: str, document: Path, url: str, credential: str, examples: int) -> bool:
    """Try one listener; whether nothing was found. What was is on standard output."""
    say(f"{name}, {examples} examples an operation")
    command = [str(program), "run", str(document), "--url", url, "--checks", CHECKS, "--seed", str(SEED)]
    command += ["--header", f"Authorization: Bearer {credential}", "--max-examples", str(examples), "--workers", "1"]
    command += ["--request-timeout", str(ANSWER_S_MAX), "--continue-on-failure", "--suppress-health-check", "all"]
    command += ["--no-color", "--warnings", "off", "--generation-database", "none"]
    return subprocess.run(command, check=False, timeout=RUN_S_MAX, cwd=document.parent).returncode == 0


_MODELS = {"ChatBody": CHAT, "CompletionBody": CHAT, "EmbeddingBody": EMBEDDING, "RerankBody": EMBEDDING}


def usable() -> Json:
    """The document of the inference listener, in which every model is one that is there: else most answers are 404."""
    document = description()
    for name, model in _MODELS.items():
        document["components"]["schemas"][name]["properties"]["model"] = {"enum": [model]}
    document["paths"]["/v1/models/{model}"]["get"]["parameters"][0]["schema"] = {"enum": [CHAT, EMBEDDING, "nobody"]}
    return document


def described(url: str, credential: str) -> Json:
    """An administration listener's own description."""
    answer = httpx.get(f"{url}/openapi.json", headers={"authorization": f"Bearer {credential}"}, trust_env=False)
    document: Json = answer.raise_for_status().json()
    return document


def try_all(program: Path, running: Service, folder: Path, examples: int) -> list[str]:
    """The names of the listeners that are not as they are described."""
    token = (running.home / "operator.token").read_text().strip()
    inference = running.base_url.removesuffix("/v1")
    console, operator = (f"http://{running.environ[f'PARVIS_{name}__LISTEN']}" for name in ("CONSOLE", "OPERATOR"))
    listeners = (
        ("inference", usable(), inference, running.api_key),
        ("console", described(console, running.api_key), console, running.api_key),
        ("operator", described(operator, token), operator, token),
    )
    wrong = []
    for name, document, url, credential in listeners:
        path = folder / f"{name}.json"
        path.write_text(json.dumps(document))
        if not tried(program, name, path, url, credential, examples):
            wrong.append(name)
    if "bug" in running.complained():
        wrong.append("the log")
    return wrong


def engines(engine: FakeEngineProcess) -> dict[str, Json]:
    """One for each kind of model."""
    return {
        "chat": served_by(engine, model=CHAT),
        "embedding": served_by(engine, kind="openai", model=EMBEDDING, embedding=True),
    }


def main() -> int:
    """Try, and say what came of it."""
    parser = argparse.ArgumentParser(description="Try each listener against its own description.")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="of each operation and phase")
    examples = parser.parse_args().examples
    program = install()
    with (
        tempfile.TemporaryDirectory(prefix="parvis-schema-") as folder,
        fake_engine(model=(CHAT, EMBEDDING)) as engine,
        service(Path(folder) / "home", engines=engines(engine)) as running,
    ):
        running.allow(CHAT, "chat", "tools", "vision")
        wrong = try_all(program, running, Path(folder), examples)
    say(f"not as described: {', '.join(wrong)}" if wrong else "all listeners are as they are described")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
