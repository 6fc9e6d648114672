"""Matrix products of what is transposed, repeated, made of one row or one-hot: the same with less to move.

Native products read transposed operands where they lie, so a transpose of an operand costs nothing; one of a
result makes its readers stride. Broadcast matrices cost a copy, and a batch of products of one matrix costs a
product for each element of the batch.
"""

from __future__ import annotations

from collections.abc import Collection

from symgrad.dims import product
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import add, multiply, negative, subtract
from symgrad.ops.contract import MatMul
from symgrad.ops.create import Fill, fill_value
from symgrad.ops.gather import OneHot, ScatterAdd, Take
from symgrad.ops.kinds import Elementwise
from symgrad.ops.reduce import Sum
from symgrad.ops.select import masked_multiply, masked_multiply_both
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad.ops.slices import Slice
from symgrad_compiler.passes.chains import RULES as CHAINS
from symgrad_compiler.passes.provable import at_least
from symgrad_compiler.passes.reductions import NORMAL
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.rewrite.rules import Rule, function_rule

_SWAPPED = {"a": "b", "b": "a"}


def _op(tensor: Tensor) -> MatMul:
    op = tensor.node.op
    assert isinstance(op, MatMul)
    return op


def _transposed(tensor: Tensor, barriers: Collection[Tensor] = ()) -> Tensor | None:
    """x, where the tensor is x with its last two axes exchanged."""
    op = tensor.node.op
    last = tensor.ndim - 1
    if not isinstance(op, PermuteDims) or tensor in barriers or last < 1:
        return None
    return tensor.node.inputs[0] if op.axes == (*range(last - 1), last, last - 1) else None


def transpose(tensor: Tensor) -> Tensor:
    """The tensor with its last two axes exchanged."""
    found = _transposed(tensor)
    if found is not None:
        return found
    last = tensor.ndim - 1
    return apply(PermuteDims((*range(last - 1), last, last - 1)), tensor)


# ---- transposes -------------------------------------------------------------------------------------


@function_rule(PermuteDims, kind="rounding", operands=(MatMul,), unshared=True)
def transpose_of_product(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """(a^T b)^T = b^T a and (a b^T)^T = b a^T, where that leaves fewer transposes."""
    inner = _transposed(tensor)
    if inner is None or inner in barriers:
        return None
    a, b = inner.node.inputs
    if a.ndim < 2 or b.ndim < 2 or (_transposed(a) is None and _transposed(b) is None):
        return None
    strong = _op(inner).strong
    return apply(MatMul(_SWAPPED.get(strong, strong)), transpose(b), transpose(a))


# ---- one row, one column, one term ------------------------------------------------------------------


@function_rule(MatMul, kind="rounding", operands=(Reshape,))
def product_of_row(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A matrix of one row or column that was a vector is that vector in a product."""
    op, (a, b) = _op(tensor), tensor.node.inputs
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] == 1:
        return None
    row = a.node.inputs[0] if _is_vector(a, barriers) and a.shape[0] == 1 else a
    column = b.node.inputs[0] if _is_vector(b, barriers) and b.shape[1] == 1 else b
    if row is a and column is b:
        return None
    return apply(Reshape(tensor.shape), apply(MatMul(op.strong), row, column))


def _is_vector(tensor: Tensor, barriers: Collection[Tensor]) -> bool:
    is_reshape = isinstance(tensor.node.op, Reshape) and tensor not in barriers
    return is_reshape and tensor.node.inputs[0].ndim == 1


_PRODUCTS = {"": multiply, "a": masked_multiply, "b": masked_multiply, "ab": masked_multiply_both}


@function_rule(MatMul, kind="rounding")
def product_of_one_term(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A product summed over one term is an outer product, which needs no sum."""
    op, (a, b) = _op(tensor), tensor.node.inputs
    if a.shape[-1] != 1 or a.ndim < 2 or b.ndim < 2:
        return None
    left, right = (apply(Reshape((*t.shape[:-2], product(t.shape[-2:]))), t) for t in (a, b))
    rank = tensor.ndim
    left = apply(Broadcast(tensor.shape, (rank - 1,)), left)
    right = apply(Broadcast(tensor.shape, (rank - 2,)), right)
    if op.strong == "b":
        left, right = right, left
    result: Elementwise = _PRODUCTS[op.strong]
    return apply(result, left, right)


# ---- what is repeated -------------------------------------------------------------------------------


@function_rule(MatMul, kind="rounding", operands=(Broadcast,))
def product_of_repeated(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """Equal rows of a, or equal columns of b, give equal rows or columns of the product: one is computed."""
    op, (a, b) = _op(tensor), tensor.node.inputs
    for x, is_left in ((a, True), (b, False)):
        spread = x.node.op
        axis = x.ndim - (2 if is_left else 1)
        if not isinstance(spread, Broadcast) or x in barriers or x.ndim < 2 or axis not in spread.axes:
            continue
        if x.shape[axis] == 1:
            continue
        thin = _without(x, axis)
        if x.ndim == 2:
            found = apply(op, thin, b) if is_left else apply(op, a, thin)
            return apply(Broadcast(tensor.shape, (0 if is_left else tensor.ndim - 1,)), found)
        one = tuple(1 if i == axis else d for i, d in enumerate(x.shape))
        thin = apply(Reshape(one), thin)
        found = apply(op, thin, b) if is_left else apply(op, a, thin)
        small = tuple(d for i, d in enumerate(found.shape) if i != axis)
        return apply(Broadcast(tensor.shape, (axis,)), apply(Reshape(small), found))
    return None


def _without(x: Tensor, axis: int) -> Tensor:
    """A broadcast tensor without one of its new axes."""
    spread = x.node.op
    assert isinstance(spread, Broadcast)
    axes = tuple(a if a < axis else a - 1 for a in spread.axes if a != axis)
    shape = tuple(d for i, d in enumerate(x.shape) if i != axis)
    source = x.node.inputs[0]
    return apply(Broadcast(shape, axes), source) if axes else source


@function_rule(MatMul, kind="rounding", operands=(Broadcast, Fill))
def product_of_equal_terms(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum over k of a[i] b[k, j] = a[i] times the sum of b over k; of a number, that number times the sum."""
    op, (a, b) = _op(tensor), tensor.node.inputs
    if op.strong or a.ndim != 2 or b.ndim != 2:
        return None
    for x, y, axis, along in ((a, b, 1, 0), (b, a, 0, 1)):
        spread = x.node.op
        if isinstance(spread, Fill):
            total = apply(Broadcast(tensor.shape, (along,)), apply(Sum((along,)), y))
            if fill_value(x) == 1:
                return total
            return apply(multiply, apply(Fill(spread.value, tensor.shape)), total)
        if isinstance(spread, Broadcast) and x not in barriers and axis in spread.axes:
            total = apply(Broadcast(tensor.shape, (along,)), apply(Sum((along,)), y))
            return apply(multiply, apply(Broadcast(tensor.shape, (1 - along,)), _without(x, axis)), total)
    return None


# ---- batches ----------------------------------------------------------------------------------------


@function_rule(MatMul, kind="rounding", operands=(Broadcast,))
def product_of_batch(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A batch of matrices times one matrix is one product, the batch joined to the rows, where they lie in
    a row."""
    op, (a, b) = _op(tensor), tensor.node.inputs
    spread = b.node.op
    batch = tensor.ndim - 2
    if not isinstance(spread, Broadcast) or batch < 1 or b in barriers:
        return None
    if spread.axes != tuple(range(batch)) or not _lies_in_rows(a):
        return None
    rows = product(a.shape[:-1])
    flat = apply(Reshape((rows, a.shape[-1])), a)
    return apply(Reshape(tensor.shape), apply(op, flat, b.node.inputs[0]))


def _lies_in_rows(tensor: Tensor) -> bool:
    """Whether a tensor can be reshaped without a copy, as far as its own op tells."""
    return not isinstance(tensor.node.op, (PermuteDims, Broadcast, Slice))


@function_rule(Sum, kind="rounding", operands=(MatMul,), unshared=True)
def sum_of_batch(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """sum over the batch of a^T b = a^T b with the batch joined to the rows of both: one product, and no
    array of products."""
    inner = tensor.node.inputs[0]
    sum_op = tensor.node.op
    assert isinstance(sum_op, Sum)
    op, batch = _op(inner), inner.ndim - 2
    if inner in barriers or batch < 1 or sum_op.axes != tuple(range(batch)):
        return None
    a, b = inner.node.inputs
    x = _transposed(a)
    if x is None or not _lies_in_rows(x) or not _lies_in_rows(b):
        return None
    left = apply(Reshape((product(x.shape[:-1]), x.shape[-1])), x)
    right = apply(Reshape((product(b.shape[:-1]), b.shape[-1])), b)
    return apply(MatMul(op.strong), transpose(left), right)


# ---- one-hot ----------------------------------------------------------------------------------------


@function_rule(MatMul, kind="stable", operands=(OneHot,))
def one_hot_times(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """one_hot(i) @ b = b[i]: what is infinite in other rows no longer counts."""
    hot, b = tensor.node.inputs
    op = hot.node.op
    if not isinstance(op, OneHot) or hot in barriers or op.axis != hot.ndim - 1:
        return None
    if hot.ndim > 2 or b.ndim > 2:
        return None
    return apply(Take(0), b, hot.node.inputs[0])


@function_rule(MatMul, kind="stable", operands=(PermuteDims,))
def one_hot_transposed_times(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """one_hot(i)^T @ g = g added to zeros at i."""
    turned, g = tensor.node.inputs
    hot = _transposed(turned, barriers)
    if hot is None or hot in barriers:
        return None
    op = hot.node.op
    if not isinstance(op, OneHot) or op.axis != 1 or hot.ndim != 2:
        return None
    return apply(ScatterAdd((0,), tensor.shape), g, hot.node.inputs[0])


# ---- products that share a factor -------------------------------------------------------------------


@function_rule(add, subtract, kind="rounding", operands=(MatMul,), unshared=True)
def common_matrix(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """x a + x b = x (a + b) where x has at least as many rows as columns; x a + y a = (x + y) a where a has
    at least as many columns as rows: then the sum that is left is not larger than the one that was."""
    p, q = tensor.node.inputs
    if not (isinstance(p.node.op, MatMul) and p.node.op == q.node.op) or p is q:
        return None
    if p in barriers or q in barriers or p.node.op.strong or tensor.ndim != 2:
        return None
    (a, b), (c, d) = p.node.inputs, q.node.inputs
    combine = tensor.node.op
    if a is c and at_least(a.shape[0], a.shape[1]):
        return apply(MatMul(), a, apply(combine, b, d))
    if b is d and at_least(b.shape[1], b.shape[0]):
        return apply(MatMul(), apply(combine, a, c), b)
    return None


@function_rule(MatMul, kind="rounding", operands=(negative,), unshared=True)
def product_of_two_negatives(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """(-a) (-b) = a b"""
    a, b = tensor.node.inputs
    if a.node.op is not negative or b.node.op is not negative or a in barriers or b in barriers:
        return None
    return apply(_op(tensor), a.node.inputs[0], b.node.inputs[0])


RULES: list[Rule] = [
    *transpose_of_product,
    *one_hot_times,
    *one_hot_transposed_times,
    *product_of_row,
    *product_of_one_term,
    *product_of_equal_terms,
    *product_of_batch,
    *product_of_repeated,
    *sum_of_batch,
    *common_matrix,
    *product_of_two_negatives,
    *CHAINS,
]
_apply = Rewriting("simplify_products", RULES, normal=NORMAL)


@applies(_apply)
def simplify_products(graph: Graph) -> Graph:
    """Multiply matrices in the cheapest order and form."""
    return _apply(graph)
