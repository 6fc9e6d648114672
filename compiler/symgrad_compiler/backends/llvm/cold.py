"""What only a start without the cache needs, in one place, so that a warm start does not load it."""

from symgrad_compiler.backends.llvm.callbacks import Callbacks
from symgrad_compiler.backends.llvm.clock import Clocks
from symgrad_compiler.backends.llvm.entry import emit_entry
from symgrad_compiler.backends.llvm.module import emit_module
from symgrad_compiler.backends.llvm.profile import pieces
from symgrad_compiler.plan.describe import describe, nodes_of, step_title
from symgrad_compiler.plan.fuse import make_plan

__all__ = [
    "Callbacks",
    "Clocks",
    "describe",
    "emit_entry",
    "emit_module",
    "make_plan",
    "nodes_of",
    "pieces",
    "step_title",
]
