"""The passes: pure functions Graph -> Graph, one file each, and the pipeline, a tuple of them.

    merge              common subexpressions (commutative operands too)             exact
    fold_constants     what depends on nothing is computed now                      exact
    canonicalize       one form for things that can be said in several ways         exact
    combine_products   products with neighbouring columns of one matrix             rounding
    cancel_moves       reshapes, transposes, slices, joins that undo each other     exact
    merge_selections   nested `where` become one                                    exact
    simplify_indices   gathers and scatters at known indices                        rounding (signs of zeros)
    stabilize          the stable form of what is naively written                   stable
    simplify           shorter forms of the same mathematics                        rounding
    reduce_strength    powers as products, divisions, constants joined              rounding
    simplify_sums      sums of what is repeated, moved or scaled; gradients of
                       slices put together                                          rounding
    simplify_products  matrix products: batches, one-hot, cheapest order, ...       rounding, stable
    solve_systems      systems instead of inverses, logarithms of determinants      rounding, stable
    use_assumptions    matrices of known form: Cholesky's factor, triangles, ...    stable
    share_factors      one factorisation for all that is asked of a matrix          rounding
    eliminate          updates that change nothing; whatever no result needs        exact

    fast               what may change NaN and infinities: not in `default`         fast

The class is that of the loosest rule in the pass; a pass of rules has them as its attribute `rules`. A
graph holds only what its results depend on, so what a pass leaves unused is gone when it returns.
"""

from symgrad_compiler.passes.assumptions import use_assumptions
from symgrad_compiler.passes.canonicalize import canonicalize
from symgrad_compiler.passes.channels import channels_last
from symgrad_compiler.passes.contractions import simplify_products
from symgrad_compiler.passes.eliminate import eliminate
from symgrad_compiler.passes.fast import fast
from symgrad_compiler.passes.fold_constants import fold_constants
from symgrad_compiler.passes.indices import simplify_indices
from symgrad_compiler.passes.listing import Pipeline
from symgrad_compiler.passes.merge import merge
from symgrad_compiler.passes.moves import cancel_moves
from symgrad_compiler.passes.pipeline import Pass, run
from symgrad_compiler.passes.reductions import simplify_sums
from symgrad_compiler.passes.rewriting import Rewriting, rules_of
from symgrad_compiler.passes.selections import merge_selections
from symgrad_compiler.passes.share_factors import share_factors
from symgrad_compiler.passes.siblings import combine_products
from symgrad_compiler.passes.simplify import simplify
from symgrad_compiler.passes.stabilize import stabilize
from symgrad_compiler.passes.strength import reduce_strength
from symgrad_compiler.passes.systems import solve_systems

#: The pipeline that `function` runs; pass another tuple as `passes=`.
default = Pipeline(
    (
        merge,
        fold_constants,
        canonicalize,
        combine_products,
        channels_last,
        cancel_moves,
        merge_selections,
        simplify_indices,
        stabilize,
        simplify,
        merge,
        reduce_strength,
        simplify_sums,
        simplify_products,
        solve_systems,
        use_assumptions,
        share_factors,
        fold_constants,
        merge,
        eliminate,
    )
)

__all__ = [
    "Pass",
    "Pipeline",
    "Rewriting",
    "cancel_moves",
    "canonicalize",
    "channels_last",
    "combine_products",
    "default",
    "eliminate",
    "fast",
    "fold_constants",
    "merge",
    "merge_selections",
    "reduce_strength",
    "rules_of",
    "run",
    "share_factors",
    "simplify",
    "simplify_indices",
    "simplify_products",
    "simplify_sums",
    "solve_systems",
    "stabilize",
    "use_assumptions",
]
