"""Readable, unique, stable names for the tensors of one graph.

A tensor is called by the first of these that it has: the name that the user gave; `d_x` for the gradient of
x; the variable that the user's line assigns it to; the name of its op. Repeats get a number.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Collection, Iterable, Mapping

from symgrad.ir.origin import Origin
from symgrad.ir.tensor import MAX_NAME, RESERVED, Node, Tensor

_ASSIGNMENT = re.compile(r"\s*([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)")


def assign_names(
    leaves: Iterable[Tensor],
    nodes: Iterable[Node],
    fixed: Mapping[Tensor, str],
    literals: Collection[Tensor] = (),
) -> dict[Tensor, str]:
    """A name for each leaf and each output of `nodes`; `fixed` names are kept as they are.

    Tensors in `literals`, whose names are not printed, come last, so that they take no name from another.
    """
    nodes = list(nodes)
    names = dict(fixed)
    taken = set(fixed.values())
    counters: dict[str, int] = {}

    def claim(tensor: Tensor, wish: str) -> None:
        name = wish
        while name in taken:
            counters[wish] = counters.get(wish, 0) + 1
            suffix = f"_{counters[wish]}"
            name = wish[: MAX_NAME - len(suffix)] + suffix
        taken.add(name)
        names[tensor] = name

    everything = [*leaves, *(t for node in nodes for t in node.outputs)]
    for tensor in everything:
        if tensor.name is not None and tensor not in names:
            claim(tensor, tensor.name)
    roots = _statement_roots(nodes)
    for tensor in everything:
        if tensor not in names and tensor not in literals:
            claim(tensor, _wish(tensor, names, roots))
    for tensor in everything if literals else ():
        if tensor in literals:
            claim(tensor, _wish(tensor, names, roots))
    return names


class Labels:
    """What derivation steps call the nodes of a graph: `tanh(z)` where something names the result z."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._roots = _statement_roots(nodes)
        self._cache: dict[tuple[int, str, str, int | None], tuple[Origin, ...]] = {}

    def derived(self, node: Node, kind: str, operand: int | None = None) -> tuple[Origin, ...]:
        """The origins of what a derivative rule of `node` makes, for one operand or for all."""
        name = hint(node.outputs[0], self._roots)
        key = (id(node.origins), f"{node.op.name}({name})" if name else node.op.name, kind, operand)
        found = self._cache.get(key)
        if found is None:
            step = key[1] if operand is None else f"{key[1]}.{node.op.operand_name(operand)}"
            found = self._cache[key] = tuple([o.then(kind, step) for o in node.origins])
        return found


def hint(tensor: Tensor, roots: set[Tensor]) -> str | None:
    """What a tensor would like to be called, judged by itself; None when nothing speaks for a name."""
    depth = 0
    while tensor.name is None and tensor.derivative_of is not None:
        tensor, depth = tensor.derivative_of, depth + 1
    base = tensor.name
    if base is None and tensor in roots:
        base = assigned_variable(tensor.node.origins[0])
    return _prefixed(base, depth) if base else None


def _wish(tensor: Tensor, names: Mapping[Tensor, str], roots: set[Tensor]) -> str:
    forward = tensor.derivative_of
    if forward is not None:
        base = names.get(forward) or hint(forward, roots)
        if base:
            return _prefixed(base, 1)
        return _prefixed(forward.node.op.name, 1)
    if tensor in roots:
        variable = assigned_variable(tensor.node.origins[0])
        if variable:
            return variable
    if tensor.node.op.name == "permute_dims" and tensor.ndim == 2:
        base = names.get(tensor.node.inputs[0])
        if base:
            return f"{base[: MAX_NAME - 2]}_T"
    name = tensor.node.op.name
    name = "t" if name in RESERVED else name
    return name if len(tensor.node.outputs) == 1 else f"{name}_{tensor.index}"


def _prefixed(base: str, depth: int) -> str:
    return ("d_" * depth + base)[:MAX_NAME]


def _statement_roots(nodes: Iterable[Node]) -> set[Tensor]:
    """The tensors that are the whole right-hand side of a user's line: no other node of it reads them."""
    roots: set[Tensor] = set()
    for node in nodes:
        origin = node.origins[0]
        if origin.steps:
            if all([s.kind in ("rule", "pass") for s in origin.steps]):  # rewritten, but still of its line
                roots.difference_update([t for t in node.inputs if t in roots and _same_line(t, origin)])
            continue
        for tensor in node.inputs:
            if tensor in roots and tensor.node.origins[0] is origin:
                roots.discard(tensor)
        if len(node.outputs) == 1 and not node.outputs[0].is_part:
            roots.add(node.outputs[0])
    ops: dict[tuple[str, int], set[str]] = {}
    for tensor in roots:
        origin = tensor.node.origins[0]
        ops.setdefault((origin.file, origin.line), set()).add(tensor.node.op.name)
    # Roots with different ops: the real one is not in the graph, and these are its parts.
    return {t for t in roots if len(ops[t.node.origins[0].file, t.node.origins[0].line]) == 1}


def _same_line(tensor: Tensor, origin: Origin) -> bool:
    other = tensor.node.origins[0]
    return other.line == origin.line and other.file == origin.file


_variables: dict[tuple[str, int], str | None] = {}


def assigned_variable(origin: Origin) -> str | None:
    """The variable that the user's line assigns to, when the line is of the form `name = ...`."""
    if not origin.file or origin.steps:
        return None
    key = (origin.file, origin.line)
    if key not in _variables:
        line = linecache.getline(*key)
        match = _ASSIGNMENT.match(line)
        name = match[1] if match and not _is_argument(line) else None
        _variables[key] = name if name and _may_name(name) else None
    return _variables[key]


def _is_argument(line: str) -> bool:
    """Whether `name=...` is an argument on a line of its own, as far as its end tells."""
    opened = line.count("(") - line.count(")")
    return opened < 0 or (opened == 0 and line.rstrip().endswith(","))


def _may_name(name: str) -> bool:
    return name.isidentifier() and len(name) <= MAX_NAME and name not in RESERVED and name != "_"
