"""What the documents list is what the code has: settings, commands, errors, metrics, fields. Neither more nor less."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from parvis.adapters.engines import grammar
from parvis.adapters.telemetry.exposition import Exposition
from parvis.api import statuses
from parvis.api.inference import strictness
from parvis.api.inference.limits import BYTES_PER_S_MIN, ListenerLimits
from parvis.cli.main import main
from parvis.core import errors
from parvis.domain.fleet.profile import PROFILES
from parvis.settings import EngineSettings, Settings
from parvis.wire import bulk, chat, chat_shapes, completion, embedding, rerank, schema_counts, schemas, validation

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
NOT_BY_HTTP = {"failure", "misconfigured", "receipt_invalid", "seal_broken", "signature_invalid", "weights_missing"}
FLAGS = {"--help"}
SHORT = {"--json", "--csv"}
"""Other words for two values of `--output`, said once for all commands that have it."""
Row = tuple[str, ...]


def rows(page: Path, section: str = "") -> list[Row]:
    """The cells of the tables below a heading (without one: of the page), heads and rules left out."""
    text = page.read_text()
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [tuple(cell.strip() for cell in line[1:-1].split("|")) for table in lines for line in table.splitlines()[2:]]


def words(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


# ------------------------------------------------------------------------------------------------ settings


def defaults() -> Iterator[tuple[str, Any]]:
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for section, kind in sections.items():
        if section == "engines":
            yield from ((f"engines.NAME.{f.name}", f.default) for f in msgspec.structs.fields(EngineSettings))
        elif section != "home":
            yield from ((f"{section}.{field.name}", field.default) for field in msgspec.structs.fields(kind))


def test_every_setting_is_there_with_its_default() -> None:
    shown = {words(name)[0]: words(default)[0] for name, default, _ in rows(REFERENCE / "settings.md")}
    assert shown == {name: msgspec.json.encode(default).decode() for name, default in defaults()}


# ------------------------------------------------------------------------------------------- the command line


def commands(group: click.Group, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            said = [option for p in command.params for option in (*p.opts, *p.secondary_opts)]
            named = {option for option in said if option.startswith("--")}
            yield prefix + name, named - FLAGS - (SHORT if "-o" in said else set())


def test_every_command_is_there_with_its_options() -> None:
    shown = {words(command)[0]: set(words(options)) for command, _, options in rows(REFERENCE / "cli.md")}
    assert shown == dict(commands(main))


# ---------------------------------------------------------------------------------------------------- errors


CHILDREN = ("openvino", "speech")
"""Engines of our own: gateways alone hear what they say."""


def raised() -> Iterator[tuple[str, str]]:
    """(code, name of the failure) of every code in the sources that callers read."""
    for path in (ROOT / "src" / "parvis").rglob("*.py"):
        if path.parent.name in CHILDREN:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=failure), keywords=said):
                    yield from (
                        (k.value.value, failure)
                        for k in said
                        if k.arg == "code" and isinstance(k.value, ast.Constant) and isinstance(k.value.value, str)
                    )
                case ast.ClassDef(name=failure, body=body):
                    yield from (
                        (step.value.value, failure)
                        for step in body
                        if isinstance(step, ast.Assign)
                        and isinstance(step.value, ast.Constant)
                        and isinstance(step.value.value, str)
                        and ast.unparse(step.targets[0]) == "code"
                    )


def status(failure: str) -> int:
    """The HTTP status of a failure of `core.errors`; a bug's for any other."""
    kind = getattr(errors, failure, None)
    if kind is None:
        return 500
    made = kind("", allow="") if kind is errors.MethodNotAllowed else kind("")
    return int(statuses.status_of(made)[0])


def test_every_error_is_there_with_its_statuses() -> None:
    known: defaultdict[str, set[int]] = defaultdict(set)
    for code, failure in raised():
        known[code].add(status(failure))
    listed = [row for row in rows(REFERENCE / "errors.md") if words(row[0])]
    shown = {words(row[0])[0]: {int(n) for n in re.findall(r"\d+", row[1])} for row in listed if len(row) == 3}
    assert shown == {code: found for code, found in known.items() if code not in NOT_BY_HTTP}
    elsewhere = {words(row[0])[0] for row in rows(REFERENCE / "errors.md", "Never by HTTP")}
    assert elsewhere == NOT_BY_HTTP


def test_every_type_of_error_is_there_with_its_statuses() -> None:
    table = rows(REFERENCE / "errors.md")[:6]
    shown = {words(kind)[0]: {int(n) for n in found.split(", ")} for kind, found in table}
    known: defaultdict[str, set[int]] = defaultdict(set)
    for _, number, kind in statuses._STATUSES:
        known[kind].add(int(number))
    assert shown == known


# --------------------------------------------------------------------------------------------------- metrics


def test_every_metric_is_there() -> None:
    shown = {words(row[0])[0] for row in rows(ROOT / "docs" / "how-to" / "operate.md", "Metrics")}
    assert shown == set(re.findall(r"^# TYPE (\w+)", Exposition().text(), re.MULTILINE))


# --------------------------------------------------------------------------------------------------- protocol


@pytest.mark.parametrize(
    ("section", "body"),
    [
        ("Chat", chat_shapes.ChatBody),
        ("Completions", completion.CompletionBody),
        ("Embeddings", embedding.EmbeddingBody),
        ("Rerank", rerank.RerankBody),
    ],
)
def test_every_field_is_there(section: str, body: type[msgspec.Struct]) -> None:
    shown = [name for row in rows(REFERENCE / "protocol.md", section) for name in words(row[0])]
    assert sorted(shown) == sorted(body.__struct_fields__)


def test_what_has_no_effect_and_what_is_refused_is_said() -> None:
    table = rows(REFERENCE / "protocol.md", "Chat")
    idle = {name for row in table if "without effect" in row[2] for name in words(row[0])}
    assert idle == set(chat._WITHOUT_EFFECT)
    extras = {name for row in table if "beyond OpenAI" in row[2] for name in words(row[0])}
    assert extras == set(chat.EXTRAS)
    text = (REFERENCE / "protocol.md").read_text()
    refused = re.search(r"Refused as `unsupported_parameter`: (.*)", text)
    assert refused is not None
    assert set(words(refused[1])) == validation.UNSUPPORTED


def test_every_extra_of_an_engine_is_there() -> None:
    shown = {words(kind)[0]: set(words(extras)) for kind, extras in rows(REFERENCE / "protocol.md", "Extras")}
    assert shown == {kind.value: set(profile.extras) for kind, profile in PROFILES.items()}


def test_every_enforced_keyword_is_there() -> None:
    text = (REFERENCE / "protocol.md").read_text()
    said = re.search(r"engine enforces (.*?)\. It\s", text, re.DOTALL)
    assert said is not None
    assert set(words(said[1])) == grammar._ENFORCED


def test_the_bounds_are_those_of_the_code() -> None:
    text = (REFERENCE / "protocol.md").read_text()
    limits = ListenerLimits()
    for said in (
        f"1 to {chat_shapes.MESSAGES_MAX:,}",
        f"1 to {chat_shapes.CHOICES_MAX}",
        f"{chat_shapes.TOOLS_MAX}, of {chat.TOOLS_BYTES_MAX >> 10} KiB",
        f"{chat_shapes.PARTS_MAX} parts in a message and {chat.IMAGES_MAX} images",
        f"{completion.PROMPTS_MAX} texts",
        f"{completion.MAX_TOKENS_DEFAULT} if not given",
        f"{embedding.INPUTS_MAX} texts",
        f"1 to {rerank.DOCUMENTS_MAX:,}, none empty",
        f"{schemas.BYTES_MAX >> 10} KiB, {schemas.DEPTH_MAX} levels and",
        f"{schemas.PARTS_MAX:,} parts",
        f"counts for {schema_counts.PATTERN_PARTS})",
        f"and {chat.TOOLS_PARTS_MAX:,} parts",
        f"of over {bulk.COUNTED_BYTES >> 10} KiB holds at most {bulk.TEXTS_MAX:,} names and texts",
        f"in at most {strictness.CHUNKS_MAX:,} chunks",
        f"up\nto {schema_counts.COUNT_MAX:,}; patterns of {schema_counts.PATTERN_CHARS_MAX} characters",
        f"Counts go up to {grammar._ITEMS_MAX:,}",
        f"{limits.body_bytes_max >> 20} MiB, not compressed",
        f"{limits.head_bytes_max >> 10} KiB, {limits.headers_max} headers",
        f"| {limits.pipelined_max} |",
        f"{limits.head_s_max:.0f} s, {limits.body_s_max:.0f} s",
        f"| {limits.idle_s_max:.0f} s |",
        f"| {limits.stall_s_max:.0f} s |",
        f"| {limits.connections_max:,} |",
        f"| {limits.connections_per_address_max:,} |",
        f"| {limits.handshake_s_max:.0f} s |",
        f"| {limits.bodies_bytes_max >> 20} MiB; beyond it 503 |",
        f"a second for every {BYTES_PER_S_MIN >> 10} KiB",
    ):
        assert " ".join(said.split()) in " ".join(text.split())


# --------------------------------------------------------------------------------------------------- glossary


def test_every_word_of_the_glossary_is_used() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "src" / "parvis").rglob("*.py"))
    used = set(re.findall(r"\w+", sources))
    named = {word for row in rows(ROOT / "docs" / "glossary.md") for word in words(row[0])}
    assert named - used == set()


def test_no_word_of_the_glossary_means_two_things() -> None:
    named = [word for row in rows(ROOT / "docs" / "glossary.md") for word in words(row[0])]
    assert len(named) == len(set(named))
