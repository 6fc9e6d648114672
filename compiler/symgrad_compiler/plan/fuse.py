"""From a graph to steps: which nodes share a loop nest, and in which memory results lie.

Steps are opened in an order in which they may run; a node joins a kernel that is open if everything that it
reads is computed before that kernel, or in it at the same element. So one walk over the nodes plans a graph,
and no cycle can arise. A value gets memory only when something outside its kernel reads it; ops that move
elements are layouts (`strided.py`) and get none, unless no layout does what they do.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from symgrad.dims import Dim, Shape, Size, product, symbols
from symgrad.errors import CompileError
from symgrad.ir import origin
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Shared, Tensor, is_leaf
from symgrad.ir.values import ArrayData
from symgrad.ops.arithmetic import add, multiply, subtract
from symgrad.ops.cast import AsType
from symgrad.ops.contract import MatMul
from symgrad.ops.create import Constant, Fill, Iota, SizeOf
from symgrad.ops.indexing import (
    Concat,
    ScatterAdd,
    ScatterAddAlongAxis,
    Slice,
    Take,
    TakeAlongAxis,
    Unslice,
)
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.ops.scalar import FUNCTIONS, functions_used
from symgrad.ops.shape import SpecifyShape
from symgrad.ops.strided import Strided
from symgrad_compiler.passes.merge import merge
from symgrad_compiler.plan import memory
from symgrad_compiler.plan.expand import expand
from symgrad_compiler.plan.steps import (
    ARENA,
    CONSTANT,
    INPUT,
    IOTA,
    OUTPUT,
    SPARE,
    STATE,
    Access,
    BoundsCheck,
    Callback,
    FillStep,
    Gather,
    Kernel,
    MatMulStep,
    Number,
    Plan,
    Reduction,
    Scatter,
    SizeNumber,
    Source,
    Step,
    Storage,
)

#: Elementary functions, which cost about so many simple operations.
COSTLY = 16
_COSTLY_OPS = frozenset(
    [
        "exp",
        "expm1",
        "log",
        "log1p",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "sech_squared",
        "sigmoid",
        "softplus",
        "logaddexp",
        "pow",
        "remainder",
        "floor_divide",
    ]
)
#: The largest kernel, in simple operations: beyond, compile time grows faster than the graph.
MAX_WEIGHT = 500
#: The same for numbers without dimensions, whose code is one long block.
MAX_SCALAR_WEIGHT = 120
#: The most memory streams of a kernel.
MAX_STREAMS = 24
#: How many earlier kernels of the same space are looked at for a node that reads what they read.
NEIGHBOURS = 4


@without_collections
def make_plan(graph: Graph) -> Plan:
    """The plan of a graph."""
    expanded = expand(graph)
    return _Planner(graph if expanded is graph else merge(expanded)).plan()


class _Planner:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        #: Value of a kernel -> the step number of that kernel.
        self.computed: dict[Tensor, int] = {}
        #: What reads of a tensor find, where it is not (only) a value of a kernel.
        self.sources: dict[Tensor, Source] = {}
        #: The last step that writes a storage.
        self.written: dict[Storage, int] = {}
        self.by_space: dict[Shape, list[int]] = defaultdict(list)
        self.constants: list[ArrayData] = []
        self.outputs = [
            Storage(OUTPUT, t.dtype, product(t.shape), i, name)
            for i, (t, name) in enumerate(zip(graph.outputs, graph.output_names, strict=True))
        ]
        self.states = {
            s: Storage(STATE, s.dtype, product(s.shape), i, graph.names[s])
            for i, s in enumerate(graph.states)
        }
        self.spares: dict[Shared, Storage] = {}
        #: Where a tensor should lie when it gets memory: a result's own array.
        self.preferred: dict[Tensor, Storage] = {}
        #: The kernels that write states in place, and the products that are added to states.
        self.commits: set[int] = set()
        self.sums: dict[Node, _Sum] = _sums(graph)
        self.skipped = {n for s in self.sums.values() for n in s.nodes}
        self.added: list[MatMulStep] = []

    def plan(self) -> Plan:
        graph = self.graph
        self._leaves()
        self._open(Kernel(()))  # for numbers that depend on arguments alone: known before everything else
        for tensor, storage in zip(graph.outputs, self.outputs, strict=True):
            if not is_leaf(tensor):
                self.preferred.setdefault(tensor, storage)
        for state, value in graph.updates.items():
            if isinstance(value.node.op, MatMul) and value not in self.preferred:
                self.preferred[value] = self._spare(state)
        for node in graph.nodes:
            if node not in self.skipped:
                self._node(node)
        for tensor, storage in zip(graph.outputs, self.outputs, strict=True):
            self._deliver(tensor, storage)
        in_place = self._updates()
        order = self._order()
        slots = memory.assign(order)
        spares = tuple(s for s in graph.states if s in self.spares)
        for number, state in enumerate(spares):
            self.spares[state].index = number
        names = sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)})
        return Plan(
            graph=graph,
            size_names=tuple(names),
            steps=tuple(order),
            slots=tuple(slots),
            constants=tuple(self.constants),
            outputs=tuple(self.outputs),
            spares=spares,
            in_place=tuple(s for s in graph.states if s in in_place),
        )

    # ---- memory -------------------------------------------------------------------------------------

    def _leaves(self) -> None:
        graph = self.graph
        for i, tensor in enumerate(graph.inputs):
            storage = Storage(INPUT, tensor.dtype, product(tensor.shape), i, graph.input_names[i])
            self.sources[tensor] = Access(storage, Strided.contiguous(tensor.shape))
        for state, storage in self.states.items():
            self.sources[state] = Access(storage, Strided.contiguous(state.shape))

    def _spare(self, state: Shared) -> Storage:
        label = f"new {self.graph.names[state]}"
        return self.spares.setdefault(state, Storage(SPARE, state.dtype, product(state.shape), 0, label))

    def _place(self, tensor: Tensor) -> Access:
        """Memory for a tensor that a step is about to write: its own result array, or room in the arena."""
        storage = self.preferred.pop(tensor, None)
        if storage is None:
            storage = Storage(
                ARENA, tensor.dtype, product(tensor.shape), label=self.graph.names.get(tensor, "")
            )
        access = Access(storage, Strided.contiguous(tensor.shape))
        self.sources[tensor] = access
        return access

    def source(self, tensor: Tensor) -> Source:
        """What a read of `tensor` finds outside the kernel that computes it; gives it memory if it has
        none."""
        found = self.sources.get(tensor)
        if found is not None:
            return found
        number = self.computed.get(tensor)
        if number is not None:
            kernel = self.steps[number]
            assert isinstance(kernel, Kernel)
            access = self._place(tensor)
            kernel.stores.append((tensor, access))
            self._wrote(access.storage, number)
            return access
        raise AssertionError(f"{tensor} is read before it is planned")

    def access(self, tensor: Tensor) -> Access:
        """As `source`, but always in memory."""
        found = self.source(tensor)
        if isinstance(found, Access) and found.storage.kind != IOTA:
            return found
        return self._copy(tensor, found)

    def contiguous(self, tensor: Tensor) -> Access:
        """As `access`, in row-major order without gaps, from the first element of its storage."""
        found = self.access(tensor)
        if found.layout.is_contiguous and found.layout.offset == 0:
            return found
        return self._copy(tensor, found)

    def _copy(self, tensor: Tensor, found: Source) -> Access:
        """A copy in memory of its own, which later reads of the tensor do not see."""
        storage = Storage(
            ARENA, tensor.dtype, product(tensor.shape), label=f"copy of {self.graph.names.get(tensor, '')}"
        )
        access = Access(storage, Strided.contiguous(tensor.shape))
        self._copy_into(tensor, found, access)
        return access

    def _copy_into(self, tensor: Tensor, found: Source, access: Access) -> None:
        kernel = Kernel(tensor.shape, sources={tensor: found}, stores=[(tensor, access)])
        self._wrote(access.storage, self._open(kernel))

    def _wrote(self, storage: Storage, number: int) -> None:
        self.written[storage] = max(self.written.get(storage, -1), number)

    def _after(self, source: Source) -> int:
        """The first step that may read a source."""
        if not isinstance(source, Access):
            return 0
        return self.written.get(source.storage, -1) + 1

    def _open(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    # ---- nodes --------------------------------------------------------------------------------------

    def _node(self, node: Node) -> None:
        op = node.op
        tensor = node.outputs[0]
        if isinstance(op, Fill):
            self.sources[tensor] = Number(op.value)
        elif isinstance(op, SizeOf):
            self.sources[tensor] = SizeNumber(op.size)
        elif isinstance(op, Iota):
            storage = Storage(IOTA, op.dtype, op.size, label="position")
            self.sources[tensor] = Access(storage, Strided.contiguous(tensor.shape))
        elif isinstance(op, Constant):
            storage = Storage(
                CONSTANT, tensor.dtype, product(tensor.shape), len(self.constants), self.graph.names[tensor]
            )
            self.constants.append(op.data)
            self.sources[tensor] = Access(storage, Strided.contiguous(tensor.shape))
        elif isinstance(op, TensorOp) and op.strided is not None:
            self._view(node, op)
        elif isinstance(op, (Elementwise, AsType)) and _is_native(node):
            self._elementwise(node)
        elif isinstance(op, TensorOp) and op.reduction and _is_native(node):
            self._reduction(node, op)
        elif isinstance(op, MatMul) and _is_native(node):
            self._matmul(node, op)
        elif isinstance(op, (Take, TakeAlongAxis)):
            self._gather(node)
        elif isinstance(op, (ScatterAdd, ScatterAddAlongAxis)) and _is_native(node):
            self._scatter(node)
        elif isinstance(op, Concat):
            self._concat(node, op)
        elif isinstance(op, Unslice):
            self._unslice(node, op)
        else:
            self._callback(node)

    def _view(self, node: Node, op: TensorOp) -> None:
        (operand,) = node.inputs
        found = self.source(operand)
        if isinstance(op, SpecifyShape):
            self._check_shape(node, operand.shape, op.shape)
        if isinstance(op, Slice):
            self._check_slice(node, op, operand.shape, node.outputs[0].shape)
        if not isinstance(found, Access):
            self.sources.update(dict.fromkeys(node.outputs, found))
            return
        assert op.strided is not None
        layouts = op.strided(found.layout)
        if layouts is None:
            found = self._copy(operand, found)
            layouts = op.strided(found.layout)
        layouts = layouts if isinstance(layouts, tuple) else (layouts,)
        for tensor, layout in zip(node.outputs, layouts, strict=True):
            self.sources[tensor] = Access(found.storage, layout)

    def _check_shape(self, node: Node, have: Shape, want: Shape) -> None:
        for axis, (a, b) in enumerate(zip(have, want, strict=True)):
            if a != b:
                self._open(BoundsCheck(node, axis, a, equal=(a, b)))

    def _check_slice(self, node: Node, op: Slice, shape: Shape, counts: Shape) -> None:
        """Check slices of symbolic sizes that are not known to stay inside."""
        for axis, (start, stop, step, size, count) in enumerate(
            zip(op.starts, op.stops, op.steps, shape, counts, strict=True)
        ):
            low, high = (start, size - stop) if step > 0 else (stop + 1, size - 1 - start)
            if not all(isinstance(v, int) and v >= 0 for v in (low, high)):
                last = start + (count - 1) * step
                self._open(BoundsCheck(node, axis, size, first=start, last=last, count=count))

    def _elementwise(self, node: Node) -> None:
        costly = COSTLY if node.outputs[0].shape else 2  # a call, for a single number
        weight = costly if node.op.name in _COSTLY_OPS else 1
        number = self._join(node.outputs[0].shape, node.inputs, weight)
        kernel = self.steps[number]
        assert isinstance(kernel, Kernel)
        self._read(kernel, number, node.inputs)
        kernel.add(node)
        kernel.weight += weight
        self.computed[node.outputs[0]] = number

    def _join(
        self,
        space: Shape,
        operands: Sequence[Tensor],
        weight: int,
        after: int = 0,
        axes: tuple[int, ...] | None = None,
    ) -> int:
        """The kernel for something that reads `operands` element by element: one that computes an operand,
        one of the same space that reads one, or a new one."""
        best = -1
        for tensor in operands:
            number = self.computed.get(tensor)
            if number is not None and tensor not in self.sources:
                best = max(best, number)
            elif number is not None:
                # In memory too: readable from there later, or as a value in its own kernel.
                best = max(best, number)
            else:
                after = max(after, self._after(self.source(tensor)))
        if not space and best < 0 and after == 0:
            best = 0
        if best >= after and self._fits(best, space, weight, axes):
            return best
        after = max(after, best + 1)
        for number in reversed(self.by_space[space][-NEIGHBOURS:]):
            if number < after:
                break
            kernel = self.steps[number]
            assert isinstance(kernel, Kernel)
            if self._fits(number, space, weight, axes) and (not space or self._shares(kernel, operands)):
                return number
        kernel = Kernel(space)
        number = self._open(kernel)
        self.by_space[space].append(number)
        return number

    def _shares(self, kernel: Kernel, operands: Sequence[Tensor]) -> bool:
        """Whether the kernel reads one of the operands, or results of a kernel that computes one."""
        if any(t in kernel.sources for t in operands):
            return True
        makers = {self.computed[t] for t in operands if t in self.computed}
        return bool(makers) and any(self.computed.get(t) in makers for t in kernel.sources)

    def _fits(self, number: int, space: Shape, weight: int, axes: tuple[int, ...] | None) -> bool:
        kernel = self.steps[number]
        if not isinstance(kernel, Kernel) or kernel.space != space or kernel.scatters:
            return False
        if axes is not None and any(r.axes != axes for r in kernel.reductions):
            return False
        return kernel.weight + weight <= (MAX_WEIGHT if space else MAX_SCALAR_WEIGHT) and (
            not space or len(kernel.sources) + len(kernel.stores) < MAX_STREAMS
        )

    def _read(self, kernel: Kernel, number: int, operands: Iterable[Tensor]) -> None:
        """Let the kernel read operands that it does not compute."""
        for tensor in operands:
            if self.computed.get(tensor) != number and tensor not in kernel.sources:
                kernel.sources[tensor] = self.source(tensor)

    def _reduction(self, node: Node, op: TensorOp) -> None:
        (value,) = node.inputs
        axes: tuple[int, ...] = op.axes  # type: ignore[attr-defined]
        positional = op.reduction.startswith("arg")
        elements = product(value.shape[a] for a in axes)
        if not op.has_identity and not isinstance(elements, int):
            results = 1 if positional else product(node.outputs[0].shape)
            self._open(BoundsCheck(node, 0, elements, elements=(elements, results)))
        if positional:
            kernel = Kernel(value.shape)
            number = self._open_after_source(kernel, value)
        else:
            number = self._join(value.shape, [value], 1, axes=axes)
            kernel = self.steps[number]  # type: ignore[assignment]
        self._read(kernel, number, [value])
        out = self._place(node.outputs[0])
        if axes:
            reduction = Reduction(node, op.reduction, value, axes)
            kernel.reductions.append(reduction)
            kernel.results.append((reduction, out))
        else:
            kernel.stores.append((value, out))
        kernel.weight += 1
        self._wrote(out.storage, number)

    def _open_after_source(self, kernel: Kernel, *operands: Tensor) -> int:
        for tensor in operands:
            self.source(tensor)
        return self._open(kernel)

    def _matmul(self, node: Node, op: MatMul) -> None:
        a, b = (self._matrix(t) for t in node.inputs)
        added = self.sums.get(node)
        if added is not None:
            plain = Strided.contiguous(added.state.shape)
            target = Access(self.states[added.state], plain)
            self.added.append(MatMulStep(node, op.strong, a, b, target, added.factor))
            return
        out = self._place(node.outputs[0])
        self._wrote(out.storage, self._open(MatMulStep(node, op.strong, a, b, out)))

    def _matrix(self, tensor: Tensor) -> Access:
        """A layout that BLAS takes: rows or columns without gaps, not broadcast, not reversed."""
        found = self.access(tensor)
        rows, columns = found.layout.strides[-2:]
        row_count, column_count = found.layout.shape[-2:]
        if (columns == 1 or column_count == 1) and (_is_positive(rows) or row_count == 1):
            return found
        if (rows == 1 or row_count == 1) and (_is_positive(columns) or column_count == 1):
            return found
        return self._copy(tensor, found)

    # ---- gathers, joining ---------------------------------------------------------------------------

    def _gather(self, node: Node) -> None:
        """An element at an index: a load whose position comes from memory."""
        op, (x, index), out = node.op, node.inputs, node.outputs[0]
        assert isinstance(op, (Take, TakeAlongAxis))
        base, at = self.access(x), self.access(index)
        check = self._open(BoundsCheck(node, op.axis, x.shape[op.axis], at))
        layout, spread_index = _indexed(op, base.layout, at.layout, out.shape)
        gather = Gather(
            base.storage,
            layout,
            Access(at.storage, spread_index),
            base.layout.strides[op.axis],
            x.shape[op.axis],
        )
        after = max(check + 1, self._after(base), self._after(at))
        number = self._join(out.shape, (), 1, after)
        kernel = self.steps[number]
        assert isinstance(kernel, Kernel)
        kernel.gathers[out] = gather
        kernel.add(node)
        kernel.weight += 2
        self.computed[out] = number

    def _scatter(self, node: Node) -> None:
        op, (g, index), out = node.op, node.inputs, node.outputs[0]
        assert isinstance(op, (ScatterAdd, ScatterAddAlongAxis))
        found, at = self.source(g), self.access(index)
        self._open(BoundsCheck(node, op.axis, op.shape[op.axis], at))
        base = self._place(out)
        self._open(FillStep(base))
        gathering = Take(op.axis) if isinstance(op, ScatterAdd) else TakeAlongAxis(op.axis)
        layout, spread_index = _indexed(gathering, base.layout, at.layout, g.shape)
        scatter = Scatter(
            g,
            base.storage,
            layout,
            Access(at.storage, spread_index),
            base.layout.strides[op.axis],
            op.shape[op.axis],
        )
        kernel = Kernel(g.shape, sources={g: found}, scatters=[scatter])
        self._wrote(base.storage, self._open(kernel))

    def _concat(self, node: Node, op: Concat) -> None:
        out = node.outputs[0]
        whole = self._place(out)
        start: Dim = 0
        for part in node.inputs:
            starts = tuple(start if i == op.axis else 0 for i in range(out.ndim))
            layout = whole.layout.slice(starts, (1,) * out.ndim, part.shape)
            self._write(part, Access(whole.storage, layout))
            start = start + part.shape[op.axis]

    def _unslice(self, node: Node, op: Unslice) -> None:
        (g,) = node.inputs
        found = self.source(g)
        reading = Slice(op.starts, op.stops, op.steps)
        self._check_slice(node, reading, node.outputs[0].shape, g.shape)
        whole = self._place(node.outputs[0])
        self._wrote(whole.storage, self._open(FillStep(whole)))
        layout = reading.strided(whole.layout)
        self._copy_into(g, found, Access(whole.storage, layout))

    def _write(self, tensor: Tensor, access: Access) -> None:
        """Put a tensor's elements into memory: from the kernel that computes it, or by a copy."""
        number = self.computed.get(tensor)
        if number is None:
            self._copy_into(tensor, self.source(tensor), access)
            return
        kernel = self.steps[number]
        assert isinstance(kernel, Kernel)
        kernel.stores.append((tensor, access))
        self._wrote(access.storage, number)

    def _callback(self, node: Node) -> None:
        op = node.op
        if not isinstance(op, TensorOp) or not op.numpy:
            raise CompileError(
                f"the op {op.name} has neither a native nor a NumPy form",
                at=origin.locate(node.origins),
                facts=[("node", repr(node))],
            )
        operands = tuple(
            s if isinstance(s, (Number, SizeNumber)) else self.contiguous(t)
            for t in node.inputs
            for s in [self.source(t)]
        )
        outs = tuple(self._place(t) for t in node.outputs)
        number = self._open(Callback(node, operands, outs))
        for access in outs:
            self._wrote(access.storage, number)

    # ---- results ------------------------------------------------------------------------------------

    def _deliver(self, tensor: Tensor, storage: Storage) -> None:
        """Make sure that an output's array is written."""
        if storage in self.written:
            return
        self.preferred.pop(tensor, None)
        self._write(tensor, Access(storage, Strided.contiguous(tensor.shape)))

    def _updates(self) -> set[Shared]:
        """Write the new values of states; returns those that are written over the old value."""
        in_place = {s.state for s in self.sums.values()}
        waiting: dict[Shared, int] = {}
        for state, value in self.graph.updates.items():
            if state in self.spares or state in in_place:
                continue
            number = self.computed.get(value)
            if number is not None and self._only_reads_itself(state, number):
                waiting[state] = number
            else:
                self._write(value, Access(self._spare(state), Strided.contiguous(state.shape)))
        commits = set(waiting.values())
        for state, number in list(waiting.items()):
            if not self._may_be_last(state, number, commits):
                value = self.graph.updates[state]
                self._write(value, Access(self._spare(state), Strided.contiguous(state.shape)))
                del waiting[state]
        for state, number in waiting.items():
            kernel = self.steps[number]
            assert isinstance(kernel, Kernel)
            kernel.stores.append(
                (self.graph.updates[state], Access(self.states[state], Strided.contiguous(state.shape)))
            )
            in_place.add(state)
        self.commits = set(waiting.values())
        return in_place

    def _only_reads_itself(self, state: Shared, number: int) -> bool:
        """Whether the kernel reads the state only at the element that it writes."""
        kernel = self.steps[number]
        assert isinstance(kernel, Kernel)
        plain = Strided.contiguous(state.shape)
        if kernel.scatters or kernel.space != state.shape:
            return False
        return all(
            access.layout == plain for access in kernel.reads() if access.storage is self.states[state]
        ) and not any(g.storage is self.states[state] for g in kernel.gathers.values())

    def _may_be_last(self, state: Shared, number: int, commits: set[int]) -> bool:
        """Whether the kernel can run after all steps that may fail, and no later step reads the state."""
        kernel = self.steps[number]
        if self.states[state] in {a.storage for step in self.added for a in step.reads()}:
            return False
        results = {a.storage for a in kernel.writes() if a.storage.kind not in (OUTPUT, SPARE)}
        everything = {a.storage for a in kernel.writes()}
        for other, step in enumerate(self.steps):
            if other == number:
                continue
            reads = {a.storage for a in step.reads()}
            if reads & (everything if other not in commits else results):
                return False
            if other in commits and other > number and self.states[state] in reads:
                return False
        return True

    def _order(self) -> list[Step]:
        """The steps in order: checks of sizes first; those that write states in place last, after all that
        may fail."""
        checks = [s for s in self.steps if isinstance(s, BoundsCheck) and s.index is None]
        middle = [
            s
            for i, s in enumerate(self.steps)
            if i not in self.commits and not (isinstance(s, BoundsCheck) and s.index is None)
        ]
        last = [self.steps[i] for i in sorted(self.commits)]
        return [s for s in (*checks, *middle, *last, *self.added) if not _is_idle(s)]


@dataclass(frozen=True)
class _Sum:
    """An update `state + factor * product` that a matrix product can add by itself; and its other nodes."""

    state: Shared
    factor: float
    nodes: tuple[Node, ...]


def _sums(graph: Graph) -> dict[Node, _Sum]:
    """The products that nothing but one such update reads."""
    found: dict[Node, _Sum] = {}
    results = Counter([*graph.outputs, *graph.updates.values()])
    for state, value in graph.updates.items():
        node = value.node
        if state.ndim != 2 or results[value] != 1 or graph.consumers(value) or node.op not in (add, subtract):
            continue
        first, second = node.inputs
        if second is state and node.op is add:
            first, second = second, first
        if first is not state or second is state:
            continue
        factor = -1.0 if node.op is subtract else 1.0
        nodes = [node]
        if second.node.op is multiply and graph.consumers(second) == (node,) and not results[second]:
            nodes.append(second.node)
            number, other = sorted(second.node.inputs, key=lambda t: not isinstance(t.node.op, Fill))
            if not isinstance(number.node.op, Fill):
                continue
            factor *= float(number.node.op.value.numpy)
            second = other
        product = second.node
        is_alone = graph.consumers(second) == (nodes[-1],) and not results[second]
        operands_stay = not any(isinstance(_behind(t), Shared) for t in product.inputs)
        fits = isinstance(product.op, MatMul) and second.dtype.kind == "float" and math.isfinite(factor)
        if fits and is_alone and operands_stay:
            found[product] = _Sum(state, factor, tuple(nodes))
    return found


def _behind(tensor: Tensor) -> Tensor:
    """What a chain of layouts lies in."""
    while isinstance(tensor.node.op, TensorOp) and tensor.node.op.strided is not None:
        tensor = tensor.node.inputs[0]
    return tensor


def _is_idle(step: Step) -> bool:
    """A kernel all of whose results went unused."""
    return isinstance(step, Kernel) and not any(True for _ in step.writes())


def _is_native(node: Node) -> bool:
    """Whether native code knows what a node computes, and its dtypes."""
    tensors = (*node.inputs, *node.outputs)
    if any(t.dtype.kind == "complex" for t in tensors):
        return False
    if isinstance(node.op, Elementwise) and not _is_known(node.op):
        return False
    if node.op.name == "pow" and node.outputs[0].dtype.kind in ("int", "uint"):
        exponent = node.inputs[1].node.op
        return isinstance(exponent, Fill) and 0 <= int(exponent.value.numpy) <= 64
    return True


@lru_cache(maxsize=4096)
def _is_known(op: Elementwise) -> bool:
    """Whether the op's scalar code calls nothing but what builders know."""
    return functions_used(op.scalar, len(op.operands)) <= FUNCTIONS


def _is_positive(stride: Dim) -> bool:
    if isinstance(stride, Size):
        return all(c > 0 for _, c in stride.terms)
    return stride > 0


def _indexed(
    op: Take | TakeAlongAxis, base: Strided, index: Strided, shape: Shape
) -> tuple[Strided, Strided]:
    """The layouts of the gathered tensor without the index, and of the index, over the space of the
    result."""
    axis = op.axis
    if isinstance(op, TakeAlongAxis):
        strides = tuple(0 if i == axis else s for i, s in enumerate(base.strides))
        return Strided(shape, strides, base.offset), index
    count = len(index.shape)
    strides = (*base.strides[:axis], *(0,) * count, *base.strides[axis + 1 :])
    after = len(shape) - axis - count
    index_strides = (*(0,) * axis, *index.strides, *(0,) * after)
    return Strided(shape, strides, base.offset), replace(index, shape=shape, strides=index_strides)
