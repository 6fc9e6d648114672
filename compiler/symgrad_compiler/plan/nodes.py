"""How each node becomes steps: a table from kinds of ops to functions that plan them."""

from __future__ import annotations

from collections.abc import Callable

from symgrad.dims import count
from symgrad.errors import CompileError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Shared, Tensor
from symgrad.ops.cast import AsType
from symgrad.ops.cholesky import Cholesky, CholeskyInverse
from symgrad.ops.complexes import complex
from symgrad.ops.contract import MatMul
from symgrad.ops.conv import Conv, ConvInput, ConvWeights
from symgrad.ops.create import Constant, Fill, Iota, SizeOf, fill_value
from symgrad.ops.cumulative import (
    CumulativeMax,
    CumulativeMin,
    CumulativeProd,
    CumulativeSum,
    LinearRecurrence,
)
from symgrad.ops.custom import Barrier
from symgrad.ops.determinant import Det
from symgrad.ops.gather import Gather, ScatterAdd, ScatterAddAlongAxis, Take, TakeAlongAxis
from symgrad.ops.interleave import Interleave
from symgrad.ops.join import Concat
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.ops.scalar import FUNCTIONS, MOST_ORDER, OF_ORDER
from symgrad.ops.scatter import Scatter
from symgrad.ops.slices import SetSlice, Unslice
from symgrad.ops.solve import Inverse, LUFactor, Solve
from symgrad.ops.sort import ArgSort, SearchSorted
from symgrad.ops.statistics import ArgQuantile
from symgrad.ops.strided import Strided
from symgrad.ops.triangular import SolveTriangular
from symgrad.registry import ops
from symgrad_compiler.plan.checks import Elements, Exponents
from symgrad_compiler.plan.convolutions import convolution
from symgrad_compiler.plan.cost import COSTLY, functions_of, is_costly
from symgrad_compiler.plan.factors import factor
from symgrad_compiler.plan.indices import argsort, gather, scatter, scatter_add, searchsorted
from symgrad_compiler.plan.moves import concat, imag, interleave, pairs, real, set_slice, unslice, view
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.product_sums import Term
from symgrad_compiler.plan.scans import scan
from symgrad_compiler.plan.steps import (
    CONSTANT,
    IOTA,
    Access,
    Callback,
    Kernel,
    MatMulStep,
    Number,
    Reduction,
    SizeNumber,
    Storage,
    others_of,
)


def plan_node(p: Planner, node: Node) -> None:
    """Let the plan compute a node."""
    op = node.op
    if p.paired and any(t.dtype.kind == "complex" for t in (*node.inputs, *node.outputs)):
        of_complex = PARTS.get(op) or (HANDLERS[type(op)] if not node.inputs else callback)
        of_complex(p, node)
        return
    if isinstance(op, TensorOp) and op.strided is not None:
        view(p, node)
        return
    handler = HANDLERS.get(type(op), callback)
    if isinstance(op, TensorOp) and op.reduction:
        handler = reduction
    if handler in _CONVERTED and not is_native(node):
        handler = callback
    handler(p, node)


# ---- leaves -----------------------------------------------------------------------------------------


def _fill(p: Planner, node: Node) -> None:
    assert isinstance(node.op, Fill)
    p.sources[node.output] = Number(node.op.value)


def _size_of(p: Planner, node: Node) -> None:
    assert isinstance(node.op, SizeOf)
    p.sources[node.output] = SizeNumber(node.op.size)


def _iota(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, Iota)
    storage = Storage(IOTA, op.dtype, op.size, label="position")
    p.sources[node.output] = Access(storage, Strided.contiguous(node.output.shape))


def _constant(p: Planner, node: Node) -> None:
    op, tensor = node.op, node.output
    assert isinstance(op, Constant)
    storage = p.storage(CONSTANT, tensor, len(p.constants), p.graph.names[tensor])
    p.constants.append(op.data)
    p.sources[tensor] = Access(storage, p.layout(tensor))


# ---- computing --------------------------------------------------------------------------------------


def elementwise(p: Planner, node: Node) -> None:
    if _may_have_negative_exponents(node):
        p.open(Exponents(node, p.access(node.inputs[1])))
    costly = COSTLY if node.output.shape else 2  # a call, for a single number
    weight = costly if is_costly(node.op) else 1
    number = p.join(node.outputs[0].shape, node.inputs, weight, beside=p.beside(node))
    kernel = p.steps[number]
    assert isinstance(kernel, Kernel)
    p.read(kernel, number, node.inputs)
    kernel.add(node)
    kernel.weight += weight
    p.computed[node.outputs[0]] = number


def reduction(p: Planner, node: Node) -> None:
    op = node.op
    assert isinstance(op, TensorOp)
    (value,) = node.inputs
    axes: tuple[int, ...] = op.axes  # type: ignore[attr-defined]
    positional = op.reduction.startswith("arg")
    elements = count(value.shape[a] for a in axes)
    if not op.has_identity and not isinstance(elements, int):
        p.open(Elements(node, elements))
    if positional:
        kernel = Kernel(value.shape)
        number = _open_after_source(p, kernel, value)
    else:
        number = p.join(value.shape, [value], 1, axes=axes)
        kernel = p.steps[number]  # type: ignore[assignment]
    p.read(kernel, number, [value])
    out = p.place(node.outputs[0])
    if axes:
        reduced = Reduction(node, op.reduction, value, axes)
        kernel.reductions.append(reduced)
        kernel.results.append((reduced, out))
    else:
        kernel.stores.append((value, out))
    kernel.weight += 1
    p.wrote(out.storage, number)


def _open_after_source(p: Planner, kernel: Kernel, *operands: Tensor) -> int:
    for tensor in operands:
        p.source(tensor)
    return p.open(kernel)


def matmul(p: Planner, node: Node) -> None:
    op, tensor = node.op, node.output
    assert isinstance(op, MatMul)
    a, b = (_matrix(p, t, i) for i, t in enumerate(node.inputs))
    place = p.place(tensor)
    out = Access(place.storage, Strided.contiguous((*a.layout.shape[:-1], b.layout.shape[-1])))
    p.wrote(place.storage, p.open(MatMulStep(node, op.strong, a, b, out)))


def plan_sum(p: Planner, node: Node, state: Shared, factor: float) -> None:
    """A product that is added to a state, after everything else."""
    op = node.op
    assert isinstance(op, MatMul)
    a, b = (_matrix(p, t, i) for i, t in enumerate(node.inputs))
    target = Access(p.states[state], Strided.contiguous(state.shape))
    p.added.append(MatMulStep(node, op.strong, a, b, target, factor))


def plan_term(p: Planner, node: Node, term: Term) -> None:
    """A product of a sum, which is stored or added where the sum lies. What is added is never at hand by
    itself: where zeros are strong, its operands are looked at, which must have no gaps."""
    op = node.op
    assert isinstance(op, MatMul)
    operands = [_matrix(p, t, i) for i, t in enumerate(node.inputs)]
    if term.factor is not None:
        for i in others_of(op.strong):
            if not operands[i].layout.is_dense:
                operands[i] = p.contiguous(node.inputs[i])
    a, b = operands
    out = p.place(term.total) if term.factor is None else p.access(term.total)
    p.wrote(out.storage, p.open(MatMulStep(node, op.strong, a, b, out, term.factor)))


def _matrix(p: Planner, tensor: Tensor, operand: int) -> Access:
    """Any layout. A vector is a row on the left and a column on the right."""
    return _as_matrix(p.access(tensor), operand)


def _as_matrix(access: Access, operand: int) -> Access:
    layout = access.layout
    if len(layout.shape) > 1:
        return access
    shape = (1, *layout.shape) if operand == 0 else (*layout.shape, 1)
    return Access(access.storage, layout.broadcast(shape, (operand,)))


def callback(p: Planner, node: Node) -> None:
    op = node.op
    if not isinstance(op, TensorOp) or not op.numpy:
        raise CompileError(
            f"the op {op.name} has neither a native nor a NumPy form",
            at=origin.locate(node.origins),
            facts=[("node", repr(node))],
        )
    operands = tuple(
        s if isinstance(s, (Number, SizeNumber)) else p.contiguous(t)
        for t in node.inputs
        for s in [p.source(t)]
    )
    outs = tuple(p.place(t) for t in node.outputs)
    number = p.open(Callback(node, operands, outs))
    for access in outs:
        p.wrote(access.storage, number)


def is_native(node: Node) -> bool:
    """Whether native code knows what a node computes, and its dtypes."""
    tensors = (*node.inputs, *node.outputs)
    if any(t.dtype.kind == "complex" for t in tensors):
        return False
    if isinstance(node.op, Elementwise) and not functions_of(node.op) <= FUNCTIONS:
        return False
    if _is_integer_power(node):
        exponent = node.inputs[1].node.op
        return not isinstance(exponent, Fill) or int(exponent.value.numpy) >= 0
    if isinstance(node.op, Elementwise) and not functions_of(node.op).isdisjoint(OF_ORDER):
        order = fill_value(node.inputs[0])
        return order is not None and order in range(MOST_ORDER + 1)
    return True


def _is_integer_power(node: Node) -> bool:
    return node.op.name == "pow" and node.output.dtype.kind in ("int", "uint")


def _may_have_negative_exponents(node: Node) -> bool:
    """Whether a power is that of an integer, and its exponents are seen only when it runs."""
    if not _is_integer_power(node):
        return False
    return node.inputs[1].dtype.kind == "int" and not isinstance(node.inputs[1].node.op, Fill)


def _barrier(p: Planner, node: Node) -> None:
    """What follows joins no kernel that is open now."""
    p.sources[node.output] = p.source(node.inputs[0])
    p.source(node.inputs[1])
    p.fence = len(p.steps)


Handler = Callable[[Planner, Node], None]
#: The parts of complex numbers in memory.
PARTS: dict[object, Handler] = {ops["real"]: real, ops["imag"]: imag, complex: pairs}
#: What is planned in ways of its own. Ops with a layout (`strided`) or a `reduction` need no row.
HANDLERS: dict[type, Handler] = {
    Fill: _fill,
    SizeOf: _size_of,
    Iota: _iota,
    Constant: _constant,
    Elementwise: elementwise,
    AsType: elementwise,
    MatMul: matmul,
    Conv: convolution,
    ConvInput: convolution,
    ConvWeights: convolution,
    Take: gather,
    TakeAlongAxis: gather,
    Gather: gather,
    ScatterAdd: scatter_add,
    ScatterAddAlongAxis: scatter_add,
    Scatter: scatter,
    ArgSort: argsort,
    ArgQuantile: argsort,
    SearchSorted: searchsorted,
    SetSlice: set_slice,
    Concat: concat,
    Interleave: interleave,
    Unslice: unslice,
    Barrier: _barrier,
    CumulativeSum: scan,
    CumulativeProd: scan,
    CumulativeMax: scan,
    CumulativeMin: scan,
    LinearRecurrence: scan,
    Cholesky: factor,
    CholeskyInverse: factor,
    SolveTriangular: factor,
    LUFactor: factor,
    Solve: factor,
    Inverse: factor,
    Det: factor,
}
#: Those that compute, and know not every dtype.
_CONVERTED = frozenset({elementwise, reduction, matmul, scatter, scatter_add, scan, factor})
