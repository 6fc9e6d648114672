"""Samples of the special functions and activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

import symgrad as sg
from symgrad.ops.special import (
    _sinc_derivative,
    gaussian,
    gelu_derivative,
    gelu_tanh_derivative,
    inverse_mills_derivative,
    silu_derivative,
    xlogx,
    xlogx_derivative,
)
from tests.ops.sample import A, P, Q, Sample, one, random

U = random(3, 4, low=0.05, high=0.95, seed=21)
K = A + 0.05 * np.sign(A)


def _normal(x: Any) -> Any:
    """The density of the standard normal distribution."""
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def _hazard(x: Any) -> Any:
    """The density over the distribution function of the standard normal distribution."""
    return np.sqrt(2 / np.pi) / scipy.special.erfcx(-x / np.sqrt(2))


def _hazard_slope(x: Any) -> Any:
    """Its derivative, from its limit -1 on the left to 0 on the right."""
    return np.where(np.abs(x) > 1e6, -1.0 * (x < 0), -_hazard(x) * (x + _hazard(x)))


def _gated_slope(x: Any, z: Any, slope: Any) -> Any:
    """The derivative of x sigmoid(z)."""
    return scipy.special.expit(z) * (1 + x * slope * scipy.special.expit(-z))


SPECIAL: dict[str, list[Sample]] = {
    "gaussian": [
        Sample(gaussian, (P, A), lambda s, x: np.exp(-s * x * x)),
        Sample(lambda x: gaussian(0.5, x), (A,), lambda x: np.exp(-0.5 * x * x)),
    ],
    "erf": [one("erf", scipy.special.erf, A)],
    "erfc": [one("erfc", scipy.special.erfc, A)],
    "erfinv": [one("erfinv", scipy.special.erfinv, U - 0.5)],
    "ndtr": [one("ndtr", scipy.special.ndtr, A)],
    "log_ndtr": [one("log_ndtr", scipy.special.log_ndtr, A)],
    "inverse_mills": [one("inverse_mills", _hazard, A)],
    "inverse_mills_derivative": [
        Sample(inverse_mills_derivative, (A,), _hazard_slope),
    ],
    "gammaln": [one("gammaln", scipy.special.gammaln, P), one("gammaln", scipy.special.gammaln, U - 1)],
    "digamma": [one("digamma", scipy.special.digamma, P), one("digamma", scipy.special.digamma, U / 2 - 0.6)],
    "polygamma": [
        Sample(lambda x: sg.polygamma(1, x), (P,), lambda x: scipy.special.polygamma(1, x)),
        Sample(
            lambda x: sg.polygamma(4, x), (Q - 2.1,), lambda x: scipy.special.polygamma(4, x), smooth=False
        ),
    ],
    "xlogy": [one("xlogy", scipy.special.xlogy, A, P)],
    "xlog1py": [one("xlog1py", scipy.special.xlog1py, A, P - 0.9)],
    "xlogx": [Sample(xlogx, (P,), lambda x: x * np.log(x))],
    "xlogx_derivative": [Sample(xlogx_derivative, (P,), lambda x: 1 + np.log(x))],
    "logit": [one("logit", scipy.special.logit, U)],
    "sinc_derivative": [
        one("sinc", np.sinc, A),
        Sample(
            lambda x: _sinc_derivative(1, x),
            (P,),
            lambda x: (np.cos(np.pi * x) - np.sinc(x)) / x,
        ),
    ],
    "leaky_relu": [one("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x), K)],
    "elu": [one("elu", lambda x: np.where(x > 0, x, np.expm1(x)), K)],
    "gelu": [one("gelu", lambda x: x * scipy.special.ndtr(x), A)],
    "gelu_derivative": [Sample(gelu_derivative, (A,), lambda x: scipy.special.ndtr(x) + x * _normal(x))],
    "gelu_tanh": [
        Sample(
            lambda x: sg.gelu(x, approximate=True),
            (A,),
            lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
        ),
    ],
    "gelu_tanh_derivative": [
        Sample(
            gelu_tanh_derivative,
            (A,),
            lambda x: _gated_slope(
                x, np.sqrt(8 / np.pi) * (x + 0.044715 * x**3), np.sqrt(8 / np.pi) * (1 + 0.134145 * x**2)
            ),
        ),
    ],
    "silu": [one("silu", lambda x: x / (1 + np.exp(-x)), A)],
    "silu_derivative": [Sample(silu_derivative, (A,), lambda x: _gated_slope(x, x, 1))],
    "hard_tanh": [one("hard_tanh", lambda x: np.clip(x, -1, 1), A)],
    "entr": [Sample(sg.special.entr, (P,), scipy.special.entr)],
}
