"""Complex numbers as pairs of real ones, for the native backend, which computes with real numbers alone.

A complex tensor that is computed is two real tensors, its planes; ops become ops on planes, which fuse and
run in vectors as all others do. In memory the planes lie interleaved, as NumPy has them: `real` and `imag` of
a tensor in memory are layouts, every second float, and `complex` writes both. So only arguments, results, and
what ops without a form here read and write (transforms, logarithms ...) are complex tensors; those ops are
called back.

    moves and sums       of each plane by itself
    products             (a + ib) (c + id) = ac - bd + i (ad + bc); of matrices likewise
    quotients            Smith's (1962), which does not overflow on the way
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy

from symgrad.ir import origin
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply_all, create, is_leaf
from symgrad.ir.values import ArrayData, Scalar
from symgrad.ops.arithmetic import abs, add, divide, multiply, negative, reciprocal, square, subtract
from symgrad.ops.cast import AsType, astype, stop_gradient
from symgrad.ops.compare import equal, isfinite, isinf, isnan, logical_and, logical_or, not_equal
from symgrad.ops.complexes import complex, imag, real
from symgrad.ops.contract import MatMul
from symgrad.ops.create import Constant, Fill, zeros_like
from symgrad.ops.cumulative import CumulativeSum
from symgrad.ops.custom import Barrier
from symgrad.ops.gather import Gather, ScatterAdd, ScatterAddAlongAxis, Take, TakeAlongAxis
from symgrad.ops.join import Concat
from symgrad.ops.kinds import TensorOp
from symgrad.ops.reduce import Sum
from symgrad.ops.scatter import Scatter
from symgrad.ops.select import masked_multiply, masked_multiply_both, where
from symgrad.ops.slices import SetSlice, Unslice
from symgrad.ops.transcendental import cos, exp, sin
from symgrad.registry import ops
from symgrad.types import real_dtype
from symgrad_compiler.passes.pipeline import replace_results

Pair: TypeAlias = tuple[Tensor, Tensor]


# ---- what becomes of ops ----------------------------------------------------------------------------


# Products are written out also where a plane is known to be 0: with infinities they are NaN, as NumPy has it.


def _product(x: Pair, y: Pair) -> Pair:
    (a, b), (c, d) = x, y
    return a * c - b * d, a * d + b * c


def _square(x: Pair) -> Pair:
    a, b = x
    return a * a - b * b, a * b + b * a


def _quotient(x: Pair, y: Pair) -> Pair:
    """Smith's algorithm, as NumPy has it: with the ratio of the smaller part of y to the larger."""
    (a, b), (c, d) = x, y
    first = abs(c) >= abs(d)
    large, small = where(first, c, d), where(first, d, c)
    ratio = small / large
    scale = reciprocal(large + small * ratio)
    real_part = where(first, a + b * ratio, a * ratio + b) * scale
    imag_part = where(first, b - a * ratio, b * ratio - a) * scale
    zero = logical_and(c == 0, d == 0)
    return where(zero, a / abs(c), real_part), where(zero, b / abs(c), imag_part)


def _reciprocal(x: Pair) -> Pair:
    (a, b) = x
    first = abs(a) >= abs(b)
    large, small = where(first, a, b), where(first, b, a)
    ratio = small / large
    scale = large + small * ratio
    return where(first, 1, ratio) / scale, where(first, -ratio, -1) / scale


def _exp(x: Pair) -> Pair:
    """e^a (cos b + i sin b); where e^a overflows, by its root twice; where a is -inf, 0 whatever b is."""
    a, b = x
    size, half = exp(a), exp(0.5 * a)
    c, s = cos(b), sin(b)

    def part(turn: Tensor) -> Tensor:
        return where(a == -math.inf, 0, where(isinf(size), (half * turn) * half, size * turn))

    return part(c), where(b == 0, b, part(s))


def _is_nonzero(x: Pair) -> Tensor:
    return logical_or(not_equal(x[0], 0), not_equal(x[1], 0))


def _masked(product: Pair, counts: Tensor) -> Pair:
    return where(counts, product[0], 0), where(counts, product[1], 0)


def _masked_product(x: Pair, y: Pair) -> Pair:
    return _masked(_product(x, y), _is_nonzero(x))


def _masked_product_of_both(x: Pair, y: Pair) -> Pair:
    return _masked(_product(x, y), logical_and(_is_nonzero(x), _is_nonzero(y)))


#: Elementwise op -> a function from the planes of its operands to those of its result.
OF_PAIRS: dict[object, Callable[..., Pair]] = {
    add: lambda x, y: (x[0] + y[0], x[1] + y[1]),
    subtract: lambda x, y: (x[0] - y[0], x[1] - y[1]),
    negative: lambda x: (-x[0], -x[1]),
    multiply: _product,
    square: _square,
    divide: _quotient,
    reciprocal: _reciprocal,
    exp: _exp,
    masked_multiply: _masked_product,
    masked_multiply_both: _masked_product_of_both,
    stop_gradient: lambda x: x,
    ops["conj"]: lambda x: (x[0], -x[1]),
    complex: lambda x, y: (x, y),
    where: lambda c, x, y: (where(c, x[0], y[0]), where(c, x[1], y[1])),
}
#: Elementwise op -> a function from the planes of its operands to its result, which is real.
TO_REAL: dict[object, Callable[..., Tensor]] = {
    ops["real"]: lambda x: x[0],
    ops["imag"]: lambda x: x[1],
    equal: lambda x, y: logical_and(equal(x[0], y[0]), equal(x[1], y[1])),
    not_equal: lambda x, y: logical_or(not_equal(x[0], y[0]), not_equal(x[1], y[1])),
    isnan: lambda x: logical_or(isnan(x[0]), isnan(x[1])),
    isinf: lambda x: logical_or(isinf(x[0]), isinf(x[1])),
    isfinite: lambda x: logical_and(isfinite(x[0]), isfinite(x[1])),
}
#: Ops that do the same with each plane, beside those that are a layout.
BY_PLANE = (
    *(SetSlice, Unslice, Concat, Barrier),
    *(Gather, Take, TakeAlongAxis, ScatterAdd, ScatterAddAlongAxis, Sum, CumulativeSum),
)


def _goes_by_plane(node: Node) -> bool:
    op = node.op
    if isinstance(op, TensorOp) and op.strided is not None:
        return True
    return isinstance(op, BY_PLANE) or (isinstance(op, Scatter) and op.mode in ("set", "add"))


# ---- the graph --------------------------------------------------------------------------------------


@without_collections
def split(graph: Graph) -> Graph:
    """The graph with complex numbers as pairs of real ones, as far as there are forms for its ops."""
    if not any(is_complex(t) for n in graph.nodes for t in (*n.inputs, *n.outputs)):
        return graph
    planes = _Planes()
    for node in graph.nodes:
        with origin.scope(node.origins):
            planes.add(node)
    results = (*graph.outputs, *graph.updates.values())
    replaced = {t: planes.whole(t) if is_complex(t) else planes.tensor(t) for t in results}
    return replace_results(graph, {old: new for old, new in replaced.items() if old is not new})


def is_complex(tensor: Tensor) -> bool:
    return tensor.dtype.kind == "complex"


class _Planes:
    """What stands for the tensors of the old graph."""

    def __init__(self) -> None:
        #: Real tensors, and complex ones in memory.
        self.tensors: dict[Tensor, Tensor] = {}
        self.pairs: dict[Tensor, Pair] = {}

    def tensor(self, old: Tensor) -> Tensor:
        return self.tensors.get(old, old)

    def pair(self, old: Tensor) -> Pair:
        """The planes of a complex tensor."""
        found = self.pairs.get(old)
        if found is None:
            held = self.tensors[old] = self.tensor(old)
            found = self.pairs[old] = (real(held), imag(held))
        return found

    def whole(self, old: Tensor) -> Tensor:
        """A complex tensor in memory."""
        if old in self.pairs and old not in self.tensors:
            made = complex(*self.pairs[old])
            made.name = old.name
            self.tensors[old] = made
        return self.tensor(old)

    def add(self, node: Node) -> None:
        """Make what stands for the outputs of a node."""
        op, outputs = node.op, node.outputs
        if is_leaf(outputs[0]):
            return
        if not any(is_complex(t) for t in (*node.inputs, *outputs)):
            self._again(node)
        elif isinstance(op, (Fill, Constant)):
            self.pairs[node.output] = _parts(op)
        elif isinstance(op, AsType) and is_complex(node.output):
            self.pairs[node.output] = self._converted(node)
        elif op in OF_PAIRS:
            self.pairs[node.output] = OF_PAIRS[op](*self._operands(node))
        elif op in TO_REAL:
            self.tensors[node.output] = TO_REAL[op](*self._operands(node))
        elif isinstance(op, MatMul) and not op.strong:
            self.pairs[node.output] = _matrix_product(*[self.pair(t) for t in node.inputs])
        elif _goes_by_plane(node):
            made = [apply_all(op, tuple([self._plane(t, k) for t in node.inputs])) for k in (0, 1)]
            self.pairs.update(zip(outputs, zip(*made, strict=True), strict=True))
        else:
            self._again(node)

    def _operands(self, node: Node) -> list[Tensor | Pair]:
        return [self.pair(t) if is_complex(t) else self.tensor(t) for t in node.inputs]

    def _plane(self, old: Tensor, k: int) -> Tensor:
        return self.pair(old)[k] if is_complex(old) else self.tensor(old)

    def _converted(self, node: Node) -> Pair:
        (x,) = node.inputs
        part = real_dtype(node.output.dtype)
        if is_complex(x):
            a, b = self.pair(x)
            return astype(a, part), astype(b, part)
        found = astype(self.tensor(x), part)
        return found, zeros_like(found)

    def _again(self, node: Node) -> None:
        """The node on new inputs, complex ones in memory."""
        inputs = tuple([self.whole(t) if is_complex(t) else self.tensor(t) for t in node.inputs])
        if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
            return
        made = create(node.op, inputs, [t.type for t in node.outputs], node.origins)
        for old, new in zip(node.outputs, made, strict=True):
            new.name = old.name
            self.tensors[old] = new


def _parts(op: Fill | Constant) -> Pair:
    if isinstance(op, Fill):
        part, value = real_dtype(op.value.dtype), op.value.numpy
        scalars = [Scalar(part, part.numpy.type(v).tobytes()) for v in (value.real, value.imag)]
        return apply_all(Fill(scalars[0], op.shape), ())[0], apply_all(Fill(scalars[1], op.shape), ())[0]
    array = op.data.array
    arrays = [ArrayData(numpy.ascontiguousarray(v)) for v in (array.real, array.imag)]
    return apply_all(Constant(arrays[0]), ())[0], apply_all(Constant(arrays[1]), ())[0]


def _matrix_product(x: Pair, y: Pair) -> Pair:
    """Four products."""
    (a, b), (c, d) = x, y

    def times(p: Tensor, q: Tensor) -> Tensor:
        return apply_all(MatMul(), (p, q))[0]

    return times(a, c) - times(b, d), times(a, d) + times(b, c)
