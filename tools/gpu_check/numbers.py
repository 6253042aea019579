"""Whether the GPU's numbers are right: products, losses and gradients, noise."""

import numpy as np

from minidraw import DRAW, RAM, DRAWConfig, RAMConfig
from minidraw.backend import array_module, to_host
from minidraw.presets import preset

from .report import Outcome

SMALL = {  # sizes pairwise different
    "grey, attention": DRAWConfig((1, 11, 13), 4, 5, 6, 10, 9, 8),
    "colour, attention": DRAWConfig((3, 13, 10), 4, 3, 6, 10, 9, 8),
    "grey, none": DRAWConfig((1, 11, 13), 4, None, None, 10, 9, 8),
    "colour, none": DRAWConfig((3, 11, 13), 4, None, None, 10, 9, 8),
    "read only": DRAWConfig((3, 11, 13), 4, 5, None, 10, 9, 8),
    "classifier": RAMConfig((1, 11, 13), 4, 5, 9, 6),
}
PAPER = {"mnist": preset("mnist").replace(glimpses=16).model}
# largest relative errors that pass: of the loss, of a gradient. TF32 keeps ten bits of every factor.
PRECISIONS = {"float64": (1e-12, 1e-10), "float32": (1e-5, 1e-4), "tf32": (1e-2, 0.1)}


def relative(got, exact) -> float:
    """Return the error of an array relative to the norm of the exact one; infinite if it is not a number."""
    difference = np.linalg.norm(to_host(got).astype(np.float64) - exact) / max(float(np.linalg.norm(exact)), 1e-300)
    return float(np.nan_to_num(difference, nan=np.inf))


def products(options, outcome: Outcome) -> None:
    """Multiply as the model does, and within a graph."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((500, 768)), rng.standard_normal((768, 1024))
    stack, other = rng.standard_normal((64, 30, 28)), rng.standard_normal((64, 28, 5))
    rows = [["product", "CuPy's", "ours, float32", "ours, tf32"]]
    xp, tf32 = array_module("cupy"), array_module("cupy", "tf32")

    def single(x):
        return xp.asarray(x.astype(np.float32))

    A, B = single(a), single(b)
    exact = a.astype(np.float32).astype(np.float64) @ b.astype(np.float32).astype(np.float64)
    cases = {
        "500×768 times 768×1024": (A, B, exact),
        "both transposed": (single(a.T.copy()).T, single(b.T.copy()).T, exact),
        "columns of wider ones": (single(np.hstack([a, a]))[:, :768], single(np.hstack([b, b]))[:, 1024:], exact),
        "64 of 30×28 times 28×5": (single(stack), single(other), to_host(single(stack)).astype(float) @ other),
    }
    for name, (left, right, expected) in cases.items():
        errors = [relative(with_.matmul(left, right), expected) for with_ in (xp.cupy, xp, tf32)]
        rows.append([name, *errors])
        outcome.expect(errors[1] < 5e-6, f"{name}: float32 is wrong by {errors[1]:.1e}")
        outcome.expect(errors[2] < 3e-3, f"{name}: tf32 is wrong by {errors[2]:.1e}")
    outcome.tables.append(rows)
    out, stream = xp.zeros((500, 1024), np.float32), xp.cuda.Stream()
    with stream:
        xp.matmul(A, B, out=out)
        stream.begin_capture()
        xp.matmul(A, B, out=out)
        graph = stream.end_capture()
        A *= 2.0
        out[...] = 0.0
        graph.launch(stream)
        stream.synchronize()
    outcome.expect(relative(out, 2 * exact) < 5e-6, "a product in a graph, its factor doubled since, is wrong")


def parity(options, outcome: Outcome) -> None:
    """Compare networks with random parameters, and the paper's for MNIST with those that training starts from."""
    rows = [["network", "precision", "loss", "gradient", "of"]]
    for name, config in (SMALL | PAPER).items():
        network = RAM if isinstance(config, RAMConfig) else DRAW
        host = network(config, dtype="float64")
        if name in SMALL:
            host.flat_params[:] = 0.4 * np.random.default_rng(1).standard_normal(host.flat_params.size)
        inputs = examples(config, 7 if name in SMALL else 20)
        expected, expected_grads = host.loss_and_grads(*inputs)
        for precision, (loss_limit, grads_limit) in PRECISIONS.items():
            dtype = "float64" if precision == "float64" else "float32"
            model = network(config, "cupy", dtype, precision="tf32" if precision == "tf32" else "float32")
            model.flat_params[...] = model.xp.asarray(host.flat_params.astype(dtype))
            loss, grads = model.loss_and_grads(*(x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs))
            wrong = abs(loss.total - expected.total) / abs(expected.total)
            errors = {key: relative(grads[key], expected_grads[key]) for key in grads}
            worst = max(errors, key=errors.get)
            rows.append([name, precision, float(wrong), errors[worst], worst])
            right = wrong <= loss_limit and errors[worst] <= grads_limit
            outcome.expect(right, f"{name} in {precision}: loss {wrong:.1e}, {worst} {errors[worst]:.1e}")
    outcome.tables.append(rows)


def examples(config, images: int) -> tuple:
    """Return images and noise for DRAW, images and labels for RAM, that are the same in both precisions."""
    rng = np.random.default_rng(0)
    x = rng.random((images, *config.image_shape), np.float32).astype(np.float64)
    if isinstance(config, RAMConfig):
        return x, rng.integers(0, config.classes, images)
    shape = config.glimpses, images, config.latent_size
    return x, rng.standard_normal(shape, np.float32).astype(np.float64)


def noise(options, outcome: Outcome) -> None:
    """Look at a million numbers of the kernel that draws noise."""
    xp, n = array_module("cupy"), 1 << 20
    rows = [["step", "mean", "variance", "skewness", "kurtosis", "largest"]]
    drawn = []
    for step in (0, 1, 1 << 33):
        out, counts = xp.empty(n, np.float32), xp.asarray(np.array([step, 0, 0, 0, 0]))
        xp.kernels.elements("normals", n // 4, out, counts, np.uint64(7), np.int64(n))
        x = to_host(out).astype(np.float64)
        moments = [float((x**k).mean()) for k in (1, 2, 3, 4)]
        rows.append([step, *moments, float(np.abs(x).max())])
        deviations = [(moments[0], 1), (moments[1] - 1, 2), (moments[2], 15), (moments[3] - 3, 96)]
        right = all(abs(value) < 6 * np.sqrt(variance / n) for value, variance in deviations)
        outcome.expect(right, f"the noise of step {step} is not standard normal")
        drawn.append(x)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        correlation = float((drawn[one] * drawn[other]).mean())
        outcome.expect(abs(correlation) < 6 / np.sqrt(n), f"steps have the same noise: {correlation:.2g}")
    outcome.tables.append(rows)
