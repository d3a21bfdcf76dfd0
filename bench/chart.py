"""Bars as SVG, without a library: processor time by target, on a logarithmic axis."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from figures import Figure, Measured
from goals import CPU_ANSWER, CPU_EVENT
from targets import PRODUCT

WIDTH, LABEL, END = 760, 110, 90  # pixels: the image, room for names, room for figures
BAR, GAP, TITLE = 20, 8, 40
OWN_COLOUR, OTHER_COLOUR = "#0b6e4f", "#9aa5b1"
STYLE = "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}.g{stroke:#e4e7eb}"
Bars = Sequence[tuple[str, Figure]]


class Panel(NamedTuple):
    """What a chart shows: one column of one phase, for every target."""

    title: str
    phase: str
    column: str


PANELS = {
    "answers": Panel("µs of processor time for an answer in one piece", "sat", CPU_ANSWER),
    "events": Panel("µs of processor time for an event, 500 streams", "sse500", CPU_EVENT),
}


def decades(bars: Bars) -> tuple[int, int]:
    """The powers of ten below and above all values."""
    values = [figure.value for _, figure in bars if figure.value]
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.01))


def drawn(title: str, bars: Bars, bottom: int) -> Iterator[str]:
    """The bars under their title; a grid line a power of ten."""
    low, high = decades(bars)
    scale = (WIDTH - LABEL - END) / (high - low)
    yield f'<text class="t" x="{LABEL}" y="16">{escape(title)}</text>'
    for power in range(low, high + 1):
        x = LABEL + (power - low) * scale
        yield f'<line class="g" x1="{x:.0f}" x2="{x:.0f}" y1="{TITLE - 6}" y2="{bottom}"/>'
        yield f'<text x="{x:.0f}" y="{TITLE - 9}" text-anchor="middle" opacity=".6">{10**power:,}</text>'
    for number, (name, figure) in enumerate(bars):
        y = TITLE + number * (BAR + GAP)
        width = (math.log10(figure.value or 1) - low) * scale
        colour = OWN_COLOUR if name.startswith(PRODUCT) else OTHER_COLOUR
        yield f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
        yield f'<rect x="{LABEL}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2" fill="{colour}"/>'
        yield f'<text x="{LABEL + width + 6:.0f}" y="{y + 15}">{figure.text(1)}</text>'


def svg(measured: Measured, name: str) -> str:
    """One chart of a run, the least first; empty when nothing of it was measured."""
    panel = PANELS[name]
    figures = [(target, measured.least(target, panel.phase, panel.column)) for target in measured.targets]
    bars = sorted((bar for bar in figures if bar[1].value), key=lambda bar: bar[1].value or 0)
    if not bars:
        return ""
    height = TITLE + len(bars) * (BAR + GAP) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="{escape(panel.title)}, by target, logarithmic"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    )
    return "\n".join([head, *drawn(panel.title, bars, height - GAP), "</svg>\n"])
