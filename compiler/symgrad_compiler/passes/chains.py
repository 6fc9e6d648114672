"""Chains of matrix products in their cheapest order: (a b) v = a (b v).

    (a b) c = a (b c)        (a b)^T = b^T a^T

The cost of an order is the number of multiplications, a polynomial in the symbolic sizes. Another order is
taken where it is provably not dearer, for all sizes of 1 or more. Products that something else
reads as well are not taken apart.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TypeAlias

from symgrad.dims import Dim
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.contract import MatMul
from symgrad.ops.shape import PermuteDims
from symgrad_compiler.passes.provable import never_dearer
from symgrad_compiler.rewrite.rules import Rule, function_rule

#: The factors of a chain that are looked at together.
MOST_FACTORS = 10

#: A factor, and whether it is transposed.
Factor: TypeAlias = tuple[Tensor, bool]
#: The order of products: the number of a factor, or what is multiplied with what.
Order: TypeAlias = "int | tuple[Order, Order]"


def _is_product(tensor: Tensor) -> bool:
    op = tensor.node.op
    return isinstance(op, MatMul) and not op.strong and all(t.ndim <= 2 for t in tensor.node.inputs)


def _is_transpose(tensor: Tensor) -> bool:
    op = tensor.node.op
    return isinstance(op, PermuteDims) and op.axes == (1, 0)


def _factors(tensor: Tensor, barriers: Collection[Tensor]) -> tuple[list[Factor], Order]:
    """The factors of a product, left to right, and their present order. A vector is a row on the left and a
    column on the right, so a product that is a vector is turned where it is used as the other."""
    factors: list[Factor] = []
    room = MOST_FACTORS - 1

    def visit(current: Tensor, turned: bool, is_left: bool) -> Order:
        nonlocal room
        while _is_transpose(current) and current not in barriers:
            current, turned = current.node.inputs[0], not turned
        if room == 0 or not _is_product(current) or current in barriers:
            factors.append((current, turned))
            return len(factors) - 1
        if current.ndim == 1:
            is_row = current.node.inputs[0].ndim == 1
            turned = is_row != is_left
        return both(current, turned)

    def both(product: Tensor, turned: bool) -> Order:
        nonlocal room
        room -= 1
        a, b = product.node.inputs
        left, right = (b, a) if turned else (a, b)
        first = visit(left, turned, True)
        return first, visit(right, turned, False)

    order = both(tensor, False)
    return factors, order


def _sizes(factors: Sequence[Factor]) -> tuple[Dim, ...]:
    """The rows of the first factor, and the columns of each."""
    sizes: list[Dim] = []
    for i, (tensor, turned) in enumerate(factors):
        if tensor.ndim == 1:
            rows, columns = (1, tensor.shape[0]) if i == 0 else (tensor.shape[0], 1)
        else:
            rows, columns = tensor.shape[::-1] if turned else tensor.shape
        sizes += [rows, columns] if i == 0 else [columns]
    return tuple(sizes)


@lru_cache(maxsize=4096)
def cheaper_order(sizes: tuple[Dim, ...], order: Order) -> Order | None:
    """An order that is cheaper for all sizes; None where none is known.

    >>> from symgrad.dims import size
    >>> n = size("n")
    >>> cheaper_order((n, n, n, 1), ((0, 1), 2))
    (0, (1, 2))
    >>> cheaper_order((n, 3, n, 1), (0, (1, 2))) is None
    True
    """
    present: dict[tuple[int, int], int] = {}
    before = _cost(sizes, order, present)[0]
    count = len(sizes) - 1
    best: dict[tuple[int, int], tuple[Dim, Order]] = {(i, i): (0, i) for i in range(count)}
    for length in range(2, count + 1):
        for first in range(count - length + 1):
            last = first + length - 1
            splits = sorted(range(first, last), key=lambda k: k != present.get((first, last)))
            found: tuple[Dim, Order] | None = None
            for k in splits:
                (left, a), (right, b) = best[first, k], best[k + 1, last]
                cost = left + right + sizes[first] * sizes[k + 1] * sizes[last + 1]
                if found is None or (cost != found[0] and never_dearer(cost, found[0])):
                    found = cost, (a, b)
            assert found is not None
            best[first, last] = found
    after, cheapest = best[0, count - 1]
    return cheapest if after != before and never_dearer(after, before) else None


def _cost(sizes: Sequence[Dim], order: Order, splits: dict[tuple[int, int], int]) -> tuple[Dim, int, int]:
    """The cost of an order, its first and last factor; where it splits goes to `splits`."""
    if isinstance(order, int):
        return 0, order, order
    left, first, middle = _cost(sizes, order[0], splits)
    right, after, last = _cost(sizes, order[1], splits)
    splits[first, last] = middle
    return left + right + sizes[first] * sizes[after] * sizes[last + 1], first, last


@function_rule(MatMul, kind="rounding", operands=(MatMul, PermuteDims), unshared=True)
def order_of_products(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """(a b) c = a (b c), whichever takes fewer multiplications whatever the sizes are; (a b)^T = b^T a^T."""
    if not _is_product(tensor):
        return None
    factors, order = _factors(tensor, barriers)
    if len(factors) < 3:
        return None
    found = cheaper_order(_sizes(factors), order)
    return None if found is None else _multiplied(factors, found)


def _multiplied(factors: Sequence[Factor], order: Order) -> Tensor:
    if isinstance(order, int):
        tensor, turned = factors[order]
        return apply(PermuteDims((1, 0)), tensor) if turned and tensor.ndim == 2 else tensor
    return apply(MatMul(), _multiplied(factors, order[0]), _multiplied(factors, order[1]))


RULES: list[Rule] = [*order_of_products]
