"""What must run before what: the dependencies between the steps of a plan.

Besides writers and readers of the same memory:

* what may fail keeps its order, and comes before all that changes a state;
* what reads memory at indices comes after their check;
* what is behind a barrier comes after what the barrier waits for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from symgrad.ir.tensor import Tensor
from symgrad.ops.custom import Barrier
from symgrad.ops.kinds import TensorOp
from symgrad_compiler.plan.checks import Indices
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.steps import (
    Access,
    Callback,
    Check,
    ConvolutionStep,
    FillStep,
    Gather,
    Kernel,
    MatrixStep,
    RowLoop,
    Scatter,
    SortStep,
    Step,
    Storage,
)


def dependencies(p: Planner, steps: Sequence[Step], commits: Collection[Step]) -> list[list[int]]:
    """For each step those that must run before it, not counting what follows from theirs. `commits` are those
    that write states in place."""
    found: list[list[int]] = []
    writer: dict[Storage, int] = {}
    readers: dict[Storage, list[int]] = defaultdict(list)
    checks: dict[Storage, int] = {}
    waits = _Waits()
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
        for each in step.whole if isinstance(step, RowLoop) else (step,):
            if isinstance(each, Kernel):
                before.update(checks.get(storage, -1) for storage in _indices(each))
            for tensor in _tensors(each):
                for awaited in waits.of(tensor):
                    source = p.sources.get(awaited)
                    if isinstance(source, Access):
                        before.add(writer.get(source.storage, -1))
        if step in commits:
            before.add(last_fallible)
        elif _may_fail(step):
            before.add(last_fallible)
            last_fallible = number
        if isinstance(step, Indices):
            checks[step.index.storage] = number
        found.append(sorted(before - {-1, number}))
    return found


def _may_fail(step: Step) -> bool:
    return isinstance(step, (Check, Callback, MatrixStep)) or (
        isinstance(step, SortStep) and step.ranks is not None
    )


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
    elif not isinstance(step, (FillStep, RowLoop)):
        yield from step.node.inputs
        if isinstance(step, ConvolutionStep) and step.epilogue is not None:
            yield from step.epilogue.sources


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
