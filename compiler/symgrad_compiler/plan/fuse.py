"""From a graph to steps: which nodes share a loop nest, and in which memory results lie.

    planner   the steps so far, where tensors lie, which kernels are open
    nodes     how each node becomes steps
    moves     ... those that move elements
    updates   how states get their new values
    product_sums  which products are added where others lie
    in_parts  what is computed from tensors that take turns, in parts
    epilogues  which kernels end a convolution
    rows      which kernels go through the same rows together
    join      which of those become one
    narrow    how their own memory lies, where rows are short
    order     in which nodes and steps come
    memory    which slots of the arena, and of what offsets (`arena`)

Ops that move elements are layouts (`strided.py`) and get no memory, unless no layout does what they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from symgrad.dims import symbols
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor, is_leaf
from symgrad.ops.align import own_literals
from symgrad.ops.bounds import Bound
from symgrad.ops.contract import MatMul
from symgrad.ops.scatter import Scatter
from symgrad.ops.shape import PermuteDims, Reshape
from symgrad.ops.slices import SetSlice, Slice
from symgrad_compiler.passes.merge import merge
from symgrad_compiler.plan import memory
from symgrad_compiler.plan.checks import NotNegative, Sign
from symgrad_compiler.plan.dependencies import dependencies
from symgrad_compiler.plan.epilogues import with_epilogues
from symgrad_compiler.plan.expand import expand
from symgrad_compiler.plan.finite import Need, computed, needs
from symgrad_compiler.plan.in_parts import in_parts
from symgrad_compiler.plan.nodes import plan_node, plan_sum, plan_term
from symgrad_compiler.plan.order import MANY
from symgrad_compiler.plan.order_nodes import node_orders
from symgrad_compiler.plan.order_steps import low_peak
from symgrad_compiler.plan.planes import split
from symgrad_compiler.plan.planner import Planner
from symgrad_compiler.plan.product_sums import terms_of
from symgrad_compiler.plan.rows import over_rows
from symgrad_compiler.plan.sizes import SizeChecks
from symgrad_compiler.plan.steps import Kernel, MatMulStep, Plan
from symgrad_compiler.plan.updates import ordered, sums_of, write_updates

#: Steps of their own that write all of their result: that of an update, straight into the spare array.
WRITERS = (MatMul, Scatter, SetSlice)
#: Another order of nodes than the given one, which may fuse less, must lower the peak to this.
WORTHWHILE = 0.9


@without_collections
@own_literals()
def make_plan(graph: Graph, guarded: bool = False, sizes: SizeChecks | None = None) -> Plan:
    """The plan of a graph; `guarded`: of one whose values are checked, and which keeps its old state. Before
    everything else, sizes are checked."""
    written = graph
    expanded, replaced = expand(graph)
    pairs = expanded if guarded else split(expanded)
    paired = pairs is not expanded
    if paired:  # products with vectors are now among the real ones
        expanded, _ = expand(pairs)
    checks = None
    if guarded:  # nothing is merged, so that each tensor stands for one of the graph's
        checks = {computed(replaced.get(t, t)): need for t, need in needs(graph).items()}
        graph = expanded
    elif expanded is not written:
        graph = merge(expanded)
        graph = graph if paired else in_parts(graph)
    orders = node_orders(graph)
    plans = [
        _plan(graph, nodes, checks, paired) for nodes in (orders if len(graph.nodes) <= MANY else orders[-1:])
    ]
    best = plans[0]
    if len(plans) > 1:
        given, other = (memory.live_bytes(plan.steps) for plan in plans)
        best = plans[other < WORTHWHILE * given]
    first = [
        Sign(node, size) if isinstance(size, Bound) else NotNegative(node, size)
        for size, node in (sizes or {}).items()
    ]
    return replace(best, steps=(*first, *best.steps))


def _keeps_order(node: Node) -> bool:
    """Whether it has the elements of its operand, all of them in their order."""
    op = node.op
    if isinstance(op, Reshape):
        return True
    if isinstance(op, PermuteDims):
        moved = [axis for axis in op.axes if node.inputs[0].shape[axis] != 1]
        return moved == sorted(moved)
    if isinstance(op, Slice):
        return node.output.shape == node.inputs[0].shape and all(step == 1 for step in op.steps)
    return False


def _plan(graph: Graph, nodes: Sequence[Node], checks: Mapping[Tensor, Need] | None, paired: bool) -> Plan:
    """The plan of a graph whose nodes are taken in this order."""
    p = Planner(graph, paired)
    p.leaves()
    p.open(Kernel(()))  # for numbers that depend on arguments alone: known before everything else
    for tensor, storage in zip(graph.outputs, p.outputs, strict=True):
        if not is_leaf(tensor):
            p.preferred.setdefault(tensor, storage)
    for tensor, storage in zip(graph.outputs, p.outputs, strict=True):
        while _keeps_order(tensor.node):  # what a result has the elements of lies where it does
            tensor = tensor.node.inputs[0]
            if not is_leaf(tensor):
                p.preferred.setdefault(tensor, storage)
    for state, value in graph.updates.items():
        if isinstance(value.node.op, WRITERS) and value not in p.preferred:
            p.preferred[value] = p.spare(state)
    sums = sums_of(graph) if checks is None else {}
    terms, additions = terms_of(graph, nodes) if checks is None else ({}, set())
    skipped = additions.union(*(s.nodes for s in sums.values()))
    for node in nodes:
        if node in sums:
            plan_sum(p, node, sums[node].state, sums[node].factor)
        elif node in terms:
            plan_term(p, node, terms[node])
        elif node not in skipped:
            plan_node(p, node)
    for tensor, storage in zip(graph.outputs, p.outputs, strict=True):
        p.deliver(tensor, storage)
    in_place, commits = write_updates(p, sums, over_old=checks is None)
    steps, last = ordered(p, commits)
    if checks is None:
        steps = with_epilogues(steps, last)
    for step in steps if checks is not None else ():
        if isinstance(step, MatMulStep):
            step.alone = True
    steps = over_rows(steps, dependencies(p, steps, last))
    order = low_peak(p, steps, last)
    arena = memory.assign(order)
    spares = tuple(s for s in graph.states if s in p.spares)
    for number, state in enumerate(spares):
        p.spares[state].index = number
    return Plan(
        graph=graph,
        size_names=tuple(sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)})),
        steps=tuple(order),
        arena=arena,
        constants=tuple(p.constants),
        outputs=tuple(p.outputs),
        spares=spares,
        in_place=tuple(s for s in graph.states if s in in_place),
        checks=checks,
    )
