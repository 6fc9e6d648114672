"""A plan that fits into a budget of memory: what is computed again is chosen by trying plans.

Choices of `recompute` are planned, and the one that repeats the fewest operations among those that fit is
taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

from symgrad.dims import Dim, Size, maximum
from symgrad.errors import CompileError
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor
from symgrad.records import record
from symgrad_compiler.plan.arena import Arena, nominal
from symgrad_compiler.plan.recompute import Choice, Recomputation, operations

#: Bytes that a repeated operation must save where it is not repeated at any price.
PRICES = (0.5, 0.0)
#: How often what was computed again is divided further, where the budget asks for it.
ROUNDS = 3


@record
class Memory:
    """The arena of a function, in bytes, and its operations: as planned, and without a budget."""

    peak: Dim
    unlimited_peak: Dim
    flops: Dim
    unlimited_flops: Dim
    #: The most that is live at once: no packing could be smaller.
    lower_bound: Dim
    budget: int | None = None

    @classmethod
    def of(cls, graph: Graph, arena: Arena) -> Memory:
        """That of a graph that is planned without a budget."""
        flops = flops_of(graph)
        return cls(arena.total, arena.total, flops, flops, reduce(maximum, arena.live))

    def __str__(self) -> str:
        said = f"arena {self.peak} bytes, flops {self.flops}"
        if self.budget is None:
            return said
        before = f"{self.unlimited_peak} bytes and {self.unlimited_flops} flops"
        return f"budget {self.budget} bytes: {said}; without a budget {before}"


def within(graph: Graph, budget: int, plan: Callable[[Graph], Arena]) -> tuple[Graph, Memory]:
    """The graph, changed so that its plan fits into the budget with few more operations.

    Raises:
        CompileError: the sizes are not fixed; or nothing that was tried fits.
    """
    _require_fixed_sizes(graph)
    unlimited = best = _Candidate.of(graph, plan)
    for _ in range(ROUNDS):
        if best.peak <= budget:
            break
        found = _choose(best.graph, budget, plan)
        if found is None or found.peak >= best.peak:
            break
        best = found
    if best.peak <= budget:
        memory = Memory(best.peak, unlimited.peak, best.flops, unlimited.flops, best.live, budget)
        return best.graph, memory
    raise CompileError(
        f"{graph.name} does not fit into memory_budget={budget}",
        facts=[("smallest found", f"{best.peak} bytes"), ("without a budget", f"{unlimited.peak} bytes")],
        hint="inputs, results and state do not count; a smaller batch makes intermediate results smaller",
    )


def flops_of(graph: Graph) -> Dim:
    """About how many simple operations a graph takes."""
    total: Dim = 0
    for node in graph.nodes:
        total = total + operations(node)
    return total


@record
class _Candidate:
    graph: Graph
    peak: int
    live: int
    flops: int

    @classmethod
    def of(cls, graph: Graph, plan: Callable[[Graph], Arena]) -> _Candidate:
        arena = plan(graph)
        return cls(graph, arena.bytes({}), arena.lower_bound({}), nominal(flops_of(graph)))


def _choose(graph: Graph, budget: int, plan: Callable[[Graph], Arena]) -> _Candidate | None:
    """The graph with the fewest operations among those that fit; else the one with the lowest peak."""
    r = Recomputation(graph)
    tried: dict[frozenset[Tensor], _Candidate] = {}

    def fits(choice: Choice) -> bool:
        kept = frozenset(r.kept(choice))
        if kept not in tried:
            rebuilt = r.rebuilt(kept)
            flops = nominal(flops_of(rebuilt))
            if any(c.peak <= budget and c.flops <= flops for c in tried.values()):
                return True  # or not: it is of no use, but one that repeats less may be
            tried[kept] = _Candidate.of(rebuilt, plan)
        return tried[kept].peak <= budget

    for price in PRICES:
        for segments in _counts(len(r.wanted)):
            low, high = 0, segments if price else segments - 1
            if not high or not fits(Choice(segments, high, price)):
                continue
            while high - low > 1:  # it fits with `high`, not with `low`
                middle = (low + high) // 2
                if fits(Choice(segments, middle, price)):
                    high = middle
                else:
                    low = middle
    fitting = [c for c in tried.values() if c.peak <= budget]
    if fitting:
        return min(fitting, key=lambda c: (c.flops, c.peak))
    return min(tried.values(), key=lambda c: c.peak, default=None)


def _counts(most: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 11, 16, ...: numbers of segments."""
    count = 1.0
    seen = 0
    while round(count) <= max(1, most):
        if round(count) != seen:
            seen = round(count)
            yield seen
        count *= 2**0.5


def _require_fixed_sizes(graph: Graph) -> None:
    for tensor in graph.inputs:
        if any(isinstance(d, Size) for d in tensor.shape):
            raise CompileError(
                "memory_budget needs fixed sizes",
                facts=[(graph.names[tensor], tensor.type)],
                hint="give the input's shape as numbers",
            )
