"""How many vectors run side by side in a kernel, and what its short end calls."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.tensor import Tensor
from symgrad_compiler import passes
from symgrad_compiler.backends.llvm.module import emit_module
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.target import LEVELS, Target, assembly, host
from symgrad_compiler.passes.pipeline import run
from symgrad_compiler.plan.fuse import make_plan

AVX512 = Machine(64, has_masks=True, has_fma=True, has_avx512=True)
AVX2 = Machine(32, has_masks=True, has_fma=True)
SSE2 = Machine(16, has_masks=False, has_fma=False)


def main_function(
    formula: Callable[[Tensor], Tensor],
    machine: Machine = AVX512,
    dtype: str = "float64",
    size: int | str = "n",
) -> str:
    """The kernel of an expression."""
    x = sg.vector("x", size=size, dtype=dtype)
    text = emit_module(make_plan(run(sg.Graph([x], formula(x), name="f"), passes.default)), machine)
    start = text.index("@step0.kernel.range(" if size == "n" else "@step0.kernel(")
    return text[start : text.index("\n}", start)]


@pytest.mark.parametrize(
    ("size", "stores"),
    [
        (8, ["8"]),
        (12, ["4"]),  # three times
        (20, ["4"]),
        (26, ["8", "masked 4"]),
        (29, ["8", "masked 8"]),
        (36, ["8", "4"]),
        (3, ["masked 4"]),
    ],
)
def test_known_sizes_have_short_ends(size: int, stores: list[str]) -> None:
    text = main_function(lambda x: x + 1, AVX2, size=size)
    found = re.findall(r"store <(\d+) x double>|@llvm.(masked).store.v(\d+)f64", text)
    assert [whole or f"masked {lanes}" for whole, _, lanes in found] == stores


@pytest.mark.parametrize("size", [5, 15, 16, 17, 33])
def test_few_turns_of_a_heavy_kernel_have_one_loop(size: int) -> None:
    def heavy(x: Tensor) -> Tensor:
        return sg.sin(x) * sg.cos(x) * sg.exp(x) * sg.log(x) * sg.tanh(x) * sg.atan(x)

    text = main_function(heavy, AVX2, size=size)
    stores = re.findall(r"store <(\d+) x double>|@llvm.masked.store.v(\d+)f64", text)
    assert len(stores) == (1 if size < 32 else 2)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8"])
def test_known_sizes_touch_nothing_beyond(dtype: str) -> None:
    for size in (*range(1, 21), 26, 29, 36, 61):
        x = sg.vector("x", size=size, dtype=dtype)
        f = sg.function([x], [x * x, sg.max(-x)])
        read, written, largest = (
            np.arange(1, size + 17).astype(dtype),
            np.full(size + 16, 77, dtype),
            np.empty((), dtype),
        )
        f.into([written[8:-8], largest], read[8:-8])
        assert (written[8:-8] == read[8:-8] ** 2).all()
        assert (written[:8] == 77).all()
        assert (written[-8:] == 77).all()
        assert largest == -9


@pytest.mark.parametrize(
    ("formula", "lanes"),
    [
        (lambda x: x + 1, 32),
        (lambda x: sg.exp(x) * x, 32),
        (sg.ndtr, 16),
        (sg.gelu, 16),
        (lambda x: sg.erf(x) * sg.exp(x) * sg.sin(x), 16),
        (lambda x: sg.erf(x) * sg.exp(x) * sg.sin(x) * sg.log(x), 32),
    ],
)
def test_tables_leave_room_for_two_vectors(formula: Callable[[Tensor], Tensor], lanes: int) -> None:
    stores = re.findall(r"store <(\d+) x double>", main_function(formula))
    assert {int(n) for n in stores} == {lanes}


@pytest.mark.parametrize(
    "formula", [sg.exp, sg.ndtr, lambda x: sg.erf(x) * sg.exp(x) * sg.sin(x) * sg.log(x)]
)
def test_avx2_has_two_vectors_side_by_side(formula: Callable[[Tensor], Tensor]) -> None:
    stores = re.findall(r"store <(\d+) x double>", main_function(formula, AVX2))
    assert {int(n) for n in stores} == {8}


@pytest.mark.parametrize("formula", [sg.erf, sg.tanh, sg.sigmoid, sg.ndtr, sg.gelu, sg.nn.silu])
def test_avx2_computes_float32_in_float32(formula: Callable[[Tensor], Tensor]) -> None:
    x = sg.vector("x", size="n", dtype="float32")
    text = emit_module(make_plan(run(sg.Graph([x], formula(x), name="f"), passes.default)), AVX2)
    assert " x double>" not in text


@pytest.mark.parametrize(("machine", "lanes"), [(AVX2, 8), (SSE2, 2)])
@pytest.mark.parametrize("formula", [sg.ndtr, sg.erfc])
def test_rows_are_looked_up_in_memory(
    formula: Callable[[Tensor], Tensor], machine: Machine, lanes: int
) -> None:
    x = sg.vector("x", size="n")
    text = emit_module(make_plan(run(sg.Graph([x], formula(x), name="f"), passes.default)), machine)
    assert text.count("@erfcx = internal constant") == 1
    assert text.count("load <2 x double>, ptr ") >= lanes * 5


@pytest.mark.parametrize("machine", [AVX512, AVX2, SSE2])
def test_a_single_number_is_looked_up_in_memory(machine: Machine) -> None:
    x = sg.scalar("x")
    text = emit_module(make_plan(run(sg.Graph([x], sg.erfc(x), name="f"), passes.default)), machine)
    assert text.count("@erfcx = internal constant") == 1


def test_avx2_divides_where_a_divisor_is_used_once() -> None:
    """There is no estimate of a reciprocal that would be worth its time."""

    def heavy(x: Tensor) -> Tensor:
        return sg.exp(x) * sg.sin(x) * sg.log(x) / (x + 2) + x / (x * x + 3)

    assert main_function(heavy, AVX2).count("@llvm.fma") < 5
    assert main_function(heavy, AVX512).count("@llvm.fma") > 5


def test_the_short_end_of_a_heavy_kernel_calls_its_functions() -> None:
    """They are compiled beside it then, while its main loop is."""

    def heavy(x: Tensor) -> Tensor:
        total = sg.tanh(x)
        for f in (sg.sin, sg.cos, sg.exp, sg.log1p, sg.atan, sg.log):
            total = total * f(x) + x
        return total

    calls = re.findall(r"@(\w+)\.f64x(\d+)\(.*\) (alwaysinline|noinline)", main_function(heavy))
    assert {how for _, lanes, how in calls if lanes == "32"} == {"alwaysinline"}
    assert {how for _, lanes, how in calls if lanes == "8"} == {"noinline"}
    rows = main_function(lambda x: sg.sum(heavy(sg.outer(x, x)), axis=1))
    assert "noinline" not in rows  # the end of a row is reached in each
    light = re.findall(r"@(\w+)\.f64x(\d+)\(.*\) (alwaysinline|noinline)", main_function(sg.exp))
    assert {how for _, _, how in light} == {"alwaysinline"}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="LLVM knows the host's kind of processor only")
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_what_a_selection_takes_is_loaded_whole(dtype: str) -> None:
    """Processors of AMD do not see loads with a mask coming."""
    host()  # makes LLVM know the processor
    x, g, h = (sg.vector(name, size=640, dtype=dtype) for name in "xgh")
    graph = sg.Graph([x, g, h], [sg.where(x > 1, g, 0), sg.sum(sg.where(x == 2, h, 0))], name="f")
    text = emit_module(make_plan(run(graph, passes.default)), AVX512)
    code = assembly(text, Target("x86_64-unknown-linux-gnu", "x86-64-v4", LEVELS["x86-64-v4"]))
    assert re.search(r"vmov\w+\t.*%zmm\d+ \{%k\d\}", code) is not None  # there are selections
    assert re.search(r"vmov\w+\t[^%]*\(%r.*\{%k", code) is None
