"""Spans of time as people write them: `90d`, `12h`, `30m`, `10s`."""

import re
from typing import Any

import click

_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SPAN = re.compile(r"([0-9]{1,9})([dhms])")


class Span(click.ParamType[int]):
    """Whole seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _SPAN.fullmatch(str(value))
        if found is None:
            self.fail(f"'{value}' must look like 90d, 12h, 30m or 10s.", param, ctx)
        return int(found[1]) * _UNITS_S[found[2]]


SPAN = Span()


def write_span(seconds: int) -> str:
    """The largest unit in which it is whole."""
    unit = next(unit for unit, unit_s in _UNITS_S.items() if seconds % unit_s == 0)
    return f"{seconds // _UNITS_S[unit]}{unit}"
