"""A multilayer perceptron with softmax cross-entropy, and its training step, in symgrad."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symgrad as sg


@dataclass
class Network:
    """Inputs, parameters and results of the network, all symbolic."""

    x: Any
    y: Any
    weights: list[Any]
    biases: list[Any]
    loss: Any
    prediction: Any

    @property
    def parameters(self) -> list[Any]:
        return [*self.weights, *self.biases]


def build(sizes: Sequence[int], rng: np.random.Generator) -> Network:
    """Layers of the given sizes, ReLU between them, He's initialisation, float32."""
    pairs = list(itertools.pairwise(sizes))
    weights = [
        sg.shared((rng.standard_normal(p) * np.sqrt(2 / p[0])).astype(np.float32), f"w{i}")
        for i, p in enumerate(pairs)
    ]
    biases = [sg.shared(np.zeros(p[1], np.float32), f"b{i}") for i, p in enumerate(pairs)]
    x = sg.tensor("x", ("n", sizes[0]), "float32")
    y = sg.tensor("y", ("n",), "int64")
    h = x
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = (h @ w + b).named(f"z{i}")
        h = sg.relu(z).named(f"h{i}") if i < len(pairs) - 1 else z
    log_probability = sg.log_softmax(h, axis=1)
    loss = -sg.mean(sg.sum(log_probability * sg.one_hot(y, sizes[-1], "float32"), axis=1))
    return Network(x, y, weights, biases, loss.named("loss"), sg.argmax(h, axis=1).named("digit"))


def gradient_step(net: Network, rate: float) -> Callable[..., Any]:
    """One step of plain gradient descent: the loss before it, the parameters updated in place."""
    gradients = sg.grad(net.loss, net.parameters)
    updates = {p: p - rate * g for p, g in zip(net.parameters, gradients, strict=True)}
    return sg.function([net.x, net.y], net.loss, updates=updates, name="step")


def momentum_step(net: Network, momentum: float = 0.9) -> Callable[..., Any]:
    """One step of gradient descent with momentum; the rate is an argument, so that it can fall."""
    rate = sg.scalar("rate", dtype="float32")
    updates = {}
    for p, g in zip(net.parameters, sg.grad(net.loss, net.parameters), strict=True):
        velocity = sg.shared(np.zeros(p.shape, np.float32), f"velocity_{p.name}")
        updates[velocity] = momentum * velocity - rate * g
        updates[p] = p + updates[velocity]
    return sg.function([net.x, net.y, rate], net.loss, updates=updates, name="step")


def predictor(net: Network) -> Callable[..., Any]:
    """Images -> digits."""
    return sg.function([net.x], net.prediction, name="predict")
