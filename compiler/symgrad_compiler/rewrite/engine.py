"""The engine: one walk from inputs to outputs that rebuilds what changed and tries rules at each node.

Rules are looked up by the op at their root, so the walk is linear in the graph. What a rule makes is walked
in turn, until no rule applies; a budget per node turns a cycle of rules into an error.

Some rules pay only where what they take apart has no other use, since it would be computed as well: they say
so (`unshared`), and see tensors with other uses as barriers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from symgrad.errors import CompileError
from symgrad.ir import origin
from symgrad.ir.tensor import Node, Tensor, create
from symgrad.ops.kinds import Elementwise
from symgrad_compiler.rewrite.rules import Rule

#: How many rewrites may follow from one node of the original graph, and as many more as that has nodes: rules
#: may take a long product apart factor by factor.
BUDGET = 64


_record: ContextVar[Counter[Rule] | None] = ContextVar("_record", default=None)


@contextmanager
def recording() -> Iterator[Counter[Rule]]:
    """Count the rules applied inside: rule -> how many times. A recording around this one counts them too."""
    counts: Counter[Rule] = Counter()
    outer = _record.get()
    before = _record.set(counts)
    try:
        yield counts
    finally:
        _record.reset(before)
        if outer is not None:
            outer.update(counts)


def index(rules: Iterable[Rule]) -> dict[Any, list[Rule]]:
    """Rules by the op or class of ops at their root, in the order given."""
    table: dict[Any, list[Rule]] = {}
    for r in rules:
        table.setdefault(r.key, []).append(r)
    return table


def rewrite(
    nodes: Sequence[Node],
    rules: Mapping[Any, Sequence[Rule]],
    barriers: Iterable[Tensor] = (),
    unchanged: Mapping[Any, Sequence[Rule]] | None = None,
    results: Iterable[Tensor] = (),
) -> dict[Tensor, Tensor]:
    """Apply rules to `nodes` (inputs before users); returns tensor -> replacement, where there is one.

    No rule looks behind a tensor in `barriers`: the form of what makes it stays hidden to its users. Where
    `nodes` are known to be in normal form for some of the rules, `unchanged` holds the others: it serves
    nodes whose operands have not changed. `results` are used from outside, as a graph's outputs are.
    """
    hidden = set(barriers)
    frugal = any(r.unshared for row in rules.values() for r in row)
    shared = shared_tensors(nodes, [*results, *hidden]) if frugal else set()
    return _Rewriter(rules, hidden, shared, rules if unchanged is None else unchanged).run(nodes)


def shared_tensors(nodes: Sequence[Node], results: Iterable[Tensor]) -> set[Tensor]:
    """The tensors that more than one operand of `nodes`, or something outside, reads."""
    read: set[Tensor] = set()
    shared = set(results)
    for node in nodes:
        for tensor in node.inputs:
            if tensor in read:
                shared.add(tensor)
            else:
                read.add(tensor)
    return shared


class _Made:
    """What a rule has made, and how far that is brought to normal form."""

    __slots__ = ("current", "fresh", "local", "result", "rule")

    def __init__(self, rule: Rule, result: Tensor, fresh: Sequence[Node]) -> None:
        self.rule, self.result = rule, result
        #: The nodes that are left, and the one that is looked at.
        self.fresh = iter(fresh)
        self.current: Node | None = None
        self.local: dict[Tensor, Tensor] = {}

    def settle(self, final: Tensor) -> None:
        """Let that be the normal form of the current node."""
        assert self.current is not None
        tensor = self.current.outputs[0]
        if final is not tensor:
            self.local[tensor] = final


class _Rewriter:
    def __init__(
        self,
        rules: Mapping[Any, Sequence[Rule]],
        barriers: set[Tensor],
        shared: set[Tensor],
        unchanged: Mapping[Any, Sequence[Rule]],
    ) -> None:
        self.rules = rules
        self.unchanged = unchanged
        self.barriers = barriers
        self.shared = shared
        self.replaced: dict[Tensor, Tensor] = {}
        self.record = _record.get()
        self.budget = BUDGET

    def run(self, nodes: Sequence[Node]) -> dict[Tensor, Tensor]:
        replaced = self.replaced
        self.budget = BUDGET + len(nodes)
        for node in nodes:
            current = rebuild(node, replaced)
            op = node.op
            table = self.unchanged if current is node else self.rules
            rules = table.get(op if op.__class__ is Elementwise else op.__class__)
            if rules and len(current.outputs) == 1:
                result = self._apply(current.outputs[0], rules)
                if result is not node.outputs[0]:
                    self._replace(node, (result,))
            elif current is not node:
                self._replace(node, current.outputs)
        return self.replaced

    def _apply(self, tensor: Tensor, rules: Sequence[Rule]) -> Tensor:
        """The normal form of `tensor`, whose inputs are in normal form: what a rule makes of it, with normal
        forms of the nodes that it has just made in the place of these, and so on."""
        first = self._once(tensor, rules)
        if first is None:
            return tensor
        budget = self.budget
        stack = [first]
        while True:
            made = stack[-1]
            node = next(made.fresh, None)
            if node is None:
                stack.pop()
                final = made.local.get(made.result, made.result)
                if not stack:
                    return final
                stack[-1].settle(final)
                continue
            made.current = node
            current = rebuild(node, made.local)
            op = node.op
            rules = self.rules.get(op if isinstance(op, Elementwise) else type(op), ())
            more = self._once(current.outputs[0], rules) if rules else None
            if more is None:
                made.settle(current.outputs[0])
                continue
            budget -= 1
            if budget < 0:
                raise CompileError(
                    f"the rewrite rules do not come to an end at {current.op.name}",
                    facts=[("rule", more.rule)],
                    at=_line(current.outputs[0]),
                    hint="what a rule makes must not fit it again, by itself or through another rule",
                )
            stack.append(more)

    def _once(self, tensor: Tensor, rules: Sequence[Rule]) -> _Made | None:
        """What the first rule that applies makes of `tensor`."""
        node = tensor.node
        for r in rules:
            if not r.plausible(node):
                continue
            before = origin.swap(node.origins)
            try:
                result = r.apply(tensor, self.shared if r.unshared else self.barriers)
            finally:
                origin.swap(before)
            if result is not None:
                break
        else:
            return None
        if result.__class__ is not Tensor or result.type != tensor.type:
            _check_replacement(r, tensor, result)
        if self.record is not None:
            self.record[r] += 1
        fresh = _fresh_nodes(result, node.id)
        if not fresh:  # it was there before, for others
            self.shared.add(result)
        origins = tuple([o.then("rule", r.name) for o in node.origins])
        for made in fresh:  # by the rule just now, so nobody has seen them yet
            made.origins = origins
        inherit_name(tensor, result, newer_than=node.id)
        return _Made(r, result, fresh)

    def _replace(self, node: Node, outputs: Sequence[Tensor]) -> None:
        for old, new in zip(node.outputs, outputs, strict=True):
            self.replaced[old] = new
            if old in self.barriers:
                self.barriers.add(new)
            if old in self.shared:
                self.shared.add(new)


def _check_replacement(r: Rule, tensor: Tensor, result: object) -> None:
    """Raise if that cannot stand for the tensor."""
    if isinstance(result, Tensor) and result.type == tensor.type:
        return
    raise CompileError(
        f"the rule {r.name} replaces a tensor by what has another type",
        facts=[
            ("rule", r),
            ("tensor", tensor.type),
            ("replacement", result.type if isinstance(result, Tensor) else type(result).__name__),
        ],
        at=_line(tensor),
    )


def _line(tensor: Tensor) -> str | None:
    """The user's line, without what happened since."""
    first = tensor.node.origins[0]
    return origin.locate((origin.Origin(first.file, first.line),))


def _fresh_nodes(result: Tensor, newer_than: int) -> list[Node]:
    seen: set[Node] = set()
    stack = [result.node]
    while stack:
        node = stack.pop()
        if node.id > newer_than and node not in seen:
            seen.add(node)
            stack.extend(t.node for t in node.inputs)
    return sorted(seen, key=lambda n: n.id)


def rebuild(node: Node, replaced: Mapping[Tensor, Tensor]) -> Node:
    """The node on replaced inputs: itself if none is replaced, else a new one with its name and origins."""
    for tensor in node.inputs:
        if tensor in replaced:
            break
    else:
        return node
    inputs = tuple([replaced.get(t, t) for t in node.inputs])
    outputs = create(node.op, inputs, [t.type for t in node.outputs], node.origins)
    for old, new in zip(node.outputs, outputs, strict=True):
        new.stands_for(old, replaced)
    return outputs[0].node


def inherit_name(old: Tensor, new: Tensor, newer_than: int) -> None:
    """Give a replacement that was just made the name of what it replaces."""
    if new.node.id > newer_than and new.name is None and new.derivative_of is None:
        new.name = old.name
        new.derivative_of = old.derivative_of
