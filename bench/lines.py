"""Curves as SVG, without a library: a few series over one axis, which begins at 0 or doubles at each mark.

lines("Memory, MiB", "minutes", [("gateway", ((0.0, 31.0), (1.0, 32.0)))])
"""

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 60, 170, 46, 40
MARKS = 5
COLOURS = ("#0b6e4f", "#e0a458", "#3d6cb9", "#b5485d", "#9aa5b1", "#6b4fa0")
STYLE = "text{font:13px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}.s{font-size:11px}.g{stroke:#e4e7eb}"
Points = Sequence[tuple[float, float]]
Series = Sequence[tuple[str, Points]]


def lines(title: str, across: str, series: Series, *, doubling: bool = False) -> str:
    """The whole file. With `doubling` equal steps across are powers of two, of values of 1 or more."""
    top = marks(max((y for _, points in series for _, y in points), default=0.0))
    wide = _across(series, doubling=doubling)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f" aria-label={quoteattr(title)}>"
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<text class="t" x="8" y="18">{escape(title)}</text>'
        f'<text class="s" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(across)}</text>'
    )
    drawn = _curves(series, top[-1], wide, doubling=doubling)
    return "\n".join([head, *_grid(top, wide, doubling=doubling), *drawn, "</svg>\n"])


def marks(most: float) -> list[float]:
    """From 0 in steps of 1, 2 or 5 times a power of ten, to the first that is not below `most`."""
    if most <= 0:
        return [0.0, 1.0]
    power: float = 10.0 ** math.floor(math.log10(most / MARKS))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= most / MARKS * (1 - 1e-9))
    return [number * step for number in range(math.ceil(most / step - 1e-9) + 1)]


def _across(series: Series, *, doubling: bool) -> list[float]:
    """The marks on the axis below."""
    values = sorted({x for _, points in series for x, _ in points})
    return (values or [1.0, 2.0]) if doubling else marks(values[-1] if values else 1.0)


def _x(value: float, wide: Sequence[float], *, doubling: bool) -> float:
    low, high, at = (wide[0], wide[-1], value) if not doubling else (*map(math.log2, (wide[0], wide[-1], value)),)
    return LEFT + (at - low) / ((high - low) or 1.0) * (WIDTH - LEFT - RIGHT)


def _y(value: float, most: float) -> float:
    return HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM)


def _grid(top: Sequence[float], wide: Sequence[float], *, doubling: bool) -> Iterator[str]:
    for mark in top:
        y = _y(mark, top[-1])
        yield f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}"/>'
        yield f'<text class="s" x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">{mark:,g}</text>'
    for mark in wide:
        x = _x(mark, wide, doubling=doubling)
        yield f'<text class="s" x="{x:.0f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{mark:,g}</text>'


def _curves(series: Series, most: float, wide: Sequence[float], *, doubling: bool) -> Iterator[str]:
    for number, (name, points) in enumerate(series):
        colour, y = COLOURS[number % len(COLOURS)], TOP + 4 + number * 20
        path = " ".join(f"{_x(at, wide, doubling=doubling):.1f},{_y(value, most):.1f}" for at, value in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield f'<rect x="{WIDTH - RIGHT + 14}" y="{y}" width="14" height="4" fill="{colour}"/>'
        yield f'<text class="s" x="{WIDTH - RIGHT + 34}" y="{y + 7}">{escape(name)}</text>'
