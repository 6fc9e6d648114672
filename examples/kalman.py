"""The likelihood of a Kalman filter, unrolled, and its maximum by gradients.

A point moves in the plane with nearly constant velocity (4 states); its place is measured (2 numbers a step):

    state_t = F state_(t-1) + noise of covariance q G        place_t = H state_t + noise of covariance r 1

The filter runs over all steps as one straight graph; the gradient with respect to log q and log r is another.
Small matrices of known size become unrolled native code.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from scipy.optimize import minimize

import symgrad as sg

STEP = 0.1
F = np.array([[1, 0, STEP, 0], [0, 1, 0, STEP], [0, 0, 1, 0], [0, 0, 0, 1.0]])
H = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])
_B = np.array([[STEP**2 / 2, 0], [0, STEP**2 / 2], [STEP, 0], [0, STEP]])
G = _B @ _B.T


def simulate(steps: int, q: float, r: float, seed: int = 0) -> np.ndarray:
    """Measured places, of shape (steps, 2)."""
    rng = np.random.default_rng(seed)
    state, places = np.array([0.0, 0.0, 1.0, 0.5]), []
    for _ in range(steps):
        state = F @ state + np.sqrt(q) * _B @ rng.normal(size=2)
        places.append(H @ state + np.sqrt(r) * rng.normal(size=2))
    return np.array(places)


def log_likelihood(places: Any, log_q: Any, log_r: Any) -> Any:
    """The sum of log densities of what is measured, each given all before it."""
    steps = places.shape[0]
    q, r = sg.exp(log_q), sg.exp(log_r)
    noise, measured = q * G, r * np.eye(2)
    state, p = sg.zeros(4), 10.0 * sg.eye(4)
    total = -steps * np.log(2 * np.pi)
    for t in range(steps):
        state, p = F @ state, F @ p @ F.T + noise
        seen = H @ p
        l = sg.linalg.cholesky(seen @ H.T + measured)
        error = sg.linalg.solve_triangular(l, places[t] - H @ state, lower=True)
        gain = sg.linalg.solve_triangular(l, seen, lower=True)
        state, p = state + gain.T @ error, p - gain.T @ gain
        total = total - 0.5 * (error @ error) - sg.sum(sg.log(sg.diagonal(l)))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    places = simulate(steps, q=2.0, r=0.05)
    x = sg.tensor("places", (steps, 2))
    theta = sg.vector("theta", 2)
    value = log_likelihood(x, theta[0], theta[1])
    f = sg.function([theta, x], [-value, -sg.grad(value, theta)])

    found = minimize(lambda t: f(t, places), np.zeros(2), jac=True, method="L-BFGS-B")
    q, r = np.exp(found.x)
    print(f"{steps} steps, {found.nfev} evaluations: log likelihood {-found.fun:.3f}")
    print(f"process noise {q:.3f} (simulated with 2), measurement noise {r:.4f} (0.05)")
    print(f"gradient at the maximum: {np.abs(found.jac).max():.1e}")


if __name__ == "__main__":
    main()
