"""python -m minidraw.reconstruct CHECKPOINT [IMAGE ...]: show where a network looks at an image, and redraws it."""

import sys
import warnings

import numpy as np
from PIL import Image, ImageOps

from . import checkpoint as checkpoints
from .backend import to_host
from .cli import Parser, check_pictures, drawing_network, load_data, run, whole, write_pictures
from .errors import UserError
from .model import DRAW
from .tasks import draw_noise, spread

COUNT = 16  # images of the test set
BLACK = -2.2  # logit of 0.1
MOST_PIXELS = 64_000_000  # of a picture given; unpacked it takes four bytes each
DEEP = {"I;16": 65535, "I;16B": 65535, "I;16L": 65535, "I": 65535, "F": 1}  # modes of more than 8 bits: their white


def parser() -> Parser:
    """Return the parser of this command line."""
    text = "Draw given images again, in pairs: a green box where the network looks, a red one where it writes."
    parser = Parser("reconstruct", text)
    parser.add_checkpoint()
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="pictures to draw (default: those of the test set)")
    parser.add_argument("-n", type=whole(1), metavar="N", help=f"how many, spread over the test set (default: {COUNT})")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_data()
    parser.add_pictures("seen.gif")
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Redraw as the arguments say; what was written goes to standard output."""
    options = parser().parse_args(arguments)
    if options.images and (options.n or options.data or options.data_dir):
        raise UserError("-n, --data and --data-dir choose images of a data set: give either them or pictures")
    checkpoint = checkpoints.load(options.checkpoint)
    config = checkpoint.experiment.model
    check_pictures(options, 2 * (len(options.images) or options.n or COUNT), config)
    network = drawing_network(options, checkpoint)
    if options.images:
        on_black = draws_on_black(network)
        images = np.stack([read_picture(path, config.image_shape, on_black) for path in options.images])
    else:
        split = load_data(options, checkpoint).test
        if (count := options.n or min(COUNT, len(split))) > len(split):
            raise UserError(f"-n {count} is more than the {len(split)} images of the test set")
        images = split.batch(spread(count, split), np.random.default_rng([options.seed, 1]))
    noise = draw_noise(config, len(images), np.random.default_rng([options.seed, 0]))
    write_pictures(options, network.redraw(images, noise), originals=images)
    return 0


def draws_on_black(network: DRAW) -> bool:
    """Tell whether the network starts from a grey canvas with a black border: it draws white digits on black."""
    start = to_host(network.params["canvas0"]).reshape(network.config.image_shape)  # logits
    return len(start) == 1 and float(np.median(border(start[0]))) < BLACK


def border(image: np.ndarray) -> np.ndarray:
    """Return the outermost pixels of an image (H, W) or (H, W, 3), corners twice."""
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def read_picture(path: str, shape: tuple[int, int, int], on_black: bool) -> np.ndarray:
    """Return a picture file as an image (C, H, W) in [0, 1], its aspect kept, padded with the colour of its border.

    With `on_black` a dark figure on a light ground is inverted, which is said on stderr. Raises UserError where the
    file is missing, no picture, or larger than MOST_PIXELS.
    """
    C, H, W = shape
    if C not in (1, 3):
        raise UserError(f"pictures are grey or RGB, but this network is for images of {C} channels")
    picture = open_picture(path, "L" if C == 1 else "RGB")
    shrink = min(W / picture.width, H / picture.height)
    size = max(1, round(shrink * picture.width)), max(1, round(shrink * picture.height))
    ground = np.median(border(np.asarray(picture)), axis=0).astype(int)
    fitted = Image.new(picture.mode, (W, H), tuple(ground.tolist()) if C == 3 else int(ground))
    fitted.paste(picture.resize(size, Image.Resampling.BICUBIC), ((W - size[0]) // 2, (H - size[1]) // 2))
    image = np.asarray(fitted, np.float32) / 255  # (H, W) or (H, W, 3)
    if on_black and border(image).mean() > image.mean():
        print(f"{path}: inverted, for this network draws white on black", file=sys.stderr)
        image = 1 - image
    return image[None] if C == 1 else image.transpose(2, 0, 1)


def open_picture(path: str, mode: str) -> Image.Image:
    """Return the first picture of a file, upright, on white where it is transparent, converted to `mode` L or RGB."""
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > MOST_PIXELS:
                raise UserError(f"it has {picture.width}x{picture.height} pixels; make it smaller first")
            picture = ImageOps.exif_transpose(picture)
            if picture.mode in DEEP:
                values = np.nan_to_num(np.asarray(picture, np.float64)) / DEEP[picture.mode]
                picture = Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8))
            picture = picture.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert(mode)
    except Exception as problem:  # Pillow's decoders raise whatever comes to them
        reason = getattr(problem, "strerror", None) or problem
        raise UserError(f"cannot read the picture {path}: {reason}") from None


if __name__ == "__main__":
    run(main)
