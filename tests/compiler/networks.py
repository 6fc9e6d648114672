"""Five gradient graphs of the kind that people compile, each with arguments; for tests and benchmarks.

Float64, so that what the optimizer changes can be told from rounding. `scale` divides the sizes: 1 is what
benchmarks run, tests take smaller ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.ir.graph import Graph


@dataclass(frozen=True)
class Network:
    """A graph and arguments for it."""

    graph: Graph
    arguments: list[np.ndarray[Any, Any]]

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs by name, as `function` takes them."""
        return dict(zip(self.graph.output_names, self.graph.outputs, strict=True))

    def compile(self, backend: str, passes: Sequence[Any] | None = None) -> Any:
        return sg.function(self.graph.inputs, list(self.graph.outputs), backend=backend, passes=passes)


class _Inputs:
    """Inputs with values, made together."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.tensors: list[Any] = []
        self.values: list[Any] = []

    def __call__(self, name: str, *shape: int, size: float = 1.0) -> Any:
        return self.add(sg.tensor(name, shape), size * self.rng.normal(size=shape))

    def weight(self, name: str, rows: int, columns: int) -> Any:
        return self(name, rows, columns, size=rows**-0.5)

    def labels(self, name: str, count: int, classes: int) -> Any:
        value = self.rng.integers(0, classes, size=count)
        return self.add(sg.tensor(name, (count,), dtype="int64"), value)

    def add(self, tensor: Any, value: Any) -> Any:
        self.tensors.append(tensor)
        self.values.append(value)
        return tensor

    def network(self, outputs: Any, name: str) -> Network:
        return Network(Graph(self.tensors, outputs, name=name), self.values)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    """As one writes it down: minus the mean logarithm of the probability of the label."""
    hot = sg.one_hot(labels, logits.shape[-1])
    return -sg.mean(sg.sum(hot * sg.log(sg.softmax(logits, axis=-1)), axis=-1))


def _mlp(make: _Inputs, scale: int) -> tuple[Any, list[Any]]:
    batch, sizes = 128 // scale, [784 // scale, 256 // scale, 128 // scale, 10]
    h, labels = make("x", batch, sizes[0]), make.labels("labels", batch, sizes[-1])
    weights = []
    for i, (rows, columns) in enumerate(pairwise(sizes)):
        w, b = make.weight(f"w{i}", rows, columns), make(f"b{i}", columns, size=0.1)
        weights += [w, b]
        h = h @ w + b
        if columns != sizes[-1]:
            h = sg.tanh(h)
    return _cross_entropy(h, labels), weights


def mlp_loss(scale: int = 1) -> Network:
    """Loss and gradient of a network of three layers with cross-entropy."""
    make = _Inputs()
    loss, weights = _mlp(make, scale)
    return make.network([loss, *sg.grad(loss, weights)], "mlp_loss")


def mlp_hvp(scale: int = 1) -> Network:
    """The Hessian-vector product of the same loss."""
    make = _Inputs()
    loss, weights = _mlp(make, scale)
    vectors = [make(f"v_{w.name}", *w.shape) for w in weights]
    return make.network(sg.hvp(loss, weights, vectors), "mlp_hvp")


def _layer_norm(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - sg.mean(x, axis=-1, keepdims=True)
    spread = sg.mean(centred**2, axis=-1, keepdims=True)
    return centred / sg.sqrt(spread + 1e-5) * gain + bias


def attention(scale: int = 1) -> Network:
    """Gradient of a transformer's block: attention in four heads, then a wide layer, each behind a norm."""
    make = _Inputs()
    batch, length, width, heads = 4, 64 // scale, 128 // scale, 4
    each = width // heads
    x, target = make("x", batch, length, width), make("target", batch, length, width)
    p: dict[str, Any] = {k: make.weight(k, width, width) for k in ("wq", "wk", "wv", "wo")}
    p |= {"w1": make.weight("w1", width, 4 * width), "w2": make.weight("w2", 4 * width, width)}
    p |= {k: make(k, width, size=0.1) for k in ("gain1", "bias1", "gain2", "bias2")}
    h = _layer_norm(x, 1 + p["gain1"], p["bias1"])

    def split(w: Any) -> Any:
        return sg.permute_dims((h @ w).reshape(batch, length, heads, each), (0, 2, 1, 3))

    q, k, v = split(p["wq"]), split(p["wk"]), split(p["wv"])
    scores = q @ k.mT / each**0.5
    e = sg.exp(scores)
    mixed = (e / sg.sum(e, axis=-1, keepdims=True)) @ v
    x = x + sg.permute_dims(mixed, (0, 2, 1, 3)).reshape(batch, length, width) @ p["wo"]
    h = _layer_norm(x, 1 + p["gain2"], p["bias2"])
    x = x + sg.gelu(h @ p["w1"]) @ p["w2"]
    loss = sg.mean((x - target) ** 2)
    return make.network([loss, *sg.grad(loss, list(p.values()))], "attention")


def lstm(scale: int = 1) -> Network:
    """Gradient through 20 steps of an LSTM, unrolled."""
    make = _Inputs()
    steps, batch, inputs, hidden = 20, 32 // scale, 64 // scale, 128 // scale
    xs, target = make("xs", steps, batch, inputs), make("target", batch, hidden)
    u, w = make.weight("u", inputs, 4 * hidden), make.weight("w", hidden, 4 * hidden)
    b = make("b", 4 * hidden, size=0.1)
    h, c = sg.zeros((batch, hidden)), sg.zeros((batch, hidden))
    for i in range(steps):
        z = xs[i] @ u + h @ w + b
        now, keep, give, new = (z[:, j * hidden : (j + 1) * hidden] for j in range(4))
        c = c / (1 + sg.exp(-keep)) + sg.tanh(new) / (1 + sg.exp(-now))
        h = sg.tanh(c) / (1 + sg.exp(-give))
    loss = sg.mean((h - target) ** 2)
    return make.network([loss, *sg.grad(loss, [u, w, b])], "lstm")


def fourth_derivative(scale: int = 1) -> Network:
    """The fourth derivative of exp(sin x) tanh x, element by element."""
    make = _Inputs()
    x = make("x", 100_000 // scale)
    y = sg.exp(sg.sin(x)) * sg.tanh(x)
    for _ in range(4):
        y = sg.grad(sg.sum(y), x)
    return make.network([y], "fourth_derivative")


NETWORKS: dict[str, Callable[[int], Network]] = {
    "MLP loss": mlp_loss,
    "attention block": attention,
    "LSTM, 20 steps": lstm,
    "MLP Hessian-vector": mlp_hvp,
    "4th derivative": fourth_derivative,
}
