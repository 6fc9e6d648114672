"""A pass that applies rules: what a table of rules becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from symgrad.errors import CompileError
from symgrad.ir.graph import Graph
from symgrad.lazy import cached_property
from symgrad_compiler.passes.pipeline import Pass, replace_results
from symgrad_compiler.rewrite.engine import index, rewrite
from symgrad_compiler.rewrite.rules import Rule


def applies(rewriting: Rewriting) -> Callable[[Pass], Pass]:
    """Decorator of a pass that applies a table: its rules become the function's attribute `rules`."""

    def decorate(step: Pass) -> Pass:
        step.__dict__["rules"] = rewriting.rules
        return step

    return decorate


def rules_of(step: Pass) -> tuple[Rule, ...]:
    """The rules of a pass; none for one that is not made of rules.

    >>> import symgrad as sg
    >>> rules_of(sg.passes.stabilize)[0].name, rules_of(sg.passes.merge)
    ('log_of_moved', ())
    """
    rules: tuple[Rule, ...] = getattr(step, "rules", ())
    return rules


class Rewriting:
    """The pass that applies `rules`, in the order given, until none applies. (What `function_rule` makes, a
    list of rules, counts as they do.)

    Where graphs come in a normal form of other rules, `normal`, what changes is brought into that form again.

    >>> import symgrad as sg
    >>> x = sg.rewrite.var("x")
    >>> halve = sg.rewrite.rule(sg.sin(x) * sg.cos(x), sg.sin(2 * x) / 2, kind="rounding")
    >>> double_angles = sg.passes.Rewriting("double_angles", [halve])
    >>> t = sg.scalar("t")
    >>> g = sg.optimize(sg.Graph([t], sg.sin(t) * sg.cos(t)), [double_angles])
    >>> g.stats()["ops"]
    {'divide': 1, 'fill': 2, 'multiply': 1, 'sin': 1}
    """

    def __init__(self, name: str, rules: Iterable[Rule], normal: Iterable[Rule] = ()) -> None:
        self.__name__ = name
        self.rules = _flat(name, rules)
        self.normal = _flat(name, normal)
        self.__doc__ = f"Apply {len(self.rules)} rule{'s' * (len(self.rules) != 1)}."

    @cached_property
    def _tables(self) -> tuple[dict[Any, list[Rule]], dict[Any, list[Rule]]]:
        table = index(self.rules)
        return (index([*self.rules, *self.normal]) if self.normal else table), table

    def __call__(self, graph: Graph) -> Graph:
        every, first = self._tables
        results = (*graph.outputs, *graph.updates.values())
        return replace_results(graph, rewrite(graph.nodes, every, unchanged=first, results=results))

    def __repr__(self) -> str:
        return f"<pass {self.__name__}: {len(self.rules)} rules>"


def _flat(name: str, rules: Any) -> tuple[Rule, ...]:
    """Rules, and lists of rules, as one tuple."""
    found: list[Rule] = []
    for item in rules if isinstance(rules, Iterable) else (rules,):
        found += item if isinstance(item, (list, tuple)) else (item,)
    for item in found:
        if not (hasattr(item, "key") and hasattr(item, "apply")):
            raise CompileError(
                f"the pass {name} takes rules, not a {type(item).__name__}",
                hint="sg.rewrite.rule(pattern, replacement) makes one, so does sg.rewrite.function_rule",
            )
    return tuple(found)
