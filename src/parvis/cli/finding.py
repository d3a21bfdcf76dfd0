"""What `parvis doctor` finds."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it is, and (of a problem) what to do."""

    what: str
    state: State
    detail: str
    fix: str = ""


def ok(what: str, detail: str) -> Finding:
    """As it should be."""
    return Finding(what, "ok", detail)


def problem(what: str, detail: str, fix: str) -> Finding:
    """Something to do."""
    return Finding(what, "problem", detail, fix)


def skipped(what: str, why: str) -> Finding:
    """Could not be looked at, which is no problem by itself."""
    return Finding(what, "skipped", why)
