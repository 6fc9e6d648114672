"""The parts of complex numbers: `real`, `imag`, `conj`, and `complex`, which puts them together.

All four are linear over the reals, not over the complex numbers, so they state their adjoints whole (see "Complex
numbers" in `kinds`): that of z -> Re z is g -> g + 0i, that of z -> Im z is g -> 0 + gi, and conj is its own.
Of real numbers, `real` and `conj` are the tensor itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import DTypeError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.cast import astype
from symgrad.ops.compare import equal, not_equal
from symgrad.ops.create import as_tensor, zeros_like
from symgrad.ops.kinds import COMPLEX, FLOATS, NUMBERS, Elementwise, elementwise
from symgrad.registry import provide
from symgrad.types import complex_dtype, real_dtype

_real: Elementwise = elementwise("real(x)", "the real part", accepts=COMPLEX, result=real_dtype, linear=True,
                    vjp_x=lambda g, x, out: astype(g, x.dtype),
                    numpy="numeric.real({x}, {out})", scalar=lambda b, x: b.call("real", x), provided=False)  # fmt: skip

_imag: Elementwise = elementwise("imag(x)", "the imaginary part", accepts=COMPLEX, result=real_dtype, linear=True,
                    vjp_x=lambda g, x, out: complex(0, g),
                    numpy="numeric.imag({x}, {out})", scalar=lambda b, x: b.call("imag", x), provided=False)  # fmt: skip

_conj: Elementwise = elementwise("conj(x)", "the complex conjugate", accepts=COMPLEX, linear=True,
                    vjp_x=lambda g, x, out: _conj(g),
                    numpy="numpy.conjugate({x}, out={out})", scalar=lambda b, x: b.call("conj", x), provided=False)  # fmt: skip

complex: Elementwise = elementwise("complex(x, y)", "x + iy", accepts=FLOATS, result=complex_dtype, linear=True,
                      vjp_x=lambda g, x, y, out: _real(g),
                      vjp_y=lambda g, x, y, out: _imag(g),
                      numpy="numeric.complex_({x}, {y}, {out})", scalar=lambda b, x, y: b.call("complex", x, y))  # fmt: skip


def _finite_where(node: Node) -> Sequence[Tensor]:
    return node.inputs


for _op in (_real, _imag, _conj, complex):
    _op.finite_if = _finite_where  # type: ignore[attr-defined]


@provide("real")
def real(x: Any) -> Tensor:
    """The real part: a float tensor; of real numbers, the tensor itself.

    >>> import symgrad as sg
    >>> sg.real([1 + 2j, 3.0]).eval()
    array([1., 3.])
    """
    found: Tensor = _part(_real, x)
    return found


@provide("imag")
def imag(x: Any) -> Tensor:
    """The imaginary part: a float tensor; of real numbers, zeros of their dtype.

    >>> import symgrad as sg
    >>> sg.imag([1 + 2j, 3.0]).eval()
    array([2., 0.])
    """
    if getattr(x, "is_pattern", False):
        return _imag(x)
    tensor = as_tensor(x)
    return _imag(tensor) if tensor.dtype.kind == "complex" else zeros_like(tensor)


@provide("conj")
def conj(x: Any) -> Tensor:
    """The complex conjugate, element by element; of real numbers, the tensor itself.

    Raises:
        DTypeError: x is boolean.

    >>> import symgrad as sg
    >>> sg.conj([1 + 2j, 3.0]).eval()
    array([1.-2.j, 3.-0.j])
    """
    found: Tensor = _part(_conj, x)
    if not getattr(found, "is_pattern", False) and found.dtype.kind not in NUMBERS:
        raise DTypeError(
            f"conj does not take {found.dtype}",
            at=origin.locate(origin.current()),
            hint=f"it takes {', '.join(NUMBERS)}",
        )
    return found


def isreal(x: Any) -> Tensor:
    """Whether the imaginary part is 0, element by element.

    >>> import symgrad as sg
    >>> sg.isreal([1 + 0j, 2j]).eval()
    array([ True, False])
    """
    return equal(imag(x), 0)


def iscomplex(x: Any) -> Tensor:
    """Whether the imaginary part is not 0, element by element."""
    return not_equal(imag(x), 0)


def _part(op: Elementwise, x: Any) -> Any:
    """`op` of complex numbers (and of patterns); other tensors as they are."""
    if getattr(x, "is_pattern", False):
        return op(x)
    tensor = as_tensor(x)
    return op(tensor) if tensor.dtype.kind == "complex" else tensor
