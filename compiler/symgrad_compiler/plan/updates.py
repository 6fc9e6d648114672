"""How new values of states are written: by the product that adds to them, in place, or into a spare array."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Shared, Tensor
from symgrad.ops.arithmetic import add, multiply, subtract
from symgrad.ops.contract import MatMul
from symgrad.ops.create import Fill
from symgrad.ops.custom import Barrier
from symgrad.ops.kinds import TensorOp
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad_compiler.plan.checks import is_of_sizes
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.row_products import is_tall_sum
from symgrad_compiler.plan.steps import (
    OUTPUT,
    SPARE,
    Access,
    Kernel,
    Step,
)


@record
class Sum:
    """An update `state + factor * product` that a matrix product can add by itself; and its other nodes."""

    state: Shared
    factor: float
    nodes: tuple[Node, ...]


def sums_of(graph: Graph) -> dict[Node, Sum]:
    """The products that nothing but one such update reads."""
    found: dict[Node, Sum] = {}
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
        if fits and is_alone and operands_stay and not _is_tall_sum(product):
            found[product] = Sum(state, factor, tuple(nodes))
    return found


def _is_tall_sum(product: Node) -> bool:
    """Whether a product may be added up in a loop over rows, which an update cannot join."""
    rows, columns = product.output.shape
    return is_tall_sum(rows, columns, product.inputs[0].shape[-1])


def _behind(tensor: Tensor) -> Tensor:
    """What a chain of layouts and barriers lies in."""
    while isinstance(tensor.node.op, Barrier) or (
        isinstance(tensor.node.op, TensorOp) and tensor.node.op.strided is not None
    ):
        tensor = tensor.node.inputs[0]
    return tensor


def _is_idle(step: Step) -> bool:
    """A kernel all of whose results went unused."""
    return isinstance(step, Kernel) and not any(True for _ in step.writes())


def write_updates(
    p: Planner, sums: Mapping[Node, Sum], over_old: bool = True
) -> tuple[set[Shared], set[int]]:
    """Write the new values of states; returns those that are written over the old value, which `over_old`
    allows, and the kernels that do so."""
    in_place = {s.state for s in sums.values()}
    waiting: dict[Shared, int] = {}
    for state, value in p.graph.updates.items():
        if state in p.spares or state in in_place:
            continue
        number = p.computed.get(value)
        if over_old and number is not None and _only_reads_itself(p, state, number):
            waiting[state] = number
        else:
            p.write(value, Access(p.spare(state), p.layout(state)))
    rejected = list(waiting)
    while rejected:  # what runs earlier after all may read what another one would write last
        commits = set(waiting.values())
        rejected = [state for state, number in waiting.items() if not _may_be_last(p, state, number, commits)]
        for state in rejected:
            value = p.graph.updates[state]
            p.write(value, Access(p.spare(state), p.layout(state)))
            del waiting[state]
    for state, number in waiting.items():
        kernel = p.steps[number]
        assert isinstance(kernel, Kernel)
        kernel.stores.append(
            (p.graph.updates[state], Access(p.states[state], Strided.contiguous(state.shape)))
        )
        in_place.add(state)
    return in_place, set(waiting.values())


def _only_reads_itself(p: Planner, state: Shared, number: int) -> bool:
    """Whether the kernel reads the state only at the element that it writes."""
    kernel = p.steps[number]
    assert isinstance(kernel, Kernel)
    plain = Strided.contiguous(state.shape)
    if kernel.scatters or kernel.space != state.shape:
        return False
    return all(
        access.layout == plain for access in kernel.reads() if access.storage is p.states[state]
    ) and not any(g.storage is p.states[state] for g in kernel.gathers.values())


def _may_be_last(p: Planner, state: Shared, number: int, commits: set[int]) -> bool:
    """Whether the kernel can run after all steps that may fail, and no later step reads the state."""
    kernel = p.steps[number]
    if p.states[state] in {a.storage for step in p.added for a in step.reads()}:
        return False
    results = {a.storage for a in kernel.writes() if a.storage.kind not in (OUTPUT, SPARE)}
    everything = {a.storage for a in kernel.writes()}
    for other, step in enumerate(p.steps):
        if other == number:
            continue
        reads = {a.storage for a in step.reads()}
        if reads & (everything if other not in commits else results):
            return False
        if other in commits and other > number and p.states[state] in reads:
            return False
        if other > number and any(a.storage in everything for a in step.writes()):
            return False  # it writes over a part of what the kernel writes
    return True


def ordered(p: Planner, commits: Collection[int]) -> tuple[list[Step], set[Step]]:
    """The steps in order: checks of sizes first; those that write states in place last, after all that
    may fail. And these last ones. Kernels compute no more than somebody reads."""
    for step in p.steps:
        if isinstance(step, Kernel):
            step.prune()
    checks = [s for s in p.steps if is_of_sizes(s)]
    middle = [s for i, s in enumerate(p.steps) if i not in commits and not is_of_sizes(s)]
    last = [p.steps[i] for i in sorted(commits)]
    steps = [s for s in (*checks, *middle, *last, *p.added) if not _is_idle(s)]
    return steps, {*last, *p.added}
