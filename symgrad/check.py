"""Checks of derivatives against numbers: `check_grad`.

The gradient is projected on random directions and compared with central differences and, where the graph
takes complex numbers, with the complex step (Squire & Trapp 1998), which has no cancellation. Where they
disagree, each node on the way is checked by itself, so that the report can name the op and the operand.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from symgrad.api.compile import function
from symgrad.api.differentiate import Wrt, grad, vjp
from symgrad.errors import SymgradError
from symgrad.ir.op import Input, SharedState
from symgrad.ir.tensor import Node, Tensor, apply_all, is_leaf, make_input
from symgrad.ir.traverse import ancestors, descendants
from symgrad.ops.kinds import Elementwise
from symgrad.ops.reduce import sum as sum_of
from symgrad.types import COMPLEX128, TensorType

#: Directions tried for each tensor, and their seed: the same at every run.
PROJECTIONS = 3
SEED = 20240229


@dataclass(frozen=True)
class Comparison:
    """One directional derivative: symbolic against numeric."""

    wrt: str
    method: str
    symbolic: float
    numeric: float
    tolerance: float

    @property
    def ok(self) -> bool:
        error = abs(self.symbolic - self.numeric)
        return bool(error <= self.tolerance * max(1.0, abs(self.symbolic), abs(self.numeric)))

    def __str__(self) -> str:
        mark = "ok   " if self.ok else "WRONG"
        numbers = f"symbolic {self.symbolic:.12g}, numeric {self.numeric:.12g}"
        return f"{mark} d/d {self.wrt} ({self.method}): {numbers}"


@dataclass(frozen=True)
class Report:
    """What `check_grad` found; `ok` when everything agrees."""

    comparisons: tuple[Comparison, ...]
    #: "op, operand" of the rules that disagree with differences of their own op.
    suspects: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return bool(self.comparisons) and all(c.ok for c in self.comparisons)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"check_grad: {'ok' if self.ok else 'WRONG'}", *[f"  {c}" for c in self.comparisons]]
        lines += [f"  suspect: the rule of {s}" for s in self.suspects]
        return "\n".join([*lines, *[f"  note: {n}" for n in self.notes]])


def check_grad(cost: Tensor, wrt: Wrt, values: Mapping[Any, Any], *, order: int = 1) -> Report:
    """Compare the gradient of `cost` with numbers at a point; nothing is raised when they disagree.

    Args:
        cost: a scalar.
        wrt: a tensor, a sequence or a dict of tensors, as for `grad`; they must be inputs.
        values: input -> value, for every input that the cost reads.
        order: 1 checks the gradient; 2 also the gradient of a random projection of it, and so on.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> report = sg.check_grad(sg.sum(sg.tanh(x) ** 2), x, {x: [0.1, 0.2, 0.3]}, order=2)
    >>> report.ok
    True
    """
    targets = [wrt] if isinstance(wrt, Tensor) else list(wrt.values() if isinstance(wrt, Mapping) else wrt)
    by_name = {t.name: t for n in ancestors([cost]) for t in n.outputs if is_leaf(t)}
    point = {(k if isinstance(k, Tensor) else by_name[k]): numpy.asarray(v) for k, v in values.items()}
    point = {t: numpy.array(v, t.dtype.numpy) for t, v in point.items()}
    rng = numpy.random.default_rng(SEED)
    comparisons: list[Comparison] = []
    notes: list[str] = []
    for level in range(order):
        gradients = grad(cost, targets, disconnected_inputs="ignore")
        found, note = _compare(cost, targets, gradients, point, rng, level + 1)
        comparisons += found
        notes += note
        if level + 1 == order or not all(c.ok for c in found):
            break
        weights = [make_input(t.type, f"weights_{level}_{i}") for i, t in enumerate(targets)]
        for t, w in zip(targets, weights, strict=True):
            point[w] = numpy.asarray(rng.uniform(0.5, 1.5, point[t].shape), t.dtype.numpy)
        parts = [sum_of(g * w) for g, w in zip(gradients, weights, strict=True)]
        cost = functools.reduce(operator.add, parts)
    suspects = () if all(c.ok for c in comparisons) else _suspects(cost, targets, point, rng)
    return Report(tuple(comparisons), suspects, tuple(notes))


def _compare(
    cost: Tensor,
    targets: Sequence[Tensor],
    gradients: Sequence[Tensor],
    point: Mapping[Tensor, Any],
    rng: numpy.random.Generator,
    level: int,
) -> tuple[list[Comparison], list[str]]:
    inputs = list(point)
    f = function(inputs, cost, on_unused_input="ignore")
    g = function(inputs, list(gradients), on_unused_input="ignore")
    symbolic = g(*point.values())
    complex_f, note = _complex_form(cost, inputs)
    found = []
    for target, gradient in zip(targets, symbolic, strict=True):
        label = target.name or target.node.op.name
        label = label if level == 1 else f"{label}, order {level}"
        for _ in range(PROJECTIONS):
            direction = rng.uniform(-1, 1, point[target].shape)
            expected = float((gradient * direction).sum())
            if complex_f is not None:
                step = 1e-30
                moved = {t: v + 1j * step * direction if t is target else v for t, v in point.items()}
                numeric = float(
                    numpy.imag(complex_f(*[numpy.asarray(v, complex) for v in moved.values()])) / step
                )
                found.append(Comparison(label, "complex step", expected, numeric, 1e-11))
            else:
                numeric, tolerance = _central(f, point, target, direction)
                found.append(Comparison(label, "differences", expected, numeric, tolerance))
    return found, note


def _central(f: Any, point: Mapping[Tensor, Any], target: Tensor, direction: Any) -> tuple[float, float]:
    """Central differences at two steps, combined so that the error is of fourth order (Richardson)."""
    single = target.dtype.itemsize == 4
    scale = max(1.0, float(numpy.abs(point[target]).max(initial=0.0)))
    h = (2e-2 if single else 1e-3) * scale

    def slope(step: float) -> float:
        ends = []
        for sign in (1, -1):
            moved = {
                t: numpy.asarray(v + sign * step * direction, v.dtype) if t is target else v
                for t, v in point.items()
            }
            ends.append(float(f(*moved.values())))
        return (ends[0] - ends[1]) / (2 * step)

    return (4 * slope(h / 2) - slope(h)) / 3, 5e-2 if single else 1e-6


def _complex_form(cost: Tensor, inputs: Sequence[Tensor]) -> tuple[Any, list[str]]:
    """The graph on complex inputs, for the complex step: None where an op is not analytic or refuses."""
    replaced: dict[Tensor, Tensor] = {}
    for tensor in inputs:
        if tensor.dtype.kind != "float":
            return None, []
        replaced[tensor] = make_input(TensorType(COMPLEX128, tensor.shape), tensor.name or "x")
    for node in ancestors([cost]):
        if isinstance(node.op, (Input, SharedState)):
            continue
        op = node.op
        analytic = isinstance(op, Elementwise) and "complex" in op.accepts and not (op.selects or op.result)
        if node.inputs and not analytic and op.name not in _LINEAR:
            return None, [
                f"finite differences, since {node.op.name} is not analytic or takes no complex numbers"
            ]
        operands = [replaced.get(t, t) for t in node.inputs]
        operands = [t.astype(COMPLEX128) if t.dtype.kind == "float" else t for t in operands]
        try:
            outputs = apply_all(node.op, tuple(operands))
        except SymgradError:
            return None, [f"finite differences, since {node.op.name} takes no complex numbers"]
        replaced.update(zip(node.outputs, outputs, strict=True))
    found = [replaced[t] for t in inputs]
    return function(found, replaced[cost], on_unused_input="ignore", passes=()), []


_LINEAR = frozenset({"sum", "broadcast", "reshape", "permute_dims", "matmul", "slice", "concat", "split"})


def _suspects(
    cost: Tensor, targets: Sequence[Tensor], point: Mapping[Tensor, Any], rng: numpy.random.Generator
) -> tuple[str, ...]:
    """The ops on the way whose own rule disagrees with differences of that op alone."""
    nodes = ancestors([cost])
    reached = descendants(nodes, targets)
    found: dict[str, None] = {}
    for node in nodes:
        if is_leaf(node.outputs[0]):
            continue
        arrays = function(list(point), list(node.inputs), on_unused_input="ignore", passes=())(
            *point.values()
        )
        for i, operand in enumerate(node.inputs):
            name = f"{node.op.name}, operand {node.op.operand_name(i)}"
            concerned = operand in reached and operand.dtype.is_differentiable and name not in found
            if concerned and not _node_is_right(node, i, [numpy.asarray(a) for a in arrays], rng):
                found[name] = None
    return tuple(found)


def _node_is_right(node: Node, operand: int, arrays: Sequence[Any], rng: numpy.random.Generator) -> bool:
    types = [TensorType(t.dtype, a.shape) for t, a in zip(node.inputs, arrays, strict=True)]
    xs = [make_input(t, f"x{i}") for i, t in enumerate(types)]
    try:
        y = apply_all(node.op, tuple(xs))[0]
        if not y.dtype.is_differentiable:
            return True
        weights = numpy.asarray(rng.uniform(0.5, 1.5, [int(str(d)) for d in y.shape]), y.dtype.numpy)
        gradient = vjp(y, xs[operand], weights, stabilize=False, disconnected_inputs="ignore")
        point = dict(zip(xs, arrays, strict=True))
        value = function(xs, gradient, on_unused_input="ignore")(*arrays)
        cost = function(xs, sum_of(y * weights), on_unused_input="ignore", passes=())
    except (SymgradError, ValueError):
        return True  # the op cannot stand alone on these shapes
    direction = rng.uniform(-1, 1, arrays[operand].shape)
    numeric, tolerance = _central(cost, point, xs[operand], direction)
    symbolic = float((value * direction).sum())
    return Comparison("", "", symbolic, numeric, tolerance).ok
