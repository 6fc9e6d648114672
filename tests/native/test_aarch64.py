"""Assembly for AArch64, which this machine need not have: no kernel fails, and vectors are NEON's."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest

from symgrad.ir.graph import Graph
from symgrad_compiler.backends.llvm.compile import Compilation
from symgrad_compiler.backends.llvm.entry import emit_entry
from symgrad_compiler.backends.llvm.target import Target, optimized
from symgrad_compiler.passes import default
from symgrad_compiler.passes.release import release
from tests.ops.samples import SAMPLES
from tests.ops.test_matrix import Plan

SYSTEMS = {
    "generic": Target("aarch64-unknown-linux-gnu", "generic", "+neon"),
    "neoverse-n1": Target("aarch64-unknown-linux-gnu", "neoverse-n1", "+neon"),
    "apple-m1": Target("arm64-apple-darwin", "apple-m1", "+neon"),
}
#: One op of so many is assembled in `make test`, all in a campaign.
FEW = 16
#: Arithmetic on vectors of floats in LLVM's text; registers of NEON as vectors of floats in assembly.
VECTORS = re.compile(r"= f(?:add|sub|mul|div) <\d+ x (?:double|float)>")
NEON = re.compile(r"\bv\d+\.(?:2d|[24]s)\b|\.(?:2d|[24]s)\s+v\d")


@pytest.fixture(autouse=True, scope="module")
def targets() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def assembled(text: str, system: str) -> str:
    """Assembly that is not empty, with NEON's instructions where LLVM's passes leave vectors of floats."""
    module, machine = optimized(text, SYSTEMS[system])
    left = str(module)
    code = str(machine.emit_assembly(module))
    assert "ret" in code
    if VECTORS.search(left):
        assert NEON.search(code), "vectors in LLVM's text, none in the assembly"
    return code


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "name",
    [n if i % FEW == 0 else pytest.param(n, marks=pytest.mark.campaign) for i, n in enumerate(SAMPLES)],
)
def test_samples(name: str, dtype: str) -> None:
    """Values, first and second derivatives, and vmap, of all samples of an op."""
    for number, sample in enumerate(SAMPLES[name]):
        plan = Plan(sample, number, dtype)
        graph = Graph(plan.inputs, [t for ts in plan.outputs.values() for t in ts])
        compilation = Compilation(release(graph), default, validate=False)
        compilation.target = SYSTEMS["neoverse-n1" if number % 2 else "generic"]
        assembled(compilation.text, "neoverse-n1" if number % 2 else "generic")


@pytest.mark.parametrize("system", SYSTEMS)
def test_entry(system: str) -> None:
    assembled(emit_entry(SYSTEMS[system].triple), system)


@pytest.mark.parametrize("system", SYSTEMS)
def test_vectors_of_functions(system: str) -> None:
    """exp of float64 runs two elements at a time."""
    plan = Plan(SAMPLES["exp"][0], 0, "float64")
    compilation = Compilation(release(Graph(plan.inputs, plan.outputs["value"])), default, validate=False)
    compilation.target = SYSTEMS[system]
    code = assembled(compilation.text, system)
    assert re.search(r"fmla(?:\.2d|\s+v\d+\.2d)", code)
