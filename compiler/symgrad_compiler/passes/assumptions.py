"""Matrices whose form is known: what the user assumes (`sg.assume`) and what follows from how they are made.

    positive definite      solve, inv, det, slogdet through Cholesky's factor
    triangular, diagonal   solve without a factor; det from the diagonal
    orthogonal             the inverse is the transpose
    symmetric              is its transpose

Of complex matrices, read: Hermitian, unitary, the conjugate transpose (a transpose alone is left as it is).

The pass also drops the assumptions, which nothing needs afterwards, but for those that are to be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops.arithmetic import abs, add, log, multiply, sign
from symgrad.ops.assume import Assume
from symgrad.ops.cast import AsType
from symgrad.ops.cholesky import Cholesky, CholeskyInverse, factor, log_determinant, solve_by_factor
from symgrad.ops.compare import equal
from symgrad.ops.contract import MatMul
from symgrad.ops.create import Fill, Iota, fill_value, ones
from symgrad.ops.determinant import Det, SlogDet
from symgrad.ops.diagonals import DiagonalMatrix
from symgrad.ops.qr import QR
from symgrad.ops.reduce import prod, sum
from symgrad.ops.shape import Broadcast, PermuteDims, Reshape
from symgrad.ops.solve import Inverse, Solve, diagonal_of, identity_like
from symgrad.ops.spectral import SVD, Eigh
from symgrad.ops.transcendental import exp
from symgrad.ops.triangular import SolveTriangular, adjoint, triangular
from symgrad.registry import ops
from symgrad_compiler.passes.pipeline import replace_results
from symgrad_compiler.rewrite.engine import inherit_name, rebuild

Properties: TypeAlias = frozenset[str]
_LOWER, _UPPER, _SYMMETRIC = "lower_triangular", "upper_triangular", "symmetric"
_POSITIVE, _SEMIDEFINITE = "positive_definite", "positive_semidefinite"
_ORTHOGONAL, _DIAGONAL = "orthogonal", "diagonal"
NOTHING: Properties = frozenset()
_CONJ = ops["conj"]
#: What each says.
_IMPLIES: dict[str, Properties] = {
    _SYMMETRIC: frozenset({_SYMMETRIC}),
    _SEMIDEFINITE: frozenset({_SYMMETRIC, _SEMIDEFINITE}),
    _POSITIVE: frozenset({_SYMMETRIC, _SEMIDEFINITE, _POSITIVE}),
    _LOWER: frozenset({_LOWER}),
    _UPPER: frozenset({_UPPER}),
    _DIAGONAL: frozenset({_LOWER, _UPPER, _SYMMETRIC}),
    _ORTHOGONAL: frozenset({_ORTHOGONAL}),
}
_IDENTITY: Properties = frozenset({_LOWER, _UPPER, _SYMMETRIC, _SEMIDEFINITE, _POSITIVE, _ORTHOGONAL})


# ---- what is known ----------------------------------------------------------------------------------


def properties(nodes: Sequence[Node]) -> dict[Tensor, Properties]:
    """What is known of the matrices of a graph."""
    known: dict[Tensor, Properties] = {}
    for node in nodes:
        found = _OF.get(type(node.op)) or _OF_ELEMENTWISE.get(node.op)
        if found is None or all(t.ndim < 2 for t in node.outputs):
            continue
        for tensor, what in zip(node.outputs, found(node, known), strict=False):
            if what:
                known[tensor] = what
    return known


_Known: TypeAlias = dict[Tensor, Properties]


def _assumed(node: Node, known: _Known) -> list[Properties]:
    assert isinstance(node.op, Assume)
    return [_IMPLIES[node.op.kind] | known.get(node.inputs[0], NOTHING)]


def _of_operand(node: Node, known: _Known) -> list[Properties]:
    return [known.get(node.inputs[0], NOTHING)]


def _permuted(node: Node, known: _Known) -> list[Properties]:
    if not is_transpose(node):
        return [NOTHING]
    exchanged = {_LOWER: _UPPER, _UPPER: _LOWER}
    return [frozenset(exchanged.get(p, p) for p in known.get(node.inputs[0], NOTHING))]


def is_transpose(node: Node) -> bool:
    """Whether the node exchanges the last two axes, and no others."""
    if not isinstance(node.op, PermuteDims):
        return False
    axes = node.op.axes
    last = len(axes) - 1
    return last > 0 and axes == (*range(last - 1), last, last - 1)


def _sum(node: Node, known: _Known) -> list[Properties]:
    x, y = (known.get(t, NOTHING) for t in node.inputs)
    both = (x & y) - {_ORTHOGONAL}
    if _POSITIVE in x | y and _SEMIDEFINITE in x and _SEMIDEFINITE in y:
        both |= {_POSITIVE}
    return [both]


def _scaled(node: Node, known: _Known) -> list[Properties]:
    """A number times a matrix: a positive one keeps definiteness."""
    for factor_, matrix in (node.inputs, node.inputs[::-1]):
        what = known.get(matrix, NOTHING)
        if what and _is_number(factor_):
            kept = what - {_ORTHOGONAL}
            if _is_positive(factor_):
                return [kept]
            kept -= {_POSITIVE, _SEMIDEFINITE}
            return [kept if matrix.dtype.kind == "float" else kept - {_SYMMETRIC}]
    return [NOTHING]


def _is_number(tensor: Tensor) -> bool:
    """Whether all elements of each matrix are the same number."""
    op = tensor.node.op
    last = tensor.ndim - 1
    return isinstance(op, Fill) or (isinstance(op, Broadcast) and {last - 1, last} <= set(op.axes))


def _is_positive(tensor: Tensor) -> bool:
    while isinstance(tensor.node.op, (Broadcast, Reshape)):
        tensor = tensor.node.inputs[0]
    if tensor.dtype.kind == "complex" and isinstance(tensor.node.op, AsType):
        return _is_positive(tensor.node.inputs[0])
    value = fill_value(tensor)
    if tensor.dtype.kind == "complex":
        return isinstance(value, complex) and value.imag == 0 and value.real > 0
    return tensor.node.op is exp or (isinstance(value, float) and value > 0)


def _product(node: Node, known: _Known) -> list[Properties]:
    a, b = node.inputs
    if _are_adjoints(a, b):
        return [_IMPLIES[_SEMIDEFINITE]]
    return [known.get(a, NOTHING) & known.get(b, NOTHING) & {_LOWER, _UPPER, _ORTHOGONAL}]


def _are_adjoints(a: Tensor, b: Tensor) -> bool:
    """Whether one is the transpose of the other; of complex matrices, the conjugate transpose."""
    return adjoint_of(a) is b or adjoint_of(b) is a


def adjoint_of(x: Tensor) -> Tensor | None:
    """What matrices are the transpose of, and complex ones the conjugate transpose; None if of nothing."""
    if x.dtype.kind != "complex":
        return x.node.inputs[0] if is_transpose(x.node) else None
    for outer, inner in ((is_transpose, _is_conjugate), (_is_conjugate, is_transpose)):
        if outer(x.node) and inner(x.node.inputs[0].node):
            return x.node.inputs[0].node.inputs[0]
    return None


def _is_conjugate(node: Node) -> bool:
    return node.op is _CONJ


def _identity(node: Node, known: _Known) -> list[Properties]:
    """1 where row and column are equal."""
    inner = node.inputs[0].node
    if inner.op is not equal:
        return [NOTHING]
    axes = {_axis_of_position(t) for t in inner.inputs}
    last = node.outputs[0].ndim - 1
    return [_IDENTITY if axes == {last - 1, last} else NOTHING]


def _axis_of_position(tensor: Tensor) -> int | None:
    """The axis along which a tensor counts 0, 1, 2 ...; None where it does not."""
    op = tensor.node.op
    if not isinstance(op, Broadcast):
        return None
    inner = tensor.node.inputs[0]
    while isinstance(inner.node.op, Reshape):
        inner = inner.node.inputs[0]
    along = [i for i in range(tensor.ndim) if i not in op.axes]
    return along[0] if isinstance(inner.node.op, Iota) and len(along) == 1 else None


def _inverse(node: Node, known: _Known) -> list[Properties]:
    return [known.get(node.inputs[0], NOTHING)]


def _square(node: Node, *places: int) -> list[Properties]:
    """Orthogonal where an output is square."""
    found = []
    for i, tensor in enumerate(node.outputs):
        is_square = i in places and tensor.ndim > 1 and tensor.shape[-1] == tensor.shape[-2]
        found.append(_IMPLIES[_ORTHOGONAL] if is_square else NOTHING)
    return found


def _diagonal(node: Node, known: _Known) -> list[Properties]:
    op = node.op
    assert isinstance(op, DiagonalMatrix)
    is_main = op.offset == 0 and op.shape[0] == op.shape[1]
    return [_IMPLIES[_DIAGONAL] if is_main else NOTHING]


_Rule: TypeAlias = Callable[[Node, _Known], list[Properties]]
_OF: dict[type, _Rule] = {
    Assume: _assumed,
    PermuteDims: _permuted,
    MatMul: _product,
    AsType: _identity,
    Inverse: _inverse,
    DiagonalMatrix: _diagonal,
    Cholesky: lambda node, known: [_IMPLIES[_LOWER]],
    CholeskyInverse: lambda node, known: [_IMPLIES[_POSITIVE]],
    QR: lambda node, known: [_square(node, 0)[0], _IMPLIES[_UPPER]],
    Eigh: lambda node, known: _square(node, 1),
    SVD: lambda node, known: _square(node, 0, 2),
}
_OF_ELEMENTWISE: dict[object, _Rule] = {add: _sum, multiply: _scaled, _CONJ: _of_operand}


# ---- what follows -----------------------------------------------------------------------------------


def use_assumptions(graph: Graph) -> Graph:
    """Use what is known of the form of matrices, and drop what is assumed."""
    if not any(isinstance(n.op, (Assume, *_USES)) for n in graph.nodes):
        return graph
    known = properties(graph.nodes)
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        outputs: Sequence[Tensor] = current.outputs
        if isinstance(node.op, Assume) and not node.op.checked:
            outputs = current.inputs
        elif type(node.op) in _USES:
            use = _USES[type(node.op)]
            before = origin.swap(tuple([o.then("pass", "use_assumptions") for o in node.origins]))
            try:
                made = use(known.get(node.inputs[0], NOTHING), *current.inputs, node)
            finally:
                origin.swap(before)
            outputs = outputs if made is None else made
            for old, new in zip(node.outputs, outputs, strict=True):
                inherit_name(old, new, newer_than=current.id)
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced)


use_assumptions.__dict__["kind"] = "stable"  # what validation may ask of it

_Made: TypeAlias = Sequence[Tensor] | None


def _use_for_solve(known: Properties, a: Tensor, b: Tensor, node: Node) -> _Made:
    if _ORTHOGONAL in known:
        return [adjoint(a) @ b]
    if _LOWER in known or _UPPER in known:
        return [_triangular(a, b, _LOWER in known)]
    if _POSITIVE in known:
        return [solve_by_factor(factor(a), b)]
    return None


def _triangular(a: Tensor, b: Tensor, lower: bool) -> Tensor:
    """The solution; of the transpose of what is at hand, without moving it."""
    if is_transpose(a.node) and a.dtype.kind == "float":
        return triangular(a.node.inputs[0], b, lower=not lower, adjoint=True)
    return triangular(a, b, lower=lower)


def _use_for_inverse(known: Properties, a: Tensor, node: Node) -> _Made:
    if _ORTHOGONAL in known:
        return [adjoint(a)]
    if _LOWER in known or _UPPER in known:
        return [_triangular(a, identity_like(a), _LOWER in known)]
    if _POSITIVE in known:
        return [apply(CholeskyInverse(), factor(a))]
    return None


def _use_for_det(known: Properties, a: Tensor, node: Node) -> _Made:
    if _LOWER in known or _UPPER in known:
        return [prod(diagonal_of(a), axis=-1)]
    if _POSITIVE in known:
        root = prod(diagonal_of(factor(a)), axis=-1)
        return [root * root]
    return None


def _use_for_slogdet(known: Properties, a: Tensor, node: Node) -> _Made:
    if _LOWER in known or _UPPER in known:
        diagonal = diagonal_of(a)
        return [prod(sign(diagonal), axis=-1), sum(log(abs(diagonal)), axis=-1)]
    if _POSITIVE in known:
        return [ones(node.outputs[0].shape, dtype=a.dtype), log_determinant(factor(a))]
    return None


def _use_for_triangular(known: Properties, a: Tensor, b: Tensor, node: Node) -> _Made:
    """Of a transpose, the other triangle of what is at hand."""
    op = node.op
    assert isinstance(op, SolveTriangular)
    if not is_transpose(a.node) or a.dtype.kind != "float":
        return None
    return [triangular(a.node.inputs[0], b, lower=not op.lower, adjoint=not op.adjoint, unit=op.unit)]


def _use_for_transpose(known: Properties, x: Tensor, node: Node) -> _Made:
    return [x] if _SYMMETRIC in known and is_transpose(node) and x.dtype.kind == "float" else None


_USES: dict[type, Callable[..., _Made]] = {
    Solve: _use_for_solve,
    Inverse: _use_for_inverse,
    Det: _use_for_det,
    SlogDet: _use_for_slogdet,
    SolveTriangular: _use_for_triangular,
    PermuteDims: _use_for_transpose,
}


def check_assumptions(graph: Graph) -> Graph:
    """The graph with all assumptions checked when it runs."""
    replaced: dict[Tensor, Tensor] = {}
    for node in graph.nodes:
        current = rebuild(node, replaced)
        outputs: Sequence[Tensor] = current.outputs
        if isinstance(node.op, Assume):
            with origin.scope(node.origins):
                outputs = [apply(Assume(node.op.kind, True), *current.inputs)]
            inherit_name(node.outputs[0], outputs[0], newer_than=current.id)
        replaced.update((old, new) for old, new in zip(node.outputs, outputs, strict=True) if old is not new)
    return replace_results(graph, replaced)
