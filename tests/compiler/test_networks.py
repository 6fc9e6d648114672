"""The five networks: no pass makes them larger, stated exceptions apart, and passes keep their values."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from symgrad_compiler.plan.budget import flops_of
from tests.compiler.networks import NETWORKS, Network


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[str, Network]:
    return request.param, NETWORKS[request.param](4)


def test_no_pass_makes_work(case: tuple[str, Network]) -> None:
    """Nodes may come in, layouts above all, where a product then serves a whole batch; operations may not,
    but for stable forms, and in the end there are no more."""
    _, network = case
    told = sg.explain(network.graph)
    flops = [flops_of(g) for g in (network.graph, *(p.graph for p in told.passes))]
    grown = {
        p.name: f"{old} -> {new}"
        for p, old, new in zip(told.passes, flops, flops[1:], strict=False)
        if p.name != "stabilize" and new > old  # type: ignore[operator]
    }
    assert not grown
    assert flops[-1] <= flops[0]  # type: ignore[operator]
    assert told.passes[-1].after < len(network.graph.nodes)


def test_optimised_and_plain_agree(case: tuple[str, Network], backend: str) -> None:
    _, network = case
    plain = network.compile("numpy", passes=())(*network.arguments)
    tuned = network.compile(backend)(*network.arguments)
    for name, old, new in zip(network.graph.output_names, plain, tuned, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-11, atol=1e-12 * np.abs(old).max(), err_msg=name)
