"""DRAW in PyTorch, by its autograd, written for speed.

Pixels lie as (B, H, C, W), so that every product with filters is one batched product without copies; both images are
read through one filterbank, softmax is the filterbank's normalisation, and one product serves all that h_dec feeds.
"hoisted": autograd stops at the outputs of each layer, and a weight's gradient is one product over all glimpses, not
a product and an addition at each; "oneDNN": products by oneDNN, on AMD processors twice as fast as the MKL that
torch.addmm takes. For torch_compiled.py the step alone is compiled: 64 unrolled ones take torch.compile minutes.
"""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from minidraw import DRAWConfig

from .problem import Problem

VARIANTS = ("", "hoisted", "hoisted oneDNN")
LAYERS = ("encoder", "latent", "decoder", "heads")


class Contestant:
    """The step as it is, or, in torch_compiled.py, compiled."""

    step = staticmethod(lambda function: function)

    def __init__(self, problem: Problem, variant: str, threads: int):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        self.config, self.hoisted, self.onednn = problem.config, "hoisted" in variant, "oneDNN" in variant
        self.params = {name: torch.tensor(array).requires_grad_() for name, array in problem.params.items()}
        self.x = torch.tensor(problem.x.transpose(0, 2, 1, 3).copy())  # (B, H, C, W)
        self.noise = torch.tensor(problem.noise)
        self.glimpse = self.step(Glimpse(problem.config))
        self.versions = f"torch {torch.__version__}, oneDNN {torch.backends.mkldnn.is_available()}"

    def run(self) -> None:
        """Compute the loss and its gradients."""
        weights, biases = layers(self.params, self.config, self.x)
        self.loss, self.grads = (self._hoisted if self.hoisted else self._plain)(weights, biases)

    def _plain(self, weights: dict, biases: dict):
        loss, _ = self._forward(weights, lambda t: biases)
        names = list(self.params)
        return loss.detach(), dict(zip(names, torch.autograd.grad(loss, list(self.params.values())), strict=True))

    def _hoisted(self, weights: dict, biases: dict):
        T, B = self.config.glimpses, len(self.x)
        weights = {name: W.detach() for name, W in weights.items()}
        if self.onednn:
            weights = {name: (W, W.T.contiguous()) for name, W in weights.items()}
        rows = {name: b.detach().expand(B, b.shape[-1]) for name, b in biases.items()}
        leaves = [{name: row.detach().requires_grad_() for name, row in rows.items()} for _ in range(T)]
        loss, inputs = self._forward(weights, lambda t: leaves[t])
        few = [name for name in ("h_enc0", "h_dec0", "canvas0", "read.W", "read.b") if name in self.params]
        wanted = [self.params[name] for name in few] + [leaf[name] for name in LAYERS for leaf in leaves]
        found = torch.autograd.grad(loss, wanted, allow_unused=True)
        grads, found = dict(zip(few, found, strict=False)), found[len(few) :]
        with torch.no_grad():
            for k, name in enumerate(LAYERS):
                per_step = torch.stack(found[k * T : (k + 1) * T])  # (T, B, n)
                flat = per_step.flatten(0, 1)
                layer_in = torch.stack([step[k] for step in inputs]).flatten(0, 1)
                dW = onednn(layer_in.T, flat.T) if self.onednn else layer_in.T @ flat
                share_out(grads, name, dW, flat.sum(0), self.config)
            if self.config.read_size is None:
                image = canonical(self.x)
                encoder = sum(found[: self.config.glimpses])
                grads["encoder.W"] = torch.cat([image.T @ encoder, grads["encoder.W"]])
        return loss.detach(), grads

    def _forward(self, weights: dict, biases):
        config, p, B = self.config, self.params, len(self.x)
        C, H, W = config.image_shape
        h_enc, h_dec = p["h_enc0"].expand(B, -1), p["h_dec0"].expand(B, -1)
        cells = [torch.zeros(B, size) for size in (config.enc_size, config.dec_size)]
        canvas = p["canvas0"].view(C, H, W).transpose(0, 1).expand(B, H, C, W)
        window = None
        if config.read_size is not None:
            window = (p["read.b"] + p["h_dec0"] @ p["read.W"]).expand(B, 5)
        state, latent, inputs = (h_enc, cells[0], h_dec, cells[1], canvas, window), [], []
        for t in range(config.glimpses):
            state, kl, used = self.glimpse(weights, biases(t), state, self.x, self.noise[t])
            latent.append(kl)
            inputs.append([part.detach() for part in used])
        nats = binary_cross_entropy_with_logits(state[4], self.x, reduction="sum")
        constant = config.glimpses * config.latent_size / 2
        return (nats + torch.stack(latent).sum()) / B - constant, inputs

    def answer(self) -> tuple[float, dict[str, np.ndarray]]:
        """Return the last run's loss and gradients."""
        return float(self.loss), {name: grad.numpy() for name, grad in self.grads.items()}


def layers(params: dict, config: DRAWConfig, x) -> tuple[dict, dict]:
    """Return weights and biases by layer; without attention the image's share of the encoder is in its bias."""
    heads = [name for name in ("write", "patch", "read") if f"{name}.W" in params]
    weights = {name: params[f"{name}.W"] for name in LAYERS[:3]}
    biases = {name: params[f"{name}.b"] for name in LAYERS[:3]}
    weights["heads"] = torch.cat([params[f"{name}.W"] for name in heads], 1)
    biases["heads"] = torch.cat([params[f"{name}.b"] for name in heads])
    if config.read_size is None:
        image = canonical(x)
        of_image, weights["encoder"] = weights["encoder"].split(
            [image.shape[1], len(weights["encoder"]) - image.shape[1]]
        )
        biases["encoder"] = torch.addmm(biases["encoder"], image, of_image)
    return weights, biases


def canonical(images):
    """Return (B, H, C, W) as (B, C·H·W)."""
    return images.transpose(1, 2).flatten(1)


def share_out(grads: dict, name: str, dW, db, config: DRAWConfig) -> None:
    """Enter a layer's gradients; `heads` is three layers, and read has one already, from the first glimpse."""
    if name != "heads":
        grads[f"{name}.W"], grads[f"{name}.b"] = dW, db
        return
    first = 0 if config.write_size is None else 5
    last = dW.shape[1] - (0 if config.read_size is None else 5)
    grads["patch.W"], grads["patch.b"] = dW[:, first:last], db[first:last]
    if first:
        grads["write.W"], grads["write.b"] = dW[:, :first], db[:first]
    if config.read_size is not None:
        grads["read.W"], grads["read.b"] = grads["read.W"] + dW[:, last:], grads["read.b"] + db[last:]


class Glimpse(torch.nn.Module):
    """One glimpse (eqs 3-8): the next state, the KL without its constant, and the inputs of the LAYERS."""

    def __init__(self, config: DRAWConfig):
        super().__init__()
        self.config = config
        for name, N in (("read", config.read_size), ("write", config.write_size)):
            if N is not None:
                self.register_buffer(f"{name}_grid", torch.arange(1, N + 1) - (N / 2 + 0.5))
        for A in config.image_shape[1:]:
            self.register_buffer(f"pixels{A}", torch.arange(1.0, A + 1))

    def forward(self, weights: dict, biases: dict, state: tuple, x, noise):
        h_enc, cell_enc, h_dec, cell_dec, canvas, window = state
        error = x - torch.sigmoid(canvas)
        glimpse = canonical(error) if window is None else self.read(window, x, error)
        encoder_in = torch.cat([glimpse, h_dec, h_enc], 1)
        h_enc, cell_enc = lstm(affine(biases["encoder"], encoder_in, weights["encoder"]), cell_enc)
        mu, log_sigma = affine(biases["latent"], h_enc, weights["latent"]).chunk(2, 1)
        sigma = log_sigma.exp()
        z = torch.addcmul(mu, sigma, noise)
        kl = (0.5 * (mu.square() + sigma.square()) - log_sigma).sum()
        decoder_in = torch.cat([z, h_dec], 1)
        h_dec, cell_dec = lstm(affine(biases["decoder"], decoder_in, weights["decoder"]), cell_dec)
        heads = affine(biases["heads"], h_dec, weights["heads"])
        written, window = self.write(heads)
        return (h_enc, cell_enc, h_dec, cell_dec, canvas + written, window), kl, (encoder_in, h_enc, decoder_in, h_dec)

    def filters(self, window, grid):
        """Return F_X (B, N, W), F_Y (B, N, H) and gamma (B, 1, 1)."""
        _, H, W = self.config.image_shape
        variance, delta, gamma = window[:, 2:].exp().split(1, 1)  # (B, 1) each
        places = grid * (delta * ((max(H, W) - 1) / (len(grid) - 1)))  # (B, N)
        scale = (-0.5 / variance)[:, :, None, None]
        if H == W:
            F = self.filterbank((window[:, :2] + 1) * ((W + 1) / 2), places, scale, W)
            F_X, F_Y = F.unbind(1)
        else:
            F_X = self.filterbank((window[:, :1] + 1) * ((W + 1) / 2), places, scale, W).squeeze(1)
            F_Y = self.filterbank((window[:, 1:2] + 1) * ((H + 1) / 2), places, scale, H).squeeze(1)
        return F_X, F_Y, gamma[:, :, None]

    def filterbank(self, g, places, scale, A: int):
        mu = g[:, :, None] + places[:, None]  # (B, 1 or 2, N)
        distance = getattr(self, f"pixels{A}") - mu[..., None]
        return torch.softmax(distance.square() * scale, 3)

    def read(self, window, x, error):
        """Return the glimpse (B, 2·C·N·N) of eq. 27."""
        B, H, C, W = x.shape
        N = self.config.read_size
        F_X, F_Y, gamma = self.filters(window, self.read_grid)
        images = torch.cat([x, error], 2).view(B, H * 2 * C, W)
        columns = torch.bmm(images, F_X.transpose(1, 2)).view(B, H, 2 * C * N)
        seen = torch.bmm(F_Y, columns) * gamma
        return seen.view(B, N, 2 * C, N).transpose(1, 2).reshape(B, -1)

    def write(self, heads):
        """Return what is written, (B, H, C, W), and the next glimpse's reading window."""
        C, H, W = self.config.image_shape
        M, N, B = self.config.write_size, self.config.read_size, len(heads)
        window = None
        if N is not None:
            heads, window = heads.split([heads.shape[1] - 5, 5], 1)
        if M is None:
            return heads.reshape(B, C, H, W).transpose(1, 2), window
        own, patch = heads.split([5, C * M * M], 1)
        F_X, F_Y, gamma = self.filters(own, self.write_grid)
        patch = patch.reshape(B, C, M, M).transpose(1, 2).reshape(B, M, C * M) / gamma
        columns = torch.bmm(F_Y.transpose(1, 2), patch).view(B, H * C, M)
        return torch.bmm(columns, F_X).view(B, H, C, W), window


def affine(bias, inputs, weights):
    """Return bias + inputs weights; `weights` is a matrix, or it and its transpose for oneDNN, bias then (B, n)."""
    return Affine.apply(bias, inputs, *weights) if isinstance(weights, tuple) else torch.addmm(bias, inputs, weights)


def onednn(a, b):
    """Return a b^T."""
    return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


class Affine(torch.autograd.Function):
    """The same by oneDNN, which torch.addmm does not use in float32; weights get no gradient here."""

    @staticmethod
    def forward(ctx, bias, inputs, weights, transposed):
        ctx.save_for_backward(weights)
        return onednn(inputs, transposed).add_(bias)

    @staticmethod
    def backward(ctx, doutputs):
        return doutputs, onednn(doutputs, *ctx.saved_tensors), None, None


def lstm(gates, cell):
    """Return the new hidden state and cell, from the gates i, f, o, g before their nonlinearities."""
    h = cell.shape[1]
    sigmoids, g = gates.split([3 * h, h], 1)
    i, f, o = sigmoids.sigmoid().chunk(3, 1)
    cell = torch.addcmul(f * cell, i, g.tanh())
    return o * cell.tanh(), cell
