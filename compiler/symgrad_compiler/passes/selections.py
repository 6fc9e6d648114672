"""Nested selections become one. Every rule here is exact."""

from __future__ import annotations

from symgrad.ir.graph import Graph
from symgrad.ops.compare import logical_and, logical_or
from symgrad.ops.select import maximum, relu, where
from symgrad_compiler.passes.canonicalize import RULES as CANONICAL
from symgrad_compiler.passes.moves import RULES as MOVES
from symgrad_compiler.passes.rewriting import Rewriting, applies
from symgrad_compiler.rewrite.pattern import var
from symgrad_compiler.rewrite.rules import Rule, rule

c, d, x, y, z = var("c"), var("d"), var("x"), var("y"), var("z")

RULES: list[Rule] = [
    rule(where(1, x, y), x, name="where_true"),
    rule(where(0, x, y), y, name="where_false"),
    rule(where(c, where(c, x, y), z), where(c, x, z), name="where_in_its_true_branch"),
    rule(where(c, x, where(c, y, z)), where(c, x, z), name="where_in_its_false_branch"),
    rule(where(c, x, where(d, x, y)), where(logical_or(c, d), x, y), name="where_either", unshared=True),
    rule(where(c, where(d, x, y), y), where(logical_and(c, d), x, y), name="where_both", unshared=True),
    # as both backends compute it; not before differentiation, which shares ties of a maximum
    rule(maximum(x, 0), relu(x), name="relu"),
]
NORMAL: list[Rule] = [*CANONICAL, *MOVES, *RULES]
_apply = Rewriting("merge_selections", RULES, normal=NORMAL)


@applies(_apply)
def merge_selections(graph: Graph) -> Graph:
    """Make one selection of nested ones."""
    return _apply(graph)
