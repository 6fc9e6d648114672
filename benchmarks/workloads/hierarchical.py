"""A hierarchical logistic regression: its log density and the gradient, as a sampler calls them.

    mu, z_j, beta_k ~ normal(0, 1),  sigma ~ half normal(0, 1),  alpha_j = mu + sigma z_j
    y_i ~ Bernoulli(sigmoid(x_i . beta + alpha_group(i)))

in the parameters mu, log sigma, z, beta, without constants, with the Jacobian of log sigma.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.harness import Array, Data, Program, Workload


def inputs(rng: np.random.Generator, rows: int, columns: int, groups: int) -> dict[str, Array]:
    group = rng.integers(0, groups, rows)
    x = rng.normal(size=(rows, columns))
    beta, z = rng.normal(size=columns) / 2, rng.normal(size=groups)
    y = rng.uniform(size=rows) < expit(x @ beta + 0.3 + 0.7 * z[group])
    return {
        "mu": np.array(0.25),
        "log_sigma": np.array(-0.4),
        "z": z + rng.normal(size=groups) / 10,
        "beta": beta + rng.normal(size=columns) / 10,
        "x": x,
        "group": group,
        "y": y.astype(np.float64),
    }


def by_symgrad(sg: Any, data: Data) -> Program:
    a = [sg.tensor(name, value.shape, dtype=str(value.dtype)) for name, value in data.items()]
    mu, log_sigma, z, beta, x, group, y = a
    eta = x @ beta + (mu + sg.exp(log_sigma) * z)[group]
    prior = log_sigma - (mu**2 + sg.exp(2 * log_sigma) + sg.sum(z**2) + sg.sum(beta**2)) / 2
    density = sg.sum(y * eta - sg.softplus(eta)) + prior
    return Program(sg.function(a, [density, *sg.grad(density, a[:4])]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    def gradient(
        mu: Array, log_sigma: Array, z: Array, beta: Array, x: Array, group: Array, y: Array
    ) -> list[Any]:
        sigma = np.exp(log_sigma)
        eta = x @ beta + (mu + sigma * z)[group]
        prior = log_sigma - (mu**2 + sigma**2 + z @ z + beta @ beta) / 2
        density = np.sum(y * eta - np.logaddexp(0, eta)) + prior
        rest = y - expit(eta)
        by_group = np.bincount(group, rest, minlength=z.size)
        return [
            density,
            np.sum(rest) - mu,
            sigma * (by_group @ z) + 1 - sigma**2,
            sigma * by_group - z,
            rest @ x - beta,
        ]

    return Program(gradient, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp = jax.numpy

    def density(mu: Any, log_sigma: Any, z: Any, beta: Any, x: Any, group: Any, y: Any) -> Any:
        eta = x @ beta + (mu + jnp.exp(log_sigma) * z)[group]
        prior = log_sigma - (mu**2 + jnp.exp(2 * log_sigma) + jnp.sum(z**2) + jnp.sum(beta**2)) / 2
        return jnp.sum(y * eta - jax.nn.softplus(eta)) + prior

    return Program(jax.jit(jax.value_and_grad(density, (0, 1, 2, 3))), tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch
    functional = torch.nn.functional

    def density(mu: Any, log_sigma: Any, z: Any, beta: Any, x: Any, group: Any, y: Any) -> Any:
        eta = x @ beta + (mu + torch.exp(log_sigma) * z)[group]
        prior = log_sigma - (mu**2 + torch.exp(2 * log_sigma) + z.square().sum() + beta.square().sum()) / 2
        return prior - functional.binary_cross_entropy_with_logits(eta, y, reduction="sum")

    return Program(forms.value_and_gradient(density, (0, 1, 2, 3)), tuple(data.values()))


def by_pytensor(pytensor: Any, data: Data) -> Program:
    pt = pytensor.tensor
    a = [pt.tensor(name, dtype=value.dtype, shape=value.shape) for name, value in data.items()]
    mu, log_sigma, z, beta, x, group, y = a
    eta = x @ beta + (mu + pt.exp(log_sigma) * z)[group]
    prior = log_sigma - (mu**2 + pt.exp(2 * log_sigma) + pt.sum(z**2) + pt.sum(beta**2)) / 2
    density = pt.sum(y * eta - pt.softplus(eta)) + prior
    return Program(pytensor.function(a, [density, *pytensor.grad(density, a[:4])]), tuple(data.values()))


WORKLOAD = Workload(
    name="hierarchical",
    title="hierarchical logistic regression, 50,000 x 20, 500 groups, float64",
    inputs=inputs,
    versions={
        "symgrad": by_symgrad,
        "numpy": by_numpy,
        "jax": by_jax,
        "torch": by_torch,
        "pytensor": by_pytensor,
    },
    outputs=("density", "d_mu", "d_log_sigma", "d_z", "d_beta"),
    sizes={"rows": 50_000, "columns": 20, "groups": 500},
    tiny={"rows": 41, "columns": 5, "groups": 7},
    moved=lambda rows, columns, groups: 8 * rows * (columns + 2),
)
