"""Checks of derivatives against numbers: `check_grad`.

The gradient is projected on random directions and compared with the complex step (Squire & Trapp 1998), which
has no cancellation, where the graph takes complex numbers, else with central differences. These go down a
ladder of steps, extrapolate (Ridders 1982) and keep the value whose own error estimate is least, so that the
tolerance follows the point: it is wide beside a large constant, and a kink or a pole is reported as such.
Where numbers disagree, each node on the way is checked by itself, so that the report names op and operand.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from symgrad.api.compile import Function, function
from symgrad.api.differentiate import Targets, Wrt, grad, require_scalar, vjp
from symgrad.api.givens import substitute_tensors
from symgrad.conversion import Misfit, rounded_array
from symgrad.errors import GradientError, InputError, SymgradError
from symgrad.ir.op import Input, SharedState
from symgrad.ir.tensor import Node, Tensor, apply_all, is_leaf, make_input
from symgrad.ir.traverse import ancestors, descendants
from symgrad.ops.complexes import conj, real
from symgrad.ops.create import number_array
from symgrad.ops.custom import RULE_OPS, value_of
from symgrad.ops.kinds import Elementwise
from symgrad.ops.reduce import sum as sum_of
from symgrad.types import COMPLEX128, FLOAT32, DType, TensorType, real_dtype

#: Directions tried for each tensor, and their seed: the same at every run.
PROJECTIONS = 3
SEED = 20240229

#: Derivatives by differences below this count as zero: what rounding leaves of values of order one.
_FLOOR = 1e-12
#: How far a gradient may be from the complex step, and what counts as zero: in float64, and where some of
#: what it is computed from is float32.
_OF_COMPLEX_STEP = {False: (1e-11, 4e-15), True: (1e-4, 2e-6)}
#: Ops that take complex numbers as they take real ones, beside the analytic elementwise ones.
_LINEAR = frozenset({"sum", "broadcast", "reshape", "permute_dims", "matmul", "slice", "concat", "split"})

_NO_SUSPECT = "each op on the way agrees with differences of its own: look at the point, then at the passes"

_Point = dict[Tensor, Any]


@dataclass(frozen=True)
class Entry:
    """One directional derivative: symbolic against numeric."""

    wrt: str
    order: int
    method: str
    symbolic: float
    numeric: float
    #: The largest difference that counts as agreement.
    tolerance: float
    #: Why the numbers could not decide, or what they found beside a value; "" otherwise.
    remark: str = ""

    @property
    def ok(self) -> bool:
        return bool(abs(self.symbolic - self.numeric) <= self.tolerance)

    def __str__(self) -> str:
        order = f", order {self.order}" if self.order > 1 else ""
        numbers = f"symbolic {self.symbolic:.12g}, numeric {self.numeric:.12g} ± {self.tolerance:.1g}"
        remark = f"; {self.remark}" if self.remark else ""
        return f"{'ok   ' if self.ok else 'WRONG'} d/d {self.wrt}{order} ({self.method}): {numbers}{remark}"


@dataclass(frozen=True)
class GradReport:
    """What `check_grad` found; `ok` when everything agrees."""

    entries: tuple[Entry, ...]
    #: "op, operand x" for each rule that disagrees with differences of its own op.
    suspects: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return bool(self.entries) and all(e.ok for e in self.entries)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"check_grad: {'ok' if self.ok else 'WRONG'}", *[f"  {e}" for e in self.entries]]
        lines += [f"  suspect: the rule of {s}" for s in self.suspects]
        return "\n".join([*lines, *[f"  note: {n}" for n in self.notes]])


def check_grad(cost: Tensor, wrt: Wrt, values: Mapping[Any, Any], *, order: int = 1) -> GradReport:
    """Compare the gradient of `cost` with numbers at a point; nothing is raised when they disagree.

    Args:
        cost: a scalar.
        wrt: a tensor, a sequence or a dict of tensors, as for `grad`: inputs, shared or intermediate.
        values: input, or its name -> value, for every input that the cost reads. Shared tensors have their
            current values and intermediate ones what the inputs make them, unless given here.
        order: 1 checks the gradient; 2 also the gradient of a random projection of it, and so on.

    What lies behind a `stop_gradient` is held while numbers move, since that is what it means. Complex
    targets move in complex directions t, along which the slope is Re(sum(conj(gradient) t)).

    Raises:
        InputError: a value is missing, or belongs to nothing that the cost reads.
        GradientError: as `grad`; an order below 1.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> report = sg.check_grad(sg.sum(sg.tanh(x) ** 2), x, {x: [0.1, 0.2, 0.3]}, order=2)
    >>> report.ok, len(report.entries)
    (True, 6)
    """
    if isinstance(order, bool) or not hasattr(order, "__index__") or order < 1:
        raise GradientError(
            "the order of check_grad must be at least 1, an int", facts=[("got", repr(order)[:80])]
        )
    if not isinstance(values, Mapping):
        raise InputError(
            f"check_grad takes a dict from inputs to values, not {type(values).__name__}",
            hint="check_grad(cost, x, {x: value, ...})",
        )
    require_scalar(cost)
    targets = Targets(wrt).tensors
    cost, targets, point = _at_inputs(cost, targets, values)
    rng = numpy.random.default_rng(SEED)
    entries: list[Entry] = []
    notes: dict[str, None] = {}
    for level in range(1, order + 1):
        gradients = grad(cost, targets, disconnected_inputs="ignore")
        found, note = _compare(cost, targets, gradients, point, rng, level)
        entries += found
        notes.update(dict.fromkeys(note))
        if level == order or not all(e.ok for e in found):
            break
        weights = [make_input(t.type, "weights") for t in targets]
        for t, w in zip(targets, weights, strict=True):
            point[w] = _weights(t.dtype, point[t].shape, rng)
        parts = [_weighted(g, w) for g, w in zip(gradients, weights, strict=True)]
        cost = functools.reduce(operator.add, parts)
    suspects: tuple[str, ...] = ()
    if not all(e.ok for e in entries):
        suspects = _suspects(cost, targets, point, rng)
        if not suspects:
            notes[_NO_SUSPECT] = None
    return GradReport(tuple(entries), suspects, tuple(notes))


def _weights(dtype: DType, shape: Sequence[int], rng: numpy.random.Generator) -> Any:
    found = rng.uniform(0.5, 1.5, shape)
    if dtype.kind == "complex":
        found = found + 1j * rng.uniform(0.5, 1.5, shape)
    return numpy.asarray(found, dtype.numpy)


def _weighted(y: Tensor, weights: Any) -> Tensor:
    """Re(sum(conj(weights) y)), whose cotangent towards y is `weights`."""
    return real(sum_of(conj(weights) * y))


def _slopes(gradient: Any, direction: Any) -> Any:
    """What each element of a direction adds to the slope."""
    return numpy.real(numpy.conj(gradient) * direction)


def _at_inputs(
    cost: Tensor, targets: Sequence[Tensor], values: Mapping[Any, Any]
) -> tuple[Tensor, list[Tensor], _Point]:
    """Cost and targets with an input in the place of each shared or intermediate target, and the point."""
    leaves = [n.outputs[0] for n in ancestors([cost, *targets]) if is_leaf(n.outputs[0])]
    names = {t.name: t for t in [*targets, *leaves] if t.name}
    given = {(k if isinstance(k, Tensor) else names.get(k, k)): v for k, v in values.items()}
    for key in given:
        if not isinstance(key, Tensor):
            raise InputError(
                f"check_grad has a value for {key!r}, which the cost does not read",
                facts=[("inputs", ", ".join(sorted(t.name for t in leaves if t.name)) or "none")],
            )
    point: _Point = {}
    for leaf in dict.fromkeys(leaves):
        if isinstance(leaf.node.op, Input):
            if leaf not in given:
                raise InputError(
                    f"check_grad needs a value for {leaf.name}", facts=[(str(leaf.name), leaf.type)]
                )
            point[leaf] = _value(leaf, given[leaf])
        elif leaf in given:
            lifted = make_input(leaf.type, leaf.name or "state")
            point[lifted] = _value(leaf, given[leaf])
            (cost, *targets) = substitute_tensors([cost, *targets], {leaf: lifted})
    moved = [t for t in dict.fromkeys(targets) if not isinstance(t.node.op, Input)]
    now = [numpy.asarray(a) for a in _compile(point, moved)(*point.values())]
    replaced = {t: make_input(t.type, t.name or t.node.op.name) for t in moved}
    for tensor, value in zip(moved, now, strict=True):
        point[replaced[tensor]] = _value(tensor, given.get(tensor, value))
    (cost,) = substitute_tensors([cost], replaced)
    return cost, [replaced.get(t, t) for t in targets], point


def _value(tensor: Tensor, given: Any) -> Any:
    """A value for a tensor, as an array of its own; floats are rounded to its dtype."""
    name = tensor.name or tensor.node.op.name
    try:
        value = numpy.array(rounded_array(number_array(given), tensor.dtype))
    except (SymgradError, Misfit) as misfit:
        raise InputError(
            f"check_grad: the value for {name} is not of its dtype",
            facts=[("expected", tensor.type), ("got", f"{type(given).__name__} {given!r:.60}")],
        ) from misfit
    if value.ndim != tensor.ndim:
        raise InputError(
            f"check_grad: the value for {name} has another number of axes",
            facts=[("expected", tensor.type), ("got", f"shape {value.shape}")],
        )
    return value


def _compile(point: _Point, outputs: Any, **options: Any) -> Function:
    """A function of the point's tensors, called by position: names may repeat."""
    inputs = {f"v{i}": t for i, t in enumerate(point)}
    return function(inputs, outputs, on_unused_input="ignore", **options)


def _compare(
    cost: Tensor,
    targets: Sequence[Tensor],
    gradients: Sequence[Tensor],
    point: _Point,
    rng: numpy.random.Generator,
    order: int,
) -> tuple[list[Entry], list[str]]:
    symbolic = _compile(point, list(gradients))(*point.values())
    cost, point = _held(cost, point)
    f = _compile(point, cost)
    complex_f, notes = _complex_form(cost, list(point))
    single = any(real_dtype(t.dtype) is FLOAT32 for n in ancestors([cost]) for t in n.outputs)
    found = []
    for target, gradient in zip(targets, symbolic, strict=True):
        label = target.name or target.node.op.name
        for _ in range(PROJECTIONS):
            direction = _direction(point[target], rng)
            if complex_f is None:
                found.append(_against_differences(f, point, target, gradient, direction, label, order))
            else:
                entry = _against_complex(complex_f, point, target, gradient, direction, label, order, single)
                found.append(entry)
    return found, notes


def _held(cost: Tensor, point: _Point) -> tuple[Tensor, _Point]:
    """The cost with each `stop_gradient` held at its value at the point."""
    stops = [n.outputs[0] for n in ancestors([cost]) if n.op.name == "stop_gradient"]
    if not stops:
        return cost, point
    now = _compile(point, stops)(*point.values())
    held = {t: make_input(t.type, "held") for t in stops}
    (cost,) = substitute_tensors([cost], held)
    return cost, {**point, **{held[t]: numpy.asarray(a) for t, a in zip(stops, now, strict=True)}}


def _direction(at: Any, rng: numpy.random.Generator) -> Any:
    """A random direction, longer where the point is large."""
    found = rng.uniform(-1, 1, at.shape)
    if at.dtype.kind == "c":
        found = found + 1j * rng.uniform(-1, 1, at.shape)
    return found * numpy.maximum(1, numpy.abs(at))


def _against_complex(
    f: Function,
    point: _Point,
    target: Tensor,
    gradient: Any,
    direction: Any,
    label: str,
    order: int,
    single: bool,
) -> Entry:
    """`single`: whether the gradient was computed in float32, as the complex step is not."""
    step = 1e-30
    ends = {**point, target: point[target] + 1j * step * direction}
    with numpy.errstate(all="ignore"):
        value = complex(f(*[numpy.asarray(v, complex) for v in ends.values()]))
    terms = numpy.asarray(gradient, float) * direction
    slope = value.imag / step
    scale = max(float(numpy.abs(terms).sum()), abs(slope))
    relative, floor = _OF_COMPLEX_STEP[single]
    tolerance = relative * scale + floor * max(1.0, abs(value.real))
    return Entry(label, order, "complex step", float(terms.sum()), slope, tolerance)


def _against_differences(
    f: Function, point: _Point, target: Tensor, gradient: Any, direction: Any, label: str, order: int
) -> Entry:
    terms = _slopes(gradient, direction)
    symbolic = float(terms.sum())
    ladder = _ladder(f, point, target, direction)
    low, high = sorted(ladder.sides)
    if ladder.kink and low <= symbolic <= high:
        remark = f"a kink at the point: any value from {low:.6g} to {high:.6g} is a slope"
        tolerance = (high - low) / 2
        return Entry(label, order, "one-sided differences", symbolic, (low + high) / 2, tolerance, remark)
    scale = max(float(numpy.abs(terms).sum()), abs(ladder.slope))
    relative = 2e-3 if real_dtype(target.dtype) is FLOAT32 else 1e-6
    tolerance = relative * scale + 10 * ladder.error + _FLOOR
    remark = ""
    if not ladder.error <= 0.02 * scale + 10 * ladder.noise + _FLOOR:
        tolerance, remark = 0.0, "differences do not settle here; try another point"
    elif ladder.noise > 0.02 * scale > 0:
        remark = "rounding hides the derivative: the cost is large beside it"
    return Entry(label, order, "differences", symbolic, ladder.slope, tolerance, remark)


@dataclass(frozen=True)
class _Ladder:
    """A slope by differences: its value, its estimated error and the part of that which is rounding; and the
    slopes to either side at the smallest step, rounding allowed for, with whether they stay apart as steps
    shrink."""

    slope: float
    error: float
    noise: float
    sides: tuple[float, float]
    kink: bool


def _ladder(f: Function, point: _Point, target: Tensor, direction: Any) -> _Ladder:
    """Central differences at falling steps, extrapolated to step 0; the best by its own estimate."""
    single = real_dtype(target.dtype) is FLOAT32
    first, ratio, rungs = (0.125, 2.0, 7) if single else (2.0**-5, 4.0, 10)
    eps = float(numpy.finfo(target.dtype.numpy).eps)
    at = point[target]

    def value(step: float) -> float:
        moved = numpy.asarray(at + step * direction, at.dtype)
        with numpy.errstate(all="ignore"):
            return float(f(*[moved if t is target else v for t, v in point.items()]))

    here = value(0.0)
    best = (float("nan"), float("inf"), float("inf"))
    above: list[float] = []
    sides: list[tuple[float, float]] = []
    noise = 0.0
    for rung in range(rungs):
        step = first / ratio**rung
        right, left = value(step), value(-step)
        sides.append(((here - left) / step, (right - here) / step))
        noise = 4 * eps * max(abs(right), abs(left)) / step
        row = [(right - left) / (2 * step)]
        for column, coarse in enumerate(above[:3], start=1):
            weight = ratio ** (2 * column)
            row.append((weight * row[-1] - coarse) / (weight - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - coarse)) + noise
            if error < best[1]:
                best = (row[-1], error, noise)
        above = row
    gaps = [abs(r - l) for l, r in sides[-2:]]
    kink = gaps[1] > 0.5 * gaps[0] and gaps[1] > 100 * noise and gaps[1] > 1e-3 * max(map(abs, sides[-1]))
    low, high = sorted(sides[-1])
    return _Ladder(*best, (low - noise, high + noise), bool(kink))


def _complex_form(cost: Tensor, inputs: Sequence[Tensor]) -> tuple[Function | None, list[str]]:
    """The graph on complex inputs, for the complex step: None where an op is not analytic or refuses."""
    replaced: dict[Tensor, Tensor] = {}
    for tensor in inputs:
        if tensor.dtype.kind != "float":
            return None, [f"finite differences, since {tensor.name} is {tensor.dtype}"]
        replaced[tensor] = make_input(TensorType(COMPLEX128, tensor.shape), tensor.name or "x")
    for node in ancestors([cost]):
        op = node.op
        if isinstance(op, (Input, SharedState)):
            continue
        analytic = (
            isinstance(op, Elementwise)
            and "complex" in op.accepts
            and not (op.selects or op.result or op.linear)  # the linear ones are so over the reals
        )
        if node.inputs and not analytic and op.name not in _LINEAR:
            return None, [f"finite differences, since {op.name} is not analytic or takes no complex numbers"]
        operands = [replaced.get(t, t) for t in node.inputs]
        operands = [t.astype(COMPLEX128) if t.dtype.kind == "float" else t for t in operands]
        try:
            outputs = apply_all(op, tuple(operands))
        except SymgradError:
            return None, [f"finite differences, since {op.name} takes no complex numbers"]
        replaced.update(zip(node.outputs, outputs, strict=True))
    return _compile({replaced[t]: None for t in inputs}, replaced[cost], passes=()), []


def _suspects(
    cost: Tensor, targets: Sequence[Tensor], point: _Point, rng: numpy.random.Generator
) -> tuple[str, ...]:
    """The ops on the way whose own rule disagrees with differences of that op alone."""
    nodes = [n for n in ancestors([cost]) if not is_leaf(n.outputs[0])]
    reached = descendants(nodes, targets)
    operands = list(dict.fromkeys(t for n in nodes for t in n.inputs))
    arrays = _compile(point, operands, passes=())(*point.values()) if operands else []
    value = dict(zip(operands, map(numpy.asarray, arrays), strict=True))
    found: dict[str, None] = {}
    for node in nodes:
        for i, operand in enumerate(node.inputs):
            name = f"{node.op.name}, operand {node.op.operand_name(i)}"
            concerned = operand in reached and operand.dtype.is_differentiable and name not in found
            if concerned and not _node_is_right(node, i, [value[t] for t in node.inputs], rng):
                found[name] = None
    return tuple(found)


def _node_is_right(node: Node, operand: int, arrays: Sequence[Any], rng: numpy.random.Generator) -> bool:
    """Whether the rule of one operand agrees with differences of the op alone, at these operands."""
    if node.op.name == "stop_gradient":
        return True
    values = value_of(node) if isinstance(node.op, RULE_OPS) else ()
    if operand < len(values):
        return True  # handed on as they are: the rule is about the arguments
    types = [
        t.type if values else TensorType(t.dtype, a.shape) for t, a in zip(node.inputs, arrays, strict=True)
    ]
    xs = [make_input(t, f"x{i}") for i, t in enumerate(types)]
    point = dict(zip(xs, arrays, strict=True))
    try:
        ys = apply_all(node.op, tuple(xs))
        # A function with a rule is its values, as they are made from the arguments.
        known = dict(zip(node.inputs[len(values) :], xs[len(values) :], strict=True))
        computed = substitute_tensors(values, known) if values else ys
        pairs = [(y, c) for y, c in zip(ys, computed, strict=True) if y.dtype.is_differentiable]
        if not pairs:
            return True  # comparisons and indices have no derivative that could be wrong
        weights = [make_input(y.type, "weights") for y, _ in pairs]
        sizes = _compile(point, [c for _, c in pairs], passes=())(*arrays)
        seeds = [_weights(w.dtype, numpy.shape(a), rng) for w, a in zip(weights, sizes, strict=True)]
        point.update(zip(weights, seeds, strict=True))
        gradient = vjp(
            [y for y, _ in pairs], xs[operand], weights, stabilize=False, disconnected_inputs="ignore"
        )
        symbolic = _compile(point, gradient)(*point.values())
        parts = [_weighted(c, w) for (_, c), w in zip(pairs, weights, strict=True)]
        cost = _compile(point, functools.reduce(operator.add, parts), passes=())
    except (SymgradError, ValueError):
        return True  # the op cannot stand alone on these shapes
    directions = [_direction(arrays[operand], rng) for _ in range(PROJECTIONS)]
    return all(_against_differences(cost, point, xs[operand], symbolic, d, "", 1).ok for d in directions)
