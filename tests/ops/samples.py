"""One row of samples an op: operands (and attributes) on which the generic tests run it.

A row is a list of samples: a function of tensors, the arrays it runs on, and the same in NumPy. `shapes`
gives symbolic shapes. `smooth=False` marks samples on which finite differences mean nothing (jumps).
"""

from __future__ import annotations

import numpy as np

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.contract import MatMul
from symgrad.ops.gather import ScatterAddAlongAxis
from symgrad.ops.select import masked_multiply, masked_multiply_both
from symgrad.ops.shape import SpecifyShape
from symgrad.ops.slices import Unslice
from symgrad.ops.transcendental import log_cosh
from tests.ops.sample import TABLE, A, B, C, D, I, J, P, Sample, one, random
from tests.ops.samples_complex import COMPLEX
from tests.ops.samples_conv import CONV
from tests.ops.samples_elementary import ELEMENTARY
from tests.ops.samples_fft import FFT
from tests.ops.samples_indexing import INDEXING
from tests.ops.samples_linalg import LINALG
from tests.ops.samples_linalg_complex import LINALG_COMPLEX
from tests.ops.samples_reduce import REDUCE
from tests.ops.samples_shape import SHAPE
from tests.ops.samples_special import SPECIAL

SAMPLES: dict[str, list[Sample]] = {
    "add": [one("add", np.add, A, B), one("add", np.add, I, J, smooth=False)],
    "subtract": [one("subtract", np.subtract, A, B)],
    "multiply": [one("multiply", np.multiply, A, B)],
    "divide": [one("divide", np.divide, A, P)],
    "negative": [one("negative", np.negative, A)],
    "reciprocal": [one("reciprocal", np.reciprocal, P)],
    "square": [one("square", np.square, A)],
    "sqrt": [one("sqrt", np.sqrt, P)],
    "abs": [one("abs", np.abs, A)],
    "sign": [one("sign", np.sign, A, smooth=False)],
    "floor": [one("floor", np.floor, A, smooth=False)],
    "floor_divide": [one("floor_divide", np.floor_divide, A, P, smooth=False)],
    "remainder": [one("remainder", np.remainder, A, P + 3)],
    "pow": [one("pow", np.power, P, B), Sample(lambda x: x**5, (A,), lambda x: x**5)],
    "log": [one("log", np.log, P)],
    "bitwise_and": [one("bitwise_and", np.bitwise_and, I, J, smooth=False)],
    "bitwise_or": [one("bitwise_or", np.bitwise_or, C, D, smooth=False)],
    "bitwise_xor": [one("bitwise_xor", np.bitwise_xor, I, J, smooth=False)],
    "bitwise_invert": [one("bitwise_invert", np.invert, I, smooth=False)],
    "bitwise_left_shift": [one("bitwise_left_shift", np.left_shift, I, J, smooth=False)],
    "bitwise_right_shift": [one("bitwise_right_shift", np.right_shift, I, J, smooth=False)],
    "exp": [one("exp", np.exp, A)],
    "expm1": [one("expm1", np.expm1, A)],
    "log1p": [one("log1p", np.log1p, P)],
    "sin": [one("sin", np.sin, A)],
    "cos": [one("cos", np.cos, A)],
    "tan": [one("tan", np.tan, A / 2)],
    "sinh": [one("sinh", np.sinh, A)],
    "cosh": [one("cosh", np.cosh, A)],
    "tanh": [one("tanh", np.tanh, A)],
    "sech_squared": [one("sech_squared", lambda x: 1 / np.cosh(x) ** 2, A)],
    "sigmoid": [one("sigmoid", lambda x: 1 / (1 + np.exp(-x)), A)],
    "log_cosh": [Sample(log_cosh, (A,), lambda x: np.log(np.cosh(x)))],
    "softplus": [one("softplus", lambda x: np.log1p(np.exp(x)), A)],
    "logaddexp": [one("logaddexp", np.logaddexp, A, B)],
    "where": [Sample(lambda x, y: sg.where(sg.constant(C), x, y), (A, B), lambda x, y: np.where(C, x, y))],
    "maximum": [one("maximum", np.maximum, A, B)],
    "minimum": [one("minimum", np.minimum, A, B)],
    "relu": [one("relu", lambda x: np.maximum(x, 0), A)],
    "masked_multiply": [Sample(masked_multiply, (A, B), np.multiply)],
    "masked_multiply_both": [Sample(masked_multiply_both, (A, B), np.multiply)],
    "equal": [one("equal", np.equal, I, J, smooth=False)],
    "not_equal": [one("not_equal", np.not_equal, A, B, smooth=False)],
    "less": [one("less", np.less, A, B, smooth=False)],
    "less_equal": [one("less_equal", np.less_equal, I, J, smooth=False)],
    "greater": [one("greater", np.greater, A, B, smooth=False)],
    "greater_equal": [one("greater_equal", np.greater_equal, A, B, smooth=False)],
    "isnan": [one("isnan", np.isnan, np.array([1.0, np.nan, np.inf]), smooth=False)],
    "isfinite": [one("isfinite", np.isfinite, np.array([1.0, np.nan, np.inf]), smooth=False)],
    "logical_and": [one("logical_and", np.logical_and, C, D, smooth=False)],
    "logical_or": [one("logical_or", np.logical_or, C, D, smooth=False)],
    "logical_not": [one("logical_not", np.logical_not, C, smooth=False)],
    "stop_gradient": [one("stop_gradient", lambda x: x, A, smooth=False)],
    "astype": [
        Sample(lambda x: sg.astype(x, "float32"), (I,), lambda x: x.astype("float32"), smooth=False),
        Sample(lambda x: sg.astype(x, "int32"), (A,), lambda x: x.astype("int32"), smooth=False),
    ],
    "sum": [Sample(lambda x: sg.sum(x, axis=1), (A,), lambda x: x.sum(1)), Sample(sg.sum, (A,), np.sum)],
    "prod": [
        Sample(lambda x: sg.prod(x, axis=1), (A,), lambda x: x.prod(1)),
        Sample(sg.prod, (A[:2, :2],), np.prod),
    ],
    "max": [Sample(lambda x: sg.max(x, axis=0, keepdims=True), (A,), lambda x: x.max(0, keepdims=True))],
    "min": [Sample(sg.min, (A,), np.min)],
    "argmax": [Sample(lambda x: sg.argmax(x, axis=1), (A,), lambda x: x.argmax(1), smooth=False)],
    "argmin": [Sample(sg.argmin, (A,), np.argmin, smooth=False)],
    "logsumexp": [
        Sample(lambda x: sg.logsumexp(x, axis=1), (A,), lambda x: np.log(np.exp(x).sum(1))),
        Sample(sg.logsumexp, (A,), lambda x: np.log(np.exp(x).sum())),
    ],
    "softmax": [
        Sample(lambda x: sg.softmax(x, axis=1), (A,), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True))
    ],
    "log_softmax": [
        Sample(lambda x: sg.log_softmax(x, axis=0), (A,), lambda x: np.log(np.exp(x) / np.exp(x).sum(0)))
    ],
    "matmul": [
        Sample(sg.matmul, (A, B.T.copy()), np.matmul),
        Sample(sg.matmul, (random(2, 3, 4), random(4, 2)), np.matmul),
        Sample(sg.matmul, (A[0], B.T.copy()), np.matmul),
        Sample(sg.matmul, (A, B[0]), np.matmul),
        Sample(sg.matmul, (A[0], B[0]), np.matmul),
        *[
            Sample(lambda a, b, s=s: apply(MatMul(s), a, b), pair, np.matmul)
            for s in ("a", "b", "ab")
            for pair in ((A, B[0]), (A[0], B.T.copy()), (A[0], B[0]))
        ],
        *[
            Sample(lambda a, b, s=s: apply(MatMul(s), a, b), (A, B.T.copy()), np.matmul)
            for s in ("a", "b", "ab")
        ],
    ],
    "broadcast": [
        Sample(lambda x: sg.broadcast_to(x, (2, 3, 4)), (A[:, :1],), lambda x: np.broadcast_to(x, (2, 3, 4)))
    ],
    "specify_shape": [Sample(lambda x: apply(SpecifyShape((3, 4)), x), (A,), lambda x: x)],
    "slice": [
        Sample(lambda x: x[1:, ::-2], (A,), lambda x: x[1:, ::-2]),
        Sample(lambda x: x[-1, None, ..., 1:3], (A,), lambda x: x[-1, None, ..., 1:3]),
    ],
    "unslice": [Sample(lambda g: apply(Unslice((1, 0), (5, 8), (2, 2), (6, 8)), g), (A[:2],), None)],
    "scatter_add_along_axis": [
        Sample(lambda g: apply(ScatterAddAlongAxis(1, (3, 5)), g, sg.constant(TABLE)), (A,), None),
        Sample(
            lambda g: apply(ScatterAddAlongAxis(1, (3, 5)), g, sg.constant(TABLE[:, :1])), (A[:, :1],), None
        ),
    ],
    "fill": [Sample(lambda x: sg.full((3, 4), 2.5) + x, (A,), lambda x: x + 2.5)],
    "constant": [Sample(lambda x: sg.constant(B) + x, (A,), lambda x: x + B)],
    "size_of": [Sample(sg.mean, (A,), np.mean, shapes=(("n", "m"),))],
    "iota": [Sample(lambda x: x * sg.arange(4), (A,), lambda x: x * np.arange(4))],
}

SAMPLES |= INDEXING
SAMPLES |= REDUCE
SAMPLES |= ELEMENTARY
SAMPLES |= SPECIAL
SAMPLES |= SHAPE
SAMPLES |= COMPLEX
SAMPLES |= FFT
SAMPLES |= CONV
SAMPLES |= LINALG
SAMPLES |= LINALG_COMPLEX
