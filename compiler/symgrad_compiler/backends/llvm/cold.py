"""What only a start without the cache needs, or somebody who looks in, in one place: a warm start does not
load it."""

from symgrad_compiler.backends.llvm.callbacks import Callbacks
from symgrad_compiler.backends.llvm.clock import Clocks
from symgrad_compiler.backends.llvm.contract.emit import emit_products
from symgrad_compiler.backends.llvm.entry import emit_entry
from symgrad_compiler.backends.llvm.module import emit_module
from symgrad_compiler.backends.llvm.profile import by_the_clock, pieces
from symgrad_compiler.backends.measure import Measured, runs
from symgrad_compiler.backends.numpy import compile_numpy
from symgrad_compiler.plan.describe import describe, nodes_of, step_title
from symgrad_compiler.plan.fuse import make_plan
from symgrad_compiler.plan.sizes import size_checks

__all__ = [
    "Callbacks",
    "Clocks",
    "Measured",
    "by_the_clock",
    "compile_numpy",
    "describe",
    "emit_entry",
    "emit_module",
    "emit_products",
    "make_plan",
    "nodes_of",
    "pieces",
    "runs",
    "size_checks",
    "step_title",
]
