"""Samples of ops on complex numbers: each op that takes them, and those that take them apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

import symgrad as sg
from tests.ops.sample import ROWS, A, B, C, Sample, one, random

Z = random(3, 4, seed=21) + 1j * random(3, 4, seed=22)
W = random(3, 4, seed=23) + 1j * random(3, 4, seed=24)
#: Away from 0, and from the branch cuts.
U = random(3, 4, low=0.3, high=1.5, seed=25) + 1j * random(3, 4, low=0.3, high=1.5, seed=26)
V = random(4, seed=27) + 1j * random(4, seed=28)
M = random(4, 3, seed=29) + 1j * random(4, 3, seed=30)


def of(
    build: Callable[..., Any], reference: Callable[..., Any], *operands: np.ndarray, **options: Any
) -> Sample:
    return Sample(build, operands, reference, **options)


def _multiplied(z: np.ndarray, w: np.ndarray) -> np.ndarray:
    out = z.copy()
    np.multiply.at(out, ROWS, w)
    return out


COMPLEX: dict[str, list[Sample]] = {
    "real": [one("real", np.real, Z)],
    "imag": [one("imag", np.imag, Z)],
    "conj": [one("conj", np.conj, Z), of(lambda z: sg.conj(z) * z, lambda z: np.conj(z) * z, Z)],
    "complex": [of(sg.complex, lambda x, y: x + 1j * y, A, B)],
    "phasor": [one("sign", np.sign, U)],
}

#: Further samples of ops that have rows for real numbers elsewhere.
SHARED: dict[str, list[Sample]] = {
    "add": [one("add", np.add, Z, W), of(lambda x, z: x + z, np.add, A, W)],
    "subtract": [one("subtract", np.subtract, Z, W)],
    "multiply": [one("multiply", np.multiply, Z, W), of(lambda x, z: x * z, np.multiply, A, W)],
    "divide": [one("divide", np.divide, Z, U), of(lambda x, z: x / z, np.divide, A, U)],
    "negative": [one("negative", np.negative, Z)],
    "reciprocal": [one("reciprocal", np.reciprocal, U)],
    "square": [one("square", np.square, Z)],
    "sqrt": [one("sqrt", np.sqrt, U)],
    "rsqrt": [one("rsqrt", lambda z: 1 / np.sqrt(z), U)],
    "hypot": [one("abs", np.abs, U)],
    "atan2": [one("angle", np.angle, U)],
    "exp": [one("exp", np.exp, Z)],
    "exp2": [one("exp2", np.exp2, Z)],
    "expm1": [one("expm1", np.expm1, Z)],
    "log": [one("log", np.log, U)],
    "log1p": [one("log1p", scipy.special.log1p, U)],
    "log2": [one("log2", np.log2, U)],
    "log10": [one("log10", np.log10, U)],
    "sin": [one("sin", np.sin, Z)],
    "cos": [one("cos", np.cos, Z)],
    "tan": [one("tan", np.tan, Z)],
    "sinh": [one("sinh", np.sinh, Z)],
    "cosh": [one("cosh", np.cosh, Z)],
    "sinc": [of(sg.sinc, np.sinc, Z / 8), of(sg.sinc, np.sinc, W)],
    "tanh": [one("tanh", np.tanh, U)],
    "sech_squared": [one("sech_squared", lambda z: 1 / np.cosh(z) ** 2, U)],
    "asin": [one("asin", np.arcsin, Z)],
    "acos": [one("acos", np.arccos, Z)],
    "atan": [one("atan", np.arctan, Z)],
    "asinh": [one("asinh", np.arcsinh, Z)],
    "acosh": [one("acosh", np.arccosh, Z)],
    "atanh": [one("atanh", np.arctanh, Z)],
    "pow": [
        one("pow", np.power, U, Z),
        of(lambda z: z**3, lambda z: z**3, Z),
        of(lambda z: z**0.5, lambda z: z**0.5, U),
        of(lambda x, z: x**z, lambda x, z: x**z, np.abs(A) + 0.5, Z),
    ],
    "where": [of(sg.where, np.where, C, Z, W)],
    "masked_multiply": [of(sg.ops.select.masked_multiply, np.multiply, Z, W)],
    "masked_multiply_both": [of(sg.ops.select.masked_multiply_both, np.multiply, Z, W)],
    "astype": [
        of(lambda z: sg.astype(z, "bool"), lambda z: z.astype(bool), Z * C, smooth=False),
        of(lambda x: sg.astype(x, "complex128"), lambda x: x.astype("complex128"), A),
    ],
    "stop_gradient": [of(lambda z: sg.stop_gradient(z) * z, lambda z: z * z, Z, smooth=False)],
    "equal": [of(lambda z: sg.equal(z, Z), lambda z: z == Z, Z, smooth=False)],
    "not_equal": [of(lambda z: sg.not_equal(z, Z), lambda z: z != Z, Z, smooth=False)],
    "isnan": [one("isnan", np.isnan, Z, smooth=False)],
    "isfinite": [one("isfinite", np.isfinite, Z, smooth=False)],
    "isinf": [one("isinf", np.isinf, Z, smooth=False)],
    "sum": [one("sum", np.sum, Z), of(lambda z: sg.mean(z, axis=0), lambda z: z.mean(0), Z)],
    "prod": [of(lambda z: sg.prod(z, axis=1), lambda z: z.prod(1), Z)],
    "cumulative_sum": [of(lambda z: sg.cumulative_sum(z, axis=1), lambda z: z.cumsum(1), Z)],
    "cumulative_prod": [of(lambda z: sg.cumulative_prod(z, axis=1), lambda z: z.cumprod(1), Z)],
    "var": [of(lambda z: sg.var(z, axis=1), lambda z: z.var(1), Z), one("std", np.std, Z)],
    "any": [of(lambda z: sg.any(z, axis=1), lambda z: z.any(1), Z, smooth=False)],
    "all": [of(lambda z: sg.all(z, axis=1), lambda z: z.all(1), Z, smooth=False)],
    "matmul": [
        of(lambda a, b: a @ b, np.matmul, Z, M),
        of(lambda a, b: a @ b, np.matmul, Z, V),
        of(lambda a, b: a @ b, np.matmul, V, M),
        of(lambda a, b: a @ b, np.matmul, V, V.copy()),
        of(lambda a, b: a @ b, np.matmul, A, M),
        of(sg.vdot, np.vdot, Z, W),
        of(lambda a, b: sg.einsum("ij,kj->ik", a, b), lambda a, b: np.einsum("ij,kj->ik", a, b), Z, W),
    ],
    "gather": [of(lambda z: z[ROWS], lambda z: z[ROWS], Z)],
    "slice": [of(lambda z: z[1:, ::2], lambda z: z[1:, ::2], Z)],
    "concat": [of(lambda z, w: sg.concat([z, w]), lambda z, w: np.concatenate([z, w]), Z, W)],
    "main_diagonal": [of(sg.diagonal, np.diagonal, Z)],
    "diagonal_matrix": [of(lambda z: sg.diag(z, 1), lambda z: np.diag(z, 1), V)],
    "trace": [of(sg.linalg.trace, np.trace, Z)],
    "split": [of(lambda z: sg.split(z, [1], axis=1), lambda z: np.split(z, [1], axis=1), Z)],
    "set_slice": [
        of(lambda z, w: z.at[1:].set(w[:2] * 1j), lambda z, w: np.concatenate([z[:1], w[:2] * 1j]), Z, W)
    ],
    "reshape": [of(lambda z: z.T.reshape(2, 6), lambda z: z.T.reshape(2, 6), Z)],
    "scatter": [
        of(lambda z, w: z.at[ROWS].mul(w), _multiplied, Z, np.concatenate([W, W[:1]])),
    ],
    "pad": [of(lambda z: sg.pad(z, 1, constant_values=1j), lambda z: np.pad(z, 1, constant_values=1j), Z)],
}

COMPLEX |= {f"{name} of complex": rows for name, rows in SHARED.items()}
