"""python -m minidraw.interpolate CHECKPOINT [IMAGE IMAGE ...]: draw what lies between two images.

Two images are two sequences z_1..z_T of latent variables, and a curve leads from one to the other. What the network
draws from a point of the curve is neither of the two, but, if it has learned its data, still a drawing.

With --morph the curve goes on to the first image again; a picture shows the drawings of its points as they came out,
one after the other, and arrays hold them glimpse by glimpse.
"""

import numpy as np

from .cli import Parser, check_out, drawing_network, given_images, run, size, whole, write_drawing
from .model.draw import draw_noise
from .model.latent import between
from .pictures import arrays, saving
from .streams import Purpose, stream
from .training import checkpoints

COUNT = 5  # images to pass through where none are given


def parser() -> Parser:
    """Return the parser of this command line."""
    text = "Draw what lies between images: a row from each to the next. Without images: between random drawings."
    parser = Parser("interpolate", text)
    parser.add_checkpoint()
    parser.add_images(COUNT, "random drawings")
    parser.add_argument("--test", action="store_true", help="between images of the test set")
    parser.add_argument("--steps", type=whole(2), metavar="K", default=9, help="drawings a row, both ends included")
    parser.add_argument("--morph", action="store_true", help="one drawing that changes from image to image in time")
    parser.add_argument("--seed", type=whole(0), metavar="N", default=0, help="seed of the noise")
    parser.add_pictures("between.gif")
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Draw as the arguments say; what was written goes to standard output."""
    options = parser().parse_args(arguments)
    pictured = options.morph and saving.ending(options.out) not in arrays.ENDINGS  # a morph, and not its arrays
    if pictured:
        saving.check_moving(options.out)
    checkpoint = checkpoints.load(options.checkpoint)
    config = checkpoint.experiment.model
    options.columns = options.columns or options.steps
    ends = len(options.images) or options.n or COUNT
    count = ends * (options.steps - 1) if options.morph else max(1, ends - 1) * options.steps
    if pictured:  # one drawing at a time, of all of which the network keeps every glimpse
        arrays.check_arrays(count, config.glimpses, config.image_shape)
        check_out(options, saving.morph_size(count, config.image_shape))
    else:
        check_out(options, size(options, count, config))
    network = drawing_network(options, checkpoint)
    rng = stream(options.seed, Purpose.BETWEEN)
    if options.images or options.test or options.data or options.data_dir:
        images = given_images(options, checkpoint, network, COUNT)
        z = network.encode(
            images, np.repeat(draw_noise(network.config, 1, rng), len(images), axis=1)
        )  # the same for all
    else:
        z = draw_noise(network.config, options.n or COUNT, rng)  # eq. 13
    if options.morph:  # back to the first, in a circle, and no end twice
        path = np.delete(between(np.concatenate([z, z[:, :1]], axis=1), options.steps), np.s_[:: options.steps], axis=1)
    else:
        path = between(z, options.steps)
    drawing = network.draw_latents(path)
    if pictured:
        print(saving.morph(drawing, options.out, options.scale, options.fps))
    else:
        write_drawing(options, drawing)
    return 0


if __name__ == "__main__":
    run(main)
