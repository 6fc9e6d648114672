"""What planning keeps in mind: the steps so far, where each tensor lies, which kernels are open.

Steps are opened in an order in which they may run; a node joins a kernel that is open if everything that it
reads is computed before that kernel, or in it at the same element. So one walk over the nodes plans a graph,
and no cycle can arise. A value gets memory only when something outside its kernel reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from symgrad.dims import Dim, Shape, product
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Shared, Tensor, make_input
from symgrad.ir.values import ArrayData
from symgrad.ops.cast import AsType
from symgrad.ops.kinds import Elementwise, TensorOp
from symgrad.ops.strided import Strided
from symgrad.types import TensorType, real_dtype
from symgrad_compiler.plan.cost import is_cheap
from symgrad_compiler.plan.steps import (
    ARENA,
    INPUT,
    IOTA,
    OUTPUT,
    SPARE,
    STATE,
    Access,
    Kernel,
    MatMulStep,
    Source,
    Step,
    Storage,
)

#: The largest kernel, in simple operations: beyond, compile time grows faster than the graph.
MAX_WEIGHT = 500
#: The same for numbers without dimensions, whose code is one long block.
MAX_SCALAR_WEIGHT = 120
#: The most memory streams of a kernel.
MAX_STREAMS = 24
#: How many simple operations are done again rather than kept in memory.
MOST_AGAIN = 3
#: How many earlier kernels of the same space are looked at for a node that reads what they read.
NEIGHBOURS = 4


def _reads_by_element(node: Node) -> bool:
    op = node.op
    return isinstance(op, (Elementwise, AsType)) or (isinstance(op, TensorOp) and bool(op.reduction))


class Planner:
    """See above. `paired`: complex numbers are computed as pairs of real ones (`planes`), so their memory is
    one of floats, with an axis of 2 behind the others; else they are elements that nothing computes with."""

    def __init__(self, graph: Graph, paired: bool = False) -> None:
        self.graph = graph
        self.paired = paired
        self.steps: list[Step] = []
        self.results = {*graph.outputs, *graph.updates.values()}
        #: Value of a kernel -> the step number of that kernel.
        self.computed: dict[Tensor, int] = {}
        #: What reads of a tensor find, where it is not (only) a value of a kernel.
        self.sources: dict[Tensor, Source] = {}
        #: The last step that writes a storage.
        self.written: dict[Storage, int] = {}
        self.by_space: dict[Shape, list[int]] = defaultdict(list)
        self.constants: list[ArrayData] = []
        self.outputs = [
            self.storage(OUTPUT, t, i, name)
            for i, (t, name) in enumerate(zip(graph.outputs, graph.output_names, strict=True))
        ]
        self.states = {s: self.storage(STATE, s, i, graph.names[s]) for i, s in enumerate(graph.states)}
        self.spares: dict[Shared, Storage] = {}
        #: Where a tensor should lie when it gets memory: a result's own array.
        self.preferred: dict[Tensor, Storage] = {}
        #: Copies of tensors, their axes in another order, that later steps read too.
        self.copies: dict[tuple[Tensor, tuple[int, ...]], Access] = {}
        #: The products that are added to states, after all other steps.
        self.added: list[MatMulStep] = []
        #: The checks of indices against sizes so far, and their numbers.
        self.checked: dict[Hashable, int] = {}
        #: The first step that nodes may join.
        self.fence = 0

    # ---- memory -------------------------------------------------------------------------------------

    def storage(self, kind: str, tensor: Tensor, index: int = -1, label: str = "") -> Storage:
        """Memory for a tensor."""
        return Storage(
            kind,
            real_dtype(tensor.dtype) if self.paired else tensor.dtype,
            self._extent(tensor),
            index,
            label,
        )

    def layout(self, tensor: Tensor) -> Strided:
        """Row-major order without gaps; of pairs, with their axis behind."""
        return Strided.contiguous((*tensor.shape, 2) if self._is_pair(tensor) else tensor.shape)

    def _is_pair(self, tensor: Tensor) -> bool:
        return self.paired and tensor.dtype.kind == "complex"

    def _extent(self, tensor: Tensor) -> Dim:
        return product(self.layout(tensor).shape)

    def leaves(self) -> None:
        graph = self.graph
        for i, tensor in enumerate(graph.inputs):
            storage = self.storage(INPUT, tensor, i, graph.input_names[i])
            self.sources[tensor] = Access(storage, self.layout(tensor))
        for state, storage in self.states.items():
            self.sources[state] = Access(storage, self.layout(state))

    def spare(self, state: Shared) -> Storage:
        label = f"new {self.graph.names[state]}"
        return self.spares.setdefault(state, self.storage(SPARE, state, 0, label))

    def place(self, tensor: Tensor) -> Access:
        """Memory for a tensor that a step is about to write: its own result array, or room in the arena."""
        storage = self.preferred.pop(tensor, None)
        if storage is None:
            storage = self.storage(ARENA, tensor, label=self.graph.names.get(tensor, ""))
        access = Access(storage, self.layout(tensor))
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
            access = self.place(tensor)
            kernel.stores.append((tensor, access))
            self.wrote(access.storage, number)
            return access
        raise AssertionError(f"{tensor} is read before it is planned")

    def access(self, tensor: Tensor) -> Access:
        """As `source`, but always in memory."""
        found = self.source(tensor)
        if isinstance(found, Access) and found.storage.kind != IOTA:
            return found
        return self.copy(tensor, found)

    def contiguous(self, tensor: Tensor) -> Access:
        """As `access`, in row-major order without gaps, from the first element of its storage."""
        found = self.access(tensor)
        if found.layout.is_contiguous and found.layout.offset == 0:
            return found
        return self.copy(tensor, found)

    def copy(self, tensor: Tensor, found: Source) -> Access:
        """A copy in memory of its own, which later reads of the tensor do not see."""
        storage = self.storage(ARENA, tensor, label=f"copy of {self.graph.names.get(tensor, '')}")
        access = Access(storage, self.layout(tensor))
        self.copy_into(tensor, found, access)
        return access

    def copy_into(self, tensor: Tensor, found: Source, access: Access) -> None:
        if self._is_pair(tensor):  # as floats
            shape = (*tensor.shape, 2)
            tensor = make_input(TensorType(real_dtype(tensor.dtype), shape), tensor.name or "pairs")
        kernel = Kernel(tensor.shape, sources={tensor: found}, stores=[(tensor, access)])
        self.wrote(access.storage, self.open(kernel))

    def wrote(self, storage: Storage, number: int) -> None:
        self.written[storage] = max(self.written.get(storage, -1), number)

    def after(self, source: Source) -> int:
        """The first step that may read a source."""
        if not isinstance(source, Access):
            return 0
        return self.written.get(source.storage, -1) + 1

    def open(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def join(
        self,
        space: Shape,
        operands: Sequence[Tensor],
        weight: int,
        after: int = 0,
        axes: tuple[int, ...] | None = None,
        beside: Sequence[Tensor] = (),
    ) -> int:
        """The kernel for something that reads `operands` element by element: one that computes an operand,
        one of the same space that reads one, one that computes a tensor in `beside`, or a new one."""
        best = -1
        after = max(after, self.fence) if space else after
        for tensor in operands:
            number = self.computed.get(tensor)
            if number is not None and tensor not in self.sources:
                best = max(best, number)
            elif number is not None:
                # In memory too: readable from there later, or as a value in its own kernel.
                best = max(best, number)
            else:
                after = max(after, self.after(self.source(tensor)))
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
        for tensor in beside if space else ():
            number = self.computed.get(tensor, -1)
            if number >= after and self._fits(number, space, weight, axes):
                return number
        kernel = Kernel(space)
        number = self.open(kernel)
        self.by_space[space].append(number)
        return number

    def beside(self, node: Node) -> Sequence[Tensor]:
        """What the only reader of a node reads besides, if it reads element by element."""
        readers = self.graph.consumers(node.output)
        return readers[0].inputs if len(readers) == 1 and _reads_by_element(readers[0]) else ()

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

    def read(self, kernel: Kernel, number: int, operands: Iterable[Tensor]) -> None:
        """Let the kernel read operands that it does not compute."""
        for tensor in operands:
            if kernel.computes(tensor) or tensor in kernel.sources:
                continue
            again = self._again(kernel, number, tensor)
            for node in again:
                kernel.add(node)
                kernel.weight += 1
            if again:
                continue
            if kernel.space and self._is_widened(tensor):
                (narrow,) = tensor.node.inputs
                kernel.sources[narrow] = self.source(narrow)
                kernel.add(tensor.node)
                kernel.weight += 1
            else:
                kernel.sources[tensor] = self.source(tensor)

    def _is_widened(self, tensor: Tensor) -> bool:
        """Whether a tensor that has no memory is converted from one that takes less."""
        if not isinstance(tensor.node.op, AsType) or tensor in self.sources:
            return False
        if tensor in self.preferred or not all(map(_reads_by_element, self.graph.consumers(tensor))):
            return False
        (narrow,) = tensor.node.inputs
        return narrow.dtype.itemsize < tensor.dtype.itemsize and narrow in self.computed

    def _again(self, kernel: Kernel, number: int, tensor: Tensor) -> list[Node]:
        """What to compute a second time, where that is cheaper than memory: a few simple operations on what
        the kernel reads anyway, on arguments, or on what is small. They lengthen nobody's life. What nothing
        else reads is computed here alone, and may read one tensor of the arena in its own place."""
        if tensor in self.sources or tensor in self.preferred or not kernel.space:
            return []
        if tensor in self.results or not all(map(_reads_by_element, self.graph.consumers(tensor))):
            return []
        found: dict[Node, None] = {}
        stack = [tensor]
        room = int(len(self.graph.consumers(tensor)) == 1)
        while stack:
            each = stack.pop()
            if kernel.computes(each) or each in kernel.sources or each.node in found:
                continue
            source = self.sources.get(each)
            if source is None:
                if not is_cheap(each.node.op) or len(found) == MOST_AGAIN:
                    return []
                found[each.node] = None
                stack += each.node.inputs
            elif self.after(source) > number:
                return []
            elif (
                isinstance(source, Access) and source.storage.kind == ARENA and 0 not in source.layout.strides
            ):
                if not room:
                    return []
                room -= 1
        nodes = sorted(found, key=lambda n: n.id)
        for node in nodes:
            for each in node.inputs:
                if not kernel.computes(each) and each.node not in found and each not in kernel.sources:
                    kernel.sources[each] = self.source(each)
        return nodes

    def deliver(self, tensor: Tensor, storage: Storage) -> None:
        """Make sure that an output's array is written."""
        if storage in self.written:
            return
        self.preferred.pop(tensor, None)
        self.write(tensor, Access(storage, self.layout(tensor)))

    def write(self, tensor: Tensor, access: Access) -> None:
        """Put a tensor's elements into memory: from the kernel that computes it, or by a copy."""
        number = self.computed.get(tensor)
        if number is None:
            self.copy_into(tensor, self.source(tensor), access)
            return
        kernel = self.steps[number]
        assert isinstance(kernel, Kernel)
        kernel.stores.append((tensor, access))
        self.wrote(access.storage, number)
