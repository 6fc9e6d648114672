"""The same computation for a whole axis of inputs at once: what `vmap` and `jacobian` are made of.

Each node that depends on a batched tensor is replaced by its op's batched form, with the new axis in front
of all others. What does not depend on one is computed once, as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from symgrad.dims import Dim
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor
from symgrad.ir.traverse import ancestors
from symgrad.ops.kinds import TensorOp
from symgrad.registry import provide


@provide("vectorize")
def vectorize(outputs: Sequence[Tensor], batched: Mapping[Tensor, Tensor], size: Dim) -> dict[Tensor, Tensor]:
    """Those of `outputs` that depend on a key of `batched`, with a new leading axis of `size`.

    Args:
        outputs: what to compute.
        batched: tensor -> the tensors, stacked along a new leading axis, that take its place.
        size: the length of that axis.
    """
    table = dict(batched)
    for node in ancestors(outputs, stop=batched):
        flags = [t in table for t in node.inputs]
        if not any(flags):
            continue
        op = node.op
        assert isinstance(op, TensorOp)
        with origin.scope(node.origins):
            made = op.batch(size, [table.get(t, t) for t in node.inputs], flags)
        for old, new in zip(node.outputs, made, strict=True):
            table[old] = new
            if new.name is None and new.derivative_of is None and old.name is not None:
                new.name = old.name
    return {t: table[t] for t in outputs if t in table}
