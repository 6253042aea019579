"""A page in one file, for a course's web site: drawings that were recorded, no server, no network.

It shows images that are read and drawn again, and new drawings. The player is that of the live page; styles, scripts
and recordings are inside the file, and its Content-Security-Policy allows these, by their hashes, and nothing else.
"""

import base64
import hashlib
import json
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, harmless
from ..files import write_atomic
from ..pages.report import HERE as PAGES
from ..pages.report import text
from ..pictures.sheets import READING_WORD, WRITING_WORD
from .house import DEFAULT, House, short
from .labs import answer

PAGE = Path(__file__).parent / "page"
STYLES = (PAGES / "page.css", PAGE / "play.css")
SCRIPTS = tuple(PAGE / f"{name}.js" for name in ("shared", "sheet", "player", "export"))
EACH = 6  # images that are drawn again, and new drawings
MOST = 4_800_000  # bytes of the recordings; of larger images there are fewer


def export(house: House, path: str | os.PathLike, seed: int = 0) -> str:
    """Write drawings of the house's first network as a page of one file, and return a line that tells so.

    Raises UserError for a file that is not called .html or cannot be written, and for networks and data unfit for it.
    """
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise UserError(f"cannot export {path}: it is a page, so call it .html")
    if house.given != house.first:
        raise UserError(f"{house.given} is of a classifier, which does not draw; choose another checkpoint to export")
    found = recorded(house, seed)
    content = page(found, command(house, path.name, seed))
    write_atomic(path, content)
    drawings = f"{len(found['again'])} images drawn again and {found['new']['count']} new drawings"
    size = f"{len(content) / 1e6:.2f} MB"
    return f"{harmless(path)}: {drawings} of {found['network']['name']}, {size}; it needs no server and no network"


def recorded(house: House, seed: int) -> dict[str, Any]:
    """Return what the page shows: answers of the labs, of all that fits, one image and one drawing at least."""
    name = house.first
    network = house.network(name)
    numbers = chosen(house.images(network)[0], EACH, seed)
    again = [answer(house, "read", {"network": name, "image": {"number": numbers[0]}, "seed": seed})]
    count = min(EACH, max(1, MOST // (2 * len(json.dumps(again)))))
    for k in numbers[1:count]:
        again.append(answer(house, "read", {"network": name, "image": {"number": k}, "seed": seed}))
    new = answer(house, "draw", {"network": name, "seed": seed, "count": count})["recording"]
    told = house.told()
    described = next(one for one in told["networks"] if one["name"] == name)
    return {"version": told["version"], "network": described | {"name": short(name)}, "again": again, "new": new}


def chosen(split: Any, count: int, seed: int) -> list[int]:
    """Return the numbers of `count` images from all over a split, in the order of their labels if it has any.

    Where there are as many images, none comes twice; the next seed takes the next images.
    """
    n = len(split)
    order = np.arange(n) if split.labels is None else np.argsort(split.labels, kind="stable")
    middles = (2 * np.arange(count) + 1) * n // (2 * count)
    return order[(middles + seed) % n].tolist()


def command(house: House, name: str, seed: int) -> str:
    """Return the command line that writes such a page."""
    words = ["python", "-m", "minidraw.play", *([] if house.first == DEFAULT else [short(house.first)])]
    for option, value in (("--data", house.data), ("--data-dir", house.data_dir), ("--seed", seed or None)):
        words += [] if value is None else [option, short(str(value))]
    return shlex.join([*words, "--export", name])


def page(found: dict[str, Any], command: str) -> bytes:
    """Return the page that shows what was recorded."""
    style, script = ("\n".join(path.read_text(encoding="utf-8") for path in paths) for paths in (STYLES, SCRIPTS))
    policy = f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; img-src data:"
    policy += "; base-uri 'none'; form-action 'none'"
    network = found["network"]
    name = text(network["name"])
    whole = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>How a network draws: {name} · minidraw</title><style>{style}</style></head>\n"
        f'<body class="export"><header><h1>How a network draws</h1><p>{name}: {text(network["words"])}</p></header>'
        f"<main><p>{seen(network)}</p><noscript><p>The drawings need JavaScript.</p></noscript>"
        '<div id="both"></div></main>'
        "<footer>DRAW of Gregor et al. (2015, arXiv:1502.04623), recorded with minidraw "
        f"{found['version']} by <code>{text(command)}</code></footer>"
        f'<script type="application/json" id="recorded">{in_script(found)}</script>'
        f"<script>{script}</script></body></html>\n"
    )
    return whole.encode(errors="replace")


def seen(network: dict[str, Any]) -> str:
    """Return what one sees, as HTML."""
    reads = "" if network["read"] is None else f"reads inside the {READING_WORD} box and "
    writes = "writes on all of the canvas" if network["write"] is None else f"writes inside the {WRITING_WORD} box"
    boxes = "It places and sizes its boxes itself; the wider a box's line, the coarser it looks or writes. "
    return (
        f"The network draws a picture in {network['glimpses']} glimpses, on one canvas that they share. "
        f"At each it {reads}{writes}. "
        f"{boxes if reads or network['write'] is not None else ''}Move the slider to see every glimpse, or play them."
    )


def hashed(content: str) -> str:
    """Return how a Content-Security-Policy names what stands inside a script or style element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def in_script(data: Any) -> str:
    r"""Return data as JSON that may stand in a script element: nothing in it can end it, or begin a comment.

    >>> in_script("</script><!--")
    '"\\u003c/script>\\u003c!--"'
    """
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
