"""Gaussian process regression: the log marginal likelihood, fitted by SciPy's L-BFGS.

    python examples/gaussian_process.py [--rows 300] [--out runs/gp]

Predicts the progression of diabetes (scikit-learn's data set) with one length scale for each of the ten
columns. The likelihood and its gradient share one Cholesky factor, since the kernel matrix is declared
positive definite. Reports the test error beside that of linear regression, and writes a plot of predictions
against truth.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import symgrad as sg


def kernel(x: Any, z: Any, log_scales: Any, log_size: Any) -> Any:
    """exp(log_size) exp(-|x - z|^2 / 2), each column in units of its length scale."""
    scales = sg.exp(log_scales)
    difference = (x / scales)[:, None, :] - (z / scales)[None, :, :]
    return sg.exp(log_size - 0.5 * sg.sum(difference**2, axis=-1))


def log_marginal_likelihood(x: Any, y: Any, theta: Any) -> Any:
    """log N(y | 0, K + noise 1)."""
    columns, n = x.shape[1], x.shape[0]
    k = kernel(x, x, theta[:columns], theta[columns]) + sg.exp(theta[columns + 1]) * sg.eye(n)
    k = sg.assume(k, "positive_definite")
    fit = y @ sg.linalg.solve(k, y)
    return -0.5 * (fit + sg.linalg.slogdet(k).logabsdet + np.log(2 * np.pi) * y.size)


def prediction(x: Any, y: Any, z: Any, theta: Any) -> tuple[Any, Any]:
    """The mean and the variance of what is observed at z."""
    columns, n = x.shape[1], x.shape[0]
    noise = sg.exp(theta[columns + 1])
    k = kernel(x, x, theta[:columns], theta[columns]) + noise * sg.eye(n)
    factor = sg.linalg.cholesky(k)
    across = kernel(x, z, theta[:columns], theta[columns])
    half = sg.linalg.solve_triangular(factor, across, lower=True)
    mean = half.T @ sg.linalg.solve_triangular(factor, y, lower=True)
    return mean, sg.exp(theta[columns]) + noise - sg.sum(half**2, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=300, help="to fit; the others test")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("runs/gp"))
    options = parser.parse_args()

    rows, targets = load_diabetes(return_X_y=True)
    a, b, ya, yb = train_test_split(rows, targets, train_size=options.rows, random_state=0)
    centre, spread = a.mean(0), a.std(0)
    a, b = (a - centre) / spread, (b - centre) / spread
    mean, size = ya.mean(), ya.std()
    ya, yb = (ya - mean) / size, (yb - mean) / size

    columns = a.shape[1]
    x, y = sg.tensor("x", ("n", columns)), sg.vector("y", "n")
    theta = sg.vector("theta", columns + 2)
    cost = -log_marginal_likelihood(x, y, theta)
    f = sg.function([theta, x, y], [cost, sg.grad(cost, theta)], name="likelihood")
    start = np.concatenate([np.full(columns, np.log(4.0)), [0.0, np.log(0.5)]])
    found = minimize(
        lambda t: f(t, a, ya), start, jac=True, method="L-BFGS-B", options={"maxiter": options.iterations}
    )
    print(f"log marginal likelihood {-f(start, a, ya)[0]:.2f} -> {-found.fun:.2f}, {found.nfev} evaluations")

    z = sg.tensor("z", ("m", columns))
    predict = sg.function([x, y, z, theta], list(prediction(x, y, z, theta)), name="predict")
    guess, variance = predict(a, ya, b, found.x)
    linear = np.linalg.lstsq(np.c_[a, np.ones(len(a))], ya, rcond=None)[0]
    errors = [np.sqrt(np.mean((p - yb) ** 2)) for p in (guess, np.c_[b, np.ones(len(b))] @ linear)]
    print(f"test error {errors[0]:.4f}, of linear regression {errors[1]:.4f} (standard deviations)")
    inside = np.mean(np.abs(guess - yb) < 1.96 * np.sqrt(variance))
    print(f"{100 * inside:.0f} % of the test set within the 95 % intervals")

    options.out.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplots(figsize=(5, 5))
    axes.errorbar(yb, guess, 1.96 * np.sqrt(variance), fmt=".", linewidth=0.5)
    axes.plot([-2, 2.5], [-2, 2.5], "k:")
    axes.set_xlabel("progression of diabetes, measured")
    axes.set_ylabel("predicted, with 95 % intervals")
    figure.savefig(options.out / "predictions.png", dpi=120)
    print(f"wrote {options.out / 'predictions.png'}")


if __name__ == "__main__":
    main()
