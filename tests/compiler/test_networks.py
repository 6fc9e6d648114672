"""The five networks: no pass makes them larger, stated exceptions apart, and passes keep their values."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from tests.compiler.networks import NETWORKS, Network

#: Passes that may leave more nodes than they found, and by how many parts of a hundred.
MAY_GROW: dict[tuple[str, str], int] = {}


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest) -> tuple[str, Network]:
    return request.param, NETWORKS[request.param](4)


def test_no_pass_makes_them_larger(case: tuple[str, Network]) -> None:
    name, network = case
    told = sg.explain(network.graph)
    grown = {
        (name, p.name): f"{p.before} -> {p.after}"
        for p in told.passes
        if p.after > p.before * (1 + MAY_GROW.get((name, p.name), 0) / 100)
    }
    assert not grown
    assert told.passes[-1].after < len(network.graph.nodes)


def test_optimised_and_plain_agree(case: tuple[str, Network], backend: str) -> None:
    _, network = case
    plain = network.compile("numpy", passes=())(*network.arguments)
    tuned = network.compile(backend)(*network.arguments)
    for name, old, new in zip(network.graph.output_names, plain, tuned, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-11, atol=1e-12 * np.abs(old).max(), err_msg=name)
