"""The log marginal likelihood of a Gaussian process and its gradient in 8 hyperparameters: 6 length scales,
the size and the noise of a squared exponential kernel, as an optimiser calls them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from benchmarks.harness import Array, Data, Program, Workload


def inputs(rng: np.random.Generator, rows: int, columns: int) -> dict[str, Array]:
    x = rng.normal(size=(rows, columns))
    y = np.sin(x[:, 0]) + 0.1 * rng.normal(size=rows)
    theta = np.concatenate([np.full(columns, 0.5), [0.0, -2.0]])
    return {"theta": theta, "x": x, "y": y}


def by_symgrad(sg: Any, data: Data) -> Program:
    theta, x, y = a = [sg.tensor(name, value.shape) for name, value in data.items()]
    n, d = x.shape
    z = x / sg.exp(theta[:d])
    distance = sg.sum((z[:, None, :] - z[None, :, :]) ** 2, axis=-1)
    k = sg.exp(theta[d] - 0.5 * distance) + sg.exp(theta[d + 1]) * sg.eye(n)
    k = sg.assume(k, "positive_definite")
    fit = y @ sg.linalg.solve(k, y) + sg.linalg.slogdet(k).logabsdet
    cost = 0.5 * (fit + n * math.log(2 * math.pi))
    return Program(sg.function(a, [cost, sg.grad(cost, theta)]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def gradient(theta: Array, x: Array, y: Array) -> list[Any]:
        n, d = x.shape
        z = x / np.exp(theta[:d])
        squares = [(z[:, None, i] - z[None, :, i]) ** 2 for i in range(d)]
        signal, noise = np.exp(theta[d] - 0.5 * sum(squares)), np.exp(theta[d + 1])
        factor = cho_factor(signal + noise * np.eye(n), lower=True)
        alpha, inverse = cho_solve(factor, y), cho_solve(factor, np.eye(n))
        cost = 0.5 * (y @ alpha + n * np.log(2 * np.pi)) + np.log(np.diag(factor[0])).sum()
        back = 0.5 * (inverse - np.outer(alpha, alpha))
        weights = back * signal
        slopes = [np.sum(weights * s) for s in squares]
        return [cost, np.array([*slopes, weights.sum(), noise * np.trace(back)])]

    return Program(gradient, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp, linalg = jax.numpy, jax.scipy.linalg

    def cost(theta: Any, x: Any, y: Any) -> Any:
        n, d = x.shape
        z = x / jnp.exp(theta[:d])
        distance = jnp.sum((z[:, None, :] - z[None, :, :]) ** 2, axis=-1)
        k = jnp.exp(theta[d] - 0.5 * distance) + jnp.exp(theta[d + 1]) * jnp.eye(n)
        factor = jnp.linalg.cholesky(k)
        half = linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * (half @ half + n * math.log(2 * math.pi)) + jnp.sum(jnp.log(jnp.diag(factor)))

    return Program(jax.jit(jax.value_and_grad(cost)), tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch

    def cost(theta: Any, x: Any, y: Any) -> Any:
        n, d = x.shape
        z = x / torch.exp(theta[:d])
        distance = (z[:, None, :] - z[None, :, :]).square().sum(-1)
        k = torch.exp(theta[d] - 0.5 * distance) + torch.exp(theta[d + 1]) * torch.eye(n, dtype=x.dtype)
        factor = torch.linalg.cholesky(k)
        half = torch.linalg.solve_triangular(factor, y[:, None], upper=False)[:, 0]
        return 0.5 * (half @ half + n * math.log(2 * math.pi)) + torch.log(torch.diagonal(factor)).sum()

    return Program(forms.value_and_gradient(cost, (0,)), tuple(data.values()))


WORKLOAD = Workload(
    name="gaussian-process",
    title="Gaussian process: log marginal likelihood and gradient, 1,000 rows, 8 hyperparameters, float64",
    inputs=inputs,
    versions={"symgrad": by_symgrad, "numpy": by_numpy, "jax": by_jax, "torch": by_torch},
    outputs=("cost", "d_theta"),
    sizes={"rows": 1000, "columns": 6},
    tiny={"rows": 30, "columns": 3},
    moved=lambda rows, columns: 8 * rows * (columns + 1),
)
