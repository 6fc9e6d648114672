"""Running and watching the optimizer by hand."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.api.compile import Function
from symgrad.ir.graph import Graph, require_graph
from symgrad_compiler import passes as pipeline
from symgrad_compiler.explain import Explanation, explain_passes
from symgrad_compiler.passes.checks import as_passes
from symgrad_compiler.passes.pipeline import Pass


def optimize(graph: Graph, passes: Sequence[Pass] | None = None) -> Graph:
    """The graph after the passes (`symgrad.passes.default` unless given).

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> g = sg.Graph([x], sg.log(1 + sg.exp(x)))
    >>> sg.optimize(g).stats()["ops"]
    {'softplus': 1}
    """
    require_graph(graph, "optimize")
    return pipeline.run(graph, pipeline.default if passes is None else as_passes(passes))


def explain(
    target: Graph | Function, passes: Sequence[Pass] | None = None, *, full: bool = False
) -> Explanation:
    """What each pass does to a graph, or did to a compiled function's, as text differences with counts.

    For each pass: nodes before and after, ops that came and went, nodes that were merged, the rules that
    were applied (how often, their class, their maths), the time, and the lines that changed. Names do not
    shift between the passes: what a pass leaves or replaces keeps its name.

    Args:
        target: a graph, or a function, of which this shows the passes that it was compiled with and the ops
            that its native code calls back into NumPy for.
        passes: the passes to run; by default those of the function, or `symgrad.passes.default`.
        full: show long differences to their end.

    Returns:
        an `Explanation`: print it, look into it with `in`, or take the records from `.passes`.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> told = sg.explain(sg.Graph([x], sg.log(1 + sg.exp(x)).named("y")))
    >>> print(next(p for p in told.passes if p.name == "stabilize").text(times=False))
    stabilize: 4 -> 1 nodes
      ops: -1 add, -1 exp, -1 fill, -1 log, +1 softplus
      rules:
           1 × softplus  stable    log(1 + exp(x)) = softplus(x)
      - exp: f64[3] = exp(x)
      - add: f64[3] = add(1.0, exp)
      - y: f64[3] = log(add)
      + y: f64[3] = softplus(x)                                               # by rule softplus
    """
    if not isinstance(target, Function):
        require_graph(target, "explain")
        return explain_passes(target, pipeline.default if passes is None else as_passes(passes), full=full)
    if passes is not None:
        return explain_passes(target.graph, as_passes(passes), full=full)
    compiled = target._compiled
    return explain_passes(target.graph, compiled.passes, compiled.notes(), full)
