"""The gradient of sin(x) x for one number: what a call costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload


def inputs(rng: np.random.Generator) -> dict[str, Array]:
    return {"x": np.array(0.7)}


def by_symgrad(sg: Any, data: Data) -> Program:
    x = sg.scalar("x")
    return Program(sg.function([x], sg.grad(sg.sin(x) * x, x)), (data["x"],))


def by_numpy(np: Any, data: Data) -> Program:
    return Program(lambda x: np.cos(x) * x + np.sin(x), (data["x"],))


def by_jax(jax: Any, data: Data) -> Program:
    return Program(jax.jit(jax.grad(lambda x: jax.numpy.sin(x) * x)), (data["x"],))


def by_torch(forms: Any, data: Data) -> Program:
    return Program(forms.derivative(lambda x: forms.torch.sin(x) * x), (data["x"],))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    x = pytensor.tensor.dscalar("x")
    return Program(pytensor.function([x], pytensor.grad(pytensor.tensor.sin(x) * x, x)), (data["x"],))


WORKLOAD = Workload(
    name="scalar",
    title="gradient of sin(x) x, one number",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("gradient",),
    sizes={},
    tiny={},
    small_call=True,
)
