"""Random graphs for property tests: `graphs()` is a hypothesis strategy of `sg.Graph`.

A graph grows step by step from inputs and states of mixed dtypes and sizes. A step applies one of

    elementwise   every elementwise op, to tensors and numbers that broadcast
    functions     reductions, shapes, contractions, indexing, rules of the user's: `FUNCTIONS`, `PAIRS`
    samples       a row of tests/ops/samples*.py, which is how every op comes in, internal ones too
    gradient      of a number made of something that was built before, at inputs, or a product with a Jacobian

to what there is; a step that does not fit changes nothing. Choices stand in the order in which they are
simpler, so that what fails shrinks to a few nodes. `pytest --hypothesis-seed=N` makes the same graphs again,
and so does the `@reproduce_failure` line that a campaign prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy
from hypothesis import strategies as st

import symgrad as sg
from symgrad import registry
from symgrad.api.structure import flatten
from symgrad.errors import SymgradError
from symgrad.ir.traverse import ancestors
from symgrad.ops.kinds import Elementwise
from tests.ops.samples import SAMPLES, Sample
from tests.ops.samples_linalg import LINALG
from tests.ops.samples_linalg_complex import LINALG_COMPLEX

SHAPES: list[tuple[Any, ...]] = [
    *[(), (3,), (3, 4), ("n",), ("n", 3), (3, "m"), ("n", "m"), (1, 4), ("n", 1), (2, 3, 4), (0,), (4, 3)],
]
DTYPES = ("float64", "float32", "int64", "int8", "uint8", "bool", "complex128", "complex64")
#: Dtypes of inputs, the likely ones more often.
DRAWN = ("float64", "float64", "float64", "float32", *DTYPES[2:])
NUMBERS = (2, 1, 0.0, -0.0, -3, 0.1, 0.5, 1e300, 1e-320, math.inf, -math.inf, math.nan, True, 2j)
NAMES = ("h", "loss", "d_x", "fill", "add", "multiply_1", "d1", "x_T", "größe", "complex", "n")
#: No larger tensors are built on, and none with more axes.
MOST_ELEMENTS, MOST_AXES = 400, 4
#: How often a step is tried.
ATTEMPTS = 4

ELEMENTWISE: list[Elementwise] = [op for op in registry.ops.values() if isinstance(op, Elementwise)]
#: Ops with an operand that must be a small integer; they come in by their samples.
ELEMENTWISE = [op for op in ELEMENTWISE if op.name not in ("polygamma", "sinc_derivative", "pow_plus")]


def _root(a: Any) -> Any:
    """The x with x x = 1 + a^2, by the implicit function theorem."""
    b = 1 + sg.square(a)
    return sg.custom_root(
        lambda x: x * x - b, b, lambda f, x: sg.sqrt(x), lambda matvec, g: g / matvec(1 + 0 * g)
    )


_with_vjp = sg.custom_vjp(sg.sin, lambda g, a: g * sg.cos(a))
_with_jvp = sg.custom_jvp(sg.sinh, lambda t, a: t * sg.cosh(a))

FUNCTIONS: list[Callable[[Any], Any]] = [
    sg.sum,
    sg.mean,
    lambda a: sg.sum(a, axis=0),
    lambda a: sg.sum(a, axis=-1, keepdims=True),
    lambda a: sg.max(a, axis=-1),
    lambda a: sg.min(a, axis=0, keepdims=True),
    lambda a: sg.prod(a, axis=0),
    lambda a: sg.var(a, axis=-1),
    lambda a: sg.softmax(a, axis=-1),
    lambda a: sg.log_softmax(a, axis=0),
    lambda a: sg.logsumexp(a, axis=0),
    lambda a: sg.log(sg.sum(sg.exp(a), axis=-1)),
    lambda a: sg.exp(a) / sg.sum(sg.exp(a), axis=-1, keepdims=True),
    lambda a: sg.log(1 + sg.exp(a)),
    lambda a: (a - sg.mean(a, axis=-1, keepdims=True)) / sg.sqrt(sg.var(a, axis=-1, keepdims=True) + 1e-5),
    lambda a: sg.argmax(a, axis=0),
    lambda a: sg.argmin(a, axis=-1),
    lambda a: sg.any(a, axis=0),
    lambda a: sg.all(a, axis=-1),
    lambda a: sg.cumulative_sum(a, axis=0),
    lambda a: sg.cumulative_prod(a, axis=-1),
    lambda a: sg.cumulative_max(a, axis=0),
    lambda a: sg.cumulative_min(a, axis=-1),
    lambda a: sg.sort(a, axis=0),
    lambda a: sg.argsort(a, axis=-1),
    lambda a: sg.linalg.vector_norm(a, axis=0),
    lambda a: a.T,
    lambda a: a.mT,
    lambda a: sg.reshape(a, (a.size,)),
    lambda a: sg.reshape(a, (1, *a.shape)),
    lambda a: sg.reshape(sg.permute_dims(a, tuple(reversed(range(a.ndim)))), (a.size,)),
    lambda a: sg.expand_dims(a, 0),
    lambda a: sg.expand_dims(a, -1),
    sg.squeeze,
    lambda a: sg.broadcast_to(a, (2, *a.shape)),
    lambda a: sg.broadcast_to(a[..., None], (*a.shape, 3)),
    lambda a: a[::2],
    lambda a: a[::-1],
    lambda a: a[..., :1],
    lambda a: a[1:],
    lambda a: a[0],
    lambda a: a[None],
    sg.flip,
    lambda a: sg.roll(a, 1, axis=0),
    lambda a: sg.concat([a, a], axis=0),
    lambda a: sg.stack([a, -a], axis=-1),
    lambda a: sg.split(a, [1], axis=0)[1],
    lambda a: sg.pad(a, 1),
    sg.tril,
    sg.diagonal,
    lambda a: sg.take(a, numpy.array([0, 0]), axis=0),
    lambda a: sg.take(a, sg.argmax(a, axis=0), axis=0),
    lambda a: sg.take_along_axis(a, sg.argsort(a, axis=0), axis=0),
    lambda a: a.at[0].set(1),
    lambda a: a.at[:1].add(2),
    lambda a: sg.one_hot(sg.argmax(a, axis=-1), 9),
    lambda a: sg.arange(a.shape[0]),
    lambda a: a.size + 0 * a,
    lambda a: sg.astype(a, "float32"),
    lambda a: sg.astype(a, "float64"),
    lambda a: sg.astype(a, "int64"),
    lambda a: sg.astype(a, "bool"),
    lambda a: sg.clip(a, -1, 1),
    lambda a: a**2,
    lambda a: a**3,
    lambda a: a**-1,
    lambda a: a**0.5,
    lambda a: a / 3,
    lambda a: sg.where(a > 0, sg.log(a), 0),
    lambda a: sg.where(a > 0, sg.where(a > 1, a, 2 * a), sg.where(a > 0, 3 * a, 4 * a)),
    lambda a: sg.complex(a, 1 - a),
    lambda a: a * (1 - 2j),
    lambda a: sg.conj(a) * a,
    lambda a: sg.real(a) - sg.imag(a),
    lambda a: sg.abs(a * 1j),
    lambda a: sg.sign(a * (1 + 1j)),
    lambda a: sg.fft.fft(a, axis=0),
    lambda a: sg.fft.irfft(a, n=5),
    lambda a: sg.fft.ifft(sg.fft.fft(a)),
    sg.checkpoint(lambda x: sg.tanh(x) * x),
    _with_vjp,
    _with_jvp,
    _root,
]
PAIRS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: a // b,
    lambda a, b: a == b,
    lambda a, b: a < b,
    lambda a, b: sg.where(a > b, a, b),
    lambda a, b: sg.where(True, a, b),
    lambda a, b: a @ b,
    lambda a, b: sg.matmul(sg.matrix_transpose(a), b),
    lambda a, b: sg.matmul(a, sg.matrix_transpose(b)),
    lambda a, b: sg.sum(a * b, axis=-1),
    lambda a, b: sg.einsum("...i,...i->...", a, b),
    lambda a, b: a * 0.1 - b * 0.1,
    sg.logaddexp,
    lambda a, b: sg.concat([a, b], axis=0),
    lambda a, b: sg.take(sg.asarray(a), b % sg.asarray(a).shape[0], axis=0),
    lambda a, b: sg.minimum(sg.maximum(a, b), 1.5),
]
#: Not those of linear algebra: what rounding may do to factors of any matrix, singular ones among them, no
#: estimate by elements knows. The derivative matrix has them, on matrices of known condition.
_ROWS = [row for name, row in SAMPLES.items() if row and name not in {*LINALG, *LINALG_COMPLEX}]


#: Integers below this are drawn evenly.
_EVEN = 100


class Pool:
    """What a graph is made of, as far as it has grown."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.inputs: list[Any] = []
        self.states: list[Any] = []
        self.tensors: list[Any] = []

    def below(self, n: int) -> int:
        """An integer from 0 to n - 1, the simplest first; hypothesis prefers small ones of many."""
        if n > _EVEN:
            return (_EVEN * self.below(-(-n // _EVEN)) + self.below(_EVEN)) % n
        return self._draw(st.integers(0, n - 1))

    def choose(self, among: Sequence[Any]) -> Any:
        """One of these, the simplest first."""
        return among[self.below(len(among))]

    def input(self, shape: Any, dtype: Any) -> Any:
        """A new input."""
        made = sg.tensor(f"x{len(self.inputs)}", shape, dtype)
        self.inputs.append(made)
        self.tensors.append(made)
        return made

    def pick(self, *kinds: str) -> Any:
        """A tensor, of a dtype of one of these kinds where there is one; the latest comes first."""
        fitting = [t for t in reversed(self.tensors) if not kinds or t.dtype.kind in kinds]
        return self.choose(fitting or self.tensors)

    def add(self, result: Any) -> None:
        """Keep tensors that are not too large to go on with."""
        for t in flatten(result):
            if isinstance(t, sg.Tensor) and t.ndim <= MOST_AXES and _elements(t) <= MOST_ELEMENTS:
                if t.name is None and self.below(4) == 3:
                    t.named(self.choose(NAMES))
                self.tensors.append(t)


def _elements(t: Any) -> int:
    return math.prod(d if isinstance(d, int) else 4 for d in t.shape)


@st.composite
def graphs(draw: st.DrawFn, max_nodes: int = 12) -> sg.Graph:
    """Graphs of up to `max_nodes` steps, with names, several outputs and updates."""
    pool = Pool(draw)
    for _ in range(1 + pool.below(3)):
        pool.input(pool.choose(SHAPES), pool.choose(DRAWN))
    for i in range(pool.below(3)):
        shape = pool.choose([(), (3,), (3, 4), (2, 3), (0, 2), (7, 9)])
        values = numpy.linspace(-1, 1, math.prod(shape)).reshape(shape).astype(pool.choose(DRAWN))
        pool.states.append(sg.shared(values, name=pool.choose([f"w{i}", "w", None])))
    pool.tensors += pool.states
    for _ in range(1 + pool.below(max_nodes)):
        step = pool.choose(STEPS)
        for _ in range(ATTEMPTS):
            try:
                pool.add(step(pool))
            except (SymgradError, TypeError, IndexError, ArithmeticError, ValueError):
                continue
            break
    return _graph(pool)


def _graph(pool: Pool) -> sg.Graph:
    """The graph of the latest tensors and some others."""
    chosen = [*pool.tensors[::-1][: 1 + pool.below(6)], *[pool.pick() for _ in range(pool.below(3))]]
    outputs: Any = {f"out{i}": t for i, t in enumerate(chosen)} if pool.below(2) else chosen
    updates = {}
    for state in pool.states:
        fitting = [t for t in reversed(pool.tensors) if t.type == state.type]
        if pool.below(2):
            updates[state] = pool.choose(fitting)
    sizes = sg.tensor("sizes", ("n", "m"))  # determines every size
    return sg.Graph([*pool.inputs, sizes], outputs, updates, name=pool.choose(["main", "f", "g_1"]))


# ---- steps --------------------------------------------------------------------------------------------


def _elementwise(pool: Pool) -> Any:
    op = pool.choose(ELEMENTWISE)
    kinds = [("bool",) if i < op.conditions else op.accepts for i in range(len(op.operands))]
    operands = [pool.pick(*k) for k in kinds]
    if len(operands) > op.conditions + 1 and pool.below(3) == 2:
        operands[-1] = pool.choose(NUMBERS)
    return op(*operands)


def _function(pool: Pool) -> Any:
    return pool.choose(FUNCTIONS)(pool.pick())


def _pair(pool: Pool) -> Any:
    f, a = pool.choose(PAIRS), pool.pick()
    b = pool.choose(NUMBERS) if pool.below(3) == 2 else pool.pick()
    return f(b, a) if pool.below(2) else f(a, b)


def _sample(pool: Pool) -> Any:
    """A sample on what there is, where that has the shape, or on new inputs; integers are the sample's
    own."""
    sample: Sample = pool.choose(pool.choose(_ROWS))
    dtype = pool.choose(["float64", "float32"])
    shapes = sample.shapes or [a.shape for a in sample.operands]
    operands = []
    for shape, a in zip(shapes, sample.operands, strict=True):
        if a.dtype.kind not in "fc":
            operands.append(sg.constant(a))
            continue
        name = dtype if a.dtype.kind == "f" else {"float64": "complex128", "float32": "complex64"}[dtype]
        known = [t for t in reversed(pool.tensors) if t.shape == tuple(shape) and t.dtype.name == name]
        fresh = not known or pool.below(2)
        operands.append(pool.input(shape, name) if fresh else pool.choose(known))
    return sample.build(*operands)


_COSTS: tuple[Callable[[Any], Any], ...] = (
    lambda t: t,
    sg.square,
    sg.tanh,
    lambda t: sg.conj(t) * t,
    sg.checkpoint(lambda t: sg.tanh(t) * t),
)


def _gradient(pool: Pool) -> Any:
    """The gradient of a number made of a tensor, or of its product with itself, at one of its float
    leaves."""
    y = pool.pick("float", "complex")
    cost = sg.sum(sg.real(pool.choose(_COSTS)(y)))
    leaves = [t for n in ancestors([cost]) for t in n.outputs if not n.inputs and t.dtype.is_differentiable]
    leaves = [t for t in leaves if t.node.op.name in ("input", "shared")]
    if not leaves:
        return []
    x = pool.choose(leaves)
    if pool.below(4) == 3:
        return sg.jvp(y, x, sg.ones_like(x))
    return sg.grad(cost, x)


def _vectorised(pool: Pool) -> Any:
    """A function of one tensor, over the leading axis of another."""
    return sg.vmap(pool.choose(FUNCTIONS))(pool.pick())


STEPS: list[Callable[[Pool], Any]] = [
    *[_pair, _elementwise, _elementwise, _function, _function, _function],
    *[_sample, _sample, _sample, _gradient, _vectorised],
]
