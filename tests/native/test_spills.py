"""Values that find no register."""

from __future__ import annotations

import re

import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor

SPILL = re.compile(r"\tv(mov\w+)\t(?:%[yz]mm\d+, -?\d*\(%r[sb]p\)|-?\d*\(%r[sb]p\), %[yz]mm\d+)$")


def normal(z: Tensor) -> Tensor:
    return 0.5 * (1 + sg.erf(z))


def test_vectors_are_spilled_to_aligned_memory() -> None:
    """Across lines of the cache, they cost a kernel of this size some 5 %."""
    S, K, T, r, v = xs = [sg.vector(name, size="n") for name in "SKTrv"]
    d = (sg.log(S / K) + (r + v * v / 2) * T) / (v * sg.sqrt(T))
    price = sg.sum(S * normal(d) - K * sg.exp(-r * T) * normal(d - v * sg.sqrt(T)))
    f = sg.function(xs, [price, *sg.grad(price, [S, T, r, v])])
    spills = [found[1] for line in f.code("asm").splitlines() if (found := SPILL.match(line))]
    if len(spills) < 10:
        pytest.skip("this processor's vectors are not longer than what every stack is aligned to")
    assert not [name for name in spills if name.startswith("movu")]
