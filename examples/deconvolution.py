"""Deconvolution: sharp spectral lines, and the width of what blurred them, from a blurred and noisy spectrum.

The blur is a product of Fourier transforms, y = irfft(rfft(x) h(width)). Dividing by h, the naive inverse,
blows up the noise. Here lines x = u^2, which are not negative, and the width are found by Adam's method on

    mean((blurred(x) - measured)^2) + strength * mean(sqrt(x + 1e-6))

whose second term prefers few lines. The width starts too large. Gradients go through both transforms:
`sg.grad` knows their adjoints.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import symgrad as sg

LINES = {40: 1.0, 52: 0.8, 118: 0.6, 126: 1.2, 190: 0.5}
TRUE_WIDTH, NOISE = 4.0, 0.002


def response(width: Any, n: int) -> Any:
    """The transform of a Gaussian of unit area: exp(-2 (pi f width)^2)."""
    return sg.exp(-2 * (np.pi * width * sg.fft.rfftfreq(n)) ** 2)


def blurred(x: Any, width: Any, n: int) -> Any:
    """x convolved with the Gaussian, cyclically."""
    return sg.fft.irfft(sg.fft.rfft(x) * response(width, n), n)


def measure(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The true lines, and what is measured of them."""
    truth = np.zeros(n)
    truth[list(LINES)] = list(LINES.values())
    clean = blurred(sg.constant(truth), TRUE_WIDTH, n).eval()
    return truth, clean + NOISE * np.random.default_rng(0).normal(size=n)


def training_step(n: int, strength: float, rate: float) -> tuple[Any, dict[str, Any]]:
    """A function that makes one step, and the states: the root of x, the logarithm of the width."""
    measured = sg.vector("measured", size=n)
    step = sg.shared(0.0, "step")
    states = {"u": sg.shared(np.full(n, 0.3), "u"), "log_width": sg.shared(np.log(6.0), "log_width")}
    x, width = states["u"] ** 2, sg.exp(states["log_width"])
    misfit = sg.mean((blurred(x, width, n) - measured) ** 2)
    cost = misfit + strength * sg.mean(sg.sqrt(x + 1e-6))
    updates = {step: step + 1}
    for state, g in zip(states.values(), sg.grad(cost, list(states.values())), strict=True):
        m, v = (sg.shared(np.zeros(np.shape(state.get())), f"{kind}_{state.name}") for kind in "mv")
        updates[m], updates[v] = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        m_hat, v_hat = updates[m] / (1 - 0.9 ** (step + 1)), updates[v] / (1 - 0.999 ** (step + 1))
        updates[state] = state - rate * m_hat / (sg.sqrt(v_hat) + 1e-8)
    return sg.function([measured], [misfit, x, width], updates=updates, name="deconvolution"), states


def plot(path: Path, truth: np.ndarray, measured: np.ndarray, found: np.ndarray) -> None:
    """The three spectra, as a picture."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(measured, color="0.6", label="measured")
    axes.plot(found, color="tab:blue", label="found")
    axes.vlines(
        np.flatnonzero(truth), 0, truth[truth > 0], color="tab:red", linestyle="dotted", label="true lines"
    )
    axes.set_xlabel("channel")
    axes.set_ylabel("intensity")
    axes.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Find spectral lines behind a blur of unknown width.")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, help="folder for a picture")
    options = parser.parse_args()
    n = 256
    truth, measured = measure(n)
    step, _ = training_step(n, strength=3e-4, rate=0.01)
    for i in range(options.steps):
        misfit, found, width = step(measured)
        if i % (options.steps // 6) == 0:
            print(f"step {i:5}: misfit {misfit:.3e}, width {width:.3f}")
    naive = np.fft.irfft(np.fft.rfft(measured) / response(TRUE_WIDTH, n).eval(), n)
    print(f"width {width:.3f}, true {TRUE_WIDTH}")
    print(f"rms error of the lines {rms(found - truth):.4f}; measured {rms(measured - truth):.4f}; ", end="")
    print(f"naive inverse {rms(naive - truth):.2e}")
    peaks = [i for i in range(n) if found[i] > 0.1 and found[i] == found[max(i - 2, 0) : i + 3].max()]
    print(f"lines at {peaks}, true {list(LINES)}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        plot(options.out / "deconvolution.png", truth, measured, found)


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(error**2)))


if __name__ == "__main__":
    main()
