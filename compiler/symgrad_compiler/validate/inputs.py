"""Arguments for a graph, chosen to bring out what a rewrite may have broken.

    ordinary   between -2 and 2; integers small, or in the range of what they index
    positive   between 0 and 1, where logarithms, roots and inverse functions are defined
    special    ties, both zeros, the smallest numbers, now and then an infinity or NaN; extremes of integers.
               Several: over all of them, each element takes each value
    huge       numbers of which products overflow, or underflow
    empty      all symbolic sizes 0

Where matrices are factored, numbers are finite: what comes of an infinity in a matrix depends on the way
through it.

States are arguments like any other. Symbolic sizes are small and differ from each other, where the graph
allows: a set that it refuses (an index out of bounds, sizes that must be equal) is tried with equal, and with
larger sizes, then dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy

from symgrad.dims import evaluate, symbols
from symgrad.errors import SymgradError
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor
from symgrad.ir.traverse import ancestors
from symgrad.ops.assume import Assume
from symgrad.ops.numeric_assumptions import has_exactly
from symgrad.records import record
from symgrad.types import DType
from symgrad_compiler.validate.interpret import Array, Interpreter, is_of_matrices

#: Values of a float; the first are finite, so that sums of them are.
FINITE = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, 3.0, 1.0, 1e-20, -40.0)
LIMITS = (numpy.inf, -numpy.inf, numpy.nan)
#: How many nodes are computed for special arguments, and how many sets of those there are.
BUDGET, FEWEST, MOST = 120, 3, len(FINITE) + 1 + len(LIMITS)

_SIZES: tuple[tuple[int, ...], ...] = ((2, 3, 4), (1, 1, 1), (3, 2, 1), (4, 4, 4), (1, 3, 2))
_INSTEAD: tuple[tuple[int, ...], ...] = ((3, 3, 3), (7, 7, 7), (9, 8, 10))


@record
class Arguments:
    """Values for the inputs and states of a graph, and for its symbolic sizes."""

    kind: str
    values: dict[Tensor, Array]
    sizes: dict[str, int]

    @property
    def moderate(self) -> bool:
        """Whether products of a few values neither overflow nor underflow."""
        return self.kind != "huge"

    @property
    def ordinary(self) -> bool:
        """Whether values are as programs are mostly called with."""
        return self.kind in ("ordinary", "positive")


def arguments(
    graph: Graph, seed: int = 0, kinds: Sequence[str] | None = None
) -> Iterator[tuple[Arguments, Interpreter]]:
    """Sets of arguments that `graph` accepts, each with the interpreter that has computed it.

    One for each of `kinds`. Unless these are given, there are some of all kinds, with 3 special ones for a
    large graph, up to 15 for one of a few nodes.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size="n")
    >>> [a.kind for a, _ in arguments(sg.Graph([x], sg.sum(x)))][:4]
    ['ordinary', 'positive', 'huge', 'special']
    """
    names = sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)})
    special = min(max(BUDGET // (len(graph.nodes) + 1), FEWEST), MOST)
    usual = ["ordinary", "positive", "huge", *["special"] * special, *["empty"] * bool(names)]
    indexing = _indices(graph)
    limits = () if any(is_of_matrices(n) for n in graph.nodes) else LIMITS
    count: Counter[str] = Counter()
    for number, kind in enumerate(usual if kinds is None else kinds):
        rng = numpy.random.default_rng([seed, number])
        first = (0, 0, 0) if kind == "empty" else _SIZES[(seed + number) % len(_SIZES)]
        for pattern in (first, *(_INSTEAD if names and kind != "empty" else ())):
            sizes = {n: pattern[i % 3] for i, n in enumerate(names)}
            made = _attempt(graph, Maker(kind, seed + count[kind], rng, indexing, limits), sizes)
            if made is not None:
                yield made
                break
        count[kind] += 1


def _attempt(graph: Graph, maker: Maker, sizes: dict[str, int]) -> tuple[Arguments, Interpreter] | None:
    """Arguments of these sizes and the graph computed for them; None where it does not take them."""
    try:
        given = Arguments(maker.kind, maker.values(graph, sizes), sizes)
        run = Interpreter(given.values, sizes)
        run(graph)
    except (SymgradError, ArithmeticError, IndexError, ValueError):
        return None
    return (given, run) if all(_is_as_assumed(n, run) for n in graph.nodes) else None


def _is_as_assumed(node: Node, run: Interpreter) -> bool:
    """Whether matrices have what is checked of them exactly: of an ill-conditioned one, an inverse may depend
    on elements that a check takes for 0."""
    op = node.op
    return not (isinstance(op, Assume) and op.checked) or has_exactly(run.values[node.inputs[0]], op.kind)


class Maker:
    """Makes values of one kind."""

    def __init__(
        self,
        kind: str,
        number: int,
        rng: numpy.random.Generator,
        indexing: _Indexing,
        limits: tuple[float, ...] = LIMITS,
    ) -> None:
        self.kind, self.number, self.rng = kind, number, rng
        self.indexing = indexing
        self.limits = limits

    def values(self, graph: Graph, sizes: dict[str, int]) -> dict[Tensor, Array]:
        """A value for each leaf of the graph."""
        below = self.indexing.bound(sizes)
        return {t: self._leaf(t, sizes, below) for t in (*graph.inputs, *graph.states)}

    def _leaf(self, tensor: Tensor, sizes: dict[str, int], below: int) -> Array:
        shape = [evaluate(d, sizes) for d in tensor.shape]
        dtype, rng = tensor.dtype, self.rng
        if dtype.kind == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        if tensor in self.indexing.leaves:
            low = -below if self.kind == "special" and dtype.kind == "int" else 0
            return rng.integers(low, max(below, low + 1), shape).astype(dtype.numpy)
        if dtype.kind in ("int", "uint"):
            return self._integers(shape, dtype)
        if dtype.kind == "complex":
            value = numpy.empty(shape, dtype.numpy)
            value.real, value.imag = self._floats(shape, dtype), self._floats(shape, dtype)
            return value
        return self._floats(shape, dtype)

    def _integers(self, shape: Sequence[int], dtype: DType) -> Array:
        if self.kind not in ("special", "huge"):
            return self.rng.integers(0, 5, shape).astype(dtype.numpy)
        info = numpy.iinfo(dtype.numpy)
        table = [0, 1, 2, 3, 7, info.max, info.min, info.max - 1, info.min + 1]
        return self._shifted(numpy.array(table, dtype.numpy), shape)

    def _floats(self, shape: Sequence[int], dtype: DType) -> Array:
        real = numpy.dtype(f"float{dtype.itemsize * 8 // (2 if dtype.kind == 'complex' else 1)}")
        if self.kind == "positive":
            return self.rng.uniform(0.1, 0.9, shape).astype(real)
        if self.kind == "huge":
            info = numpy.finfo(real)
            root = float(info.max) ** 0.67
            table = [
                root,
                -root,
                info.max,
                -info.max,
                1 / root,
                1.0,
                -1.0,
                info.tiny,
                info.smallest_subnormal,
            ]
            return self._shifted(numpy.array(table, real), shape)
        if self.kind == "special":
            return self._special(shape, real)
        return self.rng.uniform(-2, 2, shape).astype(real)

    def _special(self, shape: Sequence[int], real: numpy.dtype[numpy.floating]) -> Array:
        """Values of the tables in turn; a tensor of several elements gets at most one that is not finite."""
        tiny = [numpy.finfo(real).smallest_subnormal]
        single = numpy.prod(shape, dtype=int) <= 2
        table = numpy.array([*FINITE, *tiny, *(self.limits if single else ())], real)
        value = self._shifted(table, shape)
        if value.size > 2 and self.limits and self.rng.integers(3) == 0:
            value.reshape(-1)[self.rng.integers(value.size)] = self.limits[self.number % len(self.limits)]
        return value

    def _shifted(self, table: Array, shape: Sequence[int]) -> Array:
        """Elements of the table; the next set holds the next element in each place."""
        offset = int(self.rng.integers(3)) * (self.kind == "huge")
        return numpy.asarray(table[(_places(tuple(shape), len(table)) + self.number + offset) % len(table)])


@lru_cache(maxsize=64)
def _places(shape: tuple[int, ...], length: int) -> Array:
    """Where in a table of this length each element begins."""
    return numpy.random.default_rng(len(shape)).integers(0, length, shape)


# ---- integers that index ------------------------------------------------------------------------------

#: Op -> (the operands that are indices, the axes that they index: of operand 0, or of the result).
_INDEXED: dict[str, tuple[slice, str]] = {
    "gather": (slice(1, None), "axes"),
    "take": (slice(1, 2), "axis"),
    "take_along_axis": (slice(1, 2), "axis"),
    "scatter": (slice(2, None), "axes"),
    "scatter_add": (slice(1, None), "axes"),
    "scatter_add_along_axis": (slice(1, 2), "axis"),
    "one_hot": (slice(0, 1), "axis"),
}
_IN_RESULT = ("scatter_add", "scatter_add_along_axis", "one_hot")


@record
class _Indexing:
    """The integer leaves that indices depend on, and the sizes of the axes that are indexed."""

    leaves: frozenset[Tensor]
    axes: tuple[tuple[Node, int], ...]

    def bound(self, sizes: dict[str, int]) -> int:
        """The smallest of the axes: an index below it is good anywhere."""
        found = [evaluate(_indexed(n).shape[a], sizes) for n, a in self.axes]
        return min(found, default=1)


def _indexed(node: Node) -> Tensor:
    return node.outputs[0] if node.op.name in _IN_RESULT else node.inputs[0]


def _indices(graph: Graph) -> _Indexing:
    operands: list[Tensor] = []
    axes: list[tuple[Node, int]] = []
    for node in graph.nodes:
        found = _INDEXED.get(node.op.name)
        if found is None:
            continue
        which, attribute = found
        operands += node.inputs[which]
        along = getattr(node.op, attribute)
        axes += [(node, a) for a in (along if isinstance(along, tuple) else (along,))]
    leaves = {
        t for n in ancestors(operands) for t in n.outputs if not n.inputs and t.dtype.kind in ("int", "uint")
    }
    return _Indexing(frozenset(leaves), tuple(axes))
