"""One run of a pipeline, watched: each graph against the one before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, partial

import numpy

from symgrad.dims import Dim
from symgrad.errors import CompileError, SymgradError
from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.ops.contract import MatMul
from symgrad.records import record
from symgrad_compiler.rewrite.rules import KINDS, Rule
from symgrad_compiler.validate.compare import agree
from symgrad_compiler.validate.inputs import Arguments, arguments
from symgrad_compiler.validate.interpret import Array, Interpreter, new_states, undefined
from symgrad_compiler.validate.noise import MANY, Estimate, Estimates

#: Larger graphs are not evaluated: nodes, and elements of all their tensors (a symbolic size counted as 4)
#: with the products in matrix products, of which 16 count as one.
MAX_NODES = 2_000
MAX_WORK = 1_000_000


class Validator:
    """Holds the graph that a pipeline starts from, and arguments for it with all values computed.

    Each graph is verified (types, order, names). Unless the graph has more than 2,000 nodes or 1,000,000
    elements, it is also evaluated, on the NumPy forms of its ops, and compared with the one before.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> watch = Validator(sg.Graph([x], x + 0))
    >>> try:
    ...     watch.check("drop_zeros", sg.Graph([x], x), {})
    ... except CompileError as error:
    ...     print(error.what, "|", dict(error.facts)["before"], dict(error.facts)["after"])
    the pass drop_zeros changes the value of add | np.float64(0.0) np.float64(-0.0)
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sets: list[_Set] = []
        if _work(graph) <= MAX_WORK and len(graph.nodes) <= MAX_NODES:
            self.sets = [_Set(given, run) for given, run in arguments(graph)]

    def check(self, name: str, after: Graph, rules: Mapping[Rule, int], kind: str | None = None) -> None:
        """Hold the graph that a pass returned against the one before, which it then replaces.

        Args:
            name: of the pass.
            after: what it returned.
            rules: those that it applied, with counts: the loosest of their kinds is what is asked of the
                results,
                bits where none was applied.
            kind: what is asked instead, where the pass says so.

        Raises:
            CompileError: a result differs by more than that; the message names the pass, the rules, the
                result,
                both numbers and the arguments.
            GraphError: the graph is not well formed.
        """
        before, self.graph = self.graph, after
        if after is before:
            return
        after.verify()
        _check_types(name, before, after)
        kind = kind or max((r.kind for r in rules), key=KINDS.index, default="exact")
        for given in self.sets:
            given.check(_Step(name, kind, before, after, rules))


@record
class _Step:
    """A pass that was run."""

    name: str
    kind: str
    before: Graph
    after: Graph
    rules: Mapping[Rule, int]

    def results(self) -> list[Tensor]:
        """What the new graph gives for each result of the old one: its outputs, then its states' new
        values."""
        return [*self.after.outputs, *[self.after.updates.get(s, s) for s in self.before.states]]

    def result_name(self, i: int) -> str:
        """What the user calls result i."""
        outputs = len(self.before.outputs)
        if i < outputs:
            return self.before.output_names[i]
        return f"the update of {self.before.names[self.before.states[i - outputs]]}"


class _Set:
    """One set of arguments, and what graphs give for it."""

    def __init__(self, given: Arguments, run: Interpreter) -> None:
        self.given, self.run = given, run
        self.estimates = {k: Estimates(run, runs=RUNS, stable=k in ("stable", "fast")) for k in KINDS}

    def check(self, step: _Step) -> None:
        """Raise if the two graphs of a step disagree."""
        before = self.run(step.before)
        try:
            self.run(step.after)
        except (SymgradError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise self._fails(step, error) from error

        @cache
        def estimates(runs: int) -> list[Estimate]:
            return self.estimates[step.kind](step.before, runs)

        def estimate(i: int, runs: int) -> Estimate:
            return estimates(runs)[i]

        is_open = undefined(step.before, self.run.values)
        for i, (old, tensor) in enumerate(zip(before, step.results(), strict=True)):
            new = self.run.values[tensor]
            if old.shape != new.shape or old.dtype != new.dtype:
                raise self._differs(step, i, _type_of(old), _type_of(new), [])
            if is_open[i]:
                continue
            found = agree(
                step.kind,
                old,
                new,
                partial(estimate, i, RUNS),
                again=partial(estimate, i, MANY),
                ordinary=self.given.ordinary,
                moderate=self.given.moderate,
            )
            if found is not None:
                place = [("at", list(found.place))] if found.place else []
                allowed = [] if found.allowed is None else [("allowed difference", f"{found.allowed:.3g}")]
                raise self._differs(step, i, found.before, found.after, [*place, *allowed])

    def _differs(
        self, step: _Step, i: int, old: object, new: object, more: Sequence[tuple[str, object]]
    ) -> CompileError:
        tensor = [*step.before.outputs, *new_states(step.before)][i]
        facts = [("class", _CLASSES[step.kind]), *_rule_facts(step.rules), ("result", tensor.type)]
        return CompileError(
            f"the pass {step.name} changes the value of {step.result_name(i)}",
            facts=[*facts, *more, ("before", repr(old)), ("after", repr(new)), *self._arguments(step.before)],
            at=origin.locate(tensor.node.origins),
            hint="the pass is wrong, or does less than it says: see sg.explain(graph)",
        )

    def _fails(self, step: _Step, error: Exception) -> CompileError:
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return CompileError(
            f"the graph that the pass {step.name} returned fails, and the one before did not",
            facts=[*_rule_facts(step.rules), ("error", what), *self._arguments(step.before)],
        )

    def _arguments(self, graph: Graph) -> list[tuple[str, object]]:
        """The arguments, as far as they fit into a message."""
        sizes = [("sizes", ", ".join(f"{n} = {k}" for n, k in self.given.sizes.items()))]
        leaves = (*graph.inputs, *graph.states)
        values = [(graph.names[t], _in_a_line(self.given.values[t])) for t in leaves[:MAX_SHOWN]]
        return [*(sizes if self.given.sizes else []), *values]


#: Runs with noise: few, since both graphs are computed in the same way.
RUNS = 3
#: Arguments that a message shows.
MAX_SHOWN = 8

_CLASSES = {
    "exact": "exact, so the same bits",
    "rounding": "rounding, so the same but for roundings",
    "stable": "stable, so the same where that was accurate, and no new NaN",
    "fast": "fast, so the same but for roundings for ordinary arguments",
}


def _rule_facts(rules: Mapping[Rule, int]) -> list[tuple[str, object]]:
    if not rules:
        return [("rules", "none")]
    return [("rule", f"{r.name} ({r.kind}): {r.maths}") for r in rules]


def _type_of(value: Array) -> str:
    return f"{value.dtype}{list(value.shape)}"


def _in_a_line(value: Array) -> str:
    with numpy.printoptions(threshold=20, edgeitems=3, precision=17):
        return " ".join(repr(value).removeprefix("array(").removesuffix(")").split())


def _check_types(name: str, before: Graph, after: Graph) -> None:
    """Raise unless both graphs take the same arguments and give results of the same types."""
    if len(before.inputs) != len(after.inputs) or set(before.inputs) != set(after.inputs):
        raise CompileError(f"the pass {name} changes the inputs")
    old, new = ([t.type for t in g.outputs] for g in (before, after))
    if old != new:
        raise CompileError(
            f"the pass {name} changes the types of the outputs",
            facts=[("before", ", ".join(map(str, old))), ("after", ", ".join(map(str, new)))],
        )
    known = set(before.states)
    for state, value in after.updates.items():
        if state.type != value.type or state not in known:
            raise CompileError(f"the pass {name} updates {after.names[state]} with a tensor of another type")


def _work(graph: Graph) -> int:
    """Elements of all tensors of a graph, and products of matrix products."""
    total = 0
    for node in graph.nodes:
        for tensor in node.outputs:
            total += _count(tensor)
        if isinstance(node.op, MatMul):
            total += _count(node.outputs[0]) * _extent(node.inputs[0].shape[-1]) // 16
    return total


def _count(tensor: Tensor) -> int:
    return math.prod(_extent(d) for d in tensor.shape)


def _extent(dim: Dim) -> int:
    """A size, as far as it matters here: those of symbols are small."""
    return dim if isinstance(dim, int) else 4
