"""RAM: the differentiable recurrent attention model of section 4.1, which classifies what it sees through a window.

    window_t = h_{t-1} W_read + b_read                       where to look, from the state before   (eq. 21)
    h_t = LSTM([gamma F_Y x F_X^T, h_{t-1}])                 what is seen there                     (eq. 27)
    P(label | x) = softmax(h_T W_softmax + b_softmax)

Letters: T glimpses, B images, C, H, W channels, height, width, N filters along a side, h hidden units, K classes.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ..backend import Array, as_array, to_device, to_host
from ..errors import UserError
from ..parallel.guard import blas_threads
from ..parallel.shard import Shard
from .attention import LOG_GAMMA, LOG_VARIANCE, ReadTrace, placed_by, read, read_backward
from .config import check_counts, check_grid, check_image_shape, check_window_clip, random_weights
from .lstm import LSTMTrace, dense, dense_gradients, lstm, lstm_backward, lstm_weight_gradients
from .network import Network
from .windows import Windows, windows


@dataclasses.dataclass(frozen=True)
class RAMConfig:
    """The sizes of a RAM network; the defaults are the paper's, for cluttered MNIST.

    Raises UserError if a size makes no network.
    """

    image_shape: tuple[int, int, int] = (1, 100, 100)  # channels, height, width in pixels
    glimpses: int = 8  # T
    read_size: int = 12  # N, filters along a side of the grid
    hidden_size: int = 256  # h, units of the LSTM
    classes: int = 10  # K
    window_clip: float = 0.0  # largest slope of an image's loss along a window's parameter, in nats; 0: any

    def __post_init__(self):
        check_image_shape(self)
        check_counts(self, "glimpses", "hidden_size", "classes")
        check_grid(self, "read_size", optional=False)
        check_window_clip(self)


def parameter_shapes(config: RAMConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter by name, in the order in which they lie in memory."""
    h, glimpse = config.hidden_size, config.image_shape[0] * config.read_size**2
    return {
        "lstm.W": (glimpse + h, 4 * h),  # rows: glimpse, hidden state; columns: gates i, f, o, g
        "lstm.b": (4 * h,),
        "read.W": (h, 5),  # columns: gX, gY, log sigma², log delta, log gamma
        "read.b": (5,),
        "softmax.W": (h, config.classes),
        "softmax.b": (config.classes,),
        "h0": (h,),
    }


def start_values(config: RAMConfig, seed: int) -> np.ndarray:
    """Return the parameters that training starts from, one flat float64 vector.

    Weights are N(0, 1 / rows), those that place the window a tenth of it; forget gates are open (bias 1). The first
    grid covers the image, each filter as wide as half of the stride.
    """
    flat, params = random_weights(parameter_shapes(config), seed)
    params["read.W"] *= 0.1
    params["lstm.b"][config.hidden_size : 2 * config.hidden_size] = 1.0
    stride = (max(config.image_shape[1:]) - 1) / (config.read_size - 1)
    params["read.b"][LOG_VARIANCE] = 2 * math.log(stride / 2)
    return flat


class RAMTrace:
    """What the forward pass over one minibatch leaves for the backward pass; `glimpse` and `h` are views, see Trace."""

    def __init__(self, alloc, config: RAMConfig, B: int):
        C, H, W = config.image_shape
        T, N, h, K = config.glimpses, config.read_size, config.hidden_size, config.classes
        self.image_shape, self.T, self.R, self.window_clip = config.image_shape, T, C * N * N, config.window_clip
        self.lstm = LSTMTrace(alloc, T, B, self.R + h, h)  # inputs: glimpse, hidden state
        self.read = ReadTrace(alloc, T, B, C, H, W, N)
        self.logits = alloc(B, K)
        self.dh = alloc(B, h)
        self.scratch = alloc(B, h)

    @property
    def glimpse(self) -> Array:
        """(T, B, R)."""
        return self.lstm.inputs[: self.T, :, : self.R]

    @property
    def h(self) -> Array:
        """(T + 1, B, h): [t] is before glimpse t."""
        return self.lstm.inputs[:, :, self.R :]


def forward(trace: RAMTrace, params: dict, x: Array, xp) -> Array:
    """Look at x (B, C·H·W) and return log P(label | x) for all labels, (B, K)."""
    images = x.reshape(len(x), *trace.image_shape)
    trace.h[0] = params["h0"]
    trace.lstm.cell[0] = 0.0
    for t in range(trace.T):
        dense(trace.h[t], params["read.W"], params["read.b"], trace.read.window[t], xp)  # eq. 21
        read(trace.read, t, images, trace.glimpse[t], xp)  # eq. 27
        lstm(trace.lstm, t, params["lstm.W"], params["lstm.b"], trace.h[t + 1], xp)
    logits = dense(trace.h[-1], params["softmax.W"], params["softmax.b"], trace.logits, xp)
    logits -= logits.max(axis=1, keepdims=True)
    logits -= xp.log(xp.exp(logits).sum(axis=1, keepdims=True))
    return logits


def backward(trace: RAMTrace, params: dict, grads: dict, x: Array, hot: Array, scale: float, xp) -> None:
    """Fill `grads` with the gradient of `scale` times the summed cross entropy; `hot` (B, K) is 1 at the label.

    trace.logits, from `forward`, is used up.
    """
    T, R = trace.T, trace.R
    images = x.reshape(len(x), *trace.image_shape)
    # cross entropy = -log softmax(logits)[label]:  dlogits = softmax(logits) - hot
    dlogits = xp.exp(trace.logits, out=trace.logits)
    dlogits -= hot
    dlogits *= scale
    dense_gradients(trace.h[-1], dlogits, grads["softmax.W"], grads["softmax.b"], xp)
    dh = xp.matmul(dlogits, params["softmax.W"].T, out=trace.dh)
    trace.lstm.dcell[:] = 0.0
    for t in reversed(range(T)):
        dinputs = lstm_backward(trace.lstm, t, params["lstm.W"], dh, xp)
        read_backward(trace.read, t, images, trace.glimpse[t], dinputs[:, :R], None, xp)
        dplacing = placed_by(trace.read, t, params["read.W"], scale * trace.window_clip, trace.scratch, xp)
        xp.add(dinputs[:, R:], dplacing, out=dh)
    xp.sum(dh, axis=0, out=grads["h0"])
    lstm_weight_gradients(trace.lstm, grads["lstm.W"], grads["lstm.b"], xp)
    dense_gradients(trace.h[:-1], trace.read.dwindow, grads["read.W"], grads["read.b"], xp)


class RAMShard(Shard):
    """Some images' part of a minibatch: x (B, C·H·W) in [0, 1] and labels (B, K), 1 at the label and 0 elsewhere."""

    @staticmethod
    def input_shapes(config: RAMConfig) -> tuple[tuple[int | None, ...], ...]:
        """Return the shapes of x and of the labels."""
        return (None, math.prod(config.image_shape)), (None, config.classes)

    @staticmethod
    def output_shapes(config: RAMConfig) -> tuple[tuple[int | None, ...], ...]:
        """Return the shape of log P(label | x)."""
        return ((None, config.classes),)

    def make_trace(self, alloc, images: int) -> RAMTrace:
        """Return a trace for that many images."""
        return RAMTrace(alloc, self.config, images)

    def run(self, job: str, params: dict, grads: dict, inputs: Sequence[Array], scale: float) -> tuple[Array, ...]:
        """Do "predict" or "loss_and_grads"; see RAM."""
        x, hot = inputs
        trace = self.trace_for(len(x))
        straight, transposed = self.laid_out(params, job == "loss_and_grads")
        log_p = forward(trace, straight, x, self.xp).copy()  # the trace's own is overwritten
        if job == "loss_and_grads":
            backward(trace, transposed, grads, x, hot, scale, self.xp)
        return (log_p,)


@dataclasses.dataclass(frozen=True)
class RAMLoss:
    """The cross entropy of a minibatch, and how often the likeliest label was wrong; means over the minibatch."""

    total: float  # nats per image
    error: float  # between 0 and 1


class RAM(Network):
    """The classifier of section 4.1: a DRAW encoder that looks through a window and names what it saw.

    Arguments and parameters are as for any Network; the config is a RAMConfig.
    """

    name = "ram"
    Config = RAMConfig
    Shard = RAMShard
    parameter_shapes = staticmethod(parameter_shapes)
    start_values = staticmethod(start_values)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the labels 0, 1, ... stand for in the data that it was trained on; their numbers if it is unknown."""
        known = self.origin[1].get("classes") if self.origin else None
        return tuple(known or map(str, range(self.config.classes)))

    def loss_and_grads(self, x: Array, labels: Array) -> tuple[RAMLoss, dict[str, Array]]:
        """Return the loss of a minibatch and the gradient of its total by parameter name.

        x is (B, C, H, W) in [0, 1], labels (B,) whole numbers below `classes`. The arrays of gradients are valid until
        the next call. With a window_clip they are not quite the gradient (attention.placed_by). Raises UserError for
        shapes that do not fit the config and values out of range.
        """
        x = self._checked_images(x)
        labels = self.checked_labels(labels, len(x))
        hot = to_device(np.eye(self.config.classes)[labels], self.xp, self.dtype)
        (log_p,) = self._on_every_core("loss_and_grads", x, hot)
        return _loss(log_p, labels), self.grads

    def loss(self, x: Array, labels: Array) -> RAMLoss:
        """Return the loss of a minibatch, without gradients; arguments as for loss_and_grads."""
        log_p = self.log_probabilities(x)
        return _loss(log_p, self.checked_labels(labels, len(log_p)))

    def log_probabilities(self, x: Array) -> np.ndarray:
        """Return log P(label | x) of images x (B, C, H, W), (B, classes), in nats."""
        x = self._checked_images(x)
        unused = self.xp.zeros((len(x), self.config.classes), self.dtype)
        return self._on_every_core("predict", x, unused)[0]

    def predict(self, x: Array) -> np.ndarray:
        """Return the likeliest label of images x (B, C, H, W), (B,)."""
        return self.log_probabilities(x).argmax(axis=1)

    def look(self, x: Array) -> tuple[np.ndarray, Windows]:
        """Return what is seen of images x (B, C, H, W), (T, B, C, N, N) before gamma, and through which windows."""
        config, x = self.config, self._checked_images(x)
        with self._guard, blas_threads(self.threads):
            trace = self._shard.trace_for(len(x))
            forward(trace, self.params, x, self.xp)
            window = to_host(trace.read.window).copy()  # (T, B, 5)
            seen = to_host(trace.glimpse) / np.exp(window[:, :, LOG_GAMMA:])
        C, N = config.image_shape[0], config.read_size
        return seen.reshape(-1, len(x), C, N, N), windows(window, config.image_shape, N)

    def checked_labels(self, labels: Array, images: int) -> np.ndarray:
        """Return labels (B,) on the host. Raises UserError unless there is one for every image, each of a class."""
        labels = to_host(as_array("labels", labels, self.xp.ndarray))
        if labels.shape != (images,) or labels.dtype.kind not in "iu":
            raise UserError(f"labels must be {images} whole numbers, not {labels.dtype} {labels.shape}")
        if images and not (labels.min() >= 0 and labels.max() < self.config.classes):
            named = f" (they number {', '.join(self.class_names[:5])}, ...: see class_names)" * bool(self.origin)
            raise UserError(
                f"labels must be from 0 to {self.config.classes - 1}{named}, not {labels.min()} to {labels.max()}"
            )
        return labels


def _loss(log_p: np.ndarray, labels: np.ndarray) -> RAMLoss:
    rows = np.arange(len(labels))
    wrong = log_p.argmax(axis=1) != labels
    return RAMLoss(-float(log_p[rows, labels].mean(dtype=np.float64)), float(wrong.mean()))
