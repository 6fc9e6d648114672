"""The scalar code of elementwise ops, run on arrays: what their native form means.

Types, values and derivatives of all ops are in test_matrix.py.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.special

import symgrad as sg
from symgrad import registry
from symgrad.ops import numeric
from symgrad.ops.kinds import Elementwise
from tests.ops.samples import SAMPLES


class NumPyBuilder:
    """The scalar builder protocol on arrays: what an op's native code means."""

    def constant(self, value: float, like: Any) -> Any:
        return np.asarray(like).dtype.type(value)

    def select(self, condition: Any, x: Any, y: Any) -> Any:
        return np.where(condition, x, y)

    def call(self, function: str, *operands: Any) -> Any:
        return (
            getattr(np, function, None)(*operands) if hasattr(np, function) else SPECIAL[function](*operands)
        )

    def astype(self, x: Any, dtype: str) -> Any:
        return np.asarray(x).astype(dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


SPECIAL = {
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(x, 0),
    "erf": scipy.special.erf,
    "erfinv": scipy.special.erfinv,
    "complex": numeric.complex_,
    **{
        n: getattr(numeric, n)
        for n in ("gaussian", "erfc", "ndtr", "log_ndtr", "gammaln", "digamma", "xlogx_derivative")
    },
    **{n: getattr(numeric, n) for n in ("inverse_mills", "inverse_mills_derivative")},
    **{
        n + end: getattr(numeric, n + end)
        for n in ("silu", "gelu", "gelu_tanh")
        for end in ("", "_derivative")
    },
}
ELEMENTWISE = [n for n, op in registry.ops.items() if isinstance(op, Elementwise)]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_scalar_code_agrees(name: str) -> None:
    op = registry.ops[name]
    for sample in SAMPLES[name]:
        if len(sample.operands) != len(op.operands):
            continue
        with np.errstate(all="ignore"):
            native = op.scalar(NumPyBuilder(), *sample.operands)
        xs = [sg.tensor(f"x{i}", a.shape, a.dtype) for i, a in enumerate(sample.operands)]
        value = op(*xs).eval(dict(zip(xs, sample.operands, strict=True)))
        np.testing.assert_allclose(native, value, rtol=1e-14, atol=0)


def test_elementwise_ops_are_pickled_by_name() -> None:
    text = pickle.dumps(sg.sin)
    assert pickle.loads(text) is sg.sin
    assert len(text) < 200
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, check=True)
    assert done.stdout.strip() == b"<op sin>"
    with pytest.raises(sg.GraphError, match="import the module that declares it"):
        pickle.loads(text.replace(b"\x03sin", b"\x03sun"))
