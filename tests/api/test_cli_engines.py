"""Commands about engines that need no service: what they measure, print and write."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from parvis.app import engine_trial
from parvis.cli import bench
from parvis.cli.main import main
from parvis.cli.written_down import with_values
from parvis.core.errors import Misconfigured
from parvis.domain.fleet.layout import GB, Machine

MINE = """# of mine
[inference]
workers = 2  # two

[engines.a]  # the first
weights = "builtin:smollm2-135m-instruct"
threads = 4  # too many

# about the other
[engines.b]
addresses = ["http://127.0.0.1:9"]
"""


def test_values_are_written_where_they_belong_and_nothing_else_changes() -> None:
    edited = with_values(MINE, "engines.a", {"kind": "llama.cpp", "threads": 1})
    assert edited == MINE.replace("threads = 4  # too many\n", 'threads = 1  # too many\nkind = "llama.cpp"\n')


def test_what_cannot_be_edited_is_said() -> None:
    with pytest.raises(Misconfigured, match="Say it yourself"):
        with_values("[engines]\na = {weights = 'x'}\n", "engines.a", {"kind": "llama.cpp"})


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers() | st.booleans() | st.text(max_size=9)))
def test_the_file_says_what_it_said_and_the_values(values: dict[str, object]) -> None:
    wanted = tomllib.loads(MINE)
    wanted["engines"].setdefault("new", {}).update(values)
    wanted["engines"]["a"].update(values)
    edited = with_values(with_values(MINE, "engines.new", values), "engines.a", values)
    assert tomllib.loads(edited) == wanted
    assert "# about the other" in edited


def test_what_is_in_force_is_shown_with_what_was_chosen(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["--home", str(tmp_path), "config", "show"], catch_exceptions=False).output
    shown = tomllib.loads(said)["engines"]
    assert shown["smollm2"]["threads"] >= 1
    assert shown["minilm"]["kind"] == "llama.cpp"
    assert "# engines.minilm: kind, replicas, parallel, threads, requantise chosen: llama.cpp, 1 replica" in said


def test_a_machine_is_measured_and_the_best_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "look", lambda: Machine(1, GB))  # one layout alone, without Q8_0: it is short of memory
    monkeypatch.setattr(engine_trial, "ANSWER_TOKENS", 8)
    (tmp_path / "parvis.toml").write_text("# mine\n[inference]\nworkers = 1\n")
    asked = ["--home", str(tmp_path), "bench", "engine", "--seconds", "1", "--streams", "1,2", "-o", "json"]
    done = CliRunner().invoke(main, [*asked, "--write", "--chart", str(tmp_path / "c.svg")], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(one["layout"], one["streams"], one["failed"]) for one in told["figures"]] == [
        ("llama.cpp", 1, 0),
        ("llama.cpp", 2, 0),
    ]
    assert told["chosen"] == "llama.cpp"
    written = tomllib.loads((tmp_path / "parvis.toml").read_text())
    assert written["inference"] == {"workers": 1}
    assert written["engines"]["smollm2"] == {
        "model": "smollm2-135m-instruct",
        "weights": "builtin:smollm2-135m-instruct",
        **told["settings"],
    }
    assert written["engines"]["minilm"]["embedding"] is True
    assert (tmp_path / "parvis.toml").read_text().startswith("# mine\n")
    assert "1 streams" in (tmp_path / "c.svg").read_text()
    again = CliRunner().invoke(main, [*asked, "--write"])
    assert again.exit_code == 1
    assert "--force" in again.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["--streams", "0,4"], "give numbers"), (["nobody"], "There are: smollm2"), (["minilm"], "There are: smollm2")],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, words: list[str], sentence: str) -> None:
    refused = CliRunner().invoke(main, ["--home", str(tmp_path), "bench", "engine", *words])
    assert refused.exit_code == 1
    assert sentence in refused.stderr
