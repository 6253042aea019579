"""Handwritten digits drawn by code: `strokes`, the data set that needs no download.

A digit is written the way a hand does it: take one of `SHAPES`, shake its control points, run a smooth curve through
them, bend, slant and turn that curve (`_write`), and pull a round pen along it (`_ink`).

Dimension letters: S shapes, K control points of a shape, P positions of the pen along it, B images drawn at once.
"""

import functools
import itertools
import operator

import numpy as np

from ..errors import UserError
from .images import Dataset, Images
from .places import Places

VERSION = 1  # of the recipe
STROKES = (20_000, 1_000, 2_000)  # images to train on, to validate with, to test on

# The first character is the digit, the rest says whose habit it is. Points are "x y" in percent of the height, y down;
# "/" lifts the pen. A point written twice is a corner, and equal points of one shape are shaken together, so that what
# touches here keeps touching.
SHAPES = {
    "0 closed at the top": "54 3, 34 4, 12 30, 13 74, 44 99, 74 74, 73 26, 46 1, 30 6",
    "0 overlapping": "66 12, 40 1, 14 26, 13 72, 42 99, 70 74, 70 26, 48 3, 28 16",
    "0 left open": "54 2, 30 8, 13 38, 19 84, 46 98, 70 72, 71 34, 60 6",
    "0 clockwise": "22 16, 42 2, 64 10, 76 48, 64 88, 42 99, 18 84, 10 48, 20 14, 40 4",
    "0 narrow": "52 4, 38 4, 22 30, 22 74, 42 99, 62 76, 64 30, 50 2, 38 6",
    "1 stick": "50 0, 49 34, 50 68, 49 100",
    "1 bowed stick": "54 0, 48 34, 47 66, 50 100",
    "1 short flag": "30 20, 43 13, 53 0, 53 0, 52 50, 51 100",
    "1 long flag": "14 42, 36 25, 56 0, 56 0, 55 50, 55 100",
    "1 flag and foot": "32 20, 44 12, 53 0, 53 0, 51 50, 52 99 / 26 98, 52 99, 80 96",
    "2 angular": "10 22, 24 5, 48 0, 70 13, 69 36, 48 64, 8 98, 8 98, 44 97, 84 94",
    "2 with a loop": "8 20, 26 3, 52 2, 68 22, 58 52, 36 82, 18 97, 4 93, 8 80, 28 80, 56 94, 90 88",
    "2 with a big loop": "16 18, 38 0, 62 14, 56 48, 32 90, 8 97, 3 78, 26 66, 56 84, 88 98",
    "2 with a wave": "16 30, 10 16, 30 1, 56 3, 68 24, 58 52, 34 80, 8 96, 8 96, 30 88, 56 96, 86 86",
    "2 swan": "14 24, 32 2, 62 6, 68 34, 44 68, 18 92, 14 97, 24 98, 52 95, 84 96",
    "2 like a z": "6 10, 34 4, 70 2, 74 14, 50 50, 10 90, 12 96, 48 94, 92 88",
    "3 round": "10 14, 34 0, 62 8, 64 30, 34 46, 34 46, 66 56, 70 82, 42 99, 6 90",
    "3 flat top": "12 3, 40 3, 66 1, 66 1, 34 40, 34 40, 64 50, 70 80, 40 100, 6 90",
    "3 with a knot": "12 12, 40 0, 64 16, 52 40, 32 48, 28 42, 38 42, 66 58, 66 88, 36 100, 6 88",
    "3 smooth": "14 10, 42 0, 64 18, 50 42, 36 47, 54 52, 70 74, 50 98, 8 93",
    "3 with a big belly": "22 8, 46 0, 62 12, 50 32, 30 40, 30 40, 64 46, 76 72, 50 98, 0 92",
    "4 open": "18 4, 12 32, 10 55, 10 55, 44 54, 86 48 / 62 6, 59 50, 56 100",
    "4 open and curved": "16 4, 9 36, 22 54, 46 50, 68 38 / 70 0, 64 50, 58 100",
    "4 closed": "58 0, 32 32, 6 66, 6 66, 44 66, 84 64 / 58 0, 57 50, 56 100",
    "4 tall": "24 8, 18 30, 16 56, 16 56, 42 58, 70 54 / 62 0, 60 50, 56 100",
    "4 low stem": "40 0, 24 32, 6 60, 6 60, 42 59, 84 54 / 60 30, 54 66, 50 100",
    "4 in one stroke": "14 6, 8 34, 16 50, 40 48, 62 30, 68 4, 68 4, 63 50, 60 100",
    "4 wide": "14 12, 6 36, 10 52, 36 54, 68 48, 98 42 / 72 4, 66 42, 60 96",
    "5 in two strokes": "20 4, 17 24, 15 44, 15 44, 42 36, 68 52, 66 84, 38 100, 4 90 / 20 4, 46 3, 76 0",
    "5 in one stroke": "76 2, 50 3, 24 4, 24 4, 20 24, 16 44, 16 44, 44 36, 70 56, 62 88, 32 100, 4 88",
    "5 like an s": "76 4, 46 3, 24 14, 24 36, 48 48, 68 66, 58 92, 28 100, 6 88",
    "5 with a loose hat": "24 8, 18 26, 15 44, 15 44, 38 40, 62 54, 62 82, 36 100, 6 92 / 28 5, 54 3, 84 0",
    "5 with a long hat": "96 4, 64 8, 34 12, 34 12, 26 42, 26 42, 50 46, 62 62, 52 88, 28 98, 2 88",
    "5 with a big belly": "72 1, 50 3, 26 4, 26 4, 20 38, 20 38, 54 33, 78 62, 52 98, 12 94, 4 80",
    "6 curved": "62 2, 34 18, 12 56, 16 88, 42 100, 66 82, 58 60, 36 56, 14 78",
    "6 straight back": "54 0, 32 30, 14 66, 22 96, 48 98, 62 78, 48 60, 24 68, 14 84",
    "6 big belly": "56 0, 24 22, 8 58, 18 92, 46 99, 70 80, 64 54, 40 46, 14 62",
    "6 round": "62 2, 26 24, 8 64, 30 98, 68 90, 76 62, 50 50, 22 74",
    "6 curled": "48 0, 28 30, 20 66, 28 94, 48 97, 58 80, 46 68, 30 76, 24 98",
    "6 with a crossing loop": "44 0, 20 30, 10 66, 24 94, 50 94, 76 66, 68 52, 44 64, 30 92",
    "7 plain": "8 5, 40 5, 78 2, 78 2, 56 46, 40 100",
    "7 with a bar": "10 6, 40 5, 76 2, 76 2, 56 46, 42 100 / 22 55, 50 51, 80 46",
    "7 with a serif": "8 24, 12 4, 12 4, 44 5, 76 3, 76 3, 52 46, 40 100",
    "7 round": "6 14, 20 4, 46 7, 68 4, 72 16, 56 50, 46 100",
    "7 upright": "8 16, 16 5, 40 6, 68 2, 68 2, 62 48, 60 100",
    "7 wide": "2 18, 40 10, 84 4, 84 4, 58 36, 34 90",
    "8 from the top right": "68 14, 46 0, 20 14, 30 38, 60 62, 66 86, 40 100, 14 86, 26 60, 56 36, 70 14",
    "8 narrow": "62 12, 46 0, 28 14, 34 40, 56 64, 58 88, 42 100, 24 88, 30 62, 54 36, 62 14, 54 3",
    "8 two rings": "44 1, 22 22, 44 46, 66 22, 44 1, 38 2 / 44 46, 14 74, 44 99, 72 74, 44 46, 36 48",
    "8 open top": "70 8, 42 2, 20 20, 40 46, 64 72, 48 98, 20 90, 24 66, 50 42, 76 16",
    "8 with a tail": "60 14, 38 4, 20 18, 34 42, 52 64, 48 92, 26 100, 14 84, 34 56, 60 30, 88 4",
    "8 top heavy": "74 22, 48 2, 14 14, 20 34, 48 52, 58 80, 38 100, 20 84, 38 58, 70 32, 80 12",
    "9 straight": "66 14, 42 1, 16 16, 18 42, 42 48, 64 24, 66 14, 66 14, 64 58, 62 100",
    "9 curved tail": "66 18, 42 1, 14 18, 20 44, 46 46, 66 18, 66 18, 67 60, 52 94, 18 96",
    "9 leaning": "62 10, 36 4, 14 28, 26 46, 50 36, 64 8, 64 8, 54 52, 36 100",
    "9 in one sweep": "60 34, 34 50, 14 30, 32 4, 58 8, 66 34, 62 70, 52 100",
    "9 flat": "72 6, 36 6, 8 26, 14 44, 44 38, 72 10, 72 10, 62 50, 52 98",
}
PEN_POSITIONS = 120  # P; even along the longest shape the dots of the pen lie closer than its radius
CHUNK = 256 * 28**2  # pixels drawn at once: the temporaries stay small and in the processor's cache
HABITS = 16  # normal numbers for a hand, beside the two for every control point

# Chosen by eye and by the mean ink beside MNIST; lengths in fractions of the image where no unit is named.
BOX = 20 / 28  # the longer side of a digit with its ink, as in MNIST
PEN = 1.22 / 28  # usual radius of the pen
SOFT = 1.15  # pixels, the width of the grey edge of a line: smooth at any size


def load(places: Places, seed: int = 0) -> Dataset:
    """Return the data set `strokes`: uint8 (1, 28, 28) with labels, `STROKES` of them; `places` is not used.

    Raises UserError where `seed` is not a whole number, 0 or more.
    """
    # Seeds 3s, 3s + 1, 3s + 2: no split of one data set is ever a split of another.
    train, valid, test = (Images(*strokes(n, seed=3 * seed + k)) for k, n in enumerate(STROKES))
    note = f"strokes, made by minidraw itself with seed {seed}"
    # The recipe is its identity: another processor rounds a grey pixel here and there another way.
    identity = f"strokes {VERSION}, seed {seed}"
    return Dataset("strokes", train, valid, test, note, classes=tuple("0123456789"), identity=identity)


def strokes(n: int, size: int = 28, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return `n` handwritten digits drawn by code, white ink on black, and which digits they are.

    Images (n, 1, size, size) uint8, 0 for paper to 255 for full ink, and labels (n,) uint8, 0 to 9, each about equally
    often; `size` in pixels, the digits grow with it. Image k depends on `seed`, `size` and k alone, so a longer set
    begins with the shorter one. Raises UserError unless all three are whole numbers, n >= 1, size >= 12, seed >= 0.
    Made for minidraw; the look (20-pixel digits in 28-pixel images) follows MNIST (LeCun et al. 1998).

    >>> images, labels = strokes(3)
    >>> images.shape, images.dtype, labels.shape
    ((3, 1, 28, 28), dtype('uint8'), (3,))
    """
    n, size, seed = _whole("n", n, 1), _whole("size", size, 12), _whole("seed", seed, 0)
    digits, control, *_ = _shapes()
    # Two streams, each used up image by image: that makes image k independent of n.
    choice_rng, hand_rng = np.random.default_rng(seed).spawn(2)
    choice = choice_rng.random((n, 2))
    labels = (10 * choice[:, 0]).astype(np.uint8)  # (n,)
    variants = np.bincount(digits)[labels]  # (n,) how many shapes that digit has
    shape = np.searchsorted(digits, labels) + (variants * choice[:, 1]).astype(int)  # (n,)
    images = np.empty((n, 1, size, size), np.uint8)
    B = max(1, CHUNK // size**2)
    for part in (slice(start, start + B) for start in range(0, n, B)):
        hand = hand_rng.standard_normal((len(shape[part]), HABITS + 2 * control.shape[1]), np.float32)
        path, radius = _write(shape[part], np.clip(hand, -2, 2))  # a rarer slip than 2 sigma can spoil a digit
        images[part, 0] = _ink(size * path - 0.5, size * radius, size)  # pixel i spans i to i + 1
    return images, labels


def _whole(name: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise UserError(f"{name} must be a whole number, {least} or more; got {value!r}.")
    return number


@functools.cache
def _shapes() -> tuple[np.ndarray, ...]:
    """Return `SHAPES` as arrays: a spline is linear in its control points, so a curve is weight @ control.

    Returns digit (S,), control (S, K, 2) in heights, slip (S, K), how far the hand misses a point, in heights, and
    weight (S, P, K). Shapes with fewer than K points are filled up with zeros.
    """
    from scipy.interpolate import CubicSpline  # here, since importing it takes longer than a start without strokes

    digit = np.array([int(name[0]) for name in SHAPES])
    parsed = [[[tuple(map(float, xy.split())) for xy in s.split(",")] for s in t.split("/")] for t in SHAPES.values()]
    points = [sorted({point for stroke in strokes for point in stroke}) for strokes in parsed]
    S, K = len(digit), max(map(len, points))
    control, slip = np.zeros((S, K, 2), np.float32), np.zeros((S, K), np.float32)
    weight = np.zeros((S, PEN_POSITIONS, K), np.float32)
    for s, strokes in enumerate(parsed):
        xy = np.array(points[s]) / 100  # (K, 2), here with this shape's K
        control[s, : len(xy)] = xy - xy.mean(axis=0)
        visits = [points[s].index(point) for stroke in strokes for point in stroke]
        ends = [points[s].index(stroke[i]) for stroke in strokes for i in (0, -1)]
        slip[s, : len(xy)] = 0.022
        slip[s, [k for k in ends if visits.count(k) == 1]] = 0.042  # nothing holds a free end in place

        curve, step = [], []  # each smooth piece in fine steps: weights, and the way from the step before
        for stroke in strokes:
            knees = [i for i in range(1, len(stroke)) if stroke[i] == stroke[i - 1]]
            for start, stop in itertools.pairwise([0, *knees, len(stroke)]):
                piece = [points[s].index(point) for point in stroke[start:stop]]
                # Knots by the square root of the distance ("centripetal"): uneven points make no overshoots.
                knots = np.sqrt(np.linalg.norm(np.diff(xy[piece], axis=0), axis=1)).cumsum()
                spline = CubicSpline([0, *knots], np.eye(len(xy))[piece], bc_type="natural")
                curve.append(spline(np.linspace(0, knots[-1], 200)))  # (200, K)
                step += [0, *np.linalg.norm(np.diff(curve[-1] @ xy, axis=0), axis=1)]  # 0: a lifted pen draws nothing
        way = np.cumsum(step)
        even = np.searchsorted(way[:-1], np.linspace(0, way[-1], PEN_POSITIONS))  # (P,) equally far apart
        weight[s, :, : len(xy)] = np.concatenate(curve)[even]
    return digit, control, slip, weight


def _write(shape: np.ndarray, hand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pen goes (B, P, 2) as x, y and its radius there (B, P), in fractions of the image.

    `shape` (B,) indexes `SHAPES`; `hand` (B, HABITS + 2K) holds standard normal numbers, the accidents of the hand.
    """
    _, control, slip, weight = _shapes()
    habit, shake = hand[:, :HABITS].T[:, :, None], hand[:, HABITS:].reshape(-1, *control.shape[1:])
    path = weight[shape] @ (control[shape] + slip[shape, :, None] * shake)  # (B, P, 2) in heights
    x, y = path[..., 0], path[..., 1]  # (B, P) each

    # Bend the paper, smoothly and never far: what touches still touches.
    x, y = (
        x + 0.16 * habit[0] * x * y + 0.22 * habit[1] * y**2 + 0.3 * habit[2] * y**3,
        y + 0.22 * (habit[3] * x * y + habit[4] * x**2 + habit[5] * y**2),
    )
    # Make it wider or narrower, slant it (most people to the right), turn it.
    x = np.exp(0.18 * habit[6]) * x
    x = x - (0.19 + 0.18 * habit[7]) * y
    turn = 0.07 * habit[8]
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y

    # The pen: finer for narrow digits, whose loops would fill up; pressed harder here than there, in one slow wave.
    pen = PEN * np.exp(0.21 * habit[9] + 0.06 * habit[6])  # (B, 1)
    way = np.linspace(-1, 1, PEN_POSITIONS, dtype=np.float32)  # (P,)
    radius = pen * (1 + 0.1 * habit[10] * np.sin(4 * way + 3 * habit[11]) + 0.06 * habit[12] * way)  # (B, P)

    # Fit the digit with its ink into the box, and put its middle near the middle of the image.
    path = np.stack([x, y], axis=-1)
    low, high = path.min(axis=1, keepdims=True), path.max(axis=1, keepdims=True)  # (B, 1, 2)
    middle = (path.mean(axis=1, keepdims=True) + (low + high) / 2) / 2  # of its mass and of its frame
    scale = (BOX * np.exp(0.06 * habit[13] - 0.03) - 2 * pen) / (high - low).max(axis=2)  # (B, 1)
    path = 0.5 + scale[..., None] * (path - middle) + 0.018 * np.moveaxis(habit[14:16], 0, -1)
    return path, radius


def _ink(path: np.ndarray, radius: np.ndarray, size: int) -> np.ndarray:
    """Return images (B, size, size) uint8 of round dots of `radius` (B, P) around `path` (B, P, 2), all in pixels.

    Every pixel takes the dot it lies deepest in: 1 inside, 0 outside, linear across an edge SOFT pixels wide. Only
    a window of W x W pixels around a dot can see it, and all images of the chunk set their dot p at the same time.
    """
    B, P = radius.shape
    reach = radius + SOFT / 2
    W = int(2 * reach.max()) + 1
    corner = np.clip(np.ceil(path - reach[..., None]).astype(np.intp), 0, size - W)  # (B, P, 2)
    pixel = corner[..., None] + np.arange(W)  # (B, P, 2, W)
    square = (pixel - path[..., None]).astype(np.float32) ** 2  # (B, P, 2, W)
    column = pixel[:, :, 0]  # (B, P, W)
    row = pixel[:, :, 1] * size + np.arange(B)[:, None, None] * size**2  # (B, P, W) where it starts in `depth`
    depth = np.full(B * size**2, -SOFT, np.float32)  # pixels into the ink, negative outside
    for p in range(P):
        distance = np.sqrt(square[:, p, 1, :, None] + square[:, p, 0, None, :])  # (B, W, W)
        place = row[:, p, :, None] + column[:, p, None, :]  # (B, W, W)
        depth[place] = np.maximum(depth[place], radius[:, p, None, None] - distance)
    ink = np.clip(depth / SOFT + 0.5, 0, 1)
    return np.rint(255 * ink).astype(np.uint8).reshape(B, size, size)
