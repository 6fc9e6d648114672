"""NumPy forms of the ops of linear algebra, with SciPy where NumPy has none. Owner of `scipy.linalg`, loaded
when generated code needs one: `linalg.<name>` in templates.

Matrices are in the last two axes. What fails raises LinAlgError and says which matrix of the batch it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy
import scipy.linalg
from scipy.linalg.lapack import get_lapack_funcs

from symgrad.errors import LinAlgError, matrix_error

Array: TypeAlias = Any
SINGULAR = "the matrix is singular"
NO_CONVERGENCE = "the iteration does not converge"
NOT_FINITE = "the matrix holds a NaN or an infinity"


def failure(what: str, place: tuple[int, ...]) -> LinAlgError:
    """The error for the matrix at `place` of a batch."""
    number = place[0] if len(place) == 1 else place
    return LinAlgError(what, facts=[("matrix of the batch", number)] if place else [])


def _places(a: Array) -> Iterator[tuple[int, ...]]:
    """The indices of the matrices of a batch."""
    return iter(numpy.ndindex(a.shape[:-2]))


def _all_at_once(f: Callable[..., Any], what: str, a: Array, *more: Array) -> Any:
    """f of all matrices; if it fails, the error names the first that does."""
    try:
        return f(a, *more)
    except numpy.linalg.LinAlgError:
        for place in _places(a):
            try:
                f(a[place], *[x[place] for x in more])
            except numpy.linalg.LinAlgError:
                raise failure(what, place) from None
        raise


def _iterated(f: Callable[..., Any], a: Array) -> Any:
    """f of all matrices, an iteration: of numbers that are not finite, LAPACK's may never end."""
    finite = numpy.isfinite(a).all(axis=(-1, -2))
    if not finite.all():
        place = tuple(int(i) for i in numpy.unravel_index(numpy.argmin(finite), finite.shape))
        raise failure(NOT_FINITE, place)
    return _all_at_once(f, NO_CONVERGENCE, a)


# ---- Cholesky ---------------------------------------------------------------------------------------


def cholesky(a: Array) -> Array:
    """Reads the lower triangle."""
    out = numpy.zeros_like(a, order="C")
    (potrf,) = get_lapack_funcs(("potrf",), dtype=a.dtype)
    for place in _places(a) if a.shape[-1] else ():
        # LAPACK sees the transpose, whose upper triangle is our lower one: u^H u = a^T for l = u^T.
        found, info = potrf(a[place].T, lower=False, clean=True)
        if info:
            raise matrix_error(False, place, int(info))
        out[place] = found.T
    return out


def cholesky_inverse(l: Array) -> Array:
    out = numpy.empty_like(l, order="C")
    potri, trtri = get_lapack_funcs(("potri", "trtri"), dtype=l.dtype)
    for place in _places(l) if l.shape[-1] else ():
        if l.dtype.kind == "c":  # potri takes a diagonal to be real
            found, info = trtri(l[place], lower=True)
            half = numpy.tril(found)
            found = half.conj().T @ half
        else:
            found, info = potri(l[place], lower=True)
        if info:
            raise matrix_error(True, place, int(info) - 1)
        lower = numpy.tril(found)
        out[place] = lower + numpy.tril(lower, -1).conj().T
    return out


# ---- triangular systems -----------------------------------------------------------------------------


def solve_triangular(a: Array, b: Array, lower: bool, adjoint: bool, unit: bool) -> Array:
    out = numpy.empty_like(b, order="C")
    (trtrs,) = get_lapack_funcs(("trtrs",), dtype=a.dtype)
    for place in _places(a) if b.size else ():
        x, info = trtrs(a[place], b[place], lower=lower, trans=2 * adjoint, unitdiag=unit)
        if info:
            raise matrix_error(True, place, int(info) - 1)
        out[place] = x
    return out


# ---- LU ---------------------------------------------------------------------------------------------


def lu_factor(a: Array) -> tuple[Array, Array, Array]:
    """Crout's factors; columns are exchanged, since the transpose is what LAPACK sees."""
    n = a.shape[-1]
    lu = numpy.empty_like(a, order="C")
    order = numpy.empty(a.shape[:-1], numpy.int64)
    parity = numpy.ones(a.shape[:-2], a.dtype)
    (getrf,) = get_lapack_funcs(("getrf",), dtype=a.dtype)
    for place in _places(a) if n else ():
        found, swaps, _ = getrf(a[place].T)
        lu[place] = found.T
        at = list(range(n))
        for i, j in enumerate(swaps):
            at[i], at[j] = at[j], at[i]
        order[place] = at
        parity[place] = -1 if numpy.count_nonzero(swaps != numpy.arange(n)) % 2 else 1
    return lu, order, parity


def solve(a: Array, b: Array) -> Array:
    return _all_at_once(numpy.linalg.solve, SINGULAR, a, b)


def inv(a: Array) -> Array:
    return _all_at_once(numpy.linalg.inv, SINGULAR, a)


# ---- determinants -----------------------------------------------------------------------------------


def det(a: Array) -> Array:
    return numpy.linalg.det(a)


def slogdet(a: Array) -> tuple[Array, Array]:
    sign, logabsdet = numpy.linalg.slogdet(a)
    return sign, logabsdet


def cofactors(a: Array) -> Array:
    """phase u p vh with p the products of all singular values but one; NaN of a matrix that is not finite, as
    its determinant."""
    kept, spoilt = _finite(a)
    u, s, vh, phase = _oriented_svd(kept)
    found: Array = phase[..., None, None] * ((u * _all_but_one(s)[..., None, :]) @ vh)
    found[spoilt] = numpy.nan
    return found


def _finite(a: Array) -> tuple[Array, Array]:
    """The matrices with zeros for those that are not finite, and which these are."""
    spoilt = ~numpy.isfinite(a).all(axis=(-2, -1))
    return (numpy.where(spoilt[..., None, None], 0, a) if spoilt.any() else a), spoilt


def cofactors_derivative(a: Array, t: Array) -> Array:
    """With m = u^H t v: phase u conj(k) vh, where k_ii = sum over j of p_ij m_jj, k_ij = -p_ij m_ji, and p_ij
    is the product of all singular values but two. (Cofactors are conjugates of analytic functions.) NaN of a
    matrix that is not finite, but 0 in the direction 0."""
    kept, spoilt = _finite(a)
    u, s, vh, phase = _oriented_svd(kept)
    m = u.conj().swapaxes(-1, -2) @ t @ vh.conj().swapaxes(-1, -2)
    p = _all_but_two(s)
    diagonal = numpy.diagonal(m, axis1=-2, axis2=-1)
    k = -p * m.swapaxes(-1, -2)
    index = numpy.arange(s.shape[-1])
    k[..., index, index] = (p @ diagonal[..., None])[..., 0]
    found: Array = phase[..., None, None] * (u @ k.conj() @ vh)
    found[spoilt] = numpy.where(t[spoilt].any(axis=(-2, -1), keepdims=True), numpy.nan, 0)
    return found


def _oriented_svd(a: Array) -> tuple[Array, Array, Array, Array]:
    """u, s, vh and conj(det(u) det(vh))."""
    u, s, vh = _iterated(numpy.linalg.svd, a)
    phase = numpy.conj(numpy.linalg.det(u) * numpy.linalg.det(vh)).astype(a.dtype)
    return u, s, vh, numpy.sign(phase) if a.dtype.kind != "c" else phase / numpy.abs(phase)


def _all_but_one(s: Array) -> Array:
    """Products of all numbers of a row but one, without a division."""
    ones = numpy.ones_like(s[..., :1])
    before = numpy.cumprod(numpy.concatenate([ones, s[..., :-1]], -1), -1)
    after = numpy.cumprod(numpy.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
    return before * after if s.shape[-1] else s


def _all_but_two(s: Array) -> Array:
    """Products of all numbers of a row but those at i and j; 0 for i = j."""
    n = s.shape[-1]
    if not n:
        return numpy.empty((*s.shape, 0), s.dtype)
    rows = numpy.repeat(s[..., None, :], n, -2)
    index = numpy.arange(n)
    rows[..., index, index] = 1
    found = _all_but_one(rows)
    found[..., index, index] = 0
    return found


# ---- orthogonal factors -----------------------------------------------------------------------------


def qr(a: Array, complete: bool) -> tuple[Array, Array]:
    q, r = numpy.linalg.qr(a, "complete" if complete else "reduced")
    return q, r


def eigh(a: Array, lower: bool) -> tuple[Array, Array]:
    w, v = _iterated(lambda x: numpy.linalg.eigh(x, "L" if lower else "U"), a)
    return w, v


def eigvalsh(a: Array) -> Array:
    return _iterated(numpy.linalg.eigvalsh, a)


def svd(a: Array, full: bool) -> tuple[Array, Array, Array]:
    u, s, vh = _iterated(lambda x: numpy.linalg.svd(x, full_matrices=full), a)
    return u, s, vh


def svdvals(a: Array) -> Array:
    return _iterated(numpy.linalg.svdvals, a)


# ---- pseudo-inverses --------------------------------------------------------------------------------


def _rtol(a: Array, rtol: float | None) -> float:
    return max(a.shape[-2:]) * float(numpy.finfo(a.dtype).eps) if rtol is None else rtol


def pinv(a: Array, rtol: float | None) -> Array:
    return _iterated(lambda x: numpy.linalg.pinv(x, rcond=_rtol(a, rtol)), a)


def lstsq(a: Array, b: Array, rtol: float | None) -> Array:
    out = numpy.zeros((*a.shape[:-2], a.shape[-1], b.shape[-1]), b.dtype)
    for place in _places(a) if out.size and b.size else ():
        if not (numpy.isfinite(a[place]).all() and numpy.isfinite(b[place]).all()):
            raise failure(NOT_FINITE, place)
        try:
            out[place] = numpy.linalg.lstsq(a[place], b[place], rcond=_rtol(a, rtol))[0]
        except numpy.linalg.LinAlgError:
            raise failure(NO_CONVERGENCE, place) from None
    return out


# ---- functions --------------------------------------------------------------------------------------


def expm(a: Array) -> Array:
    out = numpy.empty_like(a, order="C")
    for place in _places(a) if a.size else ():
        out[place] = scipy.linalg.expm(a[place])
    return out
