"""The classifier as a part whose gradients are checked."""

import math

import autograd.numpy as anp
import numpy as np
from support import gradcheck, plain

from minidraw import RAM, RAMConfig
from minidraw.model import reference

B = 7  # images


class Classifier(gradcheck.Part):
    """The whole classifier; the inputs are its parameters, the output is the mean cross entropy."""

    def __init__(self, channels: int):
        H, W = (13, 11) if channels == 2 else (11, 13)
        self.config = RAMConfig((channels, H, W), glimpses=4, read_size=5, hidden_size=6, classes=9)
        self.models = {name: RAM(self.config, dtype=name, threads=1) for name in ("float32", "float64")}
        rng = np.random.default_rng(channels)
        inputs = {name: 0.4 * rng.standard_normal(p.shape) for name, p in self.models["float64"].params.items()}
        self.labels = rng.integers(0, 9, B)
        super().__init__(inputs, {"x": rng.random((B, channels, H, W))}, (np.ones(()),))

    def prepare(self, x, **params):
        model = self.models[x.dtype.name]
        for name, param in params.items():
            model.params[name][...] = param
        gradcheck.spoil(model, len(x))
        return model

    def forward(self, x, **params):
        return (np.asarray(self.prepare(x, **params).loss(x, self.labels).total, x.dtype),)

    def backward(self, cotangents, x, **params):
        return self.prepare(x, **params).loss_and_grads(x, self.labels)[1]

    def reference(self, np, x, **params):
        log_p = reference.classify(params, x, self.config, np)
        return (-np.mean(log_p[anp.arange(B), self.labels]),)

    def plain(self, x, **params):
        p, N = {name: param.tolist() for name, param in params.items()}, self.config.read_size
        nats = []
        for image, label in zip(x.tolist(), self.labels, strict=True):
            h, cell = p["h0"], [0.0] * len(p["h0"])
            for _ in range(self.config.glimpses):
                seen = plain.read(image, plain.affine(p["read.W"], p["read.b"], h), N)
                h, cell = plain.lstm(p["lstm.W"], p["lstm.b"], seen + h, cell)
            logits = plain.affine(p["softmax.W"], p["softmax.b"], h)
            nats.append(math.log(sum(map(math.exp, logits))) - logits[label])
        return (np.mean(nats),)
