"""The experiments by name: what is trained, on what, and how (Table 3 of the paper, and smaller ones).

A value of a run comes from the defaults below, then the preset, then the command line.
"""

import dataclasses
import math
import numbers
import typing
from collections.abc import Collection

from .data.folder.sizes import FEW, LARGEST_OF_FEW, USUAL_OF_FEW
from .errors import UserError, unknown
from .model import NETWORKS
from .model.config import DRAWConfig
from .model.network import Network, parameter_count
from .model.ram import RAMConfig

LARGEST_MODEL = 1 << 28  # parameters
MOST_GLIMPSES = 1 << 16
MOST_UPDATES, LONGEST = 1 << 52, 1e9  # updates, and minutes or epochs, of a run


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a network is trained. Raises UserError for a value out of range."""

    data: str = "binarized_mnist"  # a name that minidraw.data knows
    batch_size: int = 100  # images per update
    steps: int = 100_000  # updates of the whole run
    minutes: float = 0.0  # if not 0, of training: the run ends by the clock instead, and the learning rate follows it
    learning_rate: float = 3e-3  # of Adam, before it falls
    warmup: int = 100  # updates over which the learning rate rises from 0
    decay_from: float = 0.5  # share of the run after which the learning rate falls linearly to 0
    beta1: float = 0.9  # Adam's memory of the gradient
    beta2: float = 0.999  # Adam's memory of its square
    clip: float = 1000.0  # largest global norm of the gradient (nats per unit of parameter); 0: none
    averaging: float = 0.999  # decay per update of the averaged parameters
    glimpse_warmup: float = 0.0  # share of the run over which the glimpses grow to all; 0: all from the first update
    glimpse_start: float = 0.25  # share of the glimpses that a run which grows them begins with
    seed: int = 0  # of start values, minibatches and noise
    log_every: int = 50  # updates per line of metrics.jsonl
    validate_every: int = 1000  # updates between bounds on held-out images
    validation_images: int = 1000  # the first of the validation split; 0: all
    checkpoint_every: int = 1000  # updates between checkpoints
    pictures_every: int = 0  # updates between new samples.gif; 0: with every validation

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), KINDS[field.type]
            if not isinstance(value, kind) or isinstance(value, bool):
                raise UserError(f"{field.name} must be of type {field.type.__name__}, not {value!r}")
            if field.type is int and value < (least := int(field.name in COUNTS)):
                raise UserError(f"{field.name} must be {least} or more, not {value}")
            if field.type is int and field.name != "seed" and value > MOST_UPDATES:
                raise UserError(f"{field.name} must be {MOST_UPDATES:,} or less, not {value}")
            if field.type is float and not 0 <= value < float("inf"):
                raise UserError(f"{field.name} must be a finite number of 0 or more, not {value}")
            object.__setattr__(self, field.name, field.type(value))
        if self.minutes > LONGEST:
            raise UserError(f"minutes must be {LONGEST:.0e} or less, not {self.minutes}")
        for name in ("beta1", "beta2", "averaging"):
            if getattr(self, name) >= 1:
                raise UserError(f"{name} must be below 1, not {getattr(self, name)}")
        for name in ("decay_from", "glimpse_warmup", "glimpse_start"):
            if getattr(self, name) > 1:
                raise UserError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if not self.glimpse_start:
            raise UserError("glimpse_start must be more than 0: a run begins with some share of its glimpses")


KINDS = {int: numbers.Integral, float: numbers.Real, str: str}
# RAM first: its read_size cannot be none, but DRAW's can, and --set is parsed before it is known whose it is.
CONFIGS = (RAMConfig, DRAWConfig, TrainConfig)
COUNTS = ("batch_size", "steps", "log_every", "validate_every", "checkpoint_every")


def glimpses(progress: float, most: int, start: float, warmup: float) -> int:
    """Return T at the share `progress` of a run: ⌊most · start^(1 - progress / warmup)⌋, from `warmup` on all of them.

    No parameter depends on T, and an update with few glimpses costs little: a run that begins with a few and grows them
    has far more updates behind it when it comes to all (docs/speed.md).

    >>> [glimpses(share, 64, 0.25, 0.5) for share in (0, 0.125, 0.25, 0.49, 0.5, 1)]
    [16, 22, 32, 62, 64, 64]
    """
    return most if progress >= warmup else max(1, math.floor(most * start ** (1 - progress / warmup)))


def seconds_left(seconds: float, first: float, now: float, most: int, start: float, warmup: float) -> float:
    """Return how long the rest of a run takes whose part from the share `first` to `now` took that many seconds.

    Updates take as long as their glimpses are many.
    """

    def taken(a: float, b: float) -> float:  # by the updates between two shares, up to a factor
        return (b - a) * sum(glimpses(a + (b - a) * (k + 0.5) / 100, most, start, warmup) for k in range(100))

    return seconds * taken(now, 1.0) / taken(first, now)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A network and how it is trained."""

    model: DRAWConfig | RAMConfig
    train: TrainConfig

    @property
    def network(self) -> str:
        """The name of the network in NETWORKS."""
        return next(name for name, network in NETWORKS.items() if isinstance(self.model, network.Config))

    def glimpses(self, progress: float) -> int:
        """Return T at the share `progress` of the run; see `glimpses`."""
        return glimpses(progress, self.model.glimpses, self.train.glimpse_start, self.train.glimpse_warmup)

    def build(self, backend: str = "numpy", threads: int | None = None, precision: str = "float32") -> Network:
        """Return the network with its start values; the other arguments are those of any Network.

        Raises UserError where it is too large to be kept in a checkpoint, and what Network raises.
        """
        check_size(self)
        network = NETWORKS[self.network]
        return network(self.model, backend, seed=self.train.seed, threads=threads, precision=precision)

    def replace(self, **changes) -> "Experiment":
        """Return a copy in which fields of either config, by name, are changed. Raises UserError for an unknown one."""
        names = [{field.name for field in dataclasses.fields(part)} for part in (self.model, self.train)]
        for name in changes:
            if not any(name in part for part in names):
                raise unknown("setting", name, names[0] | names[1])
        model, train = ({key: value for key, value in changes.items() if key in part} for part in names)
        return Experiment(dataclasses.replace(self.model, **model), dataclasses.replace(self.train, **train))


_PAPER = Experiment(DRAWConfig(), TrainConfig())  # binarized MNIST with attention
_GROWING = {"glimpse_warmup": 0.5}  # from 16 of 64 glimpses on; why only here: docs/speed.md

PRESETS = {
    # The paper's own sizes: many hours on a CPU. Ours are all settings of TrainConfig (learning rate, warm-up, decay,
    # batch, clipping, averaging, growing glimpses), the sizes of networks without attention, and RAM's learned h0.
    "mnist": _PAPER.replace(**_GROWING),
    "mnist-noattn": _PAPER.replace(read_size=None, write_size=None),
    "two-digits": _PAPER.replace(data="two_digits", image_shape=(1, 60, 60), **_GROWING),
    "svhn": _PAPER.replace(
        data="svhn", image_shape=(3, 54, 54), glimpses=32, enc_size=800, dec_size=800, read_size=12, write_size=12
    ),
    "cifar10": _PAPER.replace(
        data="cifar10", image_shape=(3, 32, 32), enc_size=400, dec_size=400, latent_size=200, read_size=5
    ),
    # The classifier of section 4.1: an hour and a half on one core. Without window_clip it collapses at such rates.
    "cluttered": Experiment(
        RAMConfig(window_clip=3.0),
        TrainConfig(
            data="cluttered",
            batch_size=128,
            steps=90_000,
            learning_rate=2e-3,
            decay_from=0.1,
            beta2=0.99,
            clip=10.0,
            glimpse_start=0.5,
            glimpse_warmup=0.5,
        ),
    ),
}

# Smaller networks for the same experiments: half an hour to two hours and a quarter. Of the hundred latent
# variables that the paper has, some ten were used, and the others noise to the decoder (docs/results.md).
_SMALL = {"latent_size": 16, "decay_from": 0.35}
PRESETS |= {
    "mnist-small": _PAPER.replace(glimpses=24, read_size=5, steps=25_000, **_SMALL),
    "mnist-noattn-small": PRESETS["mnist-noattn"].replace(glimpses=24, steps=8000, learning_rate=1e-3, decay_from=0.35),
    # Without window_clip it collapses at such a rate (docs/results.md).
    "two-digits-small": PRESETS["two-digits"].replace(
        glimpses=32, read_size=5, window_clip=100.0, steps=11_000, learning_rate=2e-3, glimpse_warmup=0.0, **_SMALL
    ),
    "svhn-small": PRESETS["svhn"].replace(
        glimpses=16, enc_size=400, dec_size=400, steps=2500, learning_rate=2e-3, **_SMALL
    ),
    "svhn-cropped": PRESETS["svhn"].replace(
        data="svhn_cropped",
        image_shape=(3, 32, 32),
        glimpses=16,
        enc_size=256,
        dec_size=256,
        read_size=8,
        write_size=8,
        steps=6000,
        **_SMALL,
    ),
    "cifar10-small": PRESETS["cifar10"].replace(glimpses=24, enc_size=256, dec_size=256, steps=5000, **_SMALL),
    # For the impatient: two minutes on two cores, and no files.
    "strokes": _PAPER.replace(
        data="strokes",
        glimpses=16,
        read_size=5,
        enc_size=128,
        dec_size=128,
        latent_size=32,
        steps=5000,
        learning_rate=4e-3,
        glimpse_start=0.5,
        glimpse_warmup=0.67,
        validate_every=500,
        checkpoint_every=500,
    ),
}


SHARE, BATCHES = 20, (16, 20, 24, 32, 40, 48, 64, 80, 100)  # updates an epoch, and images an update
RISE = 20  # updates a minute over which the learning rate may rise, where a run ends by the clock


def for_few_images(
    train: TrainConfig, images: int, given: Collection[str] = (), epochs: float | None = None
) -> tuple[dict[str, float], list[str]]:
    """Return settings, but for those `given`, for so many training images, and remarks on what was chosen.

    Small batches make many updates: on 240 drawings a minute with 16 came to pictures, with 100 to a blur. Growing
    glimpses are for runs whose length they were chosen for: 1,000 letters came to 95 nats in 1,000 updates with them,
    to 71 without (means of three seeds), in 3,000 updates to 67 and 61 (of two).

    >>> for_few_images(TrainConfig(minutes=2.0), 240)[0], for_few_images(TrainConfig(), 50_000)[0]["warmup"]
    ({'glimpse_warmup': 0.0, 'batch_size': 16, 'warmup': 40}, 100)
    """
    chosen: dict[str, float] = {} if "glimpse_warmup" in given else {"glimpse_warmup": 0.0}
    remarks = []
    if "batch_size" not in given:
        fitting = [size for size in BATCHES if size <= images // SHARE]
        chosen["batch_size"] = min(images, fitting[-1] if fitting else BATCHES[0])
        if chosen["batch_size"] != train.batch_size:
            remarks.append(f"batches of {chosen['batch_size']}, for {images:,} training images (batch_size)")
    if "warmup" not in given:
        steps = train.steps if epochs is None else epochs * images / chosen.get("batch_size", train.batch_size)
        rise = RISE * train.minutes if train.minutes else steps / 10
        chosen["warmup"] = min(train.warmup, max(1, round(rise)))
        if chosen["warmup"] != train.warmup:
            remarks.append(f"the learning rate rises over {chosen['warmup']} updates, for so short a run (warmup)")
    return chosen, remarks


def of_few(images: int, side: int) -> list[str]:
    """Return a remark on what is drawn after so many images, of all splits, of that longer side, if they are few."""
    if images >= FEW:
        return []
    slow = f", and at {side} pixels a blur for the first minutes: at {USUAL_OF_FEW} an update is faster"
    return [f"{images:,} images are few: expect drawings much like them{slow if side > LARGEST_OF_FEW else ''}"]


def preset(name: str) -> Experiment:
    """Return the experiment called `name`. Raises UserError, with the nearest name, for an unknown one."""
    if ":" in name:
        raise UserError(f"{name!r} is no preset; if it names data, write --data {name}")
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def parse_setting(text: str) -> tuple[str, typing.Any]:
    """Return name and value of "key=value", the value of the type that the field of that name has.

    Raises UserError for an unknown key or a value of another type.
    """
    key, equals, value = text.partition("=")
    types = {key: kind for part in CONFIGS for key, kind in typing.get_type_hints(part).items()}
    if not equals:
        raise UserError(f"--set takes key=value, not {text!r}; the keys are the fields of a run's config.json")
    if key not in types:
        raise unknown("setting", key, types)
    kind = types[key]
    try:
        if kind is int:
            return key, int(value)
        if kind is float:
            return key, float(value)
        if kind is str:
            return key, value
        if kind == int | None:
            return key, None if value.lower() == "none" else int(value)
        return key, tuple(int(part) for part in value.strip("()").split(","))  # image_shape
    except ValueError:
        wanted = {int: "a whole number", float: "a number", int | None: "a whole number or none"}
        raise UserError(f"{key} takes {wanted.get(kind, 'whole numbers like 1,28,28')}, not {value!r}") from None


def check_size(experiment: Experiment) -> int:
    """Return how many parameters a network has. Raises UserError for one too large to be kept in a checkpoint."""
    size, glimpses = parameter_count(NETWORKS[experiment.network], experiment.model), experiment.model.glimpses
    if size > LARGEST_MODEL or glimpses > MOST_GLIMPSES:
        raise UserError(
            f"a network of {size} parameters and {glimpses} glimpses is too large; "
            f"the most are {LARGEST_MODEL} and {MOST_GLIMPSES}"
        )
    return size
