"""Forward mode: tangents are pushed from the seeds to the outputs, node by node, in order.

Elementwise and linear ops say how (`push`). For any other op the transpose is transposed: its rule sends a
cotangent u back, linearly; pulling back through that linear map turns tangents of the operands into that
of the output. Tensors without a tangent have no entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symgrad.ir import origin
from symgrad.ir.naming import Labels
from symgrad.ir.tensor import Node, Tensor, make_input
from symgrad.ir.traverse import ancestors
from symgrad.ops.kinds import Tangents, TensorOp
from symgrad.registry import provide
from symgrad_compiler.autodiff.reverse import flows, pullback


@provide("pushforward")
def pushforward(
    outputs: Sequence[Tensor],
    seeds: Mapping[Tensor, Tensor],
    constants: Iterable[Tensor] = (),
    masked: Iterable[Tensor] = (),
) -> dict[Tensor, Tensor]:
    """The tangents of `outputs` for given tangents of tensors, intermediates included.

    Args:
        outputs: what to differentiate.
        seeds: tensor -> tangent, of its type; what flows into a seeded tensor is added.
        constants: tensors through which no derivative passes.
        masked: those among `seeds` whose zeros must stay zeros, see `symgrad.ops.kinds`.

    Returns:
        Output -> tangent. An output that is missing depends on no seed.
    """
    held = set(constants)
    table = {t: seed for t, seed in seeds.items() if t not in held}
    nodes = ancestors(outputs, stop=held)
    reached = flows(nodes, table) - held
    labels = Labels(nodes)
    hidden = set(masked)
    for node in nodes:
        tangents = [table.get(t) for t in node.inputs]
        op = node.op
        if reached.isdisjoint(node.outputs) or not any(t is not None for t in tangents):
            continue
        assert isinstance(op, TensorOp)
        hides = any(t in hidden for t in node.inputs)
        with origin.scope(labels.derived(node, "jvp")):
            pushed = op.push(node, tangents, hides)
            if pushed is None:
                pushed = transpose_of_transpose(node, tangents, hides)
        for tensor, tangent in zip(node.outputs, pushed, strict=True):
            if tangent is None or tensor in held:
                continue
            table[tensor] = table[tensor] + tangent if tensor in table else tangent
            if hides or op.makes_zeros(tangents):
                hidden.add(tensor)
    return {t: table[t] for t in outputs if t in table}


def transpose_of_transpose(node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents:
    """The tangents of the outputs, from the op's reverse rule alone."""
    op = node.op
    assert isinstance(op, TensorOp)
    us = tuple([make_input(t.type, "u") if t.dtype.is_differentiable else None for t in node.outputs])
    moving = [i for i, t in enumerate(tangents) if t is not None]
    seeds: dict[Tensor, Tensor] = {}
    # A rule of the user's may not look at u: its zeros are those of the tangents, below.
    back = op.pull_all(node, moving, us, masked and not op.holds_graphs)
    for i, sent in zip(moving, back, strict=True):
        tangent = tangents[i]
        if sent is not None and tangent is not None:
            seeds[sent] = seeds[sent] + tangent if sent in seeds else tangent
    found = pullback(seeds, [u for u in us if u is not None], masked=seeds if masked else ())
    return tuple([None if u is None else found.get(u) for u in us])
