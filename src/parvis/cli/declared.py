"""Declarative files: YAML, TOML or JSON as the plain values that the service is sent."""

import json
import sys
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import yaml

from parvis.core.errors import BadRequest

Json = dict[str, Any]


class _OnceOnly(yaml.SafeLoader):
    """Data alone, never objects; and no name twice in one mapping."""


def _mapping(loader: _OnceOnly, node: yaml.MappingNode) -> Json:
    names = [loader.construct_object(name, deep=True) for name, _ in node.value]
    for name in names:
        if not isinstance(name, str):
            raise yaml.constructor.ConstructorError(None, None, f"'{name}' must be a text", node.start_mark)
        if names.count(name) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"'{name}' is said twice", node.start_mark)
    return {name: loader.construct_object(value, deep=True) for name, (_, value) in zip(names, node.value, strict=True)}


_OnceOnly.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_declaration(path: Path) -> Json:
    """What a file says, by the end of its name; `-` is YAML (or JSON) on standard input. Raises BadRequest."""
    try:
        text = sys.stdin.read() if path == Path("-") else path.read_text()
        value = tomllib.loads(text) if path.suffix == ".toml" else _loaded(path, text)
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError, RecursionError) as problem:
        raise BadRequest(f"{path} cannot be read: {' '.join(str(problem).split())}.") from None
    if not isinstance(value, dict):
        raise BadRequest(f"{path} must hold named sections, like 'organisations'.")
    plain: Json = _plain(value)
    return plain


def _loaded(path: Path, text: str) -> Any:
    return json.loads(text) if path.suffix == ".json" else yaml.load(text, _OnceOnly)  # noqa: S506 - a SafeLoader


def _plain(value: Any) -> Any:
    """Dates as texts: both formats know them, and JSON does not."""
    match value:
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return value
