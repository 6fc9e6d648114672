"""The five networks: no pass makes them larger, stated exceptions apart, and passes keep their values."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from symgrad.ops.create import Constant, Fill, SizeOf
from tests.compiler.networks import NETWORKS, Network


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[str, Network]:
    return request.param, NETWORKS[request.param](4)


def work(graph: sg.Graph) -> int:
    """The nodes that compute: not those that are layouts of others, or numbers."""
    return sum(
        not (isinstance(n.op, (Fill, Constant, SizeOf)) or getattr(n.op, "strided", None) is not None)
        for n in graph.nodes
    )


def test_no_pass_makes_them_larger(case: tuple[str, Network]) -> None:
    """Reshapes, permutations and broadcasts may come in, where they let a product serve a whole batch."""
    _, network = case
    told = sg.explain(network.graph)
    graphs = [network.graph, *(p.graph for p in told.passes)]
    grown = {
        p.name: f"{work(old)} -> {work(new)}"
        for p, old, new in zip(told.passes, graphs, graphs[1:], strict=False)
        if work(new) > work(old)
    }
    assert not grown
    assert told.passes[-1].after < len(network.graph.nodes)


def test_optimised_and_plain_agree(case: tuple[str, Network], backend: str) -> None:
    _, network = case
    plain = network.compile("numpy", passes=())(*network.arguments)
    tuned = network.compile(backend)(*network.arguments)
    for name, old, new in zip(network.graph.output_names, plain, tuned, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-11, atol=1e-12 * np.abs(old).max(), err_msg=name)
