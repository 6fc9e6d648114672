"""NumPy code that holds matrices against what is assumed of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy

from symgrad.errors import LinAlgError

Array: TypeAlias = Any


def assumed(x: Array, property: str, checked: bool) -> Array:
    """x; if `checked`, an error unless its matrices have the property, but for rounding: half the digits."""
    if checked and x.size:
        for place in numpy.ndindex(x.shape[:-2]):
            matrix = x[place]
            bound = float(numpy.sqrt(numpy.finfo(x.dtype).eps)) * float(numpy.abs(matrix).max())
            if not (numpy.isfinite(matrix).all() and _HAS[property](matrix, bound)):
                number = place[0] if len(place) == 1 else place
                raise LinAlgError(
                    f"a matrix that is assumed {property.replace('_', ' ')} is not",
                    facts=[("matrix of the batch", number)] if place else [],
                )
    return x


def has_exactly(x: Array, property: str) -> bool:
    """Whether matrices have a property without any rounding; orthogonal ones to the last digits."""
    bound = 8 * float(numpy.finfo(x.dtype).eps) if property == "orthogonal" else 0.0
    with numpy.errstate(all="ignore"):
        return not x.size or all(_HAS[property](x[place], bound) for place in numpy.ndindex(x.shape[:-2]))


def _small(x: Array, bound: float) -> bool:
    return bool(numpy.abs(x).max(initial=0) <= bound)


def _is_symmetric(x: Array, bound: float) -> bool:
    return _small(x - x.conj().T, bound)


def _is_positive_definite(x: Array, bound: float) -> bool:
    if not _is_symmetric(x, bound):
        return False
    try:
        numpy.linalg.cholesky(x)
    except numpy.linalg.LinAlgError:
        return False
    return True


def _is_orthogonal(x: Array, bound: float) -> bool:
    return _small(x @ x.conj().T - numpy.eye(len(x)), len(x) * bound)


def _is_lower(x: Array, bound: float) -> bool:
    return _small(numpy.triu(x, 1), bound)


def _is_upper(x: Array, bound: float) -> bool:
    return _small(numpy.tril(x, -1), bound)


_HAS: dict[str, Callable[[Array, float], bool]] = {
    "symmetric": _is_symmetric,
    "positive_definite": _is_positive_definite,
    "lower_triangular": _is_lower,
    "upper_triangular": _is_upper,
    "diagonal": lambda x, bound: _is_lower(x, bound) and _is_upper(x, bound),
    "orthogonal": _is_orthogonal,
}
