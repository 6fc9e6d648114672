"""Patterns: expressions of the language over variables, made by its own operators and functions.

    Pattern = Variable                       any tensor; the same one at each occurrence
            | Number                         a `fill` of that number
            | Application(op, Pattern*)      an elementwise op
            | Application(op class, Pattern*, attributes)   a structured op; attributes may be variables

`log(1 + exp(x))` with `x = var("x")` is a pattern, since the functions of the language hand operands that are
patterns back to `Pattern.of`. Operands of a commutative op match in either order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from symgrad.ir.op import attributes
from symgrad.ir.operators import Operators
from symgrad.ir.tensor import Tensor, apply, is_leaf
from symgrad.ir.values import Scalar
from symgrad.ops.create import Fill, fill_value
from symgrad.ops.kinds import Elementwise
from symgrad.ops.shape import Broadcast, Reshape
from symgrad.types import TensorType

#: What a match has found: variable name -> tensor, attribute name -> value.
Bindings: TypeAlias = dict[str, Any]


class Pattern(Operators):
    """Base of all patterns."""

    __slots__ = ()
    __hash__ = object.__hash__
    is_pattern = True

    def fits(self, tensor: Tensor) -> bool:
        """Whether the root alone of this pattern fits the tensor."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a pattern has no {name}: patterns are made of elementwise ops and reductions\n"
            "  hint: what no pattern can say is a function, see sg.rewrite.function_rule"
        )

    @staticmethod
    def of(op: Elementwise, operands: Sequence[Any]) -> Pattern:
        """An elementwise op on patterns and numbers."""
        return Application(op, tuple(as_pattern(x) for x in operands), {})

    def reduction(self, op: Any, axis: Any, keepdims: bool) -> Pattern:
        """A reduction (or softmax) of this pattern over axes that are a variable, `attribute("axes")`."""
        if keepdims or not isinstance(axis, Attribute):
            raise TypeError(
                'in a pattern, axis must be a variable, sg.rewrite.attribute("axes"), and keepdims False'
            )
        return Application(op, (self,), {"axes": axis})


@dataclass(frozen=True, eq=False, slots=True)
class Attribute:
    """A variable that stands for an attribute's value."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, slots=True)
class Variable(Pattern):
    """Any tensor."""

    name: str

    def __str__(self) -> str:
        return self.name

    def fits(self, tensor: Tensor) -> bool:
        return True


@dataclass(frozen=True, eq=False, slots=True)
class Number(Pattern):
    """A number everywhere; the sign of a zero counts."""

    value: float

    def __str__(self) -> str:
        return f"{self.value:g}"

    def fits(self, tensor: Tensor) -> bool:
        if type(tensor.node.op) is not Fill:
            return False
        value = fill_value(tensor)
        if value is None or isinstance(value, complex) or value != self.value:
            return False
        return value != 0 or math.copysign(1, value) == math.copysign(1, self.value)


@dataclass(frozen=True, eq=False, slots=True)
class Application(Pattern):
    """An op (elementwise) or a class of ops (structured) applied to patterns."""

    op: Any
    operands: tuple[Pattern, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        name = self.op.name
        operands = [f"({p})" if _is_infix(p) and name in INFIX else str(p) for p in self.operands]
        if name in INFIX and len(operands) == 2:
            return f" {INFIX[name]} ".join(operands)
        if name == "negative":
            return f"-{operands[0]}"
        named = [f"{k}={v}" for k, v in self.attributes.items()]
        return f"{name}({', '.join([*map(str, self.operands), *named])})"

    def fits(self, tensor: Tensor) -> bool:
        op = tensor.node.op
        return op is self.op if isinstance(self.op, Elementwise) else type(op) is self.op


#: Ops that are written between their operands, or before the one they have.
INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "negative": "-"}


def _is_infix(pattern: Pattern) -> bool:
    return isinstance(pattern, Application) and pattern.op.name in INFIX


def var(name: str) -> Any:
    """A variable of a pattern: any tensor, the same at each occurrence. It stands where tensors stand, so its
    static type is open."""
    return Variable(name)


def attribute(name: str) -> Attribute:
    """A variable that stands for an attribute, e.g. the axes of a reduction."""
    return Attribute(name)


def spread(x: Any, axes: Attribute) -> Any:
    """x broadcast along new axes: how a reduction over `axes` meets what it reduced."""
    return Application(Broadcast, (x,), {"axes": axes})


def reshaped(x: Any, shape: Attribute) -> Any:
    """x under another shape."""
    return Application(Reshape, (x,), {"shape": shape})


def as_pattern(value: Any) -> Pattern:
    """A pattern, or the pattern of a number."""
    if isinstance(value, Pattern):
        return value
    if isinstance(value, (int, float)):
        return Number(value)
    raise TypeError(f"a pattern holds variables and numbers, not {type(value).__name__}")


def root_of(pattern: Pattern) -> Any:
    """What must make a tensor that the pattern matches: an op or a class of ops; None for any."""
    if isinstance(pattern, Application):
        return pattern.op
    return Fill if isinstance(pattern, Number) else None


def match(pattern: Pattern, tensor: Tensor, barriers: Collection[Tensor]) -> Bindings | None:
    """What the variables are, if the expression that makes `tensor` has this form, without looking behind a
    tensor in `barriers` (`tensor` itself excepted)."""
    return next(_match(pattern, tensor, {}, barriers, True), None)


def _match(
    pattern: Pattern, tensor: Tensor, bound: Bindings, barriers: Collection[Tensor], top: bool = False
) -> Iterator[Bindings]:
    if isinstance(pattern, Variable):
        found = bound.get(pattern.name)
        if found is None:
            yield {**bound, pattern.name: tensor}
        elif found is tensor or _is_same(found, tensor, barriers):
            yield bound
        return
    if isinstance(pattern, Number):
        if pattern.fits(tensor):
            yield bound
        return
    assert isinstance(pattern, Application)
    if not pattern.fits(tensor) or (not top and tensor in barriers):
        return
    node = tensor.node
    with_attributes = _match_attributes(pattern, attributes(node.op), bound)
    if with_attributes is None:
        return
    orders = [node.inputs]
    if node.op.commutative and node.inputs[0] is not node.inputs[1]:
        orders.append(node.inputs[::-1])
    for operands in orders:
        yield from _match_all(pattern.operands, operands, with_attributes, barriers)


def _match_all(
    patterns: Sequence[Pattern], tensors: Sequence[Tensor], bound: Bindings, barriers: Collection[Tensor]
) -> Iterator[Bindings]:
    if not patterns:
        yield bound
        return
    for first in _match(patterns[0], tensors[0], bound, barriers):
        yield from _match_all(patterns[1:], tensors[1:], first, barriers)


def _match_attributes(pattern: Application, found: Mapping[str, Any], bound: Bindings) -> Bindings | None:
    for name, wanted in pattern.attributes.items():
        value = found[name]
        if isinstance(wanted, Attribute):
            if bound.setdefault(wanted.name, value) != value:
                return None
        elif wanted != value:
            return None
    return bound


def _is_same(a: Tensor, b: Tensor, barriers: Collection[Tensor], depth: int = 3) -> bool:
    """Whether two tensors are the same expression, written twice: as far as a short look tells, and without a
    barrier in one that is not the other's."""
    if a is b:
        return True
    node, other = a.node, b.node
    if not depth or a in barriers or b in barriers or node.op.__class__ is not other.op.__class__:
        return False
    if is_leaf(a) or a.index != b.index or len(node.inputs) != len(other.inputs) or node.op != other.op:
        return False
    pairs = zip(node.inputs, other.inputs, strict=True)
    return all([_is_same(x, y, barriers, depth - 1) for x, y in pairs])


def instantiate(pattern: Pattern, bound: Bindings, like: TensorType) -> Tensor:
    """The tensor that a replacement stands for; numbers get the type `like` of what is replaced."""
    if isinstance(pattern, Variable):
        tensor: Tensor = bound[pattern.name]
        return tensor
    if isinstance(pattern, Number):
        return apply(Fill(Scalar.of(pattern.value, like.dtype), like.shape))
    assert isinstance(pattern, Application)
    values = {k: bound[v.name] if isinstance(v, Attribute) else v for k, v in pattern.attributes.items()}
    if isinstance(pattern.op, Elementwise):
        return apply(pattern.op, *_instantiate_aligned(pattern, bound, like))
    operands = [instantiate(p, bound, like) for p in pattern.operands]
    if pattern.op is Broadcast and "shape" not in values:
        values["shape"] = like.shape
    return apply(pattern.op(**values), *operands)


def _instantiate_aligned(pattern: Application, bound: Bindings, like: TensorType) -> list[Tensor]:
    """The operands of an elementwise op; numbers among them take the type of the first that is none."""
    made = [None if isinstance(p, Number) else instantiate(p, bound, like) for p in pattern.operands]
    values = made[pattern.op.conditions :]
    beside = next((t.type for t in values if t is not None), like)
    return [
        instantiate(p, bound, beside) if t is None else t for p, t in zip(pattern.operands, made, strict=True)
    ]
