"""What each start without the cache needs, in one place: a warm start does not load it. (What only some need
is loaded where they do: the entry's code, the code of products and convolutions, call-backs.)"""

from symgrad_compiler.backends.llvm.module import emit_module
from symgrad_compiler.plan.fuse import make_plan
from symgrad_compiler.plan.sizes import size_checks

__all__ = ["emit_module", "make_plan", "size_checks"]
