"""Reverse mode, the textbook's algorithm on graphs.

    1. Prune: keep the nodes that the outputs depend on and that depend on a target.
    2. Walk them in reverse. When a node is reached, the cotangents of its outputs are complete.
    3. The node's rule sends a cotangent to each operand on the way to a target.
    4. Cotangents that meet at a tensor are added: the sum over paths.

A tensor without a cotangent has no entry: there are no zero tensors to prune later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symgrad.ir import origin
from symgrad.ir.naming import Labels
from symgrad.ir.tensor import Node, Tensor
from symgrad.ir.traverse import ancestors, descendants
from symgrad.ops.kinds import TensorOp
from symgrad.registry import provide
from symgrad_compiler.autodiff.accumulate import Cotangents


@provide("pullback_of")
def pullback(
    seeds: Mapping[Tensor, Tensor],
    targets: Iterable[Tensor],
    constants: Iterable[Tensor] = (),
    known: Iterable[Tensor] = (),
    masked: Iterable[Tensor] = (),
) -> dict[Tensor, Tensor]:
    """The gradient table: for every tensor on a way from the `targets` to the keys of `seeds`, its cotangent.

    Args:
        seeds: output -> cotangent, of the output's type.
        targets: the tensors to differentiate with respect to; intermediates are fine.
        constants: tensors through which no derivative passes.
        known: those among `seeds` whose cotangent is complete; other paths add nothing to it.
        masked: those among `seeds` whose zeros must stay zeros, see `symgrad.ops.kinds`.

    Returns:
        Tensor -> cotangent. A target that is missing is not connected to any output.
    """
    held = set(constants)
    live_targets = [t for t in targets if t not in held]
    # What is older than all targets depends on none.
    nodes = ancestors(seeds, held, min([t.node.id for t in live_targets], default=0))
    reached = flows(nodes, live_targets) - held
    labels = Labels(nodes)
    table = Cotangents(seeds, known)
    table.masked.update(masked)
    for node in reversed(nodes):
        gs = tuple([table.total(t) for t in node.outputs])
        if reached.isdisjoint(node.inputs) or not any(g is not None for g in gs):
            continue
        _propagate(node, gs, reached, table, labels)
    for tensor in reached:
        table.total(tensor)
    return {t: g for t, g in table.totals.items() if t in reached}


def _propagate(
    node: Node, gs: tuple[Tensor | None, ...], reached: set[Tensor], table: Cotangents, labels: Labels
) -> None:
    """Send cotangents from a node to its operands."""
    op = node.op
    assert isinstance(op, TensorOp)
    masked = any(t in table.masked for t in node.outputs)
    targets = [i for i, operand in enumerate(node.inputs) if operand in reached]
    before = origin.swap(None)
    try:
        if op.holds_graphs:  # its rule is one for all operands
            origin.swap(labels.derived(node, "vjp"))
        parts = iter(op.pull_all(node, targets, gs, masked))
        for i in targets:
            if not op.holds_graphs:
                origin.swap(labels.derived(node, "vjp", i))
            table.add(node.inputs[i], next(parts), masked or op.selects)
    finally:
        origin.swap(before)


def connected(outputs: Iterable[Tensor], target: Tensor, constants: Iterable[Tensor] = ()) -> set[Tensor]:
    """The tensors on the way to `outputs` that depend on `target` through ops that have a derivative."""
    held = set(constants)
    return flows(ancestors(outputs, stop=held), [target]) - held


def flows(nodes: Iterable[Node], targets: Iterable[Tensor]) -> set[Tensor]:
    """The targets, and the outputs of `nodes` (in order) that depend on them through ops that have a
    derivative."""
    reached = set(targets)
    for node in nodes:
        if reached.isdisjoint(node.inputs):
            continue
        op = node.op
        assert isinstance(op, TensorOp)
        if not op.no_gradient or any(
            t in reached and op.reason(i) is None for i, t in enumerate(node.inputs)
        ):
            reached.update(t for t in node.outputs if t.dtype.is_differentiable)
    return reached


def blocked(cost: Tensor, target: Tensor) -> list[str]:
    """Why no derivative passes from `cost` to `target`: the reasons of the ops in between."""
    nodes = ancestors([cost])
    reached = descendants(nodes, [target])
    if cost not in reached:
        return []
    reasons: dict[str, None] = {}
    for node in nodes:
        if isinstance(node.op, TensorOp):
            for i, operand in enumerate(node.inputs):
                reason = node.op.reason(i) if operand in reached else None
                if reason:
                    reasons[f"{node.op.name}: {reason}"] = None
    return list(reasons)
