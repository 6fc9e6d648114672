"""Running passes one by one, with a record of what each did."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from textwrap import shorten

from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.records import record
from symgrad.text.data import Blobs
from symgrad_compiler.explain.align import align, carry_names
from symgrad_compiler.explain.difference import View, difference
from symgrad_compiler.passes import pipeline
from symgrad_compiler.passes.pipeline import Pass, pass_name
from symgrad_compiler.rewrite.engine import recording
from symgrad_compiler.rewrite.rules import Rule

#: Lines of a difference that are shown unless all are asked for.
LINES = 40
#: Characters of a rule's maths, likewise.
_MATHS = 100


@record
class PassRecord:
    """What one pass did."""

    name: str
    #: Counts of nodes.
    before: int
    after: int
    #: Op -> how many more (or, negative, fewer) there are now; ops whose number did not change are left out.
    ops: dict[str, int]
    #: How many nodes became one with another of the same value.
    merged: int
    #: Rule -> how many times it was applied.
    rules: Counter[Rule]
    seconds: float
    #: The changed lines: "-" gone, "+" come, " " context.
    difference: tuple[str, ...]
    #: The graph that the pass returned.
    graph: Graph

    def text(self, full: bool = False, times: bool = True) -> str:
        """The record as text; a long difference is cut unless `full`."""
        head = f"{self.name}: {self.before} -> {self.after} nodes"
        lines = [f"{head}, {_seconds(self.seconds)}" if times else head]
        if self.ops:
            lines.append("  ops: " + ", ".join(f"{n:+d} {op}" for op, n in self.ops.items()))
        if self.merged:
            lines.append(f"  gone, since equal to another: {self.merged}")
        lines += self._rules(full)
        shown = self.difference if full else self.difference[:LINES]
        lines += [f"  {line}" for line in shown]
        if len(shown) < len(self.difference):
            lines.append(f"  … {len(self.difference) - len(shown)} more lines (full=True shows them)")
        return "\n".join(lines)

    def _rules(self, full: bool) -> list[str]:
        if not self.rules:
            return []
        counts: Counter[tuple[str, str, str]] = Counter()
        for rule, count in self.rules.items():  # a function serves several ops: one row
            counts[rule.name, rule.kind, rule.maths] += count
        width = max(len(name) for name, _, _ in counts)
        lines = ["  rules:"]
        for (name, kind, maths), count in counts.most_common():
            said = maths if full else shorten(maths, _MATHS, placeholder=" …")
            lines.append(f"    {count:>4} × {name:<{width}}  {kind:<8}  {said}")
        return lines


class Explanation:
    """What passes did to a graph: `passes` holds the records, `str` is the text.

    `"softplus" in explanation` looks into the text.
    """

    def __init__(
        self, graph: Graph, passes: Sequence[PassRecord], notes: Sequence[str], full: bool = False
    ) -> None:
        #: The graph before all passes.
        self.graph = graph
        self.passes = tuple(passes)
        #: What else there is to say, e.g. which ops call back into NumPy.
        self.notes = tuple(notes)
        self.full = full

    def text(self, full: bool = False, times: bool = True) -> str:
        """The text; `full` shows long differences to their end, `times=False` leaves out the times."""
        count, seconds = len(self.passes), sum(p.seconds for p in self.passes)
        nodes = [len(self.graph.nodes), *[p.after for p in self.passes]]
        head = f"{self.graph.name}: {nodes[0]} -> {nodes[-1]} nodes by {count} pass{'es' * (count != 1)}"
        parts = [f"{head}, {_seconds(seconds)}" if times else head]
        parts += [p.text(full, times) for p in self.passes]
        return "\n\n".join([*parts, *(["\n".join(self.notes)] if self.notes else [])])

    def __str__(self) -> str:
        return self.text(self.full)

    __repr__ = __str__

    def __contains__(self, text: object) -> bool:
        return str(text) in str(self)


@without_collections
def explain_passes(
    graph: Graph, passes: Iterable[Pass], notes: Sequence[str] = (), full: bool = False
) -> Explanation:
    """Run `passes` on `graph` and say what each did; `notes` are lines to add at the end."""
    blobs = Blobs()
    view = View(graph, graph.names)
    records = []
    for step in passes:
        start = time.perf_counter()
        with recording() as rules:
            after = pipeline.run(view.graph, [step])
        seconds = time.perf_counter() - start
        record, view = _record(step, view, after, blobs, rules, seconds)
        records.append(record)
    return Explanation(graph, records, notes, full)


def _record(
    step: Pass, view: View, after: Graph, blobs: Blobs, rules: Counter[Rule], seconds: float
) -> tuple[PassRecord, View]:
    before = view.graph
    merged, lines = 0, []
    if after is not before:
        found = align(before, after)
        new = View(after, carry_names(view.names, after, found))
        lines = difference(view, new, found, blobs)
        merged = len({t.node for t in found.merged})
        view = new
    counts = Counter(n.op.name for n in after.nodes)
    counts.subtract(n.op.name for n in before.nodes)
    record = PassRecord(
        name=pass_name(step),
        before=len(before.nodes),
        after=len(after.nodes),
        ops={op: n for op, n in sorted(counts.items()) if n},
        merged=merged,
        rules=rules,
        seconds=seconds,
        difference=tuple(lines),
        graph=after,
    )
    return record, view


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
