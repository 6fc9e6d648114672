"""NumPy forms that write into the array of an operand give what they give into an array of their own.

The NumPy backend reuses arrays of operands that nothing reads any more, so every elementwise form must have
read what it needs of an operand before it writes there. Twice that was not so, which random graphs found.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from symgrad import registry
from symgrad.ops.evaluate import MODULES
from symgrad.ops.kinds import Elementwise
from symgrad.types import DTYPES
from tests.native.test_agreement import values

CASES = [
    (name, dtype)
    for name, op in registry.ops.items()
    if isinstance(op, Elementwise) and "{out}" in op.numpy
    for dtype in DTYPES.values()
    if dtype.kind in op.accepts and dtype.kind != "complex" and (name, dtype.kind) != ("pow", "int")
]


@pytest.mark.parametrize(("name", "dtype"), CASES, ids=str)
def test_into_an_operand(name: str, dtype: Any) -> None:
    op = registry.ops[name]
    kinds = [np.dtype(bool) if i < op.conditions else dtype.numpy for i in range(len(op.operands))]
    table = [np.append(values(k), np.array([-0.3, -1.7], k)) if k.kind == "f" else values(k) for k in kinds]
    arrays = [np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*table, indexing="ij")]
    special = importlib.import_module("symgrad_compiler.backends.special").special
    template = op.numpy.format(out="out", **{n: n for n in op.operands})
    function = eval(f"lambda {', '.join(op.operands)}, out: {template}", {**MODULES, "special": special})
    with np.errstate(all="ignore"):
        wanted = np.asarray(function(*arrays, None))
        for i, array in enumerate(arrays):
            if array.dtype == wanted.dtype:
                given = [a.copy() for a in arrays]
                found = function(*given, given[i])
                assert found is given[i]
                np.testing.assert_array_equal(found, wanted)
