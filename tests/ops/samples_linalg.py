"""Samples of linear algebra: well-conditioned matrices, one by one and in batches.

What no finite difference can say (repeated values, singular and ill-conditioned matrices) is in
test_linalg.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.cholesky import CholeskyInverse
from symgrad.ops.determinant import Cofactors, CofactorsDerivative
from symgrad.ops.solve import lu_factor, solve_by_lu
from tests.ops.sample import Sample, random

linalg = sg.linalg


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    """Positive definite matrices with well separated eigenvalues."""
    n = shape[-1]
    q = np.linalg.qr(random(*shape, seed=seed))[0]
    return np.asarray((q * np.linspace(0.8, 3.0, n)) @ np.swapaxes(q, -1, -2))


def separated(*shape: int, seed: int = 0) -> np.ndarray:
    """Matrices with well separated singular values."""
    u, _, vh = np.linalg.svd(random(*shape, seed=seed), full_matrices=False)
    return np.asarray((u * np.linspace(3.0, 0.7, u.shape[-1])) @ vh)


S = separated(3, 3, seed=1)
S2 = separated(2, 3, 3, seed=2)
POS = positive(3, 3, seed=3)
POS2 = positive(2, 4, 4, seed=4)
TALL, WIDE = separated(5, 3, seed=5), separated(3, 5, seed=6)
TALL2 = separated(2, 4, 3, seed=7)
B, B2, V = random(3, 2, seed=8), random(2, 3, 2, seed=9), random(3, seed=10)
TRIANGLE = random(3, 3, seed=11) + 3 * np.eye(3)
#: Of rank 2, as the product of two factors.
LEFT, RIGHT = separated(4, 2, seed=12), separated(2, 3, seed=13)


def lone(f: Callable[..., Any], reference: Any, *operands: np.ndarray, smooth: bool = True) -> Sample:
    return Sample(f, operands, reference, smooth)


def each(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one matrix (and what belongs to it), for a batch."""

    def of_batch(a: np.ndarray, *more: np.ndarray) -> np.ndarray:
        if a.ndim == 2:
            return np.asarray(reference(a, *more))
        return np.stack([reference(*rows) for rows in zip(a, *more, strict=True)])

    return of_batch


def triangular(**options: Any) -> Callable[..., Any]:
    return lambda a, b: linalg.solve_triangular(a, b, **options)


def triangular_reference(**options: Any) -> Callable[..., Any]:
    return each(lambda a, b: scipy.linalg.solve_triangular(a, b, **options))


def by_lu(a: Any, b: Any) -> Any:
    lu, order, parity = lu_factor(a)
    return solve_by_lu(lu, order, b), solve_by_lu(lu, order, b, of_adjoint=True), parity


def by_lu_reference(a: np.ndarray, b: np.ndarray) -> Any:
    _, pivots = scipy.linalg.lu_factor(a.T)
    parity = float(np.prod(np.where(pivots == np.arange(len(pivots)), 1, -1)))
    return [np.linalg.solve(a, b), np.linalg.solve(a.T, b), np.float64(parity)]


def cofactors(a: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2))


def fixed_rank(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y, *more: f(x @ y, *more)


def on_both(f: Callable[..., Any]) -> Callable[..., Any]:
    """f of the symmetric part: the derivative with respect to both triangles."""
    return lambda a: f((a + sg.matrix_transpose(a)) / 2)


LINALG: dict[str, list[Sample]] = {
    "assume": [
        lone(lambda a: sg.assume(sg.tril(a), "lower_triangular") * 2, lambda a: np.tril(a) * 2, S),
        lone(
            lambda a, b: linalg.solve(sg.assume(a @ sg.matrix_transpose(a), "positive_definite"), b),
            lambda a, b: np.linalg.solve(a @ a.T, b),
            S,
            B,
        ),
    ],
    "small": [
        lone(
            lambda a: linalg.slogdet(a).logabsdet + linalg.det(a),
            lambda a: np.log(abs(np.linalg.det(a))) + np.linalg.det(a),
            m,
        )
        for m in (S[:1, :1], separated(2, 2, seed=21), separated(2, 8, 8, seed=22) / 2)
    ],
    "cholesky": [
        lone(linalg.cholesky, np.linalg.cholesky, POS),
        lone(linalg.cholesky, np.linalg.cholesky, POS2),
        lone(lambda a: linalg.cholesky(a, upper=True), lambda a: np.linalg.cholesky(a, upper=True), POS),
        lone(on_both(linalg.cholesky), np.linalg.cholesky, POS),
    ],
    "cholesky_inverse": [
        lone(
            lambda l: apply(CholeskyInverse(), l),
            each(lambda l: np.linalg.inv(np.tril(l) @ np.tril(l).T)),
            matrix,
        )
        for matrix in (TRIANGLE, np.stack([TRIANGLE, TRIANGLE.T]))
    ],
    "solve_triangular": [
        *[
            lone(
                triangular(lower=lower, trans=trans),
                triangular_reference(lower=lower, trans=trans),
                TRIANGLE,
                B,
            )
            for lower in (False, True)
            for trans in (0, 1)
        ],
        lone(
            triangular(lower=True, unit_diagonal=True),
            triangular_reference(lower=True, unit_diagonal=True),
            TRIANGLE,
            V,
        ),
        lone(
            triangular(lower=True, trans=2),
            triangular_reference(lower=True, trans=2),
            np.stack([TRIANGLE, TRIANGLE.T]),
            B2,
        ),
    ],
    "solve": [
        lone(linalg.solve, np.linalg.solve, S, B),
        lone(linalg.solve, np.linalg.solve, S, V),
        lone(linalg.solve, np.linalg.solve, S2, B2),
        lone(linalg.solve, np.linalg.solve, S2, B),
    ],
    "inv": [lone(linalg.inv, np.linalg.inv, S), lone(linalg.inv, np.linalg.inv, S2)],
    "lu_factor": [
        lone(by_lu, by_lu_reference, S, B),
        Sample(lambda a: lu_factor(a)[0], (S2,), None),
    ],
    "det": [
        lone(linalg.det, np.linalg.det, S),
        lone(linalg.det, np.linalg.det, S2),
        lone(linalg.det, np.linalg.det, separated(5, 5, seed=14)),
    ],
    "cofactors": [lone(lambda a: apply(Cofactors(), a), cofactors, a) for a in (S, S2)],
    "cofactors_derivative": [
        Sample(lambda a, t: apply(CofactorsDerivative(), a, t), (a, t), None)
        for a, t in ((S, random(3, 3, seed=15)), (S2, random(2, 3, 3, seed=16)))
    ],
    "slogdet": [
        lone(linalg.slogdet, lambda a: list(np.linalg.slogdet(a)), S),
        lone(linalg.slogdet, lambda a: list(np.linalg.slogdet(a)), S2),
    ],
    "qr": [
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), TALL),
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), TALL2),
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), WIDE),
        lone(lambda a: linalg.qr(a, "r"), lambda a: np.linalg.qr(a, "r"), TALL),
        lone(lambda a: linalg.qr(a, "complete").R, lambda a: np.linalg.qr(a, "complete").R, TALL),
        lone(
            lambda a: linalg.qr(a, "complete"),
            lambda a: list(np.linalg.qr(a, "complete")),
            TALL,
            smooth=False,
        ),
    ],
    "eigh": [
        lone(linalg.eigh, lambda a: list(np.linalg.eigh(a)), POS),
        lone(linalg.eigh, lambda a: list(np.linalg.eigh(a)), POS2),
        lone(lambda a: linalg.eigh(a, "U"), lambda a: list(np.linalg.eigh(a, "U")), POS),
    ],
    "eigvalsh": [
        lone(linalg.eigvalsh, np.linalg.eigvalsh, POS),
        lone(linalg.eigvalsh, np.linalg.eigvalsh, POS2),
    ],
    "svd": [
        *[
            lone(
                lambda a: linalg.svd(a, full_matrices=False),
                lambda a: list(np.linalg.svd(a, full_matrices=False)),
                a,
            )
            for a in (S, TALL, WIDE, TALL2)
        ],
        lone(linalg.svd, lambda a: list(np.linalg.svd(a)), WIDE, smooth=False),
    ],
    "svdvals": [lone(linalg.svdvals, np.linalg.svdvals, a) for a in (S, TALL2, WIDE)],
    "pinv": [
        *[lone(linalg.pinv, np.linalg.pinv, a) for a in (S, TALL, WIDE, TALL2)],
        lone(fixed_rank(linalg.pinv), fixed_rank(lambda a: np.linalg.pinv(a, rcond=1e-10)), LEFT, RIGHT),
    ],
    "lstsq": [
        Sample(
            lambda a, b: linalg.lstsq(a, b)[:2],
            (TALL, random(5, 2, seed=17)),
            lambda a, b: list(np.linalg.lstsq(a, b, rcond=None)[:2]),
            shapes=((5, 3), (5, 2)),  # whether NumPy has residuals depends on the sizes
        ),
        lone(
            lambda a, b: linalg.lstsq(a, b).x,
            lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
            WIDE,
            V,
        ),
        lone(
            fixed_rank(lambda a, b: linalg.lstsq(a, b).x),
            fixed_rank(lambda a, b: np.linalg.lstsq(a, b, rcond=1e-10)[0]),
            LEFT,
            RIGHT,
            random(4, 2, seed=18),
        ),
        lone(
            lambda a, b: linalg.lstsq(a, b).x,
            each(lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0]),
            TALL2,
            random(2, 4, 2, seed=19),
        ),
    ],
    "expm": [
        lone(linalg.expm, scipy.linalg.expm, S),
        lone(linalg.expm, each(scipy.linalg.expm), S2),
    ],
    "matrix_power": [
        lone(lambda a, n=n: linalg.matrix_power(a, n), lambda a, n=n: np.linalg.matrix_power(a, n), S)
        for n in (0, 3, -2)
    ],
    "matrix_rank": [
        lone(fixed_rank(linalg.matrix_rank), fixed_rank(np.linalg.matrix_rank), LEFT, RIGHT, smooth=False),
        lone(linalg.matrix_rank, np.linalg.matrix_rank, S2, smooth=False),
    ],
    "multi_dot": [
        lone(
            lambda *xs: linalg.multi_dot(xs),
            lambda *xs: np.linalg.multi_dot(xs),
            V,
            S,
            WIDE,
            random(5, seed=20),
        )
    ],
    "cond": [
        lone(lambda a, p=p: linalg.cond(a, p), lambda a, p=p: np.linalg.cond(a, p), S2)
        for p in (None, 2, -2, "fro", "nuc", 1, -1, np.inf, -np.inf)
    ],
    "norms_of_singular_values": [
        lone(lambda a, p=p: linalg.matrix_norm(a, ord=p), lambda a, p=p: np.linalg.matrix_norm(a, ord=p), a)
        for p in (2, -2, "nuc")
        for a in (TALL2, WIDE)
    ],
}
