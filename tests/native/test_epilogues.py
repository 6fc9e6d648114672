"""Elementwise kernels that end a convolution: which are taken in, and that results are those of NumPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.conv import ConvInput

Build = Callable[[Tensor, Tensor, Tensor, Tensor], Any]


def conv(x: Tensor, w: Tensor) -> Tensor:
    return sg.conv2d(x, w, channels="last", padding=1)


#: What is built from x[n, 7, 9, c], w[3, 3, c, o], b[o] and r[n, 7, 9, o]; how many steps there are.
CASES: dict[str, tuple[Build, int]] = {
    "bias": (lambda x, w, b, r: conv(x, w) + b, 1),
    "bias and relu": (lambda x, w, b, r: sg.relu(conv(x, w) + b), 1),
    "residual": (lambda x, w, b, r: sg.relu(conv(x, w) * b + r), 1),
    "itself": (lambda x, w, b, r: conv(x, w) * conv(x, w), 1),
    "numbers": (lambda x, w, b, r: sg.minimum(conv(x, w) * 3 - 1, 2.5), 1),
    "a mask": (lambda x, w, b, r: sg.where(r > 0, conv(x, w), b), 1),
    "kept": (lambda x, w, b, r: [y := conv(x, w), sg.relu(y + b)], 1),
    "kept for another step": (
        lambda x, w, b, r: [sg.relu(y := conv(x, w)), sg.sum(sg.exp(y), axis=(1, 2))],
        2,
    ),
    "a float range": (lambda x, w, b, r: conv(x, w) + sg.arange(17, dtype=x.dtype), 2),
    "two results": (lambda x, w, b, r: [sg.relu(y := conv(x, w)), sg.abs(y + b)], 1),
    "two convolutions": (lambda x, w, b, r: sg.relu(conv(x, w) + conv(x, 2 * w)), 3),
    "reshaped": (lambda x, w, b, r: sg.relu(sg.reshape(conv(x, w), (-1, 7 * 9 * 17))), 1),
    "a costly function": (lambda x, w, b, r: sg.exp(conv(x, w)), 2),
    "a number for each column": (lambda x, w, b, r: conv(x, w) + r[0, 0, :, 0][:, None], 3),
    "another order": (lambda x, w, b, r: sg.permute_dims(conv(x, w), (0, 3, 1, 2)) + b[:, None, None], 2),
    "a sum": (lambda x, w, b, r: sg.sum(sg.relu(conv(x, w) + b)), 4),
    "some of it": (lambda x, w, b, r: conv(x, w)[:, 1:] * 2, 2),
    "integers": (lambda x, w, b, r: sg.astype(conv(x, w) > 0, "int8"), 2),
}


def operands(
    dtype: str, sizes: Sequence[int] = (3, 7, 9), channels: int = 5, features: int = 17
) -> tuple[list[Tensor], list[Any]]:
    rng = np.random.default_rng(1)
    shapes = {"x": (*sizes, channels), "w": (3, 3, channels, features)}
    shapes |= {"b": (features,), "r": (*sizes, features)}
    tensors = [
        sg.tensor(k, ("n", *s[1:]) if len(s) == 4 and k != "w" else s, dtype) for k, s in shapes.items()
    ]
    return tensors, [rng.standard_normal(s).astype(dtype) for s in shapes.values()]


def agree(tensors: list[Tensor], made: Any, arrays: list[Any], dtype: str) -> str:
    """Compare the backends; returns the plan."""
    native, plain = (
        sg.function(tensors, made, backend=b, on_unused_input="ignore") for b in ("llvm", "numpy")
    )
    for threads in (1, 2):
        sg.set_num_threads(threads)
        found, wanted = native(*arrays), plain(*arrays)
        pairs = zip(found, wanted, strict=True) if isinstance(made, list) else [(found, wanted)]
        for x, y in pairs:
            np.testing.assert_allclose(x, y, rtol=1e4 * np.finfo(dtype).eps, atol=200 * np.finfo(dtype).eps)
    return str(native.plan())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_cases(case: str, dtype: str) -> None:
    build, steps = CASES[case]
    tensors, arrays = operands(dtype)
    plan = agree(tensors, build(*tensors), arrays, dtype)
    assert f": {steps} steps" in plan, plan


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("features", [1, 2, 3])
@pytest.mark.parametrize("case", ["bias and relu", "residual", "a mask", "two results", "numbers"])
def test_behind_dot_products(case: str, features: int, dtype: str) -> None:
    tensors, arrays = operands(dtype, channels=32, features=features)
    plan = agree(tensors, CASES[case][0](*tensors), arrays, dtype)
    assert features == 1 or ": 1 steps" in plan, plan


@pytest.mark.parametrize("groups", [1, 5])
def test_of_the_gradient_for_the_input(groups: int) -> None:
    """Strided, with rows that no tap meets: the epilogue comes to them as well."""
    op = ConvInput("last", (3, 2), ((0, 0), (1, 1)), (1, 1), groups, "", (8, 9))
    g, w, b = (
        sg.tensor("g", ("n", 3, 5, 10)),
        sg.tensor("w", (2, 3, 15 // groups, 10)),
        sg.vector("b", size=15),
    )
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(s) for s in ((2, 3, 5, 10), (2, 3, 15 // groups, 10), (15,))]
    plan = agree([g, w, b], sg.relu(apply(op, g, w) + b), arrays, "float64")
    assert ": 1 steps" in plan, plan


def test_depthwise() -> None:
    x, w, b = sg.tensor("x", ("n", 9, 20, 19)), sg.tensor("w", (3, 3, 1, 19)), sg.vector("b", size=19)
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(s) for s in ((2, 9, 20, 19), (3, 3, 1, 19), (19,))]
    made = sg.relu(sg.conv2d(x, w, channels="last", groups=19, padding=1) + b)
    assert ": 1 steps" in agree([x, w, b], made, arrays, "float64")


def test_layers_share_their_code() -> None:
    """Equal convolutions with equal epilogues are one function; another epilogue is another."""
    shape = (3, 3, 4, 4)
    x, *ws = sg.tensor("x", (2, 9, 9, 4)), *[sg.tensor(f"w{i}", shape) for i in range(3)]
    y = sg.relu(conv(sg.relu(conv(x, ws[0]) + 1), ws[1]) + 1)
    f = sg.function([x, *ws], conv(y, ws[2]) + 2)
    text = f.code("llvm")
    assert sum(".convolution.forward(" in s for s in text.splitlines() if s.startswith("define")) == 2


def test_a_guarded_program_checks_each_tensor() -> None:
    x, w = sg.tensor("x", (2, 9, 9, 4)), sg.tensor("w", (3, 3, 4, 4))
    f = sg.function([x, w], sg.relu(conv(x, w)), nan_guard=True)
    images = np.ones((2, 9, 9, 4))
    f(images, np.ones((3, 3, 4, 4)))
    with pytest.raises(sg.ExecutionError, match="conv"):
        f(np.full((2, 9, 9, 4), 1e200), np.full((3, 3, 4, 4), 1e200))


def test_equal_layers_share_code_whatever_their_epilogue_is() -> None:
    x, w, v = sg.tensor("x", (2, 7, 9, 4), "float32"), *(sg.tensor(n, (3, 3, 4, 4), "float32") for n in "wv")

    def layer(x: Tensor, w: Tensor) -> Tensor:
        y = conv(x, w)
        return sg.astype(y > 0, "float32") * y

    text = sg.function([x, w, v], layer(layer(x, w), v), backend="llvm").code("llvm")
    assert len(re.findall(r"define .*\.convolution\.forward\(", text)) == 1
