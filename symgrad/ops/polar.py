"""Complex numbers as length and direction: what `abs`, `sign` and `angle` are of them.

The length of z = x + iy is `hypot(x, y)` and its angle `atan2(y, x)`, so derivatives are those of real functions; at
z = 0 they are 0. The gradient of |z| is z / |z|.
"""

from __future__ import annotations

import math
from typing import Any

from symgrad.ir.tensor import Tensor
from symgrad.ops.arithmetic import square
from symgrad.ops.cast import astype
from symgrad.ops.complexes import complex, conj, imag, real
from symgrad.ops.create import as_tensor, zeros_like
from symgrad.ops.inverse import atan2, hypot
from symgrad.ops.kinds import BITS, COMPLEX, Elementwise, elementwise
from symgrad.ops.select import masked_multiply, where
from symgrad.registry import provide
from symgrad.types import FLOAT64


@provide("modulus")
def modulus(z: Tensor) -> Tensor:
    """|z|, without overflow."""
    return hypot(real(z), imag(z))


def squared_length(x: Tensor) -> Tensor:
    """|x|^2, without a root: the square, of complex numbers the sum of the squares of both parts."""
    return square(real(x)) + square(imag(x)) if x.dtype.kind == "complex" else square(x)


def _tangential(g: Tensor, z: Tensor, out: Tensor) -> Tensor:
    """What of g is at right angles to z, over |z|: i u Im(conj(u) g) / |z| with u = z / |z|. It is its own adjoint.
    Zeros of g are strong: it may be masked, and u then NaN."""
    length = modulus(z)
    turned = masked_multiply(imag(masked_multiply(g, conj(out))), 1 / where(length == 0, 1, length))
    return complex(-masked_multiply(turned, imag(out)), masked_multiply(turned, real(out)))


phasor: Elementwise = elementwise("phasor(z)", "z / |z|, with derivative 0 at 0; 0 at 0", accepts=COMPLEX, selects=True,
                     vjp_z=_tangential,
                     numpy="numpy.sign({z}, out={out})", scalar=lambda b, z: b.call("sign", z))  # fmt: skip


def angle(z: Any, deg: bool = False) -> Tensor:
    """The angle of complex numbers, from -pi to pi; of real ones, 0 or pi, which has no derivative but 0.

    Args:
        z: numbers; integers become float64.
        deg: in degrees.

    >>> import symgrad as sg
    >>> sg.angle([1j, -1.0, 0.0]).eval()
    array([1.57079633, 3.14159265, 0.        ])
    """
    tensor = as_tensor(z)
    tensor = astype(tensor, FLOAT64) if tensor.dtype.kind in BITS else tensor
    if tensor.dtype.kind == "complex":
        found = atan2(imag(tensor), real(tensor))
    else:
        found = atan2(zeros_like(tensor), tensor)
    return found * (180 / math.pi) if deg else found
