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
    """Parameters, inputs and results, all symbolic."""

    weights: list[Any]
    biases: list[Any]
    inputs: list[Any]
    x: Any
    y: Any
    loss: Any
    prediction: Any

    @property
    def parameters(self) -> list[Any]:
        return [*self.weights, *self.biases]


def parameters(sizes: Sequence[int], rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    """Weights (He's initialisation) and biases for layers of the given sizes, as shared state in float32."""
    pairs = list(itertools.pairwise(sizes))
    weights = [(rng.standard_normal(p) * np.sqrt(2 / p[0])).astype(np.float32) for p in pairs]
    biases = [np.zeros(p[1], np.float32) for p in pairs]
    return [sg.shared(w, f"w{i}") for i, w in enumerate(weights)], [
        sg.shared(b, f"b{i}") for i, b in enumerate(biases)
    ]


def build(weights: list[Any], biases: list[Any], batch: int | str = "n") -> Network:
    """The network on batches of a fixed number of rows, or of any number: a symbolic size."""
    x = sg.tensor("x", (batch, weights[0].shape[0]), "float32")
    y = sg.tensor("y", (batch,), "int64")
    return _network(weights, biases, [x, y], x, y)


def build_on(weights: list[Any], biases: list[Any], images: Any, labels: Any, batch: int) -> Network:
    """The network on a data set that is shared state; the input is which rows make the batch."""
    rows = sg.vector("rows", size=batch, dtype="int64")
    return _network(
        weights, biases, [rows], sg.take(images, rows, axis=0).named("x"), sg.take(labels, rows).named("y")
    )


def _network(weights: list[Any], biases: list[Any], inputs: list[Any], x: Any, y: Any) -> Network:
    h = x
    for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = (h @ w + b).named(f"z{i}")
        h = sg.relu(z).named(f"h{i}") if i < len(weights) - 1 else z
    log_probability = sg.log_softmax(h, axis=1)
    classes = weights[-1].shape[1]
    loss = -sg.mean(sg.sum(log_probability * sg.one_hot(y, classes, "float32"), axis=1))
    return Network(weights, biases, inputs, x, y, loss.named("loss"), sg.argmax(h, axis=1).named("digit"))


def gradient_step(net: Network, rate: float) -> Callable[..., Any]:
    """One step of plain gradient descent: the loss before it, the parameters updated in place."""
    gradients = sg.grad(net.loss, net.parameters)
    updates = {p: p - rate * g for p, g in zip(net.parameters, gradients, strict=True)}
    return sg.function(net.inputs, net.loss, updates=updates, name="step")


def momentum_step(net: Network, momentum: float = 0.9) -> Callable[..., Any]:
    """One step of gradient descent with momentum; the rate is an argument, so that it can fall."""
    rate = sg.scalar("rate", dtype="float32")
    updates = {}
    for p, g in zip(net.parameters, sg.grad(net.loss, net.parameters), strict=True):
        velocity = sg.shared(np.zeros(p.shape, np.float32), f"velocity_{p.name}")
        updates[velocity] = momentum * velocity - rate * g
        updates[p] = p + updates[velocity]
    return sg.function([*net.inputs, rate], net.loss, updates=updates, name="step")


def predictor(net: Network) -> Callable[..., Any]:
    """Images -> digits."""
    return sg.function([net.x], net.prediction, name="predict")
