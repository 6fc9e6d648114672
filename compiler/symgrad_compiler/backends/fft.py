"""Owner of SciPy's Fourier transforms, loaded when generated code needs one: the NumPy forms of the ops of
`symgrad.ops.fft`. Unlike NumPy's they keep single precision in single precision, which takes half the time.

Sums of no elements are 0, where SciPy raises.
"""

from __future__ import annotations

from typing import Any

import numpy
import scipy.fft

Array = Any


def forward(x: Array, axes: tuple[int, ...], norm: str) -> Array:
    """The transform over `axes`."""
    return scipy.fft.fftn(x, axes=axes, norm=norm) if x.size else numpy.zeros_like(x)


def inverse(x: Array, axes: tuple[int, ...], norm: str) -> Array:
    """Its inverse."""
    return scipy.fft.ifftn(x, axes=axes, norm=norm) if x.size else numpy.zeros_like(x)


def real_forward(x: Array, axis: int, norm: str) -> Array:
    """The first half of the transform of real numbers along an axis."""
    if x.size:
        return scipy.fft.rfft(x, axis=axis, norm=norm)
    return numpy.zeros(_with_size(x, axis, x.shape[axis] // 2 + 1), f"c{2 * x.dtype.itemsize}")


def real_inverse(x: Array, axis: int, size: int, norm: str) -> Array:
    """The `size` real numbers that have x as the first half of their transform along an axis."""
    if x.size and size:
        return scipy.fft.irfft(x, size, axis=axis, norm=norm)
    return numpy.zeros(_with_size(x, axis, size), f"f{x.dtype.itemsize // 2}")


def _with_size(x: Array, axis: int, size: int) -> tuple[int, ...]:
    return (*x.shape[:axis], size, *x.shape[axis + 1 :])
