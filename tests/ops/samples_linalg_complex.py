"""Samples of linear algebra with complex matrices.

Vectors of `eigh` and `svd` have phases that nothing settles, and derivatives that say so (see
symgrad/ops/spectral.py): here they are in functions that do not depend on phases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

import symgrad as sg
from symgrad.ir.tensor import apply
from symgrad.ops.cholesky import CholeskyInverse
from symgrad.ops.determinant import Cofactors, CofactorsDerivative
from symgrad.ops.solve import lu_factor, solve_by_lu
from tests.ops.sample import Sample, random
from tests.ops.samples_linalg import each, fixed_rank, lone, triangular, triangular_reference

linalg = sg.linalg


def numbers(*shape: int, seed: int) -> np.ndarray:
    return random(*shape, seed=seed) + 1j * random(*shape, seed=seed + 100)


def separated(*shape: int, seed: int) -> np.ndarray:
    """Matrices with well separated singular values."""
    u, _, vh = np.linalg.svd(numbers(*shape, seed=seed), full_matrices=False)
    return np.asarray((u * np.linspace(3.0, 0.7, u.shape[-1])) @ vh)


def positive(*shape: int, seed: int) -> np.ndarray:
    """Hermitian matrices with well separated positive eigenvalues."""
    q = np.linalg.qr(numbers(*shape, seed=seed))[0]
    return np.asarray((q * np.linspace(0.8, 3.0, shape[-1])) @ np.conj(np.swapaxes(q, -1, -2)))


S, S2 = separated(3, 3, seed=1), separated(2, 3, 3, seed=2)
POS, POS2 = positive(3, 3, seed=3), positive(2, 4, 4, seed=4)
TALL, WIDE, TALL2 = separated(5, 3, seed=5), separated(3, 5, seed=6), separated(2, 4, 3, seed=7)
B, B2, V = numbers(3, 2, seed=8), numbers(2, 3, 2, seed=9), numbers(3, seed=10)
REAL = random(3, 3, seed=11) + 3 * np.eye(3)
TRIANGLE = numbers(3, 3, seed=11) + (3 - 1j) * np.eye(3)
LEFT, RIGHT = separated(4, 2, seed=12), separated(2, 3, seed=13)


def adjoint(a: Any) -> Any:
    return sg.conj(sg.matrix_transpose(a)) if isinstance(a, sg.Tensor) else a.conj().swapaxes(-1, -2)


def cofactors(a: np.ndarray) -> np.ndarray:
    return np.asarray(np.conj(np.linalg.det(a))[..., None, None] * adjoint(np.linalg.inv(a)))


def by_lu(a: Any, b: Any) -> Any:
    lu, order, _ = lu_factor(a)
    return solve_by_lu(lu, order, b), solve_by_lu(lu, order, b, of_adjoint=True)


def weights(n: int) -> np.ndarray:
    return np.arange(1.0, n + 1)


def of_eigenvectors(w: Any, v: Any) -> list[Any]:
    """The eigenvalues, and projections on the eigenvectors, with weights; the weights' size is known."""
    return [w, (v * weights(v.shape[-1])) @ adjoint(v), abs(v[..., 0, :])]


def of_singular_vectors(u: Any, s: Any, vh: Any) -> list[Any]:
    """u_k vh_k, and the projections on either, with weights."""
    k = weights(s.shape[-1])
    return [s, (u * k) @ vh, (u * k) @ adjoint(u), (adjoint(vh) * k) @ vh]


def known(f: Any, reference: Any, *operands: np.ndarray) -> Sample:
    """A sample whose sizes must be known."""
    return Sample(f, operands, reference, shapes=tuple(a.shape for a in operands))


def on_hermitian_part(f: Any) -> Any:
    """With respect to both triangles."""
    return lambda a: f((a + adjoint(a)) / 2)


ROWS: dict[str, list[Sample]] = {
    "assume": [
        lone(
            lambda a, b: linalg.solve(sg.assume(a @ adjoint(a), "positive_definite"), b),
            lambda a, b: np.linalg.solve(a @ adjoint(a), b),
            S,
            B,
        ),
        lone(
            lambda a, b: linalg.solve(a @ adjoint(a) + 2 * sg.eye(3), b),
            lambda a, b: np.linalg.solve(a @ adjoint(a) + 2 * np.eye(3), b),
            S,
            B,
        ),
        lone(
            lambda a, b: linalg.solve(a @ a.mT + 2 * sg.eye(3), b),  # symmetric, not Hermitian
            lambda a, b: np.linalg.solve(a @ a.T + 2 * np.eye(3), b),
            S,
            B,
        ),
    ],
    "small": [
        lone(
            lambda a: linalg.slogdet(a).logabsdet + abs(linalg.det(a)),
            lambda a: np.log(abs(np.linalg.det(a))) + abs(np.linalg.det(a)),
            m,
        )
        for m in (S[:1, :1], separated(2, 2, seed=21), separated(2, 8, 8, seed=22) / 2)
    ],
    "solve": [
        lone(linalg.solve, np.linalg.solve, S, B),
        lone(linalg.solve, np.linalg.solve, S, V),
        lone(linalg.solve, np.linalg.solve, S2, B2),
        lone(linalg.solve, np.linalg.solve, REAL, B),
        lone(linalg.solve, np.linalg.solve, S, random(3, 2, seed=23)),
    ],
    "inv": [
        lone(linalg.inv, np.linalg.inv, S),
        lone(linalg.inv, np.linalg.inv, S2),
        lone(
            lambda a, b: b @ linalg.inv(a) + linalg.inv(adjoint(a)) @ b,
            lambda a, b: b @ np.linalg.inv(a) + np.linalg.inv(adjoint(a)) @ b,
            S,
            numbers(3, 3, seed=24),
        ),
    ],
    "lu_factor": [
        lone(by_lu, lambda a, b: [np.linalg.solve(a, b), np.linalg.solve(adjoint(a), b)], S, B),
        lone(
            lambda a, b: [linalg.solve(a, b), linalg.solve(adjoint(a), b), *linalg.slogdet(a)],
            lambda a, b: [
                np.linalg.solve(a, b),
                np.linalg.solve(adjoint(a), b),
                *np.linalg.slogdet(a),
            ],
            S,
            B,
        ),
        Sample(lambda a: lu_factor(a)[0], (S2,), None),
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
            for trans in (0, 1, 2)
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
    "cholesky": [
        lone(linalg.cholesky, np.linalg.cholesky, POS),
        lone(linalg.cholesky, np.linalg.cholesky, POS2),
        lone(lambda a: linalg.cholesky(a, upper=True), lambda a: np.linalg.cholesky(a, upper=True), POS),
        lone(on_hermitian_part(linalg.cholesky), np.linalg.cholesky, POS),
    ],
    "cholesky_inverse": [
        lone(
            lambda l: apply(CholeskyInverse(), l),
            each(lambda l: np.linalg.inv(np.tril(l) @ adjoint(np.tril(l)))),
            matrix,
        )
        for matrix in (TRIANGLE, np.stack([TRIANGLE, TRIANGLE.T]))
    ],
    "det": [
        lone(linalg.det, np.linalg.det, S),
        lone(linalg.det, np.linalg.det, S2),
        lone(linalg.det, np.linalg.det, separated(5, 5, seed=14)),
    ],
    "cofactors": [lone(lambda a: apply(Cofactors(), a), cofactors, a) for a in (S, S2)],
    "cofactors_derivative": [
        Sample(lambda a, t: apply(CofactorsDerivative(), a, t), (a, t), None)
        for a, t in ((S, numbers(3, 3, seed=15)), (S2, numbers(2, 3, 3, seed=16)))
    ],
    "slogdet": [
        lone(linalg.slogdet, lambda a: list(np.linalg.slogdet(a)), S),
        lone(linalg.slogdet, lambda a: list(np.linalg.slogdet(a)), S2),
        lone(lambda a: linalg.slogdet(a).sign, lambda a: np.linalg.slogdet(a)[0], S),
        lone(lambda a: sg.log(linalg.det(a)), lambda a: np.log(np.linalg.det(a)), S),
    ],
    "qr": [
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), S),
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), TALL),
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), TALL2),
        lone(linalg.qr, lambda a: list(np.linalg.qr(a)), WIDE),
        lone(lambda a: linalg.qr(a, "complete").R, lambda a: np.linalg.qr(a, "complete").R, TALL),
    ],
    "eigh": [
        known(
            lambda a: of_eigenvectors(*linalg.eigh(a)),
            lambda a: of_eigenvectors(*np.linalg.eigh(a)),
            a,
        )
        for a in (POS, POS2)
    ]
    + [
        known(
            lambda a: of_eigenvectors(*linalg.eigh(a, "U")),
            lambda a: of_eigenvectors(*np.linalg.eigh(a, "U")),
            POS,
        ),
        lone(linalg.eigh, lambda a: list(np.linalg.eigh(a)), POS, smooth=False),
    ],
    "eigvalsh": [
        lone(linalg.eigvalsh, np.linalg.eigvalsh, POS),
        lone(linalg.eigvalsh, np.linalg.eigvalsh, POS2),
        lone(lambda a: linalg.eigvalsh(a, "U"), lambda a: np.linalg.eigvalsh(a, "U"), POS),
    ],
    "svd": [
        *[
            known(
                lambda a: of_singular_vectors(*linalg.svd(a, full_matrices=False)),
                lambda a: of_singular_vectors(*np.linalg.svd(a, full_matrices=False)),
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
        known(
            lambda a, b: linalg.lstsq(a, b)[:2],
            lambda a, b: list(np.linalg.lstsq(a, b, rcond=None)[:2]),
            TALL,
            numbers(5, 2, seed=17),
        ),
        lone(lambda a, b: linalg.lstsq(a, b).x, lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], WIDE, V),
        lone(
            fixed_rank(lambda a, b: linalg.lstsq(a, b).x),
            fixed_rank(lambda a, b: np.linalg.lstsq(a, b, rcond=1e-10)[0]),
            LEFT,
            RIGHT,
            numbers(4, 2, seed=18),
        ),
        lone(
            lambda a, b: linalg.lstsq(a, b).x,
            each(lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0]),
            TALL2,
            numbers(2, 4, 2, seed=19),
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
            numbers(5, seed=20),
        )
    ],
    "kron": [lone(linalg.kron, np.kron, B, numbers(2, 3, seed=25))],
    "cond": [
        lone(lambda a, p=p: linalg.cond(a, p), lambda a, p=p: np.linalg.cond(a, p), S2)
        for p in (None, 2, -2, "fro", "nuc", 1, -1, np.inf, -np.inf)
    ],
    "norms_of_singular_values": [
        lone(lambda a, p=p: linalg.matrix_norm(a, ord=p), lambda a, p=p: np.linalg.matrix_norm(a, ord=p), a)
        for p in (2, -2, "nuc", "fro", 1, np.inf)
        for a in (TALL2, WIDE)
    ],
}

LINALG_COMPLEX = {f"{name} of complex": rows for name, rows in ROWS.items()}
