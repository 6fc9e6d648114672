"""The gradient of Rosenbrock's function of ten parameters, as a minimiser calls it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload


def inputs(rng: np.random.Generator, parameters: int) -> dict[str, Array]:
    return {"x": rng.normal(size=parameters)}


def by_symgrad(sg: Any, data: Data) -> Program:
    x = sg.vector("x", size=data["x"].size)
    y = sg.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return Program(sg.function([x], sg.grad(y, x)), (data["x"],))


def by_numpy(np: Any, data: Data) -> Program:
    def gradient(x: Array) -> Array:
        rest = x[1:] - x[:-1] ** 2
        d_x = np.zeros_like(x)
        d_x[:-1] = -400 * x[:-1] * rest - 2 * (1 - x[:-1])
        d_x[1:] += 200 * rest
        return d_x

    return Program(gradient, (data["x"],))


def by_jax(jax: Any, data: Data) -> Program:
    def rosenbrock(x: Any) -> Any:
        return jax.numpy.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Program(jax.jit(jax.grad(rosenbrock)), (data["x"],))


def by_torch(forms: Any, data: Data) -> Program:
    def rosenbrock(x: Any) -> Any:
        return forms.torch.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return Program(forms.derivative(rosenbrock), (data["x"],))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    x = pytensor.tensor.dvector("x")
    y = pytensor.tensor.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
    return Program(pytensor.function([x], pytensor.grad(y, x)), (data["x"],))


WORKLOAD = Workload(
    name="ten",
    title="gradient of a function of 10 parameters",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("gradient",),
    sizes={"parameters": 10},
    tiny={"parameters": 10},
    small_call=True,
)
