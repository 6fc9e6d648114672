"""Samples of the elementary functions, of rounding and of signs."""

from __future__ import annotations

import numpy as np

import symgrad as sg
from symgrad.ops.arithmetic import cbrt_derivative
from symgrad.ops.inverse import asin_derivative, atanh_derivative, over_hypot, over_squares
from symgrad.ops.power import pow_plus
from symgrad.ops.transcendental import sigmoid_difference
from tests.ops.sample import A, B, C, D, I, P, Q, Sample, one, random

U = random(3, 4, low=-0.9, high=0.9, seed=5)
HALVES = np.array([-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, 3.2])
LIMITS = np.array([0.0, -0.0, -1.0, 2.0, np.inf, -np.inf, np.nan])

ELEMENTARY: dict[str, list[Sample]] = {
    "exp2": [one("exp2", np.exp2, A)],
    "log2": [one("log2", np.log2, P)],
    "log10": [one("log10", np.log10, P)],
    "rsqrt": [one("rsqrt", lambda x: 1 / np.sqrt(x), P)],
    "cbrt": [one("cbrt", np.cbrt, P), one("cbrt", np.cbrt, -Q)],
    "cbrt_derivative": [
        Sample(lambda x: cbrt_derivative(sg.cbrt(x), x), (P,), lambda x: 1 / (3 * np.cbrt(x) ** 2))
    ],
    "asin": [one("asin", np.arcsin, U)],
    "acos": [one("acos", np.arccos, U)],
    "atan": [one("atan", np.arctan, A)],
    "asinh": [one("asinh", np.arcsinh, A)],
    "acosh": [one("acosh", np.arccosh, P + 1)],
    "atanh": [one("atanh", np.arctanh, U)],
    "atan2": [one("atan2", np.arctan2, A, B)],
    "hypot": [one("hypot", np.hypot, A, B)],
    "asin_derivative": [Sample(asin_derivative, (U,), lambda x: 1 / np.sqrt(1 - x * x))],
    "atanh_derivative": [Sample(atanh_derivative, (U,), lambda x: 1 / (1 - x * x))],
    "over_hypot": [
        Sample(lambda x, y: over_hypot(x, y, sg.hypot(x, y)), (A, B), lambda x, y: x / np.hypot(x, y))
    ],
    "over_squares": [Sample(over_squares, (A, B), lambda x, y: x / (x * x + y * y))],
    "pow_plus": [Sample(lambda x, y: pow_plus(x, y, -1), (P, B), lambda x, y: x ** (y - 1))],
    "sigmoid_difference": [Sample(sigmoid_difference, (A, B), lambda x, y: 1 / (1 + np.exp(y - x)))],
    "ceil": [one("ceil", np.ceil, A, smooth=False), one("ceil", np.array, I, smooth=False)],
    "trunc": [one("trunc", np.trunc, A, smooth=False), one("trunc", np.array, I, smooth=False)],
    "round": [one("round", np.rint, HALVES, smooth=False), one("round", np.array, I, smooth=False)],
    "copysign": [one("copysign", np.copysign, A, B)],
    "nextafter": [one("nextafter", np.nextafter, A, B, smooth=False)],
    "isinf": [one("isinf", np.isinf, LIMITS, smooth=False)],
    "signbit": [one("signbit", np.signbit, LIMITS, smooth=False)],
    "logical_xor": [one("logical_xor", np.logical_xor, C, D, smooth=False)],
    "positive": [one("positive", np.positive, A)],
    "clip": [
        Sample(lambda x: sg.clip(x, -1.0, 0.5), (A,), lambda x: np.clip(x, -1.0, 0.5)),
        Sample(lambda x: sg.clip(x, None, 0.5), (A,), lambda x: np.minimum(x, 0.5)),
        Sample(sg.clip, (A, -P, Q), np.clip),
    ],
    "log_sigmoid": [one("log_sigmoid", lambda x: -np.log1p(np.exp(-x)), A)],
}
