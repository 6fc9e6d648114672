"""What can be said about sizes without knowing them: symbols stand for integers that are not negative."""

from __future__ import annotations

from symgrad.dims import Dim, Symbol


def is_never_negative(dim: Dim) -> bool:
    """Whether a size is at least 0 for all values of its symbols, as far as its coefficients tell.

    >>> from symgrad.dims import size
    >>> is_never_negative(3 * size("n")), is_never_negative(size("n") - 1)
    (True, False)
    """
    if isinstance(dim, int):
        return dim >= 0
    return all(c >= 0 and all(isinstance(a, Symbol) for a, _ in monomial) for monomial, c in dim.terms)
