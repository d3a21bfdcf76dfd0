"""Values written into `parvis.toml` by a command: the rest of the file, its comments too, stays as it is."""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parvis.core.errors import Misconfigured

_HEADER = re.compile(r"\s*\[")


def with_values(text: str, section: str, values: Mapping[str, Any]) -> str:
    """`text` in which `[section]` says these. Raises Misconfigured where it is written in a way that we do not edit."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if _names(line, section)]
    if starts:
        first = starts[0] + 1
        end = next((at for at in range(first, len(lines)) if _HEADER.match(lines[at])), len(lines))
        lines[first:end] = _edited(lines[first:end], values)
    else:
        lines += ["", f"[{section}]", *(f"{name} = {_value(value)}" for name, value in values.items())]
    edited = "\n".join(lines).lstrip("\n") + "\n"
    _check(text, edited, section, values)
    return edited


def write_whole(path: Path, text: str) -> None:
    """In one step: readers see the old file or the new one. Raises Misconfigured."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except OSError as problem:
        raise Misconfigured(f"{path} cannot be written: {problem.strerror}.") from None


def _names(line: str, section: str) -> bool:
    return line.partition("#")[0].strip() == f"[{section}]"


def _edited(lines: list[str], values: Mapping[str, Any]) -> list[str]:
    """Lines of one section: what it says already is replaced in its place, the rest comes below what it says."""
    left = dict(values)
    edited = []
    for line in lines:
        name = line.partition("=")[0].strip()
        if name in left:
            comment = line.partition("#")[2]
            edited.append(f"{name} = {_value(left.pop(name))}{f'  #{comment}' if comment else ''}")
        else:
            edited.append(line)
    said = max(
        (at for at, line in enumerate(edited, 1) if line.strip() and not line.lstrip().startswith("#")), default=0
    )
    return [*edited[:said], *(f"{name} = {_value(value)}" for name, value in left.items()), *edited[said:]]


def _check(before: str, after: str, section: str, values: Mapping[str, Any]) -> None:
    """The file must now say what it said, and these values: anything else was written as we do not expect."""
    wanted = tomllib.loads(before)
    place = wanted
    for part in section.split("."):
        place = place.setdefault(part, {})
    place.update(values)
    try:
        right = tomllib.loads(after) == wanted
    except tomllib.TOMLDecodeError:
        right = False
    if not right:
        said = "; ".join(f"{name} = {_value(value)}" for name, value in values.items())
        raise Misconfigured(
            f"The settings cannot be edited as they are written. Say it yourself in [{section}]: {said}."
        )


def _value(value: object) -> str:
    """JSON's texts, numbers and truth values are also TOML's, but for one control character that JSON leaves bare."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
