"""The nearest of 256 centres for each point, and the squared distance to it: a step of k-means.

Squared distances as |c|^2 - 2 x.c, to which |x|^2 is added at the end, in every system.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload


def inputs(rng: np.random.Generator, points: int, dims: int, centres: int) -> dict[str, Array]:
    """Points about the centres, so that the nearest one is no matter of rounding."""
    c = rng.standard_normal((centres, dims), dtype=np.float32)
    x = c[rng.integers(0, centres, points)] + rng.standard_normal((points, dims), dtype=np.float32) / 4
    return {"x": x, "c": c}


def by_symgrad(sg: Any, data: Data) -> Program:
    dims = data["x"].shape[1]
    x = sg.matrix("x", shape=("n", dims), dtype="float32")
    c = sg.matrix("c", shape=data["c"].shape, dtype="float32")
    d = sg.sum(c * c, axis=1) - 2 * (x @ c.T)
    nearest = [sg.argmin(d, axis=1), sg.min(d, axis=1) + sg.sum(x * x, axis=1)]
    return Program(sg.function([x, c], nearest), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def nearest(x: Array, c: Array) -> list[Array]:
        d = x @ (-2 * c.T)
        d += np.einsum("ij,ij->i", c, c)
        index = d.argmin(axis=1)
        return [index, np.take_along_axis(d, index[:, None], 1)[:, 0] + np.einsum("ij,ij->i", x, x)]

    return Program(nearest, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp = jax.numpy

    @jax.jit
    def nearest(x: Any, c: Any) -> Any:
        d = jnp.sum(c * c, axis=1) - 2 * (x @ c.T)
        return jnp.argmin(d, axis=1), jnp.min(d, axis=1) + jnp.sum(x * x, axis=1)

    return Program(nearest, tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch

    def nearest(x: Any, c: Any) -> Any:
        smallest, index = torch.min(torch.addmm(c.square().sum(1), x, c.T, alpha=-2), dim=1)
        return index, smallest + x.square().sum(1)

    return Program(forms.compiled(nearest), tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    x, c = pt.fmatrix("x"), pt.fmatrix("c")
    d = pt.sum(c * c, axis=1) - 2 * (x @ c.T)
    nearest = [pt.argmin(d, axis=1), pt.min(d, axis=1) + pt.sum(x * x, axis=1)]
    return Program(pytensor.function([x, c], nearest), tuple(data.values()))


WORKLOAD = Workload(
    name="pairwise",
    title="nearest of 256 centres for 20,000 points in 64 dimensions, float32",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("index", "distance"),
    sizes={"points": 20_000, "dims": 64, "centres": 256},
    tiny={"points": 23, "dims": 5, "centres": 6},
    moved=lambda points, dims, centres: 4 * points * dims + 4 * centres * dims + 12 * points,
    flops=lambda points, dims, centres: 2 * points * dims * centres,
)
