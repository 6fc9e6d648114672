"""Proofs about sizes that the normal form of `dims` cannot decide, by sympy.

Loaded by `dims.equal` on first need, so that sympy's import is paid only by those who need it. Sizes are
translated object by object; text is never sympified.
"""

from __future__ import annotations

from functools import lru_cache

import sympy

from symgrad.dims import Dim, FloorDiv, Minimum, Size, Symbol


@lru_cache(maxsize=4096)
def is_zero(size: Size) -> bool:
    """Whether `size` is 0 for all non-negative values of its symbols.

    >>> from symgrad.dims import maximum, minimum, size
    >>> n, m = size("n"), size("m")
    >>> is_zero(minimum(n, m) + maximum(n, m) - n - m)
    True
    """
    expression = to_sympy(size)
    if expression == 0:
        return True
    piecewise = expression.rewrite(sympy.Piecewise)
    return bool(sympy.simplify(sympy.piecewise_fold(piecewise)) == 0)


def to_sympy(dim: Dim) -> sympy.Expr:
    """The sympy expression of a size, its symbols non-negative integers."""
    if isinstance(dim, int):
        return sympy.Integer(dim)
    total = sympy.Integer(0)
    for monomial, coefficient in dim.terms:
        term = sympy.Integer(coefficient)
        for atom, power in monomial:
            term = term * _atom(atom) ** power
        total = total + term
    return total


def _atom(atom: object) -> sympy.Expr:
    if isinstance(atom, Symbol):
        return sympy.Symbol(atom.name, integer=True, nonnegative=True)
    if isinstance(atom, FloorDiv):
        return sympy.floor(to_sympy(atom.numerator) / to_sympy(atom.denominator))
    if isinstance(atom, Minimum):
        return sympy.Min(to_sympy(atom.a), to_sympy(atom.b))
    return sympy.Max(to_sympy(atom.a), to_sympy(atom.b))  # type: ignore[attr-defined]
