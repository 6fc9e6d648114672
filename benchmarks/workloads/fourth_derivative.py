"""The fourth derivative of exp(sin x) tanh x, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload

ORDER = 4


def inputs(rng: np.random.Generator, points: int) -> dict[str, Array]:
    return {"x": rng.normal(size=points)}


def by_symgrad(sg: Any, data: Data) -> Program:
    x = sg.vector("x", size="n")
    y = sg.exp(sg.sin(x)) * sg.tanh(x)
    for _ in range(ORDER):
        y = sg.grad(sg.sum(y), x)
    return Program(sg.function([x], y), (data["x"],))


def by_numpy(np: Any, data: Data) -> Program:
    def fourth(x: Array) -> Array:
        """Leibniz' rule on both factors' derivatives by hand; q is the derivative of tanh."""
        s, c, t = np.sin(x), np.cos(x), np.tanh(x)
        q = 1 / np.square(np.cosh(x))
        c2 = c * c
        by_exp = [1, c, c2 - s, c * (c2 - 3 * s - 1), c2 * (c2 - 6 * s - 4) + s * (3 * s + 1)]
        by_tanh = [t, q, -2 * t * q, q * (6 * t * t - 2), 8 * t * q * (2 - 3 * t * t)]
        terms = zip((1, 4, 6, 4, 1), by_exp, reversed(by_tanh), strict=True)
        return np.exp(s) * sum(n * a * b for n, a, b in terms)

    return Program(fourth, (data["x"],))


def by_jax(jax: Any, data: Data) -> Program:
    def y(x: Any) -> Any:
        return jax.numpy.exp(jax.numpy.sin(x)) * jax.numpy.tanh(x)

    for _ in range(ORDER):
        y = jax.grad(y)
    return Program(jax.jit(jax.vmap(y)), (data["x"],))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch

    def y(x: Any) -> Any:
        return torch.exp(torch.sin(x)) * torch.tanh(x)

    return Program(forms.derivative(y, ORDER), (data["x"],))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    x = pt.dvector("x")
    y = pt.exp(pt.sin(x)) * pt.tanh(x)
    for _ in range(ORDER):
        y = pytensor.grad(y.sum(), x)
    return Program(pytensor.function([x], y), (data["x"],))


WORKLOAD = Workload(
    name="fourth-derivative",
    title="4th derivative of exp(sin x) tanh x, 1,000,000 points, float64",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("derivative",),
    sizes={"points": 1_000_000},
    tiny={"points": 43},
    moved=lambda points: 2 * 8 * points,
)
