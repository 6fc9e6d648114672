"""What rounding may do to a result: discrete stochastic arithmetic.

    CESTAC (M. La Porte, J. Vignes 1974; J. Vignes, "Discrete stochastic arithmetic for validating results of
    numerical software", Numerical Algorithms 37, 2004): compute several times, rounding every result up or
    down at random. Digits that all runs share are significant; where runs differ, rounding decides.

Here each floating-point result of a node is moved by one unit in the last place, up or down, in each run. Ops
that add many numbers up round inside too: their operands are moved as well (a backward error: the sum of x_i
(1 + e_i) is as far from the sum of x_i as the roundings of any order of summation put it), and taken in
another order, since only some orders may overflow, or lose what is left where large terms cancel. Operands of
linear algebra are moved by units of their matrix's largest element, which is how accurate factors are (a
backward error again). Ops that move, choose or compare values are exact, and stay so. Arguments are what they
are: exact.

For an element with value v, whose runs spread by s (the largest distance from v), results of programs that
say the same differ by at most

    FACTOR s + ULPS eps |v|

FACTOR is so large because few runs tell a spread only to within a digit or so, and because the functions of
libraries are off by several units, and sums by more. Where runs do not even agree on whether the element is
finite, the spread is infinite. Integers and bools that differ between runs (roundings, orders of nearly equal
numbers) are open; so are comparisons of numbers whose difference changes by a part in FACTOR of it, since no
run may hit upon two that are equal, as another program does.

Two things that C leaves open are open here, too: the integer that a float outside its range becomes, and the
sign of a zero that is the larger of 0 and -0, or a sum of several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from symgrad.ir.graph import Graph
from symgrad.ir.op import attributes
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.contract import MatMul
from symgrad.ops.conv import Convolution
from symgrad.ops.kinds import Elementwise
from symgrad.records import record
from symgrad_compiler.validate.interpret import OF_SIGNS, Array, Compute, Interpreter, is_of_matrices

#: How many times a graph is computed with noise; the first two runs move all results up, and down. And how
#: many times before a result is said to be wrong.
RUNS, MANY = 5, 100
#: In one of so many runs, terms of sums are reordered but not moved.
_KEPT = 4
FACTOR = 128.0
ULPS = 64.0

#: Ops that take the logarithm of a sum of 1 and other numbers: where these are small, that rounds more than
#: the result.
_OF_SUMS = frozenset({"log_softmax", "logsumexp"})
#: Ops on many numbers that multiply by one as well, so that small ones may become 0.
_SCALES = frozenset({"fft", "ifft", "rfft", "irfft"})
#: Ops whose results are not rounded: they move, choose, compare, or change a sign.
EXACT = frozenset(
    {
        *("fill", "constant", "size_of", "iota", "reshape", "broadcast", "permute_dims", "specify_shape"),
        *("real", "imag", "conj", "complex"),
        *("slice", "unslice", "set_slice", "concat", "split", "gather", "take", "take_along_axis", "one_hot"),
        *("in_range", "interleave", "windows"),
        *("main_diagonal", "diagonal_matrix", "barrier", "stop_gradient", "positive", "assume"),
        *("where", "maximum", "minimum", "relu", "max", "min", "supremum", "cumulative_max"),
        *("cumulative_min", "negative", "abs", "sign", "copysign", "floor", "ceil", "trunc", "round"),
    }
)
_LARGER_OR_SMALLER = frozenset(
    {"maximum", "minimum", "relu", "max", "min", "supremum", "cumulative_max", "cumulative_min"}
)
_COMPARISONS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
#: Elementwise ops that give 0 for operands that are not 0 only where the result is exactly 0.
_NEVER_UNDERFLOWS = frozenset({"add", "subtract", "remainder", "floor_divide", "log", "sin", "cos"})


@record
class Estimate:
    """What is known of one result: its value, and what rounding may do to each element.

    `spread` is a float64 array, infinite where anything may come out. Of integers and bools, it is 0 where
    all runs agree. `may_be_nan` is where a run gave NaN.
    """

    value: Array
    spread: Array
    may_be_nan: Array

    @property
    def allowed(self) -> Array:
        """How far another program for the same may be from `value`, element by element."""
        with numpy.errstate(all="ignore"):
            size = numpy.abs(self.value).astype(numpy.float64)
            ulps = ULPS * _eps(self.value) * size
            return numpy.where(numpy.isfinite(ulps), FACTOR * self.spread + ulps, FACTOR * self.spread)


def estimate(
    graph: Graph, plain: Interpreter, seed: int = 0, runs: int = RUNS, *, stable: bool = False
) -> list[Estimate]:
    """The results of a graph (as `Interpreter` orders them), each with what rounding may do to it.

    `plain` holds the arguments; the graph is computed there, and `runs` times with noise. With `stable`, what
    the results depend on where numbers overflow is open: a more stable form does not.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> run = Interpreter({x: numpy.array([1e-8, 1.0])}, {})
    >>> [cancelling] = estimate(sg.Graph([x], 1 + x - 1), run)
    >>> bool(1e-17 < cancelling.spread[0] < 1e-15)
    True
    """
    return Estimates(plain, seed, runs, stable=stable)(graph)


class Estimates:
    """`estimate` for several graphs that share nodes, which are computed once."""

    def __init__(self, plain: Interpreter, seed: int = 0, runs: int = RUNS, *, stable: bool = False) -> None:
        self.plain = plain
        self.seed, self.runs, self.stable = seed, runs, stable
        self._noisy: list[Interpreter] = []

    def __call__(self, graph: Graph, runs: int = 0) -> list[Estimate]:
        """The results of a graph, by at least `runs` runs."""
        values = self.plain(graph)
        leaves = [t for t in (*graph.inputs, *graph.states) if t in self.plain.values]
        given = {t: self.plain.values[t] for t in leaves}
        for k in range(len(self._noisy), max(runs, self.runs)):
            noise = Noise(k, self.seed, self.stable, self.plain.values)
            self._noisy.append(Interpreter(given, self.plain.sizes, noise))
        found: list[list[Array] | None] = []
        for run in self._noisy:
            try:
                found.append(run(graph))
            except (IndexError, ValueError):  # an index that rounding decides
                found.append(None)
        return [
            _estimate(value, [None if r is None else r[i] for r in found]) for i, value in enumerate(values)
        ]


def _estimate(value: Array, runs: Sequence[Array | None]) -> Estimate:
    spread, nan = numpy.zeros(value.shape), numpy.zeros(value.shape, bool)
    with numpy.errstate(all="ignore"):
        for found in runs:
            if found is None:
                return Estimate(value, numpy.full(value.shape, numpy.inf), ~nan)
            if value.dtype.kind not in "fc":
                spread[found != value] = numpy.inf
                continue
            nan |= numpy.isnan(found)
            distance = numpy.abs(found - value).astype(numpy.float64)
            same = (found == value) | (numpy.isnan(found) & numpy.isnan(value))
            both = numpy.isfinite(found) & numpy.isfinite(value)
            spread = numpy.maximum(spread, numpy.where(same, 0, numpy.where(both, distance, numpy.inf)))
    return Estimate(value, spread, nan)


class Noise:
    """Rounds results up (run 0), down (run 1), or at random.

    With `stable`, a result that is not finite although the operands are is any number, another one in each
    run: a comparison may hide that it is no good (exp(800) / exp(800) > 0 is false).
    """

    def __init__(
        self, run: int, seed: int, stable: bool = False, plain: Mapping[Tensor, Array] | None = None
    ) -> None:
        self.run, self.stable = run, stable
        #: What all tensors are without noise.
        self.plain = plain or {}
        self._rng = numpy.random.default_rng([seed, run])

    def operands(self, node: Node, values: Sequence[Array]) -> Sequence[Array]:
        """Of an op that adds many numbers up, each moved, and in another order; of one that looks at signs,
        those of NaN, which mean nothing, one way and the other; of others, as they are."""
        if node.op.name in OF_SIGNS:
            return [self._any_sign_of_nan(v) for v in values]
        if isinstance(node.op, Elementwise) or _is_exact(node):
            return values
        if is_of_matrices(node):
            return [self._move_matrix(v) for v in values]
        moves = self.run % _KEPT != _KEPT - 1  # where terms cancel exactly, only others' order matters
        return self._reorder(node, [self._move(v, moves & (v != 0)) for v in values])

    def _any_sign_of_nan(self, value: Array) -> Array:
        if value.dtype.kind != "f":
            return value
        nan = numpy.copysign(value.dtype.type(numpy.nan), (-1) ** self.run)
        return numpy.where(numpy.isnan(value), nan, value)

    def _reorder(self, node: Node, values: list[Array]) -> list[Array]:
        """The terms of a sum or product in a random order: partial results may overflow in some only."""
        if node.op.name in ("sum", "prod"):
            axes: Sequence[int] = attributes(node.op)["axes"]
        elif node.op.name == "matmul":
            axes = (values[0].ndim - 1,)
        else:
            return values
        for axis in axes:
            order = self._rng.permutation(values[0].shape[axis])
            values[0] = values[0].take(order, axis)
            if len(values) == 2:
                values[1] = values[1].take(order, max(values[1].ndim - 2, 0))
        return values

    def results(
        self, node: Node, operands: Sequence[Array], values: Sequence[Array], compute: Compute
    ) -> Sequence[Array]:
        """The results of an op that rounds, moved; zeros only where a product or a function underflows."""
        if self.stable and not _is_exact(node):
            values = [self._any_number(node, operands, v) for v in values]
        if node.op.name in _LARGER_OR_SMALLER:
            return [self._any_zero(values[0])]
        if node.op.name in _COMPARISONS:
            return [self._other_if_close(node, operands, values[0])]
        if _is_exact(node):
            return values
        if node.op.name == "astype" and values[0].dtype.kind in "iu":
            return [self._any_integer(operands[0], values[0])]
        if node.op.name in ("sum", "prod") and self.run < 2:
            values = [self._in_bad_order(node, operands[0], values[0])]
        if isinstance(node.op, (MatMul, Convolution)) and self.run < 2:
            values = [self._signs_apart(operands[0], operands[1], values[0], compute)]
        elif isinstance(node.op, Convolution):
            values = [self._in_two_parts(operands[0], operands[1], values[0], compute)]
        if node.op.name in _OF_SUMS:
            values = [self._move_by_one(v) for v in values]
        if not isinstance(node.op, Elementwise) or node.op.name in _NEVER_UNDERFLOWS:
            everywhere = node.op.name in _SCALES
            moved = [self._move(v, everywhere | (v != 0)) for v in values]
            return moved if isinstance(node.op, Elementwise) else [self._any_zero(v) for v in moved]
        value = values[0]
        moved = value != 0
        if not moved.all():
            underflows = numpy.ones(value.shape, bool)
            for x in operands[node.op.conditions :]:
                underflows &= numpy.isfinite(x) & (x != 0)
            moved |= underflows
        return [self._move(value, moved)]

    def _move(self, value: Array, where: Any) -> Array:
        """`value` up or down by a unit in the last place; of a complex number, along both axes by such a unit
        of its size, since its product is only that accurate."""
        if value.dtype.kind not in "fc":
            return value
        where = where & numpy.isfinite(value)
        with numpy.errstate(all="ignore"):
            if value.dtype.kind == "f":
                moved = numpy.nextafter(value, self._signs(value.shape, value.dtype) * numpy.inf)
            else:
                size = numpy.abs(value)
                unit = numpy.maximum(_eps(value) * size, numpy.finfo(size.dtype).smallest_subnormal)
                part = unit.dtype
                step = self._signs(value.shape, part) + 1j * self._signs(value.shape, part)
                moved = (value + unit * step).astype(value.dtype)
        return numpy.asarray(numpy.where(where, moved, value))

    def _move_by_one(self, value: Array) -> Array:
        """`value` up or down by what rounding 1 loses."""
        with numpy.errstate(all="ignore"):
            return numpy.asarray(value + self._signs(value.shape, value.dtype) * numpy.finfo(value.dtype).eps)

    def _move_matrix(self, value: Array) -> Array:
        """Each element by a unit of the largest of its matrix, at random in each run: a matrix that is moved
        as a whole stays singular."""
        if value.dtype.kind not in "fc" or not value.size:
            return value
        with numpy.errstate(all="ignore"):
            unit = _eps(value) * numpy.abs(value).max(axis=(-1, -2), keepdims=True)
            signs = self._rng.integers(0, 2, value.shape) * 2 - 1
            return numpy.asarray(value + (signs * unit).astype(value.dtype))

    def _any_number(self, node: Node, operands: Sequence[Array], value: Array) -> Array:
        if value.dtype.kind not in "fc":
            return value
        finite = numpy.isfinite(value)
        if finite.all():
            return value
        if isinstance(node.op, Elementwise):
            good = numpy.logical_and.reduce([numpy.isfinite(x) for x in operands])
        else:
            good = numpy.bool_(all(numpy.isfinite(x).all() for x in operands))
        anything = self._rng.normal(size=value.shape).astype(value.dtype)
        stays = self._rng.integers(0, 4, value.shape) == 0  # infinite in some runs is that, too
        return numpy.asarray(numpy.where(good & ~finite & ~stays, anything, value))

    def _in_bad_order(self, node: Node, x: Array, value: Array) -> Array:
        """A sum or product as it comes out where its terms are in the worst order: the positive terms, or the
        factors above 1, first (run 0); or the negative ones, or those below 1 (run 1). NaN where some of a
        product's factors overflow and the others give 0, as they do if they are multiplied apart."""
        if value.dtype.kind != "f":
            return value
        axes = tuple(attributes(node.op)["axes"])
        if node.op.name == "sum":
            part = numpy.add.reduce(numpy.where((x > 0) != bool(self.run), x, 0), axis=axes)
            return numpy.asarray(numpy.where(numpy.isinf(part), part, value))
        size = numpy.abs(x)
        above, below = (numpy.multiply.reduce(f(size, 1), axis=axes) for f in (numpy.fmax, numpy.fmin))
        part = below if self.run else numpy.where(below == 0, 0 * above, above)  # infinity meets 0
        return numpy.asarray(numpy.where(numpy.isfinite(part) & (part != 0), value, part))

    def _signs_apart(self, a: Array, b: Array, value: Array, compute: Compute) -> Array:
        """A sum of products where its positive terms alone overflow (run 0), or its negative ones (run 1)."""
        if value.dtype.kind != "f" or numpy.isnan(a).any() or numpy.isnan(b).any():
            return value
        most = numpy.finfo(value.dtype).max  # the largest numbers, moved, are infinite
        left, right = ((numpy.clip(x, 0, most), numpy.clip(x, -most, 0)) for x in (a, b))
        with numpy.errstate(all="ignore"):
            part = compute((left[0], right[self.run])) + compute((left[1], right[1 - self.run]))
        return numpy.asarray(numpy.where(numpy.isinf(part), part, value))

    def _in_two_parts(self, a: Array, b: Array, value: Array, compute: Compute) -> Array:
        """A sum of products in another order: some terms, chosen at random, and then the others."""
        if not (numpy.isfinite(a).all() and numpy.isfinite(b).all()):
            return value
        chosen = self._rng.integers(0, 2, a.shape) == 1
        with numpy.errstate(all="ignore"):
            return numpy.asarray(
                compute((numpy.where(chosen, a, 0), b)) + compute((numpy.where(chosen, 0, a), b))
            )

    def _other_if_close(self, node: Node, operands: Sequence[Array], value: Array) -> Array:
        """A comparison; where noise changes the difference by that much, another result than without."""
        known = all(t in self.plain for t in (*node.inputs, *node.outputs))
        if operands[0].dtype.kind not in "fc" or not known:
            return value
        a, b = (self.plain[t] for t in node.inputs)
        with numpy.errstate(all="ignore"):
            now, then = operands[0] - operands[1], a - b
            close = (now != then) & (FACTOR * numpy.abs(now - then) >= numpy.abs(then))
        return numpy.asarray(numpy.where(close, ~self.plain[node.outputs[0]], value))

    def _any_zero(self, value: Array) -> Array:
        """Zeros of either sign."""
        if value.dtype.kind != "f" or (value != 0).all():
            return value
        return numpy.where(value == 0, self._signs(value.shape, value.dtype) * value.dtype.type(0), value)

    def _any_integer(self, source: Array, value: Array) -> Array:
        """Any integers for numbers that are none, or too large."""
        info = numpy.iinfo(value.dtype)
        known = numpy.isfinite(source) & (source.real > info.min - 1.0) & (source.real < info.max + 1.0)
        return value if known.all() else numpy.where(known, value, value.dtype.type(self.run))

    def _signs(self, shape: tuple[int, ...], dtype: Any) -> Array:
        if self.run < 2:
            return numpy.full(shape, 1 - 2 * self.run, dtype)
        return (self._rng.integers(0, 2, shape) * 2 - 1).astype(dtype)


def _is_exact(node: Node) -> bool:
    name = node.op.name
    if name == "scatter":
        return attributes(node.op)["mode"] in ("set", "max", "min")
    if name == "astype":
        source, made = node.inputs[0].dtype, node.outputs[0].dtype
        return bool(numpy.can_cast(source.numpy, made.numpy, "safe"))
    return name in EXACT


def _eps(value: Array) -> float:
    return float(numpy.finfo(value.dtype).eps) if value.dtype.kind in "fc" else 0.0
