"""What only a start without the cache needs, in one place, so that a warm start does not load it."""

from symgrad_compiler.backends.llvm.callbacks import Callbacks
from symgrad_compiler.backends.llvm.contract.emit import emit_products
from symgrad_compiler.backends.llvm.entry import emit_entry
from symgrad_compiler.backends.llvm.module import emit_module
from symgrad_compiler.plan.describe import describe
from symgrad_compiler.plan.fuse import make_plan

__all__ = ["Callbacks", "describe", "emit_entry", "emit_module", "emit_products", "make_plan"]
