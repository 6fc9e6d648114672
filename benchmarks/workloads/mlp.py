"""A perceptron with rectified layers: the mean softmax cross-entropy, and its gradient by all weights.

The versions take as many layers as there are weights: `softmax_regression` has one; `hvp` uses the losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload


def layers(rng: np.random.Generator, widths: Sequence[int], scale: float = 1.0) -> dict[str, Array]:
    """Weights as He et al. draw them, times `scale`, and biases: w0, b0, w1, b1 and so on."""
    found: dict[str, Array] = {}
    for i, (rows, columns) in enumerate(pairwise(widths)):
        normal = rng.standard_normal((rows, columns), dtype=np.float32)
        found[f"w{i}"] = normal * np.float32(scale * (2 / rows) ** 0.5)
        found[f"b{i}"] = np.zeros(columns, np.float32)
    return found


def inputs(rng: np.random.Generator, batch: int, columns: int, hidden: int, classes: int) -> dict[str, Array]:
    return {
        "x": rng.standard_normal((batch, columns), dtype=np.float32),
        "label": rng.integers(0, classes, batch),
    } | layers(rng, (columns, hidden, hidden, classes))


def loss_by_symgrad(sg: Any, x: Any, label: Any, *weights: Any) -> Any:
    h = x @ weights[0] + weights[1]
    for w, b in zip(weights[2::2], weights[3::2], strict=True):
        h = sg.relu(h) @ w + b
    chosen = sg.take_along_axis(h, label[:, None], axis=1)[:, 0]
    return sg.mean(sg.logsumexp(h, axis=-1) - chosen)


def by_symgrad(sg: Any, data: Data) -> Program:
    a = [sg.tensor(name, value.shape, dtype=str(value.dtype)) for name, value in data.items()]
    loss = loss_by_symgrad(sg, *a)
    return Program(sg.function(a, [loss, *sg.grad(loss, a[2:])]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def both(x: Array, label: Array, *weights: Array) -> list[Any]:
        w, b, rows = weights[0::2], weights[1::2], np.arange(len(x))
        z = x @ w[0] + b[0]
        h = [x]
        for i in range(1, len(w)):
            h.append(np.maximum(z, 0))
            z = h[-1] @ w[i] + b[i]
        z -= z.max(axis=1, keepdims=True)
        d_z = np.exp(z)
        total = d_z.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - z[rows, label])
        d_z /= total * len(x)
        d_z[rows, label] -= 1 / len(x)
        slopes: list[Any] = []
        for i in reversed(range(len(w))):
            slopes[:0] = [h[i].T @ d_z, d_z.sum(axis=0)]
            if i:
                d_z = (d_z @ w[i].T) * (h[i] > 0)
        return [loss, *slopes]

    return Program(both, tuple(data.values()))


def loss_by_jax(jax: Any) -> Callable[..., Any]:
    jnp = jax.numpy

    def loss(x: Any, label: Any, *weights: Any) -> Any:
        h = x @ weights[0] + weights[1]
        for w, b in zip(weights[2::2], weights[3::2], strict=True):
            h = jax.nn.relu(h) @ w + b
        chosen = jnp.take_along_axis(h, label[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(h, axis=-1) - chosen)

    return loss


def by_jax(jax: Any, data: Data) -> Program:
    wrt = tuple(range(2, len(data)))
    return Program(jax.jit(jax.value_and_grad(loss_by_jax(jax), wrt)), tuple(data.values()))


def loss_by_torch(torch: Any) -> Callable[..., Any]:
    functional = torch.nn.functional

    def loss(x: Any, label: Any, *weights: Any) -> Any:
        h = torch.addmm(weights[1], x, weights[0])
        for w, b in zip(weights[2::2], weights[3::2], strict=True):
            h = torch.addmm(b, functional.relu(h), w)
        return functional.cross_entropy(h, label)

    return loss


def by_torch(forms: Any, data: Data) -> Program:
    wrt = tuple(range(2, len(data)))
    return Program(forms.value_and_gradient(loss_by_torch(forms.torch), wrt), tuple(data.values()))


def loss_by_pytensor(pt: Any, x: Any, label: Any, *weights: Any) -> Any:
    h = x @ weights[0] + weights[1]
    for w, b in zip(weights[2::2], weights[3::2], strict=True):
        h = pt.maximum(h, 0) @ w + b
    return pt.mean(pt.logsumexp(h, axis=-1) - h[pt.arange(h.shape[0]), label])


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    a = [pt.tensor(name, dtype=value.dtype, shape=value.shape) for name, value in data.items()]
    loss = loss_by_pytensor(pt, *a)
    return Program(pytensor.function(a, [loss, *pytensor.grad(loss, a[2:])]), tuple(data.values()))


#: By package; of as many layers as the data have.
VERSIONS = {
    "symgrad": by_symgrad,
    "numpy": by_numpy,
    "jax": by_jax,
    "torch": by_torch,
    "pytensor": by_pytensor,
}


def flops(batch: int, columns: int, hidden: int, classes: int) -> int:
    """Three products of each layer, but for the gradient by x, which nobody asks for."""
    return 2 * batch * (3 * (columns * hidden + hidden * hidden + hidden * classes) - columns * hidden)


WORKLOAD = Workload(
    name="mlp",
    title="loss and gradient of a perceptron 784-512-512-10, batch of 128, float32",
    inputs=inputs,
    versions=VERSIONS,
    outputs=("loss", "d_w0", "d_b0", "d_w1", "d_b1", "d_w2", "d_b2"),
    sizes={"batch": 128, "columns": 784, "hidden": 512, "classes": 10},
    tiny={"batch": 9, "columns": 21, "hidden": 17, "classes": 5},
    flops=flops,
)
