"""A film strip for slides and papers: an SVG whose cells are pictures, its boxes lines and its numbers text."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..model.windows import Windows
from .sheets import BACKGROUND, BAND, LABEL, OUTLINE, READING, WRITING, box_lines, cells, chosen_glimpses, column_names
from .sizes import GAP, STEPS

THIN, EDGE = 0.25, 0.25  # the least thickness of a box's line, and of its outline, in pixels of the image


def strip_svg(
    frames: np.ndarray,
    write: Windows | None = None,
    read: Windows | None = None,
    originals: np.ndarray | None = None,
    steps: int | Sequence[int] = STEPS,
    scale: int = 3,
) -> str:
    """Return a film strip as the text of an SVG; arguments as for `sheets.filmstrip`.

    Its cells are PNGs of the images' own pixels, enlarged without smoothing.
    """
    (T, n, _, H, W), chosen = frames.shape, chosen_glimpses(len(frames), steps)
    names = column_names(T, chosen, originals is not None)
    pictures = ([] if originals is None else [originals]) + [frames[t] for t in chosen]
    glimpses = ([] if originals is None else [None]) + list(chosen)
    w, h = W * scale + GAP, H * scale + GAP
    width, height = len(names) * w + GAP, BAND + n * h + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" fill="{_hex(BACKGROUND)}"/>',
        f'<g font-family="sans-serif" font-size="{BAND - 4}" fill="{_hex(LABEL)}" text-anchor="middle">',
    ]
    parts += [f'<text x="{GAP + k * w + W * scale / 2:g}" y="{BAND - 3}">{name}</text>' for k, name in enumerate(names)]
    parts.append("</g>")
    for k, (images, t) in enumerate(zip(pictures, glimpses, strict=True)):
        for i, pixels in enumerate(cells(images, 1)):
            place = f'x="{GAP + k * w}" y="{BAND + GAP + i * h}" width="{W * scale}" height="{H * scale}"'
            parts.append(f'<svg {place} viewBox="0 0 {W} {H}">{_picture(pixels)}')
            if t is not None:
                parts += _boxes(write, read, t, i)
            parts.append("</svg>")
    return "\n".join([*parts, "</svg>", ""])


def _picture(pixels: np.ndarray) -> str:
    """Return an element that shows pixels, uint8 (H, W, 3)."""
    H, W, _ = pixels.shape
    grey = (pixels == pixels[..., :1]).all()
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels)).save(content, "png", optimize=True)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    look = 'style="image-rendering:pixelated" preserveAspectRatio="none"'
    return f'<image width="{W}" height="{H}" {look} href="data:image/png;base64,{data}"/>'


def _boxes(write: Windows | None, read: Windows | None, t: int, i: int) -> list[str]:
    """Return the elements of image i's boxes at glimpse t: outlines first, reading, then writing, dashed upon it."""
    outlines: list[str] = []
    lines: list[str] = []
    for windows, colour in ((read, READING), (write, WRITING)):
        if windows is None:
            continue
        x, y, half, line = (float(each[i]) for each in box_lines(windows, t))
        if not np.isfinite([x, y, half, line]).all():
            continue
        line = max(line, THIN)
        place = f'x="{x - half:.3f}" y="{y - half:.3f}" width="{2 * half:.3f}" height="{2 * half:.3f}" fill="none"'
        outlines.append(f'<rect {place} stroke="{_hex(OUTLINE)}" stroke-width="{line + 2 * EDGE:.3f}"/>')
        dashes = ' stroke-dasharray="2 2"' if lines else ""
        lines.append(f'<rect {place} stroke="{_hex(colour)}" stroke-width="{line:.3f}"{dashes}/>')
    return outlines + lines


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()
