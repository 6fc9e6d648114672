"""The order of a plan's steps: one in which little of the arena is live at once.

What must stay in order, besides writers and readers of the same memory:

* checks of sizes come first; what may fail keeps its order, and comes before all that changes a state;
* what reads memory at indices comes after their check;
* what is behind a barrier comes after what the barrier waits for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from symgrad.ir.tensor import Tensor
from symgrad.ops.custom import Barrier
from symgrad.ops.kinds import TensorOp
from symgrad_compiler.plan import memory
from symgrad_compiler.plan.arena import nominal
from symgrad_compiler.plan.order import Tasks, best
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import (
    ARENA,
    Access,
    BoundsCheck,
    Callback,
    FillStep,
    Gather,
    Kernel,
    MatMulStep,
    Scatter,
    Step,
    Storage,
)

#: The largest number that a library for matrices takes.
BLAS_LIMIT = 2**31 - 1


def low_peak(p: Planner, steps: Sequence[Step], commits: Collection[Step]) -> list[Step]:
    """The steps in an order of low peak. `commits` are those that write states in place."""
    start = next((i for i, s in enumerate(steps) if not _is_size_check(s)), len(steps))
    first, rest = list(steps[:start]), list(steps[start:])
    given = list(range(len(rest)))
    chosen = best(_tasks(p, rest, commits))
    if chosen == given:
        return list(steps)
    other = [*first, *[rest[i] for i in chosen]]
    return min([list(steps), other], key=memory.live_bytes)


def _is_size_check(step: Step) -> bool:
    return isinstance(step, BoundsCheck) and step.index is None


def _tasks(p: Planner, steps: Sequence[Step], commits: Collection[Step]) -> Tasks:
    tasks = Tasks()
    numbers: dict[Storage, int] = {}
    writer: dict[Storage, int] = {}
    readers: dict[Storage, list[int]] = defaultdict(list)
    checks: dict[Storage, int] = {}
    waits = _Waits()
    fallible = _Fallible()
    last_fallible = -1
    for number, step in enumerate(steps):
        before: set[int] = set()
        reads = dict.fromkeys(a.storage for a in step.reads())
        writes = dict.fromkeys(a.storage for a in step.writes())
        for storage in (*reads, *writes):
            before.add(writer.get(storage, -1))
        for storage in writes:
            before.update(readers.pop(storage, ()))
            writer[storage] = number
        for storage in reads:
            readers[storage].append(number)
        if isinstance(step, Kernel):
            before.update(checks.get(storage, -1) for storage in _indices(step))
        for tensor in _tensors(step):
            for awaited in waits.of(tensor):
                source = p.sources.get(awaited)
                if isinstance(source, Access):
                    before.add(writer.get(source.storage, -1))
        if step in commits:
            before.add(last_fallible)
        elif fallible.takes(step):
            before.add(last_fallible)
            last_fallible = number
        if isinstance(step, BoundsCheck) and step.index is not None:
            checks[step.index.storage] = number
        before -= {-1, number}
        tasks.before.append(sorted(before))
        touched = [s for s in {**reads, **writes} if s.kind == ARENA]
        for storage in touched:
            if storage not in numbers:
                numbers[storage] = len(tasks.sizes)
                tasks.sizes.append(nominal(memory.bytes_of(storage)))
        tasks.touches.append(sorted(numbers[s] for s in touched))
        tasks.in_place.append(isinstance(step, Kernel) and bool(step.stores))
    return tasks


def _indices(step: Kernel) -> Iterator[Storage]:
    """Memory in which the kernel finds indices."""
    indexed: list[Gather | Scatter] = [*step.gathers.values(), *step.scatters]
    for each in indexed:
        for index in each.indices:
            yield index.access.storage


def _tensors(step: Step) -> Iterator[Tensor]:
    """The tensors that a step reads from memory."""
    if isinstance(step, Kernel):
        yield from step.sources
        for tensor in step.gathers:
            yield from tensor.node.inputs
    elif not isinstance(step, FillStep):
        yield from step.node.inputs


class _Waits:
    """What must be computed before a tensor is read: the second operands of the barriers behind which, by
    layouts alone, it lies."""

    def __init__(self) -> None:
        self._known: dict[Tensor, tuple[Tensor, ...]] = {}

    def of(self, tensor: Tensor) -> tuple[Tensor, ...]:
        chain: list[Tensor] = []
        while tensor not in self._known:
            chain.append(tensor)
            op = tensor.node.op
            is_layout = isinstance(op, TensorOp) and op.strided is not None
            if not (is_layout or isinstance(op, Barrier)):
                self._known[tensor] = ()
                break
            tensor = tensor.node.inputs[0]
        found = self._known[tensor]
        for tensor in reversed(chain):
            if isinstance(tensor.node.op, Barrier):
                found = (*found, tensor.node.inputs[1])
            self._known[tensor] = found
        return found


class _Fallible:
    """Which steps may fail, in the order given: a size that one product has found small enough for BLAS does
    not make a later one fail."""

    def __init__(self) -> None:
        self._small: set[object] = set()

    def takes(self, step: Step) -> bool:
        if isinstance(step, MatMulStep):
            sizes = [*step.out.layout.shape[-2:], step.a.layout.shape[-1]]
            sizes += [s for x in (step.a, step.b) for s in x.layout.strides[-2:]]
            unknown = {s for s in sizes if not (isinstance(s, int) and s <= BLAS_LIMIT)} - self._small
            self._small |= unknown
            return bool(unknown)
        return isinstance(step, (BoundsCheck, Callback))
