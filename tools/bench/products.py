"""The matrix products with weights alone, which no version can avoid: what is left of a step when all else is free.

One product a layer and glimpse forward, one backward to the layer's inputs, and one a layer over all glimpses for the
gradient of its weights, into memory at hand. The products of the filters with images are left out.
"""

import importlib

import numpy as np

from minidraw.parallel.shard import pitched

from .problem import Problem

VARIANTS = ("numpy", "torch", "jax")  # whose products


class Contestant:
    """The products of all layers, on the given library's BLAS with `threads` threads."""

    def __init__(self, problem: Problem, variant: str, threads: int):
        library = importlib.import_module(variant)
        self.versions = f"{variant} {library.__version__}"
        self.compiled = compiled(problem) if variant == "jax" else None
        if self.compiled:
            return
        self.product = np.matmul if variant == "numpy" else library.mm
        if variant == "torch":
            library.set_num_threads(threads)
            library.set_grad_enabled(False)
        convert = np.asarray if variant == "numpy" else library.from_numpy
        self.layers = [Layer(convert, weights, problem) for weights in matrices(problem)]
        self.once = None
        if problem.config.read_size is None:  # the image meets its rows of the encoder's weights once
            rows = problem.params["encoder.W"][: problem.x[0].size]
            self.once = Layer(convert, rows, problem, glimpses=1)

    def run(self) -> None:
        """Do all products."""
        if self.compiled:
            self.compiled()
            return
        product = self.product
        if self.once:
            product(self.once.inputs[0], self.once.weights, out=self.once.outputs[0])
            product(self.once.inputs[0].T, self.once.outputs[0], out=self.once.gradient)
        for t in range(len(self.layers[0].inputs)):
            for layer in self.layers:
                product(layer.inputs[t], layer.weights, out=layer.outputs[t])
        for t in range(len(self.layers[0].inputs)):
            for layer in self.layers:
                product(layer.outputs[t], layer.transposed, out=layer.dinputs)
        for layer in self.layers:
            product(layer.all_inputs.T, layer.all_outputs, out=layer.gradient)

    def answer(self) -> None:
        """There is none."""


def compiled(problem: Problem):
    """Return a function that does the same in one program of XLA, whose products are those of oneDNN or Eigen."""
    import jax

    layers = [Layer(np.asarray, weights, problem) for weights in matrices(problem)]
    weights = [layer.weights for layer in layers]
    inputs = [layer.inputs for layer in layers]

    def step(_, given):
        return None, [jax.numpy.matmul(a, W) for a, W in zip(given, weights, strict=True)]

    def step_back(_, given):
        return None, [jax.numpy.matmul(d, W.T) for d, W in zip(given, weights, strict=True)]

    def program(old, weights, inputs):
        outputs = jax.lax.scan(step, None, inputs)[1]
        dinputs = jax.lax.scan(step_back, None, outputs)[1]
        pairs = zip(inputs, outputs, strict=True)
        return outputs, dinputs, [jax.numpy.einsum("tbk,tbn->kn", a, d) for a, d in pairs]

    run = jax.jit(program, donate_argnums=0, keep_unused=True)
    given = jax.device_put((weights, inputs))
    results = [run(None, *given)]

    def again() -> None:
        results[0] = jax.block_until_ready(run(results[0], *given))

    return again


class Layer:
    """One layer's weights (K, n), and memory for its inputs, outputs and their gradients at all glimpses."""

    def __init__(self, convert, weights: np.ndarray, problem: Problem, glimpses: int | None = None):
        T, B, (K, n) = glimpses or problem.config.glimpses, problem.batch, weights.shape
        rng = np.random.default_rng(0)
        # As minidraw lays them out, see minidraw/parallel/shard.py; the copies themselves are not timed.
        straight, turned = pitched(K, n, weights.dtype), pitched(n, K, weights.dtype)
        straight[:], turned[:] = weights, weights.T
        self.weights, self.transposed = convert(straight), convert(turned)
        self.inputs = convert(rng.standard_normal((T, B, K), np.float32))
        self.outputs = convert(np.zeros((T, B, n), np.float32))
        self.all_inputs, self.all_outputs = self.inputs.reshape(T * B, K), self.outputs.reshape(T * B, n)
        self.dinputs, self.gradient = convert(np.zeros((B, K), np.float32)), convert(np.zeros((K, n), np.float32))


def matrices(problem: Problem) -> list[np.ndarray]:
    """Return the weights of encoder, latent, decoder, and of all that the decoder's state feeds, side by side."""
    params = problem.params
    encoder = params["encoder.W"]
    if problem.config.read_size is None:
        encoder = encoder[problem.x[0].size :]
    heads = [params[name] for name in ("write.W", "patch.W", "read.W") if name in params]
    return [encoder, params["latent.W"], params["decoder.W"], np.concatenate(heads, axis=1)]
