"""A graph as a native program: from the cache on disk, or by passes, plan, LLVM IR and object code.

What a start from the cache does not need (the optimised graph, the plan, texts) is made when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy

from symgrad.dims import Dim, symbols
from symgrad.errors import ExecutionError
from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.lazy import cached_property
from symgrad.locks import Lock
from symgrad.ops.kinds import TensorOp
from symgrad.records import record
from symgrad.types import DTYPES
from symgrad_compiler.backends.llvm.beside import Beside
from symgrad_compiler.backends.llvm.contract.request import name_of
from symgrad_compiler.backends.llvm.frame import CALLBACK, FIXED, LAPACK, POOL, PRODUCTS, Frame
from symgrad_compiler.backends.llvm.key import fixed_key, program_key
from symgrad_compiler.backends.llvm.names import (
    ARRAY,
    CALL,
    GIVE,
    LAUNCH,
    LAYOUT,
    POOL_INIT,
    PROGRAM,
    ROUTINES,
    TRIM,
)
from symgrad_compiler.backends.llvm.target import (
    Engine,
    Target,
    assembly,
    compile_objects,
    host,
    optimized,
    trim,
)
from symgrad_compiler.passes import pipeline
from symgrad_compiler.passes.pipeline import Pass
from symgrad_compiler.plan import budget
from symgrad_compiler.plan.budget import Memory
from symgrad_compiler.plan.checks import NotNegative, Sign
from symgrad_compiler.plan.steps import Callback, Check, MatMulStep, MatrixStep, Plan, RowLoop, SortStep
from symgrad_runtime import buffers, cache, threads
from symgrad_runtime.callable import Launcher, connect, native_type
from symgrad_runtime.context import Context, Shape, api_table
from symgrad_runtime.entry import Entry, Parameter
from symgrad_runtime.native import RANKS, NativeProgram
from symgrad_runtime.program import Program

if TYPE_CHECKING:
    from symgrad_compiler.backends.llvm.callbacks import Callbacks
    from symgrad_compiler.backends.llvm.clock import Clocks
    from symgrad_compiler.backends.measure import Measured


T = TypeVar("T")


def _cold() -> Any:
    """What a start from the cache does not need."""
    return importlib.import_module("symgrad_compiler.backends.llvm.cold")


def _looks() -> Any:
    """What only somebody who looks in needs."""
    return importlib.import_module("symgrad_compiler.backends.llvm.looks")


@record
class _Built:
    """What a program is made of, as it is kept on disk."""

    #: The object code of each part.
    code: list[bytes]
    #: Counts of the frame.
    shape: dict[str, int]
    constants: list[Any]
    #: Numbers of the graph's states: those that the program reads or writes, and those with spares.
    states: list[int]
    spares: list[int]
    #: The kinds of float of its matrix products.
    products: list[str]
    #: The table of routines of LAPACK that it calls; empty where it calls none.
    routines: list[str]

    def store(self, key: str, name: str) -> None:
        """Keep it on disk; the name is for `symgrad cache list`."""
        header = {
            "name": name,
            "shape": self.shape,
            "states": self.states,
            "spares": self.spares,
            "products": self.products,
            "routines": self.routines,
            "constants": [[c.dtype.name, list(c.shape)] for c in self.constants],
            "parts": len(self.code),
        }
        blobs = {f"code{i}": c for i, c in enumerate(self.code)}
        blobs |= {f"constant{i}": c.tobytes() for i, c in enumerate(self.constants)}
        cache.store(key, cache.Entry(header, blobs))

    @classmethod
    def load(cls, key: str, graph: Graph) -> _Built | None:
        """What is on disk under a key; a header that `store` would not write for the graph is reported."""
        entry = cache.load(key)
        if entry is None:
            return None
        header = entry.header
        try:
            constants = [
                numpy.frombuffer(entry.blobs[f"constant{i}"], DTYPES[dtype].numpy).reshape(shape)
                for i, (dtype, shape) in enumerate(header["constants"])
            ]
            built = cls(
                code=[entry.blobs[f"code{i}"] for i in range(header["parts"])],
                shape=asdict(Shape(**header["shape"])),
                constants=constants,
                states=header["states"],
                spares=header["spares"],
                products=header["products"],
                routines=header["routines"],
            )
            fits = built._fits(graph)
        except (KeyError, IndexError, TypeError, ValueError):
            fits = False
        if not fits:
            cache.refuse(key, "its header is not that of this program")
            return None
        return built

    def _fits(self, graph: Graph) -> bool:
        """Whether the numbers can be those of a program of the graph."""
        shape = Shape(**self.shape)
        states = len(self.states) + len(self.spares)
        places = [shape.static, shape.sizes_at, shape.arena_at, shape.error_at, shape.words]
        return (
            bool(self.code)
            and all(kind in PRODUCTS for kind in self.products)
            and all(isinstance(name, str) and name in ROUTINES for name in self.routines)
            and all(0 <= i < len(graph.states) for i in (*self.states, *self.spares))
            and (shape.inputs, shape.outputs) == (len(graph.inputs), len(graph.outputs))
            and (shape.states, shape.static) == (states, FIXED + len(self.constants))
            and shape.sizes_at == shape.static + shape.inputs + shape.outputs + shape.states
            and places == sorted(places)
        )


class Compilation:
    """One graph on its way; the stages are made once, when they are first needed."""

    def __init__(
        self,
        graph: Graph,
        passes: Sequence[Pass],
        validate: bool,
        memory_budget: int | None = None,
        nan_guard: bool = False,
    ) -> None:
        self.graph = graph
        self.passes = tuple(passes)
        self.validate = validate
        self.memory_budget = memory_budget
        self.nan_guard = nan_guard
        self.target: Target = host()
        self._cast = False

    @cached_property
    def optimized(self) -> Graph:
        """The graph after the passes, and with what is computed again to stay within the memory budget."""
        return self._within_budget[0]

    @cached_property
    def _within_budget(self) -> tuple[Graph, Memory | None]:
        graph = pipeline.run(self.graph, self.passes, validate=self.validate)
        if self.memory_budget is None:
            return graph, None
        return budget.within(graph, self.memory_budget, lambda g: _cold().make_plan(g, self.nan_guard).arena)

    @property
    def memory(self) -> Memory:
        """The arena and the operations, with the budget and without."""
        return self._within_budget[1] or Memory.of(self.optimized, self.plan.arena)

    @cached_property
    def plan(self) -> Plan:
        checks = _cold().size_checks(self.graph)
        made: Plan = _cold().make_plan(self.optimized, self.nan_guard, checks)
        return made

    @property
    def text(self) -> str:
        """The LLVM IR as we write it; not kept, since it is long."""
        return str(_cold().emit_module(self.plan, self.target.machine))

    def code(self, kind: str) -> str:
        """The LLVM IR after LLVM's passes, or assembly."""
        return (
            assembly(self.text, self.target) if kind == "asm" else str(optimized(self.text, self.target)[0])
        )

    def describe_step(self, number: int) -> tuple[str, int, str]:
        """The node of a step, for a message; the axis that it works on; and the size that it checks, or how
        it reduces."""
        step = self.plan.steps[number]
        assert isinstance(step, (Check, Callback, MatMulStep, MatrixStep, SortStep))
        node = step.node
        where = origin.locate(node.origins)
        graph, axis = self.plan.graph, 0
        detail = node.op.reduction if isinstance(node.op, TensorOp) else ""
        if isinstance(step, (Check, SortStep)):
            axis = step.axis
        if isinstance(step, SortStep):
            detail = RANKS
        if isinstance(step, (NotNegative, Sign)):  # of the graph before the passes
            graph = self.graph
            detail = str(step.size if isinstance(step, NotNegative) else step.bound.bound)
        names = ", ".join(f"{graph.names[t]}: {t.type}" for t in node.outputs)
        text = f"{names} = {node.op.name}(...)" + (f" at {where}" if where else "")
        return text, axis, detail

    def batch_of(self, number: int) -> tuple[Dim, ...]:
        """The batch of the matrices that a step works on."""
        step = self.plan.steps[number]
        assert isinstance(step, MatrixStep)
        return step.node.inputs[0].shape[:-2]

    @cached_property
    def _op_by_op(self) -> Program:
        """The guarded program in NumPy, which finds the node."""
        made: Program = _looks().compile_numpy(self.optimized, nan_guard=True)
        return made

    def explain(self, number: int, arrays: Sequence[Any]) -> Exception:
        """The error for a step of a guarded program: that of the same graph, op by op."""
        error, step = self._op_by_op.trial(arrays), self.plan.steps[number]
        return error or ExecutionError(
            f"nan_guard: step {number} of {self.graph.name} made a NaN or an infinity",
            facts=[
                ("step", _looks().step_title(self.plan, step)),
                ("nodes", ", ".join(_looks().nodes_of(self.plan, step))),
            ],
            hint="computed by NumPy, op by op, all is finite: the rounding differs",
        )

    def report(self) -> str:
        said = str(_looks().describe(self.plan))
        return said if self.memory_budget is None else f"{said}\n{self.memory}"

    def called_back(self) -> list[str]:
        """A line for each node without native form, which calls back into NumPy."""
        names = self.plan.graph.names
        lines = []
        for step in self.plan.callbacks:
            node = step.node
            where = origin.locate(node.origins)
            text = f"no native form, calls back into NumPy: {', '.join(names[t] for t in node.outputs)}"
            lines.append(f"{text} = {node.op.name}(...)" + (f" at {where}" if where else ""))
        return lines

    # ---- the program --------------------------------------------------------------------------------

    def program(self, cast: bool) -> NativeProgram:
        """The program, from the cache where there is one."""
        self._cast = cast
        key = program_key(
            self.graph,
            self.passes,
            self.target.key(),
            self.memory_budget,
            validated=self.validate,
            nan_guard=self.nan_guard,
        )
        built = None if key is None else _Built.load(key, self.graph)
        callbacks: Callbacks | None = None
        is_new = built is None
        if built is None:
            others = [Beside(_entry)]
            others += [Beside(partial(_product, kind)) for kind in sorted(_products(self.plan))]
            built, callbacks = self._build(self.text)
            for other in others:
                other.result()
            if key is not None and callbacks is None:
                built.store(key, self.graph.name)
        program = self._assemble(built, callbacks, cast)
        if is_new:
            trim()
        return program

    @cached_property
    def _with_clocks(self) -> tuple[Clocks, NativeProgram]:
        """The same program, with a clock around each step; not kept on disk."""
        clocks: Clocks = _looks().Clocks(self.plan)
        built, callbacks = self._build(_cold().emit_module(self.plan, self.target.machine, clocks))
        return clocks, self._assemble(built, callbacks, self._cast)

    def measured(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], repeat: int) -> Measured:
        """The times of the steps of `repeat` calls, which change no state."""
        clocks, program = self._with_clocks
        once, sizes = program.rehearsal(args, kwargs)
        runs, calls = _looks().runs(once, clocks.times, repeat)
        times = tuple(_looks().by_the_clock(clocks.places, run) for run in runs)
        parts = tuple(_looks().pieces(self.plan, clocks.places, sizes))
        found: Measured = _looks().Measured("llvm", parts, times, calls)
        return found

    def _build(self, text: str) -> tuple[_Built, Callbacks | None]:
        plan = self.plan
        frame = Frame.of(plan)
        code = compile_objects(text, self.target)
        numbers = {s.state: i for i, s in enumerate(self.graph.states)}
        counts = Shape(
            inputs=len(plan.graph.inputs),
            outputs=len(plan.outputs),
            states=len(plan.graph.states) + len(plan.spares),
            static=frame.static,
            sizes_at=frame.sizes,
            arena_at=frame.arena,
            error_at=frame.error,
            words=frame.words,
        )
        built = _Built(
            code=code,
            shape=asdict(counts),
            constants=[c.array for c in plan.constants],
            states=[numbers[s.state] for s in plan.graph.states],
            spares=[numbers[s.state] for s in plan.spares],
            products=sorted(_products(plan)),
            routines=list(ROUTINES)
            if any(isinstance(s, MatrixStep) and not s.unrolled for s in plan.steps)
            else [],
        )
        if not plan.callbacks:
            return built, None
        callbacks = importlib.import_module("symgrad_compiler.backends.llvm.callbacks")
        return built, callbacks.Callbacks(plan, frame)

    def _assemble(self, built: _Built, callbacks: Callbacks | None, cast: bool) -> NativeProgram:
        graph = self.graph
        size_names = tuple(sorted({n for t in graph.inputs for d in t.shape for n in symbols(d)}))
        _entry()
        engine = Engine(built.code, self.target)
        constants = [numpy.ascontiguousarray(c) for c in built.constants]
        static = [0] * FIXED + [int(c.ctypes.data) for c in constants]
        static[POOL] = threads.pool().address
        if callbacks is not None:
            static[CALLBACK] = callbacks.address
        for kind in built.products:
            static[PRODUCTS[kind]] = _product(kind).address(name_of(kind))
        if built.routines:
            table = importlib.import_module("symgrad_runtime.lapack").table(tuple(built.routines))
            static[LAPACK] = int(table.ctypes.data)
        types = [t.type for t in graph.outputs]
        context = Context(
            Shape(**built.shape),
            [t.type for t in graph.inputs],
            types,
            size_names,
            static,
            engine.address(PROGRAM),
            engine.address(LAYOUT),
            buffers.pool().give,
        )
        parameters = [Parameter(n, t.type) for n, t in zip(graph.input_names, graph.inputs, strict=True)]
        return NativeProgram(
            name=graph.name,
            entry=Entry(graph.name, parameters, size_names, cast),
            outputs=types,
            states=tuple(graph.states[i].state for i in built.states),
            spares=tuple(graph.states[i].state for i in built.spares),
            launch=_launcher(context),
            context=context,
            describe=self.describe_step,
            callbacks=callbacks,
            batch_of=self.batch_of,
            report=self.report,
            code=self.code,
            kept=(engine, constants, callbacks),
            explain=self.explain if self.nan_guard else None,
        )


def _products(plan: Plan) -> set[str]:
    """The kinds of float of a plan's matrix products."""
    steps = [each for s in plan.steps for each in (s.body if isinstance(s, RowLoop) else (s,))]
    outs = [s.out for s in steps if isinstance(s, MatMulStep)]
    outs += [s.scratch for s in steps if isinstance(s, MatrixStep) and s.scratch]
    return {access.storage.dtype.short for access in outs} & PRODUCTS.keys()


# ---- the entry ----------------------------------------------------------------------------------------


def _once(make: Callable[..., T]) -> Callable[..., T]:
    """What is made at the first call, for each argument, even if several threads come first."""
    lock, known = Lock(), lru_cache(maxsize=None)(make)

    @wraps(make)
    def call(*arguments: str) -> T:
        with lock:
            return known(*arguments)

    return call


@_once
def _entry() -> Engine:
    """The entry code; compiled once a process, kept on disk."""
    target = host()

    def text() -> str:
        emitter = importlib.import_module("symgrad_compiler.backends.llvm.entry")
        return str(emitter.emit_entry(target.triple))

    engine = _fixed("entry", text)
    engine.keep()  # arrays may go back to the pool at the very end, and threads may be in it
    handler = [engine.address(f"buffer_{name}") for name in buffers.HANDLER]
    buffers.pool().begin(handler, *[engine.address(name) for name in (GIVE, TRIM, ARRAY)])
    threads.pool().begin(engine.address(POOL_INIT), int(api_table().ctypes.data))
    return engine


def _fixed(name: str, text: Callable[[], str], simplify: bool = True) -> Engine:
    """Code that is the same for every program: from the cache on disk, or compiled and kept there."""
    target = host()
    key = fixed_key(name, target.key())
    kept = cache.load(key)
    code = [kept.blobs[n] for n in sorted(kept.blobs)] if kept else []
    if not code:
        code = compile_objects(text(), target, simplify)
        blobs = {f"code{i}": c for i, c in enumerate(code)}
        cache.store(key, cache.Entry({"name": f"({name})"}, blobs))
    return Engine(code, target)


@_once
def _product(kind: str) -> Engine:
    """The functions that multiply matrices of a kind of float; loaded when a program first needs them."""

    def text() -> str:
        emitter = importlib.import_module("symgrad_compiler.backends.llvm.contract.emit")
        return str(emitter.emit_products(kind, host().machine))

    engine = _fixed(name_of(kind), text, False)
    engine.keep()  # a thread may be in it at the very end
    return engine


@lru_cache(maxsize=8)
def native_class(base: type) -> type:
    """The native subclass of a class of functions."""
    return native_type(base, f"symgrad.Native{base.__name__}")


def attach(instance: Any, program: NativeProgram) -> None:
    """Let calls of an instance of a native class go to a program, which the instance must keep."""
    connect(instance, _entry().address(CALL), int(program.context.words.ctypes.data))


def _launcher(context: Context) -> Callable[..., Any]:
    made: Any = object.__new__(native_class(Launcher))
    connect(made, _entry().address(LAUNCH), int(context.words.ctypes.data))
    found: Callable[..., Any] = made
    return found
