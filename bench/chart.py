"""Bars as SVG, without a library: processor time by target, on a logarithmic axis."""

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from figures import Figure, Measured

WIDTH, LABEL, END = 760, 90, 110  # pixels: the image, room for names, room for figures
BAR, GAP, TITLE = 20, 8, 40
PANELS = (
    ("sat", "cpu_us_per_request", "µs of processor time for an answer in one piece"),
    ("sse500", "cpu_us_per_event", "µs of processor time for an event, 500 streams"),
)
COLOURS = {"parvis": "#0b6e4f"}
OTHER_COLOUR = "#9aa5b1"
STYLE = "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}.g{stroke:#e4e7eb}"
Bars = Sequence[tuple[str, Figure]]


def panel_height(bars: Bars) -> int:
    """Pixels."""
    return TITLE + len(bars) * (BAR + GAP) + 2 * GAP


def decades(bars: Bars) -> tuple[int, int]:
    """The powers of ten below and above all values."""
    values = [figure.value for _, figure in bars if figure.value]
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.01))


def panel(title: str, bars: Bars, top: int) -> Iterator[str]:
    """One group of bars under its title; a grid line a power of ten."""
    low, high = decades(bars)
    scale = (WIDTH - LABEL - END) / (high - low)
    bottom = top + panel_height(bars) - GAP
    yield f'<text class="t" x="{LABEL}" y="{top + 16}">{escape(title)}</text>'
    axis_y = top + TITLE - 9
    for power in range(low, high + 1):
        x = LABEL + (power - low) * scale
        yield f'<line class="g" x1="{x:.0f}" x2="{x:.0f}" y1="{top + TITLE - 6}" y2="{bottom}"/>'
        yield f'<text x="{x:.0f}" y="{axis_y}" text-anchor="middle" opacity=".6">{10**power:,}</text>'
    for number, (name, figure) in enumerate(bars):
        y = top + TITLE + number * (BAR + GAP)
        width = (math.log10(figure.value or 1) - low) * scale
        colour = COLOURS.get(name, OTHER_COLOUR)
        yield f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
        yield f'<rect x="{LABEL}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2" fill="{colour}"/>'
        yield f'<text x="{LABEL + width + 6:.0f}" y="{y + 15}">{figure.text(1)}</text>'


def svg(measured: Measured) -> str:
    """The chart of a run; phases that were not measured are left out."""
    parts: list[str] = []
    top = GAP
    for phase, column, title in PANELS:
        figures = [(name, measured.least(name, phase, column)) for name in measured.targets]
        bars = [(name, figure) for name, figure in figures if figure.value]
        if bars:
            parts += panel(title, bars, top)
            top += panel_height(bars) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img"'
        f' aria-label="Processor time by target, logarithmic"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{top}" fill="#fff"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"])
