"""Black-Scholes calls: the sum of their prices, delta, theta (as d price / d T), rho, vega, and gamma.

S: price of the share, K: strike, T: years, r: rate, v: volatility; each option has its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtr

from benchmarks.harness import Array, Data, Program, Workload

ROOT2 = math.sqrt(2)


def inputs(rng: np.random.Generator, options: int) -> dict[str, Array]:
    return {
        "S": rng.uniform(80, 120, options),
        "K": rng.uniform(80, 120, options),
        "T": rng.uniform(0.1, 2, options),
        "r": rng.uniform(0.01, 0.05, options),
        "v": rng.uniform(0.1, 0.5, options),
    }


def prices(xp: Any, erf: Any, S: Any, K: Any, T: Any, r: Any, v: Any) -> Any:
    """The sum of all prices, in the terms of any package with NumPy's names."""

    def normal(z: Any) -> Any:
        return 0.5 * (1 + erf(z / ROOT2))

    d1 = (xp.log(S / K) + (r + v * v / 2) * T) / (v * xp.sqrt(T))
    d2 = d1 - v * xp.sqrt(T)
    return xp.sum(S * normal(d1) - K * xp.exp(-r * T) * normal(d2))


def by_symgrad(sg: Any, data: Data) -> Program:
    S, _, T, r, v = a = [sg.vector(name, size="n") for name in data]
    total = prices(sg, sg.erf, *a)
    delta, theta, rho, vega = sg.grad(total, [S, T, r, v])
    gamma = sg.grad(sg.sum(delta), S)
    return Program(sg.function(a, [total, delta, theta, rho, vega, gamma]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def greeks(S: Array, K: Array, T: Array, r: Array, v: Array) -> list[Any]:
        root = np.sqrt(T)
        d1 = (np.log(S / K) + (r + v * v / 2) * T) / (v * root)
        d2 = d1 - v * root
        delta = ndtr(d1)
        owed = K * np.exp(-r * T) * ndtr(d2)
        density = np.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
        vega = S * density * root
        theta = vega * v / (2 * T) + r * owed
        return [np.sum(S * delta - owed), delta, theta, T * owed, vega, density / (S * v * root)]

    return Program(greeks, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    def total(*a: Any) -> Any:
        return prices(jax.numpy, jax.scipy.special.erf, *a)

    @jax.jit
    def greeks(*a: Any) -> Any:
        value, slopes = jax.value_and_grad(total, (0, 2, 3, 4))(*a)
        gamma = jax.grad(lambda S: jax.numpy.sum(jax.grad(total)(S, *a[1:])))(a[0])
        return value, *slopes, gamma

    return Program(greeks, tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch

    def total(*a: Any) -> Any:
        return prices(torch, torch.erf, *a)

    def by_tape(*a: Any) -> Any:
        S, K, T, r, v = (x.detach().requires_grad_() for x in a)
        value = total(S, K, T, r, v)
        slopes = torch.autograd.grad(value, [S, T, r, v], create_graph=True)
        (gamma,) = torch.autograd.grad(slopes[0].sum(), S)
        return value.detach(), *(x.detach() for x in slopes), gamma

    def as_graph(*a: Any) -> Any:
        slopes, value = torch.func.grad_and_value(total, (0, 2, 3, 4))(*a)
        gamma = torch.func.grad(lambda S: torch.sum(torch.func.grad(total)(S, *a[1:])))(a[0])
        return value, *slopes, gamma

    return Program(forms.compiled(as_graph) if forms.compiler else by_tape, tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    tensor = pytensor.tensor
    S, _, T, r, v = a = [tensor.dvector(name) for name in data]
    total = prices(tensor, tensor.erf, *a)
    slopes = pytensor.grad(total, [S, T, r, v])
    gamma = pytensor.grad(slopes[0].sum(), S)
    return Program(pytensor.function(a, [total, *slopes, gamma]), tuple(data.values()))


WORKLOAD = Workload(
    name="black-scholes",
    title="Black-Scholes with Greeks, 1,000,000 options, float64",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("total", "delta", "theta", "rho", "vega", "gamma"),
    sizes={"options": 1_000_000},
    tiny={"options": 37},
    moved=lambda options: 10 * 8 * options,
)
