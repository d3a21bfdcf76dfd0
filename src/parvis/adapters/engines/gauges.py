"""Prometheus' text format, as far as engines use it: one number for each name, the sum over all labels.

An engine that runs several models, or several ranks, counts each apart. Names may be told with a colon or with an
underscore in its place: exporters of OpenTelemetry write the latter.
"""

import re

_LINE = re.compile(r"^(?P<name>[a-z]+[:_][a-z_]+)(?:\{[^}]*\})? (?P<value>[0-9.]+(?:e[+-]?[0-9]+)?)$", re.MULTILINE)


def sums_of(page: str) -> dict[str, float]:
    """Every name with its sum; those of engines that have one under their name with a colon."""
    sums: dict[str, float] = {}
    for line in _LINE.finditer(page):
        sums[line["name"]] = sums.get(line["name"], 0.0) + float(line["value"])
    return sums


def told(sums: dict[str, float], name: str) -> float | None:
    """What stands under this name, in either spelling; None where nothing does."""
    found = sums.get(name)
    return sums.get(name.replace(":", "_")) if found is None else found
