"""The live page's server as a program of its own, and a hand that writes digits."""

import base64
import contextlib
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

ROOT = Path(__file__).resolve().parents[2]


def arc(x: float, y: float, radius: float, start: int, end: int) -> list[tuple[float, float]]:
    """Return points of a circle in a square of side 1, y from its top; in degrees from the right, clockwise."""
    return [
        (x + radius * math.cos(math.radians(a)), y + radius * math.sin(math.radians(a))) for a in range(start, end, 20)
    ]


THREE = arc(0.47, 0.33, 0.15, 200, 451) + arc(0.47, 0.65, 0.18, 290, 511)
ONE = [(0.52, 0.18), (0.50, 0.84)]


@contextlib.contextmanager
def serving(*arguments, **environment) -> Iterator[str]:
    """Start `python -m minidraw.play` on a free port, and give its address."""
    command = [sys.executable, "-m", "minidraw.play", "--no-browser", *map(str, arguments)]
    of = {name: value for name, value in os.environ.items() if name != "MINIDRAW_DATA"}
    told = {"cwd": ROOT, "env": of | {"OPENBLAS_NUM_THREADS": "1"} | environment, "text": True}
    with tempfile.TemporaryFile("w+") as said, subprocess.Popen(command, stdout=-1, stderr=said, **told) as server:
        overdue = threading.Timer(60, server.kill)
        overdue.start()
        line = server.stdout.readline()
        overdue.cancel()
        try:
            if not (found := re.search(r"http://\S+(?=/)", line)):
                said.seek(0)
                raise RuntimeError(f"no server: {line} {said.read()}")
            yield found[0]
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def ask(address: str, name: str, request: dict | None = None) -> dict:
    """Ask the server as the page does: POST /api/name, without a request GET."""
    body = None if request is None else json.dumps(request).encode()
    asked = urllib.request.Request(f"{address}/api/{name}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return json.load(reply)


def sketch(page, selector: str, stroke, touch: bool = False) -> None:
    """Draw a stroke on an element of a page by the mouse or a finger."""
    left, top, width, height = page.box(selector)
    page.drag([(left + x * width, top + y * height) for x, y in stroke], touch, step=width / 20)


# What a canvas shows, (its height, its width, 4) bytes; of a copy, since reading the canvas itself would slow it down.
DATA = """const data = canvas => {
  const {width, height} = canvas, copy = Object.assign(document.createElement("canvas"), {width, height});
  copy.getContext("2d", {willReadFrequently: true}).drawImage(canvas, 0, 0);
  return copy.getContext("2d").getImageData(0, 0, width, height).data;
};"""
# Of a canvas: how many pixels are near a colour, and the middle of the box around them, in parts of width and height.
COLOURED = """((canvas, colour) => {
  const bytes = data(canvas), {width, height} = canvas, xs = [], ys = [];
  for (let i = 0; i < bytes.length; i += 4) {
    if (colour.some((of, k) => Math.abs(bytes[i + k] - of) > 8)) continue;
    xs.push((i / 4) % width);
    ys.push(Math.floor(i / 4 / width));
  }
  const middle = all => (all.reduce((a, b) => Math.min(a, b), 1e9) + all.reduce((a, b) => Math.max(a, b), 0)) / 2;
  return [xs.length, middle(xs) / width, middle(ys) / height];
})"""
READING, WRITING = [0x56, 0xB4, 0xE9], [0xE6, 0x9F, 0x00]
# Of a canvas: an enlarged image (H, W, K) on it, with its corner at (left, top), from the middle of every pixel.
SAMPLED = """((canvas, left, top, scale, H, W, K) => {
  const bytes = data(canvas), found = [];
  for (let p = 0; p < H * W; p++) {
    const x = left + Math.floor((p % W + .5) * scale), y = top + Math.floor((Math.floor(p / W) + .5) * scale);
    found.push(...bytes.slice(4 * (y * canvas.width + x), 4 * (y * canvas.width + x) + K));
  }
  return found;
})"""


def query(selector: str) -> str:
    """Return how JavaScript finds an element."""
    return f"document.querySelector({json.dumps(selector)})"


def coloured(page, selector: str, colour: list[int]) -> tuple[int, float, float]:
    """Return how many pixels of a canvas are near a colour, and where their middle is in parts of width and height."""
    return tuple(page.run(f"{{{DATA} {COLOURED}({query(selector)}, {colour})}}"))


def sampled(page, canvas: str, shape, place: str = "0, 0, canvas.width / W") -> np.ndarray:
    """Return the image (H, W, K), uint8, on a canvas that is given in JavaScript; it fills it, or has another place."""
    names = "const [H, W, K] = " + json.dumps(list(shape))
    found = page.run(f"{{{DATA} {names}, canvas = {canvas}; {SAMPLED}(canvas, {place}, H, W, K)}}")
    return np.array(found, np.uint8).reshape(shape)


def cell(page, player: str, i: int = 0, right: bool = False) -> np.ndarray:
    """Return the image (H, W, K), uint8, in a cell (or its right half) of a Player that is given in JavaScript."""
    beside = f" + Math.round(W * {player}.scale) + {player}.between" if right else ""
    place = f"{player}.corner({i})[0]{beside}, {player}.corner({i})[1], {player}.scale"
    return sampled(page, f"{player}.canvas", page.run(f"{player}.recording.shape"), place)


def frames(recording: dict, name: str) -> np.ndarray:
    """Return the pixels (T, n, H, W, K) of a recording that the server gave, of its originals (1, n, H, W, K)."""
    found = np.frombuffer(base64.b64decode(recording[name]), np.uint8)
    return found.reshape(-1, recording["count"], *recording["shape"])


def picture(page, selector: str) -> str:
    """Return what a canvas shows, to be compared."""
    return page.run(f"{query(selector)}.toDataURL()")


def slide(page, selector: str, *keys: str) -> None:
    """Move a slider, or whatever else is at a selector, by keys."""
    page.run(f"{query(selector)}.focus()")
    page.key(*keys)


def saved(page, selector: str, kind: str) -> bytes:
    """Click on the button of a kind of file, and return the file that comes."""
    for old in page.downloads.iterdir():
        old.unlink()
    page.click(selector, kind.upper())
    return page.downloaded(f"*.{kind}").read_bytes()


def opened(content: bytes) -> np.ndarray:
    """Return the pictures of a file that Pillow reads, (n, H, W, 3)."""
    with Image.open(io.BytesIO(content)) as file:
        return np.stack([np.asarray(one.convert("RGB")) for one in ImageSequence.Iterator(file)])


def choose(page, network: str) -> None:
    """Choose a network of the page."""
    page.run(f"{{const one = document.getElementById('network'); one.value = '{network}'; one.onchange()}}")
