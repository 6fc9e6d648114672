"""Squares of roots, which are smooth where the root is not: |x|^2, norm(x)^2, hypot(x, y)^2, std(x)^2.

The derivative of a norm at 0 is taken as 0, so that the second derivative of its square would be 0 there, as
long as the root is seen. And roots of sums of squares, as they are written by hand, which get the derivative
that those of `norm` and `std` have.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from symgrad.ir.tensor import Tensor, apply, is_leaf
from symgrad.ops.arithmetic import abs, add, divide, multiply, sqrt, square
from symgrad.ops.compare import equal
from symgrad.ops.contract import MatMul
from symgrad.ops.create import fill_value
from symgrad.ops.inverse import hypot
from symgrad.ops.kinds import FLOATS
from symgrad.ops.power import pow
from symgrad.ops.reduce import Sum
from symgrad.ops.select import where
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape, SpecifyShape
from symgrad_compiler.rewrite.rules import Rule, function_rule


@function_rule(square, pow, multiply, kind="stable")
def square_of_root(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """|x|^2 = x^2, hypot(x, y)^2 = x^2 + y^2, norm(x)^2 = sum(x^2), std(x)^2 = var(x), and their other even
    powers: smooth at 0, where the root is not."""
    op, inputs = tensor.node.op, tensor.node.inputs
    if tensor.dtype.kind not in FLOATS:
        return None
    half = 1.0
    if op is pow:
        n = fill_value(inputs[1])
        if not isinstance(n, (int, float)) or n not in _EVEN:
            return None
        half = n / 2
    found = _square(inputs[0], barriers)
    if found is not None and op is multiply and not _are_twins(inputs[0], inputs[1], barriers):
        return None
    return found if found is None or half == 1 else square(found) if half == 2 else pow(found, half)


#: Powers of more than that overflow for what is not near 1.
_EVEN = frozenset(range(2, 64, 2))
_MOVES = (Reshape, PermuteDims, Broadcast, SpecifyShape)


def _square(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """The square of a root without the root; None of anything else."""
    chain: list[Tensor] = []
    while isinstance(tensor.node.op, _MOVES) and tensor not in barriers:
        chain.append(tensor)
        tensor = tensor.node.inputs[0]
    if tensor in barriers:
        return None
    op, inputs = tensor.node.op, tensor.node.inputs
    found: Tensor | None = None
    if op is abs:
        found = square(inputs[0])
    elif op is hypot:
        found = square(inputs[0]) + square(inputs[1])
    elif op is where:
        found = _of_root(tensor)
    elif op is multiply:
        for k, root in (inputs, inputs[::-1]):
            s = None if root in barriers else _of_root(root)
            found = found if s is None else _unscaled(s, _source(k), 0)
    if found is None:
        return None
    for moved in reversed(chain):
        found = apply(moved.node.op, found, *moved.node.inputs[1:])
    return found


_DEEPEST = 8
_MOST_NODES = 64


def _are_twins(a: Tensor, b: Tensor, barriers: Collection[Tensor]) -> bool:
    """Whether two tensors are the same expression, which may be written twice, as in norm(x) * norm(x)."""
    stack = [(a, b)]
    seen: set[tuple[Tensor, Tensor]] = set()
    while stack:
        pair = stack.pop()
        a, b = pair
        if a is b or pair in seen:
            continue
        seen.add(pair)
        node, other = a.node, b.node
        if a in barriers or b in barriers or is_leaf(a) or a.index != b.index or len(seen) > _MOST_NODES:
            return False
        if node.op != other.op or len(node.inputs) != len(other.inputs):
            return False
        stack += zip(node.inputs, other.inputs, strict=True)
    return True


def _unscaled(s: Tensor, scale: Tensor, depth: int) -> Tensor | None:
    """k^2 s of a sum s of squares of numbers over k, as `norm` has it: that of the squares of the numbers."""
    op, inputs = s.node.op, s.node.inputs
    if op is square:
        ratio = inputs[0].node
        return square(ratio.inputs[0]) if ratio.op is divide and _source(ratio.inputs[1]) is scale else None
    if depth == _DEEPEST or not (op is add or isinstance(op, (Sum, *_MOVES))):
        return None
    parts: list[Tensor] = []
    for t in inputs[: 2 if op is add else 1]:
        part = _unscaled(t, scale, depth + 1)
        if part is None:
            return None
        parts.append(part)
    return apply(op, *parts, *inputs[len(parts) :])


def _source(tensor: Tensor) -> Tensor:
    """What a tensor was before it was moved."""
    while isinstance(tensor.node.op, _MOVES):
        tensor = tensor.node.inputs[0]
    return tensor


def _of_root(tensor: Tensor) -> Tensor | None:
    """s of where(s == 0, 0, sqrt(where(s == 0, 1, s))), whose derivative at 0 is 0."""
    if tensor.node.op is not where:
        return None
    is_zero, zero, root = tensor.node.inputs
    if fill_value(zero) != 0 or root.node.op is not sqrt:
        return None
    (guarded,) = root.node.inputs
    if guarded.node.op is not where:
        return None
    same, one, s = guarded.node.inputs
    if fill_value(one) != 1 or not (_says_zero(is_zero, s) and _says_zero(same, s)):
        return None
    return s


def _says_zero(condition: Tensor, s: Tensor) -> bool:
    op, inputs = condition.node.op, condition.node.inputs
    return op is equal and inputs[0] is s and fill_value(inputs[1]) == 0


@function_rule(sqrt, pow, kind="stable")
def root_of_squares(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sqrt(s) of a sum s of squares, with derivative 0 where all are 0; s^p for 0 < p < 1 likewise."""
    s = tensor.node.inputs[0]
    p = 0.5 if tensor.node.op is sqrt else fill_value(tensor.node.inputs[1])
    is_root = isinstance(p, float) and 0 < p < 1
    if not is_root or tensor.dtype.kind not in FLOATS or not _is_sum_of_squares(s, barriers):
        return None
    is_zero = s == 0
    return where(is_zero, 0, apply(tensor.node.op, where(is_zero, 1, s), *tensor.node.inputs[1:]))


_MOST_TERMS = 64


def _is_sum_of_squares(tensor: Tensor, barriers: Collection[Tensor]) -> bool:
    """Whether a tensor is a sum of squares, or a positive multiple, which is 0 only where all of them are."""
    stack, seen, has_sum = [tensor], 0, False
    while stack:
        t = stack.pop()
        seen += 1
        op, inputs = t.node.op, t.node.inputs
        if t in barriers or seen > _MOST_TERMS:
            return False
        if op is square or (op is multiply and inputs[0] is inputs[1]):
            continue
        if isinstance(op, Sum):
            has_sum = True
            stack.append(inputs[0])
        elif isinstance(op, _MOVES):
            stack.append(inputs[0])
        elif op is add:
            has_sum = True
            stack += inputs
        elif isinstance(op, MatMul) and _is_dot_with_itself(t):
            has_sum = True
        elif op is multiply and any(map(_is_positive_number, inputs)):
            stack.append(inputs[1] if _is_positive_number(inputs[0]) else inputs[0])
        elif op is divide and _is_positive_number(inputs[1]):
            stack.append(inputs[0])
        else:
            return False
    return has_sum


def _is_dot_with_itself(product: Tensor) -> bool:
    """Whether a product of matrices is that of a row and the same numbers as a column."""
    a, b = product.node.inputs
    is_dot = a.ndim == b.ndim == 1 or (a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1] == 1)
    while isinstance(a.node.op, (Reshape, PermuteDims)) and a is not b:
        a = a.node.inputs[0]
    while isinstance(b.node.op, (Reshape, PermuteDims)) and a is not b:
        b = b.node.inputs[0]
    return is_dot and a is b


def _is_positive_number(tensor: Tensor) -> bool:
    value = fill_value(tensor)
    return isinstance(value, float) and 0 < value < math.inf


#: For derivatives alone: a forward pass has nothing to gain from these.
BEFORE_DIFFERENTIATION: list[Rule] = [*square_of_root, *root_of_squares]
