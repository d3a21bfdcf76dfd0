"""Promise 22, of starts that are refused: neither the sentence that says why nor the settings show a password."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Literal

from click.testing import CliRunner

from parvis.cli.main import main
from parvis.testing.canaries import Canaries
from parvis.testing.residue import Place, files
from parvis.testing.service import free_port

PARVIS = Path(sys.executable).parent / "parvis"
START_S_MAX = 60
BAD_ROOT_KEY = "bad root key"
ENGINE_AWAY = '\n[engines.away]\naddresses = ["http://127.0.0.1:9"]\n'
"""So that no start takes the time to unpack weights."""


def refused_starts(secret: str, folder: Path) -> dict[str, tuple[dict[str, str], str]]:
    """(environment, parvis.toml) of starts that cannot work, with a secret in what is wrong."""
    bad_key, url_file = folder / "bad-key.pem", folder / "url"
    bad_key.write_text(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
    url_file.write_text(f"postgresql://parvis:{secret}@127.0.0.1:1/parvis\n")
    return {
        **{name: ({"PARVIS_STORE__URL": url}, "") for name, url in addresses(secret).items()},
        "address from a file": ({"PARVIS_STORE__URL_FILE": str(url_file)}, ""),
        "broken file": ({}, f'[store]\nurl = "postgresql://parvis:{secret}@127.0.0.1/parvis\n'),
        "unknown setting": ({}, f'[store]\npassword = "{secret}"\n'),
        "wrong type": ({}, f'store = "postgresql://parvis:{secret}@127.0.0.1/parvis"\n'),
        "unknown variable": ({"PARVIS_DATABASE_PASSWORD": secret}, ""),
        "bad TLS key": ({f"PARVIS_INFERENCE__TLS_{name}": str(bad_key) for name in ("CERT", "KEY")}, ""),
        BAD_ROOT_KEY: ({}, ""),
    }


def addresses(secret: str) -> dict[str, str]:
    """Of databases that cannot be used."""
    return {
        "nobody answers": f"postgresql://parvis:{secret}@127.0.0.1:1/parvis",
        "password in the query": f"postgresql://127.0.0.1:1/parvis?user=parvis&password={secret}",
        "no such host": f"postgresql://parvis:{secret}@localhost.invalid/parvis",
        "another database": f"mysql://parvis:{secret}@127.0.0.1/parvis",
        "no port": f"postgresql://parvis:{secret}@127.0.0.1:port/parvis",
        "no URL": f"parvis:{secret}@127.0.0.1",
        "unknown option": f"postgresql://parvis:{secret}@127.0.0.1:1/parvis?{secret}=1",
        "slash in the password": f"postgresql://parvis:{secret}/{secret}@127.0.0.1:1/parvis",
        "at in the query": f"postgresql://127.0.0.1:1/parvis?password={secret}@{secret}",
    }


def refused(home: Path, env: dict[str, str], toml: str, secret: str) -> list[Place]:
    """Try to start; what was printed and left behind. What holds the secret from before is not looked at."""
    home.mkdir(mode=0o700)
    (home / "parvis.toml").write_text(f"{toml}{ENGINE_AWAY}")
    if home.name == BAD_ROOT_KEY:
        (home / "root.key").touch(mode=0o600)
        (home / "root.key").write_text(secret)
    ports = {f"PARVIS_{part}__LISTEN": f"127.0.0.1:{free_port()}" for part in ("INFERENCE", "CONSOLE", "OPERATOR")}
    environ = {**os.environ, "PARVIS_HOME": str(home), **ports, **env}
    done = subprocess.run([PARVIS, "up"], env=environ, capture_output=True, timeout=START_S_MAX, check=False)
    assert done.returncode == 1, done
    kept = ("parvis.toml", "root.key")
    return [(f"{home.name}: output", done.stdout + done.stderr), *(p for p in files(home) if not p[0].endswith(kept))]


def test_a_start_that_is_refused_shows_no_secret(tmp_path: Path, level: Literal["C", "N"]) -> None:
    birds = Canaries()
    secret = birds.new("a password")
    starts = refused_starts(secret, tmp_path)
    names = list(starts) if level == "N" else list(starts)[::2]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: refused(tmp_path / name, *starts[name], secret), names)
        hits, size = birds.find_all(chain(*found))
    print(f"\nrow 22: {len(names)} refused starts, {size} bytes, {len(hits)} leaks")
    assert hits == []


def test_no_password_is_shown_with_the_settings(tmp_path: Path) -> None:
    birds = Canaries()
    for name, url in addresses(birds.new("a password")).items():
        done = CliRunner().invoke(main, ["--home", str(tmp_path), "config", "show"], env={"PARVIS_STORE__URL": url})
        assert done.exit_code == 0
        assert birds.find(name, done.output.encode()) == []
