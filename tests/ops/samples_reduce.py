"""Samples of reductions, cumulative ops, norms, statistics and contractions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.cumulative import CumulativeMax, CumulativeProd, CumulativeSum, LinearRecurrence
from symgrad.ops.reduce import Supremum
from symgrad.ops.softmax import SoftmaxCentred, SoftmaxDerivative, SoftmaxFromLog
from symgrad.ops.statistics import ArgQuantile
from tests.ops.sample import A, B, C, I, P, Sample, random

X3, Y3 = random(2, 3, 4, seed=5), random(2, 3, 4, seed=6)
SQUARE = random(3, 3, seed=7)
WITH_ZEROS = np.array([[0.0, 1.5, -0.5, 2.0], [0.7, 0.0, 1.1, 0.0], [-1.2, 0.3, 0.9, 0.4]])


def _recurrence(a: np.ndarray, b: np.ndarray, mode: str, reverse: bool) -> np.ndarray:
    """s_i = a_i s_(i-1) + b_i along the last axis, from its definition."""
    if reverse:
        return _recurrence(a[:, ::-1], b[:, ::-1], mode, False)[:, ::-1]
    n = a.shape[1]
    out = np.zeros_like(b)
    for i in range(n):
        for j in range(i + (mode != "exclusive")):
            factors = {
                "plain": a[:, j + 1 : i + 1],
                "lagged": a[:, j:i],
                "exclusive": a[:, j + 1 : i],
            }[mode]
            out[:, i] += b[:, j] * factors.prod(1)
    return out


def _softmax_derivative(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    y = scipy.special.softmax(x, 1)
    return y * (g - (y * g).sum(1, keepdims=True))


def _softmax_centred(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    return t - (scipy.special.softmax(x, 1) * t).sum(1, keepdims=True)


def _of(name: str, reference: Any, x: np.ndarray, *, smooth: bool = True, **options: Any) -> Sample:
    """`sg.name(x, **options)` against NumPy's, where NumPy's options may be called otherwise."""
    theirs = {"ddof" if k == "correction" else k: v for k, v in options.items()}
    return Sample(lambda x: getattr(sg, name)(x, **options), (x,), lambda x: reference(x, **theirs), smooth)


def _einsum(spec: str, *operands: np.ndarray, **options: Any) -> Sample:
    return Sample(lambda *xs: sg.einsum(spec, *xs), operands, lambda *xs: np.einsum(spec, *xs), **options)


REDUCE: dict[str, list[Sample]] = {
    "supremum": [Sample(lambda x: apply(Supremum((1,)), x), (A,), lambda x: x.max(1))],
    "any": [
        _of("any", np.any, C, axis=0, smooth=False),
        _of("any", np.any, WITH_ZEROS, axis=1, keepdims=True, smooth=False),
    ],
    "all": [
        _of("all", np.all, C, axis=0, smooth=False),
        _of("all", np.all, I, smooth=False),
        _of("all", np.all, WITH_ZEROS, axis=(0, 1), smooth=False),
    ],
    "count_nonzero": [_of("count_nonzero", np.count_nonzero, WITH_ZEROS, axis=-1, smooth=False)],
    "sum_of_axes": [
        _of("sum", np.sum, X3, axis=(0, -1), keepdims=True),
        _of("sum", np.sum, C, axis=0, smooth=False),
        _of("sum", np.sum, I.astype(np.int8), dtype="int16", smooth=False),
    ],
    "prod_of_axes": [
        _of("prod", np.prod, X3, axis=(0, 2)),
        _of("prod", np.prod, WITH_ZEROS, axis=1),
        _of("prod", np.prod, I.astype(np.int32), axis=0, smooth=False),
    ],
    "max_of_axes": [
        _of("max", np.max, X3, axis=(0, -1)),
        _of("max", np.max, C, axis=1, smooth=False),
        _of("amin", np.min, I, axis=1, keepdims=True, smooth=False),
    ],
    "argmax_of_bools": [
        _of("argmax", np.argmax, C, axis=1, keepdims=True, smooth=False),
        _of("argmin", np.argmin, I, axis=-2, smooth=False),
    ],
    "mean": [
        _of("mean", np.mean, X3, axis=(0, 2), keepdims=True),
        _of("mean", np.mean, I, axis=1, smooth=False),
    ],
    "var": [
        _of("var", np.var, A, axis=1),
        _of("var", np.var, X3, axis=(0, 2), correction=1, keepdims=True),
        _of("var", np.var, I, correction=1.5, smooth=False),
        Sample(lambda x: sg.var(x, 0, correction=1), (A,), lambda x: x.var(0, ddof=1), shapes=(("n", 4),)),
    ],
    "std": [_of("std", np.std, A, axis=0), _of("std", np.std, A, correction=1)],
    "median": [_of("median", np.median, A, axis=1), _of("median", np.median, X3, axis=(0, 2))],
    "argquantile": [
        Sample(
            lambda x: apply(ArgQuantile(1), x, sg.constant([2, 0])),
            (A,),
            lambda x: np.argsort(x, 1)[:, [2, 0]],
            smooth=False,
        )
    ],
    "quantile": [
        Sample(lambda x: sg.quantile(x, 0.3), (A,), lambda x: np.quantile(x, 0.3)),
        Sample(
            lambda x: sg.quantile(x, [0.0, 0.4, 0.75, 1.0], axis=0, keepdims=True),
            (A,),
            lambda x: np.quantile(x, [0.0, 0.4, 0.75, 1.0], axis=0, keepdims=True),
        ),
        *[
            Sample(
                lambda x, m=m: sg.quantile(x, 0.4, axis=(0, 2), method=m),
                (X3,),
                lambda x, m=m: np.quantile(x, 0.4, axis=(0, 2), method=m),
            )
            for m in ("lower", "higher", "midpoint")
        ],
        Sample(
            lambda x: sg.sum(sg.quantile(x, 0.4, axis=1)),
            (A,),
            lambda x: np.quantile(x, 0.4, 1).sum(),
            shapes=(("n", "m"),),
        ),
    ],
    "logsumexp_of_axes": [
        Sample(
            lambda x: sg.logsumexp(x, axis=(0, 2), keepdims=True),
            (X3,),
            lambda x: scipy.special.logsumexp(x, (0, 2), keepdims=True),
        )
    ],
    "softmax_of_axes": [
        Sample(lambda x: sg.softmax(x, axis=(0, 2)), (X3,), lambda x: scipy.special.softmax(x, (0, 2))),
        Sample(sg.softmax, (A,), scipy.special.softmax),
        Sample(
            lambda x: sg.max(sg.softmax(x, axis=0), axis=0),
            (A,),
            lambda x: scipy.special.softmax(x, 0).max(0),
            shapes=(("n", 4),),
        ),
    ],
    "softmax_from_log": [
        Sample(
            lambda x: apply(SoftmaxFromLog((1,)), sg.log_softmax(x, 1), x),
            (A,),
            lambda x: scipy.special.softmax(x, 1),
        )
    ],
    "softmax_derivative": [
        Sample(lambda x, g, s=s: apply(SoftmaxDerivative((1,), s), x, g), (A, B), _softmax_derivative)
        for s in (False, True)
    ],
    "softmax_centred": [
        Sample(lambda x, g, s=s: apply(SoftmaxCentred((1,), s), x, g), (A, B), _softmax_centred)
        for s in (False, True)
    ],
    "linear_recurrence": [
        Sample(
            lambda a, b, m=m, r=r: apply(LinearRecurrence(1, r, m), a, b),
            (WITH_ZEROS, B),
            lambda a, b, m=m, r=r: _recurrence(a, b, m, r),
        )
        for m in ("plain", "lagged", "exclusive")
        for r in (False, True)
    ],
    "cumulative_sum": [
        _of("cumulative_sum", np.cumsum, A, axis=0),
        _of("cumulative_sum", np.cumsum, X3, axis=-1),
        _of("cumulative_sum", np.cumsum, C, axis=1, smooth=False),
        _of("cumulative_sum", np.cumsum, I.astype(np.int8), axis=1, dtype="float32", smooth=False),
        Sample(
            lambda x: sg.cumulative_sum(x, axis=1, include_initial=True),
            (A,),
            lambda x: np.concatenate([np.zeros((3, 1)), np.cumsum(x, 1)], 1),
        ),
        Sample(lambda x: apply(CumulativeSum(1, True), x), (A,), lambda x: np.cumsum(x[:, ::-1], 1)[:, ::-1]),
    ],
    "cumsum": [_of("cumsum", np.cumsum, A), _of("cumsum", np.cumsum, I, axis=1, smooth=False)],
    "cross": [
        Sample(
            lambda x, y: sg.linalg.cross(x, y, axis=0), (A, WITH_ZEROS), lambda x, y: np.cross(x, y, axis=0)
        ),
        Sample(sg.linalg.cross, (A.T, A[:, 0]), np.cross),
    ],
    "cumulative_prod": [
        _of("cumulative_prod", np.cumprod, A, axis=0),
        _of("cumulative_prod", np.cumprod, WITH_ZEROS, axis=1),
        _of("cumulative_prod", np.cumprod, I, axis=0, smooth=False),
        Sample(
            lambda x: sg.cumulative_prod(x, axis=0, include_initial=True),
            (A,),
            lambda x: np.concatenate([np.ones((1, 4)), np.cumprod(x, 0)]),
        ),
        Sample(
            lambda x: apply(CumulativeProd(1, True, True), x),
            (WITH_ZEROS,),
            lambda x: np.concatenate([np.cumprod(x[:, :0:-1], 1)[:, ::-1], np.ones((len(x), 1))], 1)[
                :, : x.shape[1]
            ],
        ),
    ],
    "cumprod": [_of("cumprod", np.cumprod, P), _of("cumprod", np.cumprod, I, axis=1, smooth=False)],
    "cumulative_max": [
        Sample(lambda x: sg.cumulative_max(x, 1), (A,), lambda x: np.maximum.accumulate(x, 1)),
        Sample(lambda x: sg.cumulative_max(x, 0), (I,), lambda x: np.maximum.accumulate(x, 0), smooth=False),
        Sample(lambda x: apply(CumulativeMax(1, True), x), (A,), lambda x: _backwards(np.maximum, x)),
        Sample(
            lambda x: apply(CumulativeMax(1, False, True), x)[:, 1:],
            (A,),
            lambda x: np.maximum.accumulate(x, 1)[:, :-1],
        ),
    ],
    "cumulative_min": [
        Sample(lambda x: sg.cumulative_min(x, 0), (A,), lambda x: np.minimum.accumulate(x, 0)),
        Sample(lambda x: sg.cumulative_min(x, 1), (I,), lambda x: np.minimum.accumulate(x, 1), smooth=False),
    ],
    "vector_norm": [
        Sample(
            lambda x, p=p: sg.vector_norm(x, axis=1, ord=p),
            (A,),
            lambda x, p=p: np.linalg.norm(x, p, axis=1),
            p != 0,
        )
        for p in (0, 0.5, 1, 2, 3, 4.5, np.inf, -np.inf, -2)
    ]
    + [
        Sample(
            lambda x: sg.vector_norm(x, axis=(0, 2), keepdims=True),
            (X3,),
            lambda x: np.sqrt((x * x).sum((0, 2), keepdims=True)),
        ),
        Sample(
            lambda x: sg.sum(sg.vector_norm(x, axis=0)),
            (A,),
            lambda x: np.linalg.norm(x, axis=0).sum(),
            shapes=(("n", "m"),),
        ),
    ],
    "matrix_norm": [
        Sample(
            lambda x, p=p: sg.matrix_norm(x, ord=p),
            (X3,),
            lambda x, p=p: np.linalg.matrix_norm(x, ord=p),
        )
        for p in ("fro", 1, -1, np.inf, -np.inf)
    ],
    "norm": [
        Sample(sg.norm, (X3,), np.linalg.norm),
        Sample(lambda x: sg.norm(x, 1), (A,), lambda x: np.linalg.norm(x, 1)),
        Sample(
            lambda x: sg.norm(x, 1, axis=(2, 0), keepdims=True),
            (X3,),
            lambda x: np.linalg.norm(x, 1, axis=(2, 0), keepdims=True),
        ),
        Sample(lambda x: sg.norm(x, 3, axis=-1), (A,), lambda x: np.linalg.norm(x, 3, axis=-1)),
    ],
    "matmul_of_integers": [
        Sample(lambda x, y: x @ y, (I, I.T.copy()), np.matmul, smooth=False),
        Sample(lambda x, y: x @ y, (C, C.T.copy()), np.matmul, smooth=False),
    ],
    "dot": [
        Sample(sg.dot, (A[0], B[0]), np.dot),
        Sample(sg.dot, (X3, Y3.transpose(0, 2, 1).copy()), np.dot),
        Sample(lambda x, y: x.dot(y), (X3, A[0]), np.dot),
        Sample(lambda x: sg.dot(x, 3.0), (A,), lambda x: x * 3),
    ],
    "vdot": [Sample(sg.vdot, (A, B), np.vdot)],
    "inner": [Sample(sg.inner, (A, Y3), np.inner), Sample(sg.inner, (A[0], B[1]), np.inner)],
    "outer": [Sample(sg.outer, (A, B[0]), np.outer), Sample(sg.outer, (I[0], I[1]), np.outer, False)],
    "kron": [
        Sample(sg.kron, (A, SQUARE), np.kron),
        Sample(sg.kron, (A[0], SQUARE), np.kron),
    ],
    "vecdot": [
        Sample(sg.vecdot, (X3, A), lambda x, y: (x * y).sum(-1)),
        Sample(lambda x, y: sg.vecdot(x, y, axis=-2), (X3, A), lambda x, y: (x * y).sum(-2)),
    ],
    "tensordot": [
        Sample(sg.tensordot, (X3, A), np.tensordot),
        Sample(lambda x, y: sg.tensordot(x, y, 0), (A, SQUARE), lambda x, y: np.tensordot(x, y, 0)),
        Sample(
            lambda x, y: sg.tensordot(x, y, ((0, -1), (0, 2))),
            (X3, Y3),
            lambda x, y: np.tensordot(x, y, ((0, -1), (0, 2))),
        ),
        Sample(lambda x, y: sg.tensordot(x, y, (1, 0)), (X3, A), lambda x, y: np.tensordot(x, y, (1, 0))),
    ],
    "einsum": [
        _einsum("ij,kj->ik", A, B),
        _einsum("ij,ij->", A, B),
        _einsum("ij,ij->j", A, B),
        _einsum("i,j,k->kij", A[0], B[0], P[0]),
        _einsum("bij,bkj,bi->bk", X3, Y3, random(2, 3)),
        _einsum("ii->i", SQUARE),
        _einsum("ii", SQUARE),
        _einsum("jii,kj->k", random(2, 3, 3), A[:, :2].copy()),
        _einsum("...ij,...j->...i", X3, A[0]),
        _einsum("...i->...", X3),
        _einsum("ijk->kij", X3),
        _einsum("ij,jk,kl->il", A, B.T.copy(), A),
        _einsum("ij,ij->i", A, B[:, :1].copy()),
        _einsum("ij,jk->ik", I, I.T.copy(), smooth=False),
        _einsum("ij,jk->ik", C, C.T.copy(), smooth=False),
        _einsum("nij,nkj->ik", X3, Y3, shapes=(("n", 3, "m"), ("n", 3, "m"))),
        _einsum("nii,ni->", random(2, 3, 3), random(2, 3), shapes=(("n", "m", "m"), ("n", "m"))),
        Sample(
            lambda x, y: sg.einsum(x, [0, 1, ...], y, [1, 2], [2, 0, ...]),
            (X3, A),
            lambda x, y: np.einsum(x, [0, 1, ...], y, [1, 2], [2, 0, ...]),
        ),
    ],
}


def _backwards(ufunc: Any, x: np.ndarray) -> np.ndarray:
    return ufunc.accumulate(x[:, ::-1], 1)[:, ::-1]
