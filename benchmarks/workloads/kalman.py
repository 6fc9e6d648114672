"""The log likelihood of a Kalman filter (4 states, 2 measurements a step), its gradient in two noise levels:
symgrad and PyTorch unrolled, JAX as a scan, which is its faster form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.harness import Array, Data, Program, Workload

STEP = 0.1
F = np.array([[1, 0, STEP, 0], [0, 1, 0, STEP], [0, 0, 1, 0], [0, 0, 0, 1.0]])
H = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])
_B = np.array([[STEP**2 / 2, 0], [0, STEP**2 / 2], [STEP, 0], [0, STEP]])
G = _B @ _B.T


def inputs(rng: np.random.Generator, steps: int) -> dict[str, Array]:
    state, places = np.array([0.0, 0.0, 1.0, 0.5]), []
    for _ in range(steps):
        state = F @ state + np.sqrt(2) * _B @ rng.normal(size=2)
        places.append(H @ state + np.sqrt(0.05) * rng.normal(size=2))
    return {"theta": np.array([0.5, -2.5]), "places": np.array(places)}


def by_symgrad(sg: Any, data: Data) -> Program:
    theta, places = a = [sg.tensor(name, value.shape) for name, value in data.items()]
    steps = places.shape[0]
    noise, measured = sg.exp(theta[0]) * G, sg.exp(theta[1]) * np.eye(2)
    state, p = sg.zeros(4), 10.0 * sg.eye(4)
    cost = steps * math.log(2 * math.pi)
    for t in range(steps):
        state, p = F @ state, F @ p @ F.T + noise
        seen = H @ p
        factor = sg.linalg.cholesky(seen @ H.T + measured)
        error = sg.linalg.solve_triangular(factor, places[t] - H @ state, lower=True)
        gain = sg.linalg.solve_triangular(factor, seen, lower=True)
        state, p = state + gain.T @ error, p - gain.T @ gain
        cost = cost + 0.5 * (error @ error) + sg.sum(sg.log(sg.diagonal(factor)))
    return Program(sg.function(a, [cost, sg.grad(cost, theta)]), tuple(data.values()))


def by_numpy(np: Any, data: Data) -> Program:
    """The derivatives of the filter's own recursions, carried along."""

    def gradient(theta: Array, places: Array) -> list[Any]:
        noise, measured = np.exp(theta[0]) * G, np.exp(theta[1]) * np.eye(2)
        d_noise, d_measured = [noise, 0 * noise], [0 * measured, measured]
        state, p = np.zeros(4), 10.0 * np.eye(4)
        d_state, d_p = [np.zeros(4)] * 2, [np.zeros((4, 4))] * 2
        cost, slopes = len(places) * math.log(2 * math.pi), np.zeros(2)
        for place in places:
            state, p = F @ state, F @ p @ F.T + noise
            inner = H @ p @ H.T + measured
            inverse = np.linalg.inv(inner)
            gain, v = p @ H.T @ inverse, place - H @ state
            u = inverse @ v
            cost += 0.5 * v @ u + 0.5 * np.linalg.slogdet(inner)[1]
            for i in range(2):
                ds, dp = F @ d_state[i], F @ d_p[i] @ F.T + d_noise[i]
                d_inner, dv = H @ dp @ H.T + d_measured[i], -H @ ds
                slopes[i] += dv @ u - 0.5 * u @ d_inner @ u + 0.5 * np.trace(inverse @ d_inner)
                d_gain = (dp @ H.T - gain @ d_inner) @ inverse
                d_state[i] = ds + d_gain @ v + gain @ dv
                d_p[i] = dp - d_gain @ H @ p - gain @ H @ dp
            state, p = state + gain @ v, p - gain @ H @ p
        return [cost, slopes]

    return Program(gradient, tuple(data.values()))


def by_jax(jax: Any, data: Data) -> Program:
    jnp, linalg = jax.numpy, jax.scipy.linalg

    def cost(theta: Any, places: Any) -> Any:
        noise, measured = jnp.exp(theta[0]) * G, jnp.exp(theta[1]) * jnp.eye(2)

        def step(carried: Any, place: Any) -> Any:
            state, p = carried
            state, p = F @ state, F @ p @ F.T + noise
            seen = H @ p
            factor = jnp.linalg.cholesky(seen @ H.T + measured)
            error = linalg.solve_triangular(factor, place - H @ state, lower=True)
            gain = linalg.solve_triangular(factor, seen, lower=True)
            term = 0.5 * (error @ error) + jnp.sum(jnp.log(jnp.diag(factor)))
            return (state + gain.T @ error, p - gain.T @ gain), term

        _, terms = jax.lax.scan(step, (jnp.zeros(4), 10.0 * jnp.eye(4)), places)
        return jnp.sum(terms) + places.shape[0] * math.log(2 * math.pi)

    return Program(jax.jit(jax.value_and_grad(cost)), tuple(data.values()))


def by_torch(forms: Any, data: Data) -> Program:
    torch = forms.torch
    f, h, g = (torch.tensor(m) for m in (F, H, G))
    eye = torch.eye(2, dtype=f.dtype)

    def cost(theta: Any, places: Any) -> Any:
        noise, measured = torch.exp(theta[0]) * g, torch.exp(theta[1]) * eye
        state, p = torch.zeros(4, dtype=f.dtype), 10.0 * torch.eye(4, dtype=f.dtype)
        total = torch.tensor(places.shape[0] * math.log(2 * math.pi), dtype=f.dtype)
        for t in range(places.shape[0]):
            state, p = f @ state, f @ p @ f.T + noise
            seen = h @ p
            factor = torch.linalg.cholesky(seen @ h.T + measured)
            error = torch.linalg.solve_triangular(factor, (places[t] - h @ state)[:, None], upper=False)[:, 0]
            gain = torch.linalg.solve_triangular(factor, seen, upper=False)
            state, p = state + gain.T @ error, p - gain.T @ gain
            total = total + 0.5 * (error @ error) + torch.log(torch.diagonal(factor)).sum()
        return total

    return Program(forms.value_and_gradient(cost, (0,)), tuple(data.values()))


WORKLOAD = Workload(
    name="kalman",
    title="Kalman filter: log likelihood and gradient, 4 states, 200 steps, float64",
    inputs=inputs,
    versions={"symgrad": by_symgrad, "numpy": by_numpy, "jax": by_jax, "torch": by_torch},
    outputs=("cost", "d_theta"),
    sizes={"steps": 200},
    tiny={"steps": 5},
    moved=lambda steps: 16 * steps,
)
