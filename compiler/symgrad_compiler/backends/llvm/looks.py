"""What only somebody who looks into a program needs, in one place: a first call does not load it."""

from symgrad_compiler.backends.llvm.clock import Clocks
from symgrad_compiler.backends.llvm.profile import by_the_clock, pieces
from symgrad_compiler.backends.measure import Measured, runs
from symgrad_compiler.backends.numpy import compile_numpy
from symgrad_compiler.plan.describe import describe, nodes_of, step_title

__all__ = [
    "Clocks",
    "Measured",
    "by_the_clock",
    "compile_numpy",
    "describe",
    "nodes_of",
    "pieces",
    "runs",
    "step_title",
]
