"""Bars as SVG, without a library: a few figures of each of a few things, on one axis that begins at 0.

bars("First token, ms", [Group("parvis", (("p50", 31.0), ("p99", 88.0)))])
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

WIDTH, LABEL, END = 760, 290, 60  # pixels: the image, room for names, room for figures
BAR, GAP, TOP = 15, 12, 46
LINES = 5
"""About so many grid lines, the one at 0 left out."""
LARGE = 100
"""From so much on, what is behind the point says nothing."""
COLOURS = ("#9ad1bd", "#3d9b7c", "#0b6e4f", "#e0a458")
STYLE = "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}.s{font-size:11px}.g{stroke:#e4e7eb}"


class Group(NamedTuple):
    """Bars that belong together: of one machine count, of one policy."""

    name: str
    figures: tuple[tuple[str, float], ...]
    """What each is, and how much; 0 or more."""


def bars(title: str, groups: Sequence[Group]) -> str:
    """The whole file. Groups are in their order, each with its figures below each other."""
    step = _step(max((value for group in groups for _, value in group.figures), default=0.0))
    height = TOP + sum(len(group.figures) * BAR + GAP for group in groups)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f" aria-label={quoteattr(title)}>"
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text class="t" x="8" y="18">{escape(title)}</text>'
    )
    scale = (WIDTH - LABEL - END) / _end(groups, step)
    return "\n".join([head, *_grid(groups, step, scale, height - GAP / 2), *_drawn(groups, scale), "</svg>\n"])


def _grid(groups: Sequence[Group], step: float, scale: float, bottom: float) -> Iterator[str]:
    for number in range(round(_end(groups, step) / step) + 1):
        x = LABEL + number * step * scale
        yield f'<line class="g" x1="{x:.0f}" x2="{x:.0f}" y1="{TOP - 8}" y2="{bottom:.0f}"/>'
        told = _told(number * step)
        yield f'<text class="s" x="{x:.0f}" y="{TOP - 12}" text-anchor="middle" opacity=".6">{told}</text>'


def _drawn(groups: Sequence[Group], scale: float) -> Iterator[str]:
    y = TOP
    for group in groups:
        middle = y + len(group.figures) * BAR / 2 + 4
        yield f'<text x="8" y="{middle:.0f}">{escape(group.name)}</text>'
        for number, (what, value) in enumerate(group.figures):
            width, colour = value * scale, COLOURS[number % len(COLOURS)]
            yield f'<text class="s" x="{LABEL - 6}" y="{y + 11}" text-anchor="end">{escape(what)}</text>'
            yield f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR - 2}" rx="2" fill="{colour}"/>'
            yield f'<text class="s" x="{LABEL + width + 5:.0f}" y="{y + 11}">{_told(value)}</text>'
            y += BAR
        y += GAP


def _end(groups: Sequence[Group], step: float) -> float:
    """Where the axis ends: at the first grid line that no bar goes beyond."""
    most = max((value for group in groups for _, value in group.figures), default=0.0)
    return step * max(1, math.ceil(most / step))


def _step(most: float) -> float:
    """Between two grid lines: 1, 2 or 5 times a power of ten."""
    if most <= 0:
        return 1.0
    rough = most / LINES
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))


def _told(value: float) -> str:
    return f"{value:,.{0 if value >= LARGE else 1}f}".removesuffix(".0")
