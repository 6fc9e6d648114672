"""A product with the Hessian of the perceptron's loss, by all weights: forward mode over the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload
from benchmarks.workloads import mlp


def inputs(rng: np.random.Generator, **sizes: int) -> dict[str, Array]:
    found = mlp.inputs(rng, **sizes)
    weights = [name for name in found if name[0] in "wb"]
    return found | {f"v_{k}": rng.standard_normal(found[k].shape, dtype=np.float32) for k in weights}


def by_symgrad(sg: Any, data: Data) -> Program:
    a = [sg.tensor(name, value.shape, dtype=str(value.dtype)) for name, value in data.items()]
    last = 2 + (len(a) - 2) // 2
    product = sg.hvp(mlp.loss_by_symgrad(sg, *a[:last]), a[2:last], a[last:])
    return Program(sg.function(a, product), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    """Tangents beside values, t_ before their names (Pearlmutter 1994)."""

    def product(x: Array, label: Array, *a: Array) -> list[Array]:
        half = len(a) // 2
        w, b, t_w, t_b = a[0:half:2], a[1:half:2], a[half::2], a[half + 1 :: 2]
        h, t_h = [x], [np.zeros_like(x)]
        z, t_z = x @ w[0] + b[0], x @ t_w[0] + t_b[0]
        for i in range(1, len(w)):
            h.append(np.maximum(z, 0))
            t_h.append(t_z * (z > 0))
            z, t_z = h[i] @ w[i] + b[i], t_h[i] @ w[i] + h[i] @ t_w[i] + t_b[i]
        share = np.exp(z - z.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        t_d = share * (t_z - np.sum(share * t_z, axis=1, keepdims=True)) / len(x)
        d = share / len(x)
        d[np.arange(len(x)), label] -= 1 / len(x)
        found: list[Array] = []
        for i in reversed(range(len(w))):
            found[:0] = [t_h[i].T @ d + h[i].T @ t_d, t_d.sum(axis=0)]
            if i:
                live = h[i] > 0
                d, t_d = (d @ w[i].T) * live, (t_d @ w[i].T + d @ t_w[i].T) * live
        return found

    return Program(product, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    last = 2 + (len(data) - 2) // 2
    gradient = jax.grad(mlp.loss_by_jax(jax), tuple(range(2, last)))

    @jax.jit
    def product(x: Any, label: Any, *a: Any) -> Any:
        weights, vectors = a[: last - 2], a[last - 2 :]
        return jax.jvp(lambda *w: gradient(x, label, *w), weights, vectors)[1]

    return Program(product, tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    last = 2 + (len(data) - 2) // 2
    loss = mlp.loss_by_torch(forms.torch)
    return Program(forms.hessian_product(loss, tuple(range(2, last))), tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    a = [pt.tensor(name, dtype=value.dtype, shape=value.shape) for name, value in data.items()]
    last = 2 + (len(a) - 2) // 2
    weights, vectors = a[2:last], a[last:]
    slopes = pytensor.grad(mlp.loss_by_pytensor(pt, *a[:last]), weights)
    along = sum((g * v).sum() for g, v in zip(slopes, vectors, strict=True))
    return Program(pytensor.function(a, pytensor.grad(along, weights)), tuple(data.values()))


def flops(batch: int, columns: int, hidden: int, classes: int) -> int:
    """Three products of the first layer, x w, x v and x' t_d; eight of each other, which are
    h w, t_h w, h v; t_h' d, h' t_d; d w', t_d w', d v'."""
    return 2 * batch * (3 * columns * hidden + 8 * (hidden * hidden + hidden * classes))


WORKLOAD = Workload(
    name="hvp",
    title="Hessian times vector of a perceptron 784-512-512-10, batch of 128, float32",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("w0", "b0", "w1", "b1", "w2", "b2"),
    sizes=mlp.WORKLOAD.sizes,
    tiny=mlp.WORKLOAD.tiny,
    flops=flops,
)
