"""NumPy code of the parts of complex numbers; see `numeric`. Imports NumPy only."""

from __future__ import annotations

from typing import Any

import numpy


def real(x: Any, out: Any = None) -> Any:
    """The real part, in an array of its own."""
    return _copied(numpy.real(x), out)


def imag(x: Any, out: Any = None) -> Any:
    """The imaginary part, in an array of its own."""
    return _copied(numpy.imag(x), out)


def _copied(part: Any, out: Any) -> Any:
    if out is None:
        return part.copy()
    numpy.copyto(out, part)
    return out


def complex_(x: Any, y: Any, out: Any = None) -> Any:
    """x + iy, without a product, which would make NaN of an infinite part."""
    if out is None:
        dtype = numpy.result_type(x, y)
        out = numpy.empty(numpy.broadcast_shapes(numpy.shape(x), numpy.shape(y)), f"c{2 * dtype.itemsize}")
    out.real = x
    out.imag = y
    return out if out.ndim else out[()]


def sech_squared_of_complex(x: Any, out: Any = None) -> Any:
    """1 / cosh(x)^2 as 4 e / (1 + e)^2 with e = exp(-2x), for the sign of x with which e does not overflow."""
    e = numpy.exp(-2 * numpy.where(numpy.real(x) < 0, -x, x))
    one_plus = 1 + e
    return numpy.divide(4 * e, one_plus * one_plus, out=out)


def log1p(x: Any, out: Any = None) -> Any:
    """log(1 + x); near 0, with x = a + ib, the real part is log(1 + r) / 2 of r = |1 + x|^2 - 1 = a (2 + a) + b^2,
    of which NumPy's has only what is left beside 1."""
    if numpy.asarray(x).dtype.kind != "c":
        return numpy.log1p(x, out=out)
    found = numpy.log1p(x)
    a, b = numpy.real(x), numpy.imag(x)
    near = (numpy.abs(a) < 0.5) & (numpy.abs(b) < 0.5)
    length = numpy.log1p(numpy.where(near, a * (2 + a) + b * b, 0)) / 2
    angle = numpy.arctan2(b, numpy.where(near, 1 + a, 1))
    return complex_(numpy.where(near, length, found.real), numpy.where(near, angle, found.imag), out)
