"""Random graphs, optimised against as written, on both backends: no digit that counts changes, no NaN comes
in.

In CI form some dozens of graphs; as a campaign, 5,000 graphs with every op among them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import registry
from symgrad.ir.graph import Graph
from tests.agreement import PROGRAMS, disagreements
from tests.graphs import FUNCTIONS, PAIRS, graphs
from tests.ops.samples_linalg import LINALG

SEEDS = st.integers(0, 2**16)
#: Arguments on which each graph runs.
SETS = 3


@settings(max_examples=60)
@given(graphs(), SEEDS)
def test_programs_agree(graph: Graph, seed: int) -> None:
    for wrong in disagreements(graph, SETS, seed):
        pytest.fail(wrong)


@pytest.mark.parametrize("f", FUNCTIONS + PAIRS)
def test_every_function_of_the_generator_fits_something(f: Any) -> None:
    """The generator drops what does not fit, so that a mistake in its tables would go unseen."""
    a, b = sg.tensor("a", (4, 4)), sg.tensor("b", (4, 4), "int64")
    made = []
    for operands in ((a,), (a, a), (a, b)):
        try:
            made.append(f(*operands))
        except (sg.SymgradError, TypeError):
            continue
    assert made


def test_a_choice_among_bools_into_the_memory_of_its_condition() -> None:
    """Found by the campaign: the NumPy backend reused the condition's array, and overwrote it first."""
    a = sg.tensor("a", (4, 4), "bool")
    f = sg.function([a], sg.reshape(sg.tril(a), (16,)), backend="numpy")
    np.testing.assert_array_equal(f(np.ones((4, 4), bool)), np.tri(4, dtype=bool).ravel())


def test_twice_one_over_a_number_whose_reciprocal_overflows() -> None:
    """Found by the campaign: 1 / (1 / 5e-324) = 0, and 5e-324 after the passes: better, not only rounded."""
    x = sg.scalar("x")
    for y in ((x**-1) ** -1, 2.0 / (1 / x), 0.5 * (1 / x)):
        assert not list(disagreements(sg.Graph([x], [y]), SETS, seed=0))


def test_constants_that_fail_do_so_in_a_call() -> None:
    """Found by the campaign: to fold a power of integers to a negative one was an error of compiling."""
    e = sg.arange(3) - 2
    graph = sg.Graph([x := sg.vector("x", size=3)], [e**e, x + 1])
    assert not list(disagreements(graph, SETS, seed=0))
    for backend in ("llvm", "numpy"):
        with pytest.raises(sg.ExecutionError, match="negative integer powers"):
            sg.function([x], [e**e, x + 1], backend=backend)(np.ones(3))


class Coverage:
    """Counts the graphs that each op is in."""

    def __init__(self) -> None:
        self.graphs, self.nodes = 0, 0
        self.by_op: Counter[str] = Counter()
        self.start = time.perf_counter()

    def add(self, graph: Graph) -> None:
        self.graphs += 1
        self.nodes += len(graph.nodes)
        self.by_op.update({n.op.name for n in graph.nodes})

    def missing(self) -> list[str]:
        return sorted(set(registry.ops) - set(self.by_op) - set(LINALG))

    def lines(self) -> Iterator[str]:
        """The table, in columns, with what it took."""
        seconds = time.perf_counter() - self.start
        size = f"{self.graphs} graphs, {self.nodes} nodes"
        yield f"{size}, each on {SETS} sets of arguments in {len(PROGRAMS)} programs, in {seconds:.0f} s"
        yield "graphs that hold each op:"
        cells = [f"{name:24}{self.by_op[name]:5}" for name in sorted(registry.ops)]
        rows = -(-len(cells) // 4)
        for i in range(rows):
            yield "   ".join(cells[i::rows]).rstrip()


@pytest.mark.campaign
def test_campaign(report: Any) -> None:
    """5,000 graphs (or as many as the profile says), each on 3 sets of arguments, two backends, with and
    without the pipeline; the report says how often each op came in, and an op that never did is a failure."""
    coverage = Coverage()

    @given(graphs(max_nodes=30), SEEDS)
    def search(graph: Graph, seed: int) -> None:
        coverage.add(graph)
        for wrong in disagreements(graph, SETS, seed):
            pytest.fail(wrong)

    try:
        search()
    finally:
        report(*coverage.lines())
    assert not coverage.missing()
