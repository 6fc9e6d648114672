"""The walk through the compiler in docs/architecture.md shows what the compiler really prints."""

from __future__ import annotations

import inspect
import platform
import re
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

import symgrad as sg
from symgrad.ops import transcendental
from symgrad_compiler import passes
from symgrad_compiler.backends.llvm.module import emit_module
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.target import LEVELS, Target, assembly, host
from symgrad_compiler.passes.pipeline import run
from symgrad_compiler.plan.describe import describe
from symgrad_compiler.plan.fuse import make_plan

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
#: The version of LLVM whose assembly the page shows.
LLVM = 22
#: AVX2: vectors of 32 bytes, masks, fused multiply-add.
AVX2 = Machine(32, has_masks=True, has_fma=True)


def without_origins(graph: sg.Graph) -> str:
    return re.sub(r" +@ .*", "", str(graph))


def function(text: str, name: str) -> str:
    """One function of an LLVM module."""
    start = re.search(rf"^define .*@{re.escape(name)}\(", text, re.M)
    assert start is not None
    return text[start.start() : text.index("\n}", start.start()) + 2]


def declaration() -> str:
    source = inspect.getsource(transcendental)
    start = source.index("tanh: Elementwise")
    return re.sub(r"^ {4,}", "    ", source[start : source.index("\n\n", start)], flags=re.M)


def tanh_graph() -> sg.Graph:
    x = sg.vector("x", size="n")
    return sg.Graph([x], sg.tanh(x).named("y"), name="f")


def tanh_module() -> str:
    return emit_module(make_plan(tanh_graph()), AVX2)


def tanh_kernel() -> str:
    """The main loop; what follows is the same with masks."""
    text = function(tanh_module(), "step0.kernel.range")
    return text[: text.index("\nb22:")] + "\n  ..."


def tanh_maths() -> str:
    lines = function(tanh_module(), "tanh.f64x8").split("\n")
    return "\n".join([*lines[:14], "  ...", *lines[-6:]])


def tanh_assembly() -> str:
    """From the division to the end of the main loop."""
    host()  # makes LLVM know the processor
    target = Target("x86_64-unknown-linux-gnu", "x86-64-v3", LEVELS["x86-64-v3"])
    lines = function_assembly(assembly(tanh_module(), target), "step0.kernel.range")
    first = next(i for i, line in enumerate(lines) if "vdivpd" in line)
    last = next(i for i, line in enumerate(lines) if i > first and re.search(r"\sj\w+\s", line))
    return "\n".join(line.expandtabs(8) for line in lines[first : last + 1])


def function_assembly(text: str, name: str) -> list[str]:
    lines = text.split("\n")
    start = lines.index(f"{name}:") if f"{name}:" in lines else lines.index(f'"{name}":')
    return lines[start:]


def gradient() -> str:
    x = sg.vector("x", size="n")
    y = sg.tanh(x).named("y")
    g = sg.Graph([x], sg.grad(sg.sum(y), x), name="f")
    return without_origins(run(g, passes.default))


def step_graph() -> sg.Graph:
    x, y = sg.matrix("x", shape=("n", 3)), sg.vector("y", size="n")
    w = sg.shared(np.zeros(3), "w")
    loss = sg.mean((sg.tanh(x @ w) - y) ** 2).named("loss")
    return sg.Graph([x, y], loss, {w: w - 0.1 * sg.grad(loss, w)}, name="step")


def step_module() -> str:
    return emit_module(make_plan(run(step_graph(), passes.default)), AVX2)


STAGES: dict[str, Callable[[], str]] = {
    "tanh declaration": declaration,
    "tanh gradient": gradient,
    "tanh plan": lambda: describe(make_plan(tanh_graph())),
    "tanh kernel": tanh_kernel,
    "tanh maths": tanh_maths,
    "tanh assembly": tanh_assembly,
    "step graph": lambda: without_origins(step_graph()),
    "step optimised": lambda: without_origins(run(step_graph(), passes.default)),
    "step plan": lambda: describe(make_plan(run(step_graph(), passes.default))),
    "step program": lambda: function(step_module(), "part0"),
    "step layout": lambda: function(step_module(), "layout"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_page_shows_what_is_printed(stage: str, request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {stage} -->\n```\w*\n)(.*?)(\n```\n)", re.S)
    found = pattern.search(page)
    assert found is not None, f"docs/architecture.md has no block for {stage!r}"
    if stage == "tanh assembly" and (platform.machine() != "x86_64" or llvm.llvm_version_info[0] != LLVM):
        pytest.skip(f"the page shows what LLVM {LLVM} does on x86-64")
    text = STAGES[stage]()
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page[: found.start(2)] + text + page[found.end(2) :], encoding="utf-8")
    else:
        assert found[2] == text, "run pytest with --update-golden, and read the difference"
