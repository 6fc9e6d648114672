"""The passes: pure functions Graph -> Graph, one file each, and the pipeline, a tuple of them.

    merge           common subexpressions (commutative operands too)             exact
    fold_constants  what depends on nothing is computed now                      exact
    canonicalize    one form for things that can be said in several ways         exact
    stabilize       the stable form of what is naively written                   stable
    simplify        shorter forms of the same mathematics                        rounding
    eliminate       updates that change nothing; whatever no result needs        exact

A graph holds only what its results depend on, so what a pass leaves unused is gone when it returns.
"""

from symgrad_compiler.passes.canonicalize import canonicalize
from symgrad_compiler.passes.eliminate import eliminate
from symgrad_compiler.passes.fold_constants import fold_constants
from symgrad_compiler.passes.listing import Pipeline
from symgrad_compiler.passes.merge import merge
from symgrad_compiler.passes.pipeline import Pass, run
from symgrad_compiler.passes.rewriting import Rewriting
from symgrad_compiler.passes.simplify import simplify
from symgrad_compiler.passes.stabilize import stabilize

#: The pipeline that `function` runs; pass another tuple as `passes=`.
default = Pipeline(
    (
        merge,
        fold_constants,
        canonicalize,
        stabilize,
        simplify,
        fold_constants,
        merge,
        eliminate,
    )
)

__all__ = [
    "Pass",
    "Pipeline",
    "Rewriting",
    "canonicalize",
    "default",
    "eliminate",
    "fold_constants",
    "merge",
    "run",
    "simplify",
    "stabilize",
]
