"""Moves cancel: reshapes, permutations, broadcasts and conversions that undo, repeat or pass each other.
Exact.

The normal form has broadcasts outermost, slices and joins innermost, and no two moves where one will do. The
moves of parts (slice, concat, unslice) are in `parts.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from symgrad import registry
from symgrad.dims import Dim, Shape, product
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.cast import AsType
from symgrad.ops.create import Fill
from symgrad.ops.kinds import Elementwise
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape, SpecifyShape
from symgrad.types import DType
from symgrad_compiler.passes import parts
from symgrad_compiler.passes.provable import groups, inserts_ones
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.rewrite.rules import Rule, function_rule

# ---- two of a kind ----------------------------------------------------------------------------------


@function_rule(Reshape)
def reshape_of_reshape(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """reshape(reshape(x)) = reshape(x), and reshape(x) = x where the shape is x's."""
    operand = tensor.node.inputs[0]
    if operand.shape == tensor.shape:
        return operand
    inner = operand.node
    if isinstance(inner.op, Fill):
        return apply(Fill(inner.op.value, tensor.shape))
    if not isinstance(inner.op, Reshape) or operand in barriers:
        return None
    source = inner.inputs[0]
    return source if source.shape == tensor.shape else apply(Reshape(tensor.shape), source)


@function_rule(PermuteDims)
def permute_of_permute(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """permute(permute(x, p), q) = permute(x, p[q]), and permute(x) = x where the order is kept."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, PermuteDims)
    inner = operand.node
    if op.axes == tuple(range(len(op.axes))):
        return operand
    if isinstance(inner.op, Fill):
        return apply(Fill(inner.op.value, tensor.shape))
    if not isinstance(inner.op, PermuteDims) or operand in barriers:
        return None
    order = tuple(inner.op.axes[a] for a in op.axes)
    source = inner.inputs[0]
    return source if order == tuple(range(len(order))) else apply(PermuteDims(order), source)


@function_rule(Broadcast)
def broadcast_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """broadcast(broadcast(x)) = broadcast(x); a broadcast of one number is that number everywhere."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Broadcast)
    if not op.axes:
        return operand
    inner = operand.node
    if isinstance(inner.op, Fill):
        return apply(Fill(inner.op.value, tensor.shape))
    if not isinstance(inner.op, Broadcast) or operand in barriers:
        return None
    kept = [i for i in range(tensor.ndim) if i not in op.axes]
    axes = sorted({*op.axes, *(kept[a] for a in inner.op.axes)})
    return apply(Broadcast(op.shape, tuple(axes)), inner.inputs[0])


@function_rule(AsType)
def astype_of_astype(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """astype(astype(x, wide), d) = astype(x, d), where `wide` holds every number of x's dtype: x, if d is
    it."""
    operand = tensor.node.inputs[0]
    if operand.dtype is tensor.dtype:
        return operand
    inner = operand.node
    if not isinstance(inner.op, AsType) or operand in barriers:
        return None
    source = inner.inputs[0]
    if not _holds_all(operand.dtype, source.dtype):
        return None
    if source.dtype is tensor.dtype:
        return source
    if source.dtype.kind in ("float", "complex") and tensor.dtype.kind in ("int", "uint"):
        return None  # what is out of range depends on the dtype it comes from
    return apply(AsType(tensor.dtype), source)


#: Binary digits of each kind of number, its sign aside: those of an integer, the precision of a float.
_PRECISION = {"float32": 24, "float64": 53, "complex64": 24, "complex128": 53}


def _holds_all(wide: DType, narrow: DType) -> bool:
    """Whether every number of the dtype `narrow` is one of `wide`."""
    if narrow.kind == "bool" or wide is narrow:
        return True
    if narrow.kind in ("int", "uint"):
        digits = 8 * narrow.itemsize - (narrow.kind == "int")
        if wide.name in _PRECISION:
            return digits <= _PRECISION[wide.name]
        if wide.kind == "uint":
            return narrow.kind == "uint" and narrow.itemsize <= wide.itemsize
        return wide.kind == "int" and digits <= 8 * wide.itemsize - 1
    if wide.name not in _PRECISION or (narrow.kind == "complex" and wide.kind != "complex"):
        return False
    return _PRECISION[narrow.name] <= _PRECISION[wide.name]


@function_rule(SpecifyShape)
def known_shape(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """specify_shape(x) = x, where that is x's shape and no bound is to be checked."""
    op, (operand,) = tensor.node.op, tensor.node.inputs
    assert isinstance(op, SpecifyShape)
    return operand if operand.shape == tensor.shape and not op.bounds else None


# ---- one in terms of another ------------------------------------------------------------------------


@function_rule(PermuteDims)
def permute_of_ones(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A permutation that moves axes of size 1 alone is a reshape."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, PermuteDims)
    moved = [a for a in op.axes if operand.shape[a] != 1]
    return apply(Reshape(tensor.shape), operand) if moved == sorted(moved) else None


@function_rule(Broadcast)
def broadcast_along_ones(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """A broadcast along axes of size 1 is a reshape."""
    op = tensor.node.op
    assert isinstance(op, Broadcast)
    if any(op.shape[a] != 1 for a in op.axes):
        return None
    return apply(Reshape(tensor.shape), tensor.node.inputs[0])


# ---- broadcasts outermost ---------------------------------------------------------------------------


@function_rule(Broadcast, operands=(Reshape,))
def broadcast_of_reshape(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """broadcast(x with new axes of size 1) = broadcast(x), along those too."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, Broadcast)
    source = operand.node.inputs[0]
    ones = inserts_ones(source.shape, operand.shape)
    if operand in barriers or not ones:
        return None
    kept = [i for i in range(tensor.ndim) if i not in op.axes]
    return apply(Broadcast(op.shape, tuple(sorted({*op.axes, *(kept[i] for i in ones)}))), source)


@function_rule(PermuteDims, operands=(Broadcast,))
def permute_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """permute(broadcast(x)) = broadcast(permute(x)), or broadcast(x) where x keeps its order."""
    op, operand = tensor.node.op, tensor.node.inputs[0]
    assert isinstance(op, PermuteDims)
    inner = operand.node.op
    assert isinstance(inner, Broadcast)
    if operand in barriers:
        return None
    axes = tuple(i for i, a in enumerate(op.axes) if a in inner.axes)
    kept = [a for a in op.axes if a not in inner.axes]
    order = tuple(sorted(kept).index(a) for a in kept)
    source = operand.node.inputs[0]
    if order != tuple(range(len(order))):
        source = apply(PermuteDims(order), source)
    return apply(Broadcast(tensor.shape, axes), source)


@function_rule(Reshape, operands=(Broadcast,))
def reshape_of_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """reshape(broadcast(x)) = broadcast(reshape(x)), where no new axis is joined to an old one."""
    operand = tensor.node.inputs[0]
    inner = operand.node.op
    assert isinstance(inner, Broadcast)
    pairs = groups(operand.shape, tensor.shape)
    if operand in barriers or pairs is None:
        return None
    kept: set[int] = set()
    for old, new in pairs:
        spread = [a in inner.axes for a in old]
        if not all(spread) and any(spread):
            return None
        if not spread[0]:
            kept.update(new)
    source = operand.node.inputs[0]
    small = tuple(tensor.shape[i] for i in sorted(kept))
    if product(small) != product(source.shape):
        return None
    if small != source.shape:
        source = apply(Reshape(small), source)
    axes = tuple(i for i in range(tensor.ndim) if i not in kept)
    return apply(Broadcast(tensor.shape, axes), source) if axes else source


def hoist_broadcast(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """f(broadcast(x), 2, broadcast(y)) = broadcast(f(x, 2, y)): compute before copying."""
    spread: Broadcast | None = None
    for operand in tensor.node.inputs:
        op = operand.node.op
        if isinstance(op, Broadcast) and (spread is None or op == spread) and operand not in barriers:
            spread = op
        elif not isinstance(op, Fill):
            return None
    return None if spread is None else apply(spread, _on_sources(tensor, Broadcast))


def hoist_move(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """f(move(x), 2, move(y)) = move(f(x, 2, y)), for one reshape or permutation of both operands."""
    found: Tensor | None = None
    for operand in tensor.node.inputs:
        node = operand.node
        if isinstance(node.op, (Reshape, PermuteDims)) and operand not in barriers:
            if found is not None and (
                node.op != found.node.op or node.inputs[0].shape != found.node.inputs[0].shape
            ):
                return None
            if operand is found:
                return None
            found = operand
        elif not isinstance(node.op, Fill):
            return None
    if found is None or _count_moved(tensor) < 2:
        return None
    return apply(found.node.op, _on_sources(tensor, type(found.node.op)))


def _count_moved(tensor: Tensor) -> int:
    """How many operands are no numbers."""
    return len([t for t in tensor.node.inputs if not isinstance(t.node.op, Fill)])


def _on_sources(tensor: Tensor, moved: type) -> Tensor:
    """The op of `tensor` on what its operands of the kind `moved` are made of."""
    inputs = tensor.node.inputs
    shape = next(t.node.inputs[0].shape for t in inputs if isinstance(t.node.op, moved))
    operands = [
        apply(Fill(t.node.op.value, shape)) if isinstance(t.node.op, Fill) else t.node.inputs[0]
        for t in inputs
    ]
    return apply(tensor.node.op, *operands)


_ELEMENTWISE = [op for op in registry.ops.values() if isinstance(op, Elementwise)]
_HOIST = function_rule(*_ELEMENTWISE, AsType, operands=(Broadcast,))(hoist_broadcast)
_HOIST_MOVE = function_rule(
    *[op for op in _ELEMENTWISE if len(op.operands) > 1], operands=(Reshape, PermuteDims), unshared=True
)(hoist_move)


# ---- reshapes and permutations in a row -------------------------------------------------------------


@function_rule(Reshape, PermuteDims, operands=(Reshape, PermuteDims))
def chain_of_moves(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """reshape(permute(reshape(x))), and the like, is one reshape or permutation of x, where it keeps or
    permutes whole axes."""
    for source, chain in _chains(tensor, barriers):
        _, as_one = _joined(source, chain)
        if as_one is not None:
            return as_one
    return None


@function_rule(Reshape, PermuteDims, operands=(Reshape, PermuteDims), unshared=True)
def chain_of_three_moves(tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
    """permute(reshape(permute(x))), and the like, is a permutation of x and a reshape: where what is between
    is used here only, since else x would be copied twice."""
    for source, chain in _chains(tensor, barriers):
        axes, _ = _joined(source, chain)
        if axes and len(chain) > 2:
            return apply(Reshape(tensor.shape), apply(PermuteDims(axes), source))
    return None


def _chains(tensor: Tensor, barriers: Collection[Tensor]) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
    """A tensor and the moves that it is made by, last first, with what the first one moves: the longest
    chain, then shorter ones."""
    chain = [tensor]
    source = tensor.node.inputs[0]
    while isinstance(source.node.op, (Reshape, PermuteDims)) and source not in barriers and len(chain) < 4:
        chain.append(source)
        source = source.node.inputs[0]
    while len(chain) > 1:
        yield source, chain
        source = chain.pop()


def _joined(source: Tensor, chain: Sequence[Tensor]) -> tuple[tuple[int, ...], Tensor | None]:
    """`chain[0]`, made of source by the moves of the chain: the axes of a permutation of source that it is a
    reshape of, if there is one; and the tensor, if one move makes it."""
    factors = [[(i, d)] for i, d in enumerate(source.shape)]  # of each axis, the axes of x (or parts of them)
    shape: Shape = source.shape
    for tensor in reversed(chain):
        op = tensor.node.op
        if isinstance(op, PermuteDims):
            factors = [factors[a] for a in op.axes]
        else:
            regrouped = _regroup(factors, shape, tensor.shape)
            if regrouped is None:
                return (), None
            factors = regrouped
        shape = tensor.shape
    order = [i for axis in factors for i, d in axis if d != 1]
    if order == sorted(order):
        return (), source if shape == source.shape else apply(Reshape(shape), source)
    ones = [i for i in range(source.ndim) if i not in order]
    axes = (*order, *ones)
    if tuple(source.shape[a] for a in axes) == shape:
        return axes, apply(PermuteDims(axes), source)
    placed = iter(ones)
    whole = tuple(axis[0][0] if axis and axis[0][1] != 1 else next(placed, -1) for axis in factors)
    if sorted(whole) == list(range(source.ndim)) and tuple(source.shape[a] for a in whole) == shape:
        return axes, apply(PermuteDims(whole), source)
    return axes, None


def _regroup(
    factors: list[list[tuple[int, Dim]]], old: Shape, new: Shape
) -> list[list[tuple[int, Dim]]] | None:
    """The factors of each axis after a reshape that joins whole axes, or takes joined ones apart."""
    pairs = groups(old, new)
    if pairs is None:
        return None
    result: list[list[tuple[int, Dim]]] = [[] for _ in new]
    for before, after in pairs:
        flat = [f for a in before for f in factors[a] if f[1] != 1]
        inside = groups([d for _, d in flat], [new[a] for a in after])
        if inside is None or any(len(parts_of) > 1 for _, parts_of in inside):
            return None  # it cuts through an axis of x
        for members, (place,) in inside:
            result[after[place]] = [flat[m] for m in members]
    return result


RULES: list[Rule] = [
    *reshape_of_reshape,
    *permute_of_permute,
    *broadcast_of_broadcast,
    *astype_of_astype,
    *known_shape,
    *permute_of_ones,
    *broadcast_along_ones,
    *broadcast_of_reshape,
    *permute_of_broadcast,
    *reshape_of_broadcast,
    *chain_of_moves,
    *parts.RULES,
    *_HOIST,
    *_HOIST_MOVE,
]
# Not among the rules that other passes use too: what a pass makes may be shared although it does not show.
_apply = Rewriting("cancel_moves", [*RULES, *chain_of_three_moves])


@applies(_apply)
def cancel_moves(graph: Graph) -> Graph:
    """Cancel moves of elements that undo, repeat or pass each other."""
    return _apply(graph)
