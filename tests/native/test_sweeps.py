"""How far the elementary functions are from the exact value: every float32, many float64, limits.

A strided part of what `make campaign` runs in full is part of `make test`. One function: `-k "float32 and
exp"`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.native.sweep import HAS_REFERENCES, REFERENCES, Sweep

pytestmark = pytest.mark.skipif(not HAS_REFERENCES, reason="needs glibc's functions of 80-bit floats")

#: Every bit pattern of float32 in a campaign; of the other functions one of so many.
EVERY = ("exp", "log", "tanh", "sigmoid", "sin", "cos", "erf", "log1p", "expm1")
STRIDE = 4099
PAIRS = ("atan2", "hypot", "logaddexp", "pow")
SINGLE = [name for name in REFERENCES if name not in (*PAIRS, "softplus")]
PART = 1 << 22


def float32s(stride: int) -> Iterator[np.ndarray]:
    """Every `stride`-th float32, in parts."""
    for start in range(0, 1 << 32, PART * stride):
        bits = np.arange(start, min(start + PART * stride, 1 << 32), stride, dtype=np.uint64)
        yield bits.astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("name", "stride"),
    [(name, STRIDE) for name in SINGLE]
    + [
        pytest.param(name, 1 if name in EVERY else 31, marks=[pytest.mark.campaign, pytest.mark.slow])
        for name in SINGLE
    ],
)
def test_float32(name: str, stride: int, report: Callable[..., None]) -> None:
    sweep = Sweep(name, "f32", FLOORS.get(name, NO_FLOOR))
    for x in float32s(stride):
        sweep.add(x)
    report(f"float32 {name}, every {stride}: {sweep.errors}")
    assert sweep.errors.error <= 1, sweep.errors
    assert not sweep.errors.wrong, sweep.errors


NO_FLOOR = -(1 << 14)
FLOORS: dict[str, int] = {}
