"""Charts as SVG inside HTML: curves, and a heat map. Colours are the page's (page.css), text is the browser's."""

import base64
import html
import json
import math

import imageio.v3 as iio
import numpy as np

from .curves import Chart, Heat

WIDTH, HEIGHT = 460, 270  # of a chart, in its own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 40  # of the axes: room for their numbers
ROUND = 4  # beside the axes: room for half a point
COLOURS = 8  # classes c0 to c7 of page.css
MAGMA = ((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))  # dark to bright, evenly


def number(value: float) -> str:
    """Return a number as a reader wants it: four digits, thousands apart.

    >>> [number(v) for v in (0, 1234.5, 84.204, 0.00251, 1e-7, -3)]
    ['0', '1,234', '84.2', '0.00251', '1e-07', '−3']
    """
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return at most so many round numbers from low to high, evenly apart.

    >>> ticks(0, 1450, 5), ticks(83.2, 91, 5)
    ([0.0, 500.0, 1000.0], [84.0, 86.0, 88.0, 90.0])
    """
    if not high > low:
        return [low]
    least = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(least))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= least)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def axes(across: str, ends: tuple[float, float], unit: str, low: float, high: float, marks: list[float]) -> str:
    """Return the frame of a chart: grid lines, numbers, and what the axes are."""
    lines = []
    for value in marks:
        y = place_y(value, low, high)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
    for value in ticks(*ends, 4):
        x = place_x(value, *ends)
        anchor = "end" if x > WIDTH - RIGHT - 16 else "middle"
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{number(value)}</text>')
    lines.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{across}</text>')
    lines.append(f'<text class="axis" x="4" y="{HEIGHT - 6}">↑ {html.escape(unit)}</text>')
    return "".join(lines)


def place_x(value, first: float, last: float):
    """Return where a value of the horizontal axis stands."""
    return LEFT + (WIDTH - LEFT - RIGHT) * ((value - first) / ((last - first) or 1.0))


def place_y(value, low: float, high: float):
    """Return where a value of the vertical axis stands."""
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * ((value - low) / ((high - low) or 1.0))


def lines(chart: Chart) -> str:
    """Return a chart as a figure: strong ones are of held-out images; what is under the pointer is told."""
    last = max(float(curve.x[-1]) for curve in chart.curves)
    ends, paths, legend, told = (0.0, last), [], [], []
    strong_too = any(curve.held_out for curve in chart.curves)
    for curve in chart.curves:
        x, y = place_x(curve.x, *ends), place_y(curve.y, chart.low, chart.high)
        colour = f"c{curve.colour % COLOURS}" + (" held" if curve.held_out or not strong_too else "")
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, np.clip(y, -HEIGHT, 2 * HEIGHT), strict=True))
        paths.append(f'<polyline class="{colour}" points="{points}"/>')
        if len(x) < 30 and (curve.held_out or len(x) == 1):
            paths += [f'<circle class="{colour}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in zip(x, y, strict=True)]
        end = f"<b>{number(float(curve.y[-1]))}</b>"
        legend.append(f'<li class="{colour}"><i></i>{html.escape(curve.name)} <span>{end}</span></li>')
        told.append([[shortened(v) for v in curve.x], [shortened(v) for v in curve.y]])
    cut = any(curve.y.max() > chart.high for curve in chart.curves)
    note = chart.note + ("; what is higher is cut off" if cut else "")
    frame = axes(chart.across, ends, chart.unit, chart.low, chart.high, ticks(chart.low, chart.high, 5))
    view = f'viewBox="0 0 {WIDTH} {HEIGHT}" data-last="{last!r}"'
    left, width = LEFT - ROUND, WIDTH - LEFT - RIGHT + 2 * ROUND
    label = html.escape(f"{chart.title} over {chart.across}", quote=True)
    return (
        f'<figure class="chart"><figcaption><h3>{html.escape(chart.title)}</h3><p>{note}</p>'
        f"<ul>{''.join(legend)}</ul></figcaption>"
        f'<svg {view} role="img" aria-label="{label}">{frame}'
        f'<svg x="{left}" y="{TOP}" width="{width}" height="{HEIGHT - TOP - BOTTOM}"'
        f' viewBox="{left} {TOP} {width} {HEIGHT - TOP - BOTTOM}">{"".join(paths)}</svg>'
        f'<line class="pointer" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/></svg>'
        f'<script type="application/json">{json.dumps(told)}</script></figure>'
    )


def shortened(value: float) -> float:
    """Return a number to five digits."""
    return float(f"{value:.5g}")


def heat(found: Heat) -> str:
    """Return the KL of glimpses over time as a figure, and its scale."""
    high = float(np.nanmax(found.values)) or 1.0
    colours = np.array(MAGMA, np.float64)  # (5, 3)
    stops = np.linspace(0, 1, len(colours))

    def paint(values: np.ndarray) -> str:
        channels = [np.interp(np.nan_to_num(values), stops, channel) for channel in colours.T]
        pixels = np.stack([*channels, np.where(np.isnan(values), 0, 255)], axis=-1).astype(np.uint8)
        return data_uri(iio.imwrite("<bytes>", pixels, extension=".png", plugin="pillow"), "png")

    T = len(found.values)
    inside = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
    image = f'<image {inside} preserveAspectRatio="none" href="{paint(found.values[::-1] / high)}"/>'
    marks = [mark for mark in ticks(1, T, 6) if mark == int(mark)]
    frame = axes("updates", (found.first, found.last), "glimpse", 0.5, T + 0.5, marks)
    scale = f'<img alt="" src="{paint(np.linspace(0, 1, 64)[None])}">'
    return (
        '<figure class="chart"><figcaption><h3>KL of every glimpse</h3>'
        "<p>KL(Q(Z<sub>t</sub> | h<sub>t</sub><sup>enc</sup>) ‖ P(Z<sub>t</sub>)), the terms of eq. 10: where in the "
        f'drawing the information comes in</p><p class="scale">0 {scale} {number(high)} nats per image</p></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="KL of every glimpse over updates">{frame}{image}'
        "</svg></figure>"
    )


def data_uri(content: bytes, kind: str) -> str:
    """Return a picture's bytes as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
