"""The lines of a graph that a pass changed.

Lines come in hunks. A hunk ends with a tensor that stays; what only it needed, or what is new for its sake,
stands before it:

    - exp: f64[n] = exp(x)
    - add: f64[n] = add(1.0, exp)
    - y: f64[n] = log(add)
    + y: f64[n] = softplus(x)                    by rule softplus
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Tensor
from symgrad.records import record
from symgrad.text.data import Blobs
from symgrad.text.printer import results, statements
from symgrad_compiler.explain.align import Alignment

#: Remarks stand in a column of their own, at most this far to the right.
_MAX_COLUMN = 72


@dataclass
class _Hunk:
    gone: list[str] = field(default_factory=list)
    come: list[str] = field(default_factory=list)
    #: The tensor that stays, where its line has not changed.
    context: str = ""

    def lines(self) -> list[str]:
        if not self.gone and not self.come:
            return []
        return [*self.gone, *self.come, *([self.context] if self.context else [])]


@record
class View:
    """A graph under names that do not shift from pass to pass."""

    graph: Graph
    names: dict[Tensor, str]


def difference(before: View, after: View, found: Alignment, blobs: Blobs) -> list[str]:
    """The changed lines, in hunks, in the order of the graph before."""
    old_lines = statements(before.graph, before.names, blobs)
    new_lines = statements(after.graph, after.names, blobs)
    partner = {found.before[t].node: t.node for n in new_lines for t in n.outputs if t in found.before}
    hunks: dict[Node | None, _Hunk] = {}
    stays = set(partner)
    old_place = _places(before.graph, stays)
    for old, line in old_lines.items():
        if old not in stays:
            hunks.setdefault(old_place[old], _Hunk()).gone.append(_gone(old, line, after, found))
    new_place = _places(after.graph, set(partner.values()))
    before_of = {new: old for old, new in partner.items()}
    for new, line in new_lines.items():
        if new not in before_of:
            place = new_place[new]
            key = None if place is None else before_of[place]
            hunks.setdefault(key, _Hunk()).come.append(f"+{_remarked(line[1:], _made_by(new, None))}")
    for old, new in partner.items():
        was, now = old_lines.get(old), new_lines[new]
        if was == now:
            hunks.setdefault(old, _Hunk()).context = f" {now[1:]}"
            continue
        hunk = hunks.setdefault(old, _Hunk())
        hunk.gone += [] if was is None else [f"-{was[1:]}"]
        hunk.come.append(f"+{_remarked(now[1:], _made_by(new, old))}")
    lines = [line for old in old_lines for line in (hunks.pop(old, None) or _Hunk()).lines()]
    lines += [line for hunk in hunks.values() for line in hunk.lines()]
    return lines + _changed_results(before, after)


def _places(graph: Graph, stays: set[Node]) -> dict[Node, Node | None]:
    """For each node, the first node downstream that stays; None where there is none."""
    place: dict[Node, Node | None] = {}
    for node in reversed(graph.nodes):
        readers = [r for t in node.outputs for r in graph.consumers(t)]
        ends = [r if r in stays else place[r] for r in readers]
        place[node] = min((e for e in ends if e is not None), key=lambda n: n.id, default=None)
    return place


def _gone(node: Node, line: str, after: View, found: Alignment) -> str:
    twin = found.merged.get(node.outputs[0])
    return f"-{_remarked(line[1:], f'same as {after.names[twin]}' if twin is not None else '')}"


def _made_by(new: Node, old: Node | None) -> str:
    """The last step of a node's origin, if this pass added it."""
    origin = new.origins[0]
    if not origin.steps or (old is not None and old.origins == new.origins):
        return ""
    last = origin.steps[-1]
    return f"by {last}" if last.kind in ("rule", "pass") else ""


def _remarked(line: str, remark: str) -> str:
    return f"{line:<{_MAX_COLUMN}}  # {remark}" if remark else line


def _changed_results(before: View, after: View) -> list[str]:
    names: Mapping[Tensor, str] = before.names
    output_names = before.graph.output_names
    was = results(before.graph, output_names, names)
    now = results(after.graph, output_names, after.names)
    gone, come = [x for x in was if x not in now], [x for x in now if x not in was]
    return [f"-{x[1:]}" for x in gone] + [f"+{x[1:]}" for x in come]
