"""The way through the compiler: passes, then a backend.

The native backend is the default where llvmlite is installed; the NumPy backend is its reference.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from symgrad.errors import CompileError, warn
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.lazy import cached_property
from symgrad_compiler.backends.clock import Clock
from symgrad_compiler.backends.limits import Limits, by_numpy
from symgrad_compiler.backends.measure import Measured, runs
from symgrad_compiler.backends.numpy import arena_of, compile_numpy
from symgrad_compiler.passes import default as default_passes
from symgrad_compiler.passes import pipeline
from symgrad_compiler.passes.assumptions import check_assumptions
from symgrad_compiler.passes.checks import as_passes
from symgrad_compiler.passes.pipeline import Pass
from symgrad_compiler.passes.release import release
from symgrad_compiler.passes.unbound import drop_bounds, has_bounds
from symgrad_compiler.plan import budget
from symgrad_compiler.plan.arena import Arena
from symgrad_compiler.plan.budget import Memory
from symgrad_compiler.plan.sizes import size_checks
from symgrad_runtime.native import NativeProgram
from symgrad_runtime.program import Program

BACKENDS = ("llvm", "numpy")
CODE_KINDS = ("numpy", "llvm", "asm")


def validates() -> bool:
    """Whether passes are validated unless said otherwise: the environment variable SYMGRAD_VALIDATE is 1."""
    return os.environ.get("SYMGRAD_VALIDATE", "") == "1"


@dataclass(frozen=True)
class Options:
    """How to compile."""

    backend: str = "numpy"
    passes: Sequence[Pass] | None = None
    validate: bool = field(default_factory=validates)
    nan_guard: bool = False
    cast: bool = False
    #: Bytes for intermediate results.
    memory_budget: int | None = None


class Compiled(Protocol):
    """A program and the stages it came from; what a call does not need is made when it is asked for."""

    program: Program | NativeProgram
    #: The passes that were run, in order.
    passes: tuple[Pass, ...]

    @property
    def optimized(self) -> Graph:
        """The graph after the passes."""

    def notes(self) -> list[str]:
        """What `explain` says after the passes: the plan in a line, and ops that call back into NumPy."""

    def code(self, kind: str) -> str:
        """Generated text: "numpy", "llvm" or "asm"."""

    @property
    def memory(self) -> Memory:
        """The arena and the operations."""

    def report(self) -> str:
        """The plan as text."""

    def measured(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], repeat: int) -> Measured:
        """The times of the steps of `repeat` calls, which change no state."""


class _WithNumPy:
    program: Program | NativeProgram
    passes: tuple[Pass, ...]

    def __init__(self, graph: Graph, passes: tuple[Pass, ...], options: Options) -> None:
        self._optimized = pipeline.run(graph, passes, validate=options.validate)
        self._options = options
        self._within: Memory | None = None
        if options.memory_budget is not None:
            self._optimized, self._within = budget.within(
                self._optimized, options.memory_budget, self._arena_of
            )
        self._sizes = size_checks(graph)
        program = self._compiled()
        self.program = program
        self._source, self._report = program.source, program.report

    def _compiled(self, clock: Clock | None = None) -> Program:
        cast, guard = self._options.cast, self._options.nan_guard
        return compile_numpy(self._optimized, cast=cast, nan_guard=guard, clock=clock, sizes=self._sizes)

    def _arena_of(self, graph: Graph) -> Arena:
        return arena_of(graph, nan_guard=self._options.nan_guard)

    @property
    def memory(self) -> Memory:
        return self._within or Memory.of(self._optimized, self._arena_of(self._optimized))

    @property
    def optimized(self) -> Graph:
        return self._optimized

    def notes(self) -> list[str]:
        return [f"plan: {self._report().splitlines()[0]}"]

    def code(self, kind: str) -> str:
        if kind == "numpy":
            return self._source()
        raise CompileError(
            f"there is no {kind!r} code of a function on the NumPy backend", facts=[("available", "numpy")]
        )

    @cached_property
    def _with_clock(self) -> tuple[Clock, Program]:
        clock = Clock()
        return clock, self._compiled(clock)

    def measured(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], repeat: int) -> Measured:
        clock, program = self._with_clock
        once, sizes = program.rehearsal(args, kwargs)
        times, calls = runs(once, clock.times, repeat)
        return Measured("numpy", tuple(clock.pieces(sizes, limits_of)), times, calls)

    def report(self) -> str:
        said = self._report()
        return said if self._within is None else f"{said}\n{self._within}"


class _WithLlvm:
    program: Program | NativeProgram
    passes: tuple[Pass, ...]

    def __init__(self, graph: Graph, passes: tuple[Pass, ...], options: Options) -> None:
        native = _native()
        self._compilation = native.Compilation(
            graph, passes, options.validate, options.memory_budget, options.nan_guard
        )
        self.program = self._compilation.program(options.cast)

    @property
    def optimized(self) -> Graph:
        result: Graph = self._compilation.optimized
        return result

    def notes(self) -> list[str]:
        return [f"plan: {self.report().splitlines()[0]}", *self._compilation.called_back()]

    @cached_property
    def _source(self) -> str:
        return compile_numpy(self.optimized).source()

    def code(self, kind: str) -> str:
        return self._source if kind == "numpy" else str(self._compilation.code(kind))

    @property
    def memory(self) -> Memory:
        found: Memory = self._compilation.memory
        return found

    def report(self) -> str:
        return str(self._compilation.report())

    def measured(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], repeat: int) -> Measured:
        found: Measured = self._compilation.measured(args, kwargs, repeat)
        return found


@without_collections
def build(graph: Graph, options: Options) -> Compiled:
    """Compile a graph."""
    check_backend(options.backend)
    released = release(graph)
    if options.validate:
        released = check_assumptions(released)
    passes: tuple[Pass, ...] = default_passes if options.passes is None else as_passes(options.passes)
    if has_bounds(released):
        passes = (drop_bounds, *passes)
    compiled: Compiled = (_WithLlvm if options.backend == "llvm" else _WithNumPy)(released, passes, options)
    compiled.passes = passes if released is graph else (release, *passes)
    return compiled


def check_backend(name: str) -> None:
    """Raise unless there is such a backend here."""
    if name not in BACKENDS:
        raise CompileError(f"there is no backend {name!r}", facts=[("available", ", ".join(BACKENDS))])
    reason = why_not_native()
    if name == "llvm" and reason:
        raise CompileError(f"the native backend does not run here: {reason}", hint='use backend="numpy"')


@cache
def why_not_native() -> str:
    """Why native code cannot run here; "" if it can."""
    if importlib.util.find_spec("llvmlite") is None:
        return "llvmlite is not installed"
    if sys.platform not in ("linux", "darwin"):
        return f"the platform is {sys.platform}"
    if platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64"):
        return f"the processor is {platform.machine()}"
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it needs CPython with a global interpreter lock"
    return ""


@cache
def default_backend() -> str:
    """ "llvm" where it runs, else "numpy", which is said once."""
    reason = why_not_native()
    if reason:
        warn(f"symgrad compiles for NumPy: {reason}", RuntimeWarning)
    return "numpy" if reason else "llvm"


def native_instance(base: type, program: NativeProgram) -> Callable[[], Any]:
    """Makes instances of the native subclass of `base` that call the program."""
    native = _native()

    def make() -> Any:
        cls = native.native_class(base)
        instance = cls.__new__(cls)
        native.attach(instance, program)
        return instance

    return make


def limits_of(threads: int) -> Limits:
    """What so many threads of this machine can do at most, measured once: natively where that runs."""
    if why_not_native():
        return by_numpy(threads)
    found: Limits = importlib.import_module("symgrad_compiler.backends.llvm.limits").natively(threads)
    return found


def _native() -> Any:
    return importlib.import_module("symgrad_compiler.backends.llvm.compile")
