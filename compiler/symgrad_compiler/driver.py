"""The way through the compiler: passes, then a backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from symgrad.errors import CompileError
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad_compiler import passes as pipeline
from symgrad_compiler.backends.numpy import compile_numpy
from symgrad_compiler.passes.pipeline import Pass
from symgrad_runtime.program import Program

BACKENDS = ("numpy",)


@dataclass(frozen=True)
class Options:
    """How to compile."""

    backend: str = "numpy"
    passes: Sequence[Pass] | None = None
    validate: bool = False
    nan_guard: bool = False
    cast: bool = False


@without_collections
def build(graph: Graph, options: Options) -> tuple[Graph, Program]:
    """The optimised graph and its program."""
    if options.backend not in BACKENDS:
        raise CompileError(
            f"there is no backend {options.backend!r}", facts=[("available", ", ".join(BACKENDS))]
        )
    passes = pipeline.default if options.passes is None else tuple(options.passes)
    optimized = pipeline.run(graph, passes, validate=options.validate)
    return optimized, compile_numpy(optimized, cast=options.cast, nan_guard=options.nan_guard)
