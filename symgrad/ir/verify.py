"""The rules of the IR, checked anew: what every pass and the parser must leave true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from symgrad.errors import GraphError, SymgradError
from symgrad.ir.tensor import Node, Tensor
from symgrad.types import TensorType


def verify(
    leaves: Set[Tensor], nodes: Iterable[Node], results: Iterable[Tensor], names: Mapping[Tensor, str]
) -> None:
    """Raise GraphError unless ids are ordered, types are what the ops infer, and names are unique."""
    known = set(leaves)
    for node in nodes:
        for tensor in node.inputs:
            if tensor not in known:
                raise GraphError(f"{node!r} reads {tensor!r} before it is made")
            if tensor.node.id >= node.id:
                raise GraphError(f"{node!r} is older than its input {tensor!r}")
        _verify_types(node)
        known.update(node.outputs)
    for tensor in results:
        if tensor not in known:
            raise GraphError(f"the output {tensor!r} is not computed")
    if set(names) != known or len(set(names.values())) != len(known):
        raise GraphError("the names of the graph are not unique")


def _verify_types(node: Node) -> None:
    try:
        inferred = node.op.infer(*[t.type for t in node.inputs])
    except SymgradError as error:
        raise GraphError(f"{node!r} is ill-typed: {error.what}", facts=error.facts) from error
    expected = (inferred,) if isinstance(inferred, TensorType) else tuple(inferred)
    found = tuple(t.type for t in node.outputs)
    if expected != found:
        raise GraphError(f"{node!r} has types {found}, but its op infers {expected}")
    if any(t.node is not node or t.index != i for i, t in enumerate(node.outputs)):
        raise GraphError(f"an output of {node!r} does not belong to it")
