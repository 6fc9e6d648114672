"""Selections: ops that take some values and leave others, and the products that respect it.

The cotangent of a value that is not taken is exactly 0, at every order, whatever the value is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgrad.errors import GraphError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.compare import isnan, logical_or
from symgrad.ops.complexes import conj
from symgrad.ops.create import as_tensor
from symgrad.ops.kinds import ANY, FLOATS, NUMBERS, REALS, Elementwise, elementwise
from symgrad.registry import provide

_CONDITION = "a condition is piecewise constant"

where: Elementwise = elementwise(
    "where(c, x, y)",
    "x where c holds, else y",
    accepts=ANY,
    conditions=1,
    selects=True,
    no_gradient={"c": _CONDITION},
    vjp_x=lambda g, c, x, y, out: where(c, g, 0),
    vjp_y=lambda g, c, x, y, out: where(c, 0, g),
    numpy="numeric.where({c}, {x}, {y}, {out})",
    scalar=lambda b, c, x, y: b.select(c, x, y),
)

maximum: Elementwise = elementwise(
    "maximum(x, y)",
    "the larger; NaN if either is; at ties the derivative is split equally",
    accepts=REALS,
    commutative=True,
    selects=True,
    vjp_x=lambda g, x, y, out: where(x > y, g, where(x == y, 0.5 * g, 0)),
    vjp_y=lambda g, x, y, out: where(y > x, g, where(x == y, 0.5 * g, 0)),
    numpy="numpy.maximum({x}, {y}, out={out})",
    scalar=lambda b, x, y: b.call("maximum", x, y),
)

minimum: Elementwise = elementwise(
    "minimum(x, y)",
    "the smaller; NaN if either is; at ties the derivative is split equally",
    accepts=REALS,
    commutative=True,
    selects=True,
    vjp_x=lambda g, x, y, out: where(x < y, g, where(x == y, 0.5 * g, 0)),
    vjp_y=lambda g, x, y, out: where(y < x, g, where(x == y, 0.5 * g, 0)),
    numpy="numpy.minimum({x}, {y}, out={out})",
    scalar=lambda b, x, y: b.call("minimum", x, y),
)

relu: Elementwise = elementwise(
    "relu(x)",
    "max(x, 0), with derivative 0 at 0",
    accepts=REALS,
    selects=True,
    vjp_x=lambda g, x, out: where(out > 0, g, 0),  # out, not x, which then need not be kept
    numpy="numpy.maximum({x}, 0, out={out})",
    scalar=lambda b, x: b.call("maximum", x, b.constant(0.0, x)),
)


@provide("clip")
def clip(x: Any, min: Any = None, max: Any = None, *, a_min: Any = None, a_max: Any = None) -> Tensor:
    """x limited to [min, max]; the derivative is 1 inside and at the bounds, 0 outside.

    Args:
        x: numbers; NaN stays.
        min: the lower bound, of a shape that broadcasts with x; None: no bound. Where it is NaN, so is the result.
        max: the upper bound, likewise; where it is less than `min`, it is the result.
        a_min, a_max: NumPy's older names of the bounds.

    Where a bound is the result, the derivative towards it is 1.

    >>> clip([1.0, 2.0, 3.0], max=[0.5, 2.0, 9.0]).eval()
    array([0.5, 2. , 3. ])
    """
    tensor = as_tensor(x)
    min, max = one_of("min", min, "a_min", a_min), one_of("max", max, "a_max", a_max)
    if min is not None:
        tensor = where(_or_nan(tensor < min, min), min, tensor)
    if max is not None:
        tensor = where(_or_nan(tensor > max, max), max, tensor)
    return tensor


def one_of(name: str, value: Any, older: str, same: Any) -> Any:
    """An argument that has two names, of which one may be given."""
    if value is not None and same is not None:
        raise GraphError(
            f"{older} is another name of {name}: only one can be given", at=origin.locate(origin.current())
        )
    return same if value is None else value


def _or_nan(beyond: Tensor, bound: Any) -> Tensor:
    """Beyond the bound, or there is none to compare with."""
    if isinstance(bound, (bool, int, float)):
        return beyond if bound == bound else isnan(bound)
    tensor = as_tensor(bound)
    return logical_or(beyond, isnan(tensor)) if tensor.dtype.kind in FLOATS else beyond


# ---- strong-zero products ---------------------------------------------------------------------------
#
#   masked_multiply(g, p)       0 where g is 0, else g p         d/dg: masked_multiply(t, p)
#                                                                d/dp: masked_multiply_both(t, g)
#   masked_multiply_both(a, b)  0 where a or b is 0, else a b    d/da: masked_multiply_both(t, b)
#
# (of complex numbers, with p, g and b conjugated).
#
# The derivative is that of a product, so nothing is lost at second order, where `where(g == 0, 0, g p)`
# would lose the term g' p.

masked_multiply: Elementwise = elementwise(
    "masked_multiply(g, p)",
    "g * p, but 0 where g is 0, whatever p is",
    accepts=NUMBERS,
    selects=True,
    vjp_g=lambda t, g, p, out: masked_multiply(t, conj(p)),
    vjp_p=lambda t, g, p, out: masked_multiply_both(t, conj(g)),
    numpy="numeric.masked_multiply({g}, {p}, {out})",
    scalar=lambda b, g, p: b.select(b.equal(g, b.constant(0.0, g)), b.constant(0.0, g), b.multiply(g, p)),
)

masked_multiply_both: Elementwise = elementwise(
    "masked_multiply_both(x, y)",
    "x * y, but 0 where either is 0, whatever the other is",
    accepts=NUMBERS,
    selects=True,
    commutative=True,
    vjp_x=lambda t, x, y, out: masked_multiply_both(t, conj(y)),
    vjp_y=lambda t, x, y, out: masked_multiply_both(t, conj(x)),
    numpy="numeric.masked_multiply_both({x}, {y}, {out})",
    scalar=lambda b, x, y: b.select(
        b.logical_or(b.equal(x, b.constant(0.0, x)), b.equal(y, b.constant(0.0, y))),
        b.constant(0.0, x),
        b.multiply(x, y),
    ),
)


def _finite_where(node: Node) -> Sequence[Tensor]:
    return node.inputs[1:]


where.finite_if = _finite_where  # type: ignore[attr-defined]
