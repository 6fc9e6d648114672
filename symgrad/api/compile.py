"""Compiling and calling: `function`, `Tensor.eval`, `set_backend`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from keyword import iskeyword
from typing import Any, NoReturn

import numpy

from symgrad.api.givens import substitute_tensors
from symgrad.api.profile import Profile, check_repeat, profile_of
from symgrad.dims import Size, lone_symbol, symbols
from symgrad.errors import CompileError, GraphError, InputError, range_error, warn
from symgrad.ir.choice import check_choice
from symgrad.ir.graph import Graph, Outputs, Tensors, Updates, check_updates, named_tensors, size_attributes
from symgrad.ir.tensor import Shared, Tensor, is_leaf
from symgrad.ir.traverse import ancestors
from symgrad.registry import provide
from symgrad_compiler.driver import (
    CODE_KINDS,
    Compiled,
    Options,
    build,
    check_backend,
    default_backend,
    native_instance,
    validates,
)
from symgrad_compiler.passes.pipeline import Pass
from symgrad_compiler.plan.budget import Memory
from symgrad_runtime.context import DICT, LIST, SINGLE, TUPLE
from symgrad_runtime.native import NativeProgram
from symgrad_runtime.program import Program

_default = {"backend": os.environ.get("SYMGRAD_BACKEND", "")}


def set_backend(name: str) -> None:
    """The backend of functions compiled from now on (also: the environment variable SYMGRAD_BACKEND)."""
    check_backend(name)
    _default["backend"] = name


class _Caller:
    """A program, and the form in which its results are given. Knows nothing of the function around it."""

    __slots__ = ("form", "keys", "program")

    def __init__(self, program: Program | NativeProgram, outputs: Any) -> None:
        self.program = program
        self.form = _form_of(outputs)
        self.keys = list(outputs) if self.form == DICT else None

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        try:
            outputs = self.program(args, kwargs)
        except IndexError as error:
            raise range_error(error) from error.__cause__
        if self.form == SINGLE:
            return outputs[0]
        if self.form == TUPLE:
            return tuple(outputs)
        return list(outputs) if self.keys is None else dict(zip(self.keys, outputs, strict=True))


def _form_of(outputs: Any) -> int:
    if isinstance(outputs, (Tensor, Size)):
        return SINGLE
    if isinstance(outputs, Mapping):
        return DICT
    return TUPLE if isinstance(outputs, tuple) else LIST


class Function:
    """A compiled function; made by `symgrad.function`."""

    __slots__ = ("__dict__", "__weakref__", "_call", "_compiled", "graph", "name")

    graph: Graph
    name: str
    _compiled: Compiled
    _call: _Caller

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __signature__(self) -> inspect.Signature:
        """The inputs, for `inspect.signature` and for editors."""
        names = self.graph.input_names
        if not any(map(iskeyword, names)):
            parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
        else:
            parameters = [inspect.Parameter("inputs", inspect.Parameter.VAR_POSITIONAL)]
        return inspect.Signature(parameters)

    @property
    def _program(self) -> Program | NativeProgram:
        return self._call.program

    @property
    def optimized(self) -> Graph:
        """The graph after the passes."""
        return self._compiled.optimized

    @property
    def backend(self) -> str:
        """What runs it: "llvm" or "numpy"."""
        return "llvm" if isinstance(self._program, NativeProgram) else "numpy"

    def into(self, outputs: Any, *inputs: Any) -> None:
        """Compute into the caller's arrays, given in the form of the outputs.

        >>> import symgrad as sg
        >>> x = sg.vector("x", size=2)
        >>> out = numpy.empty(2)
        >>> sg.function([x], x * 2).into(out, [1.0, 2.0])
        >>> out
        array([2., 4.])
        """
        keys = self._call.keys
        if keys and (not isinstance(outputs, Mapping) or set(outputs) != set(keys)):
            got = list(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__
            raise InputError(
                f"{self.name} has its outputs by name",
                facts=[("expected", f"arrays for {keys}"), ("got", got)],
            )
        is_single = self._call.form == SINGLE
        if not is_single and not isinstance(outputs, Iterable):
            raise InputError(
                f"{self.name} has {len(self.graph.outputs)} outputs, got {type(outputs).__name__}",
                facts=[("expected", "a list of arrays")],
            )
        given = [outputs] if is_single else [outputs[k] for k in keys] if keys else list(outputs)
        if len(given) != len(self.graph.outputs):
            raise InputError(f"{self.name} has {len(self.graph.outputs)} outputs, got {len(given)} arrays")
        for name, target, tensor in zip(self.graph.output_names, given, self.graph.outputs, strict=True):
            _check_target(name, target, tensor)
        try:
            self._program.into(inputs, given)
        except IndexError as error:
            raise range_error(error) from error.__cause__

    def code(self, kind: str = "numpy") -> str:
        """The generated code: "numpy" (what the NumPy backend runs), "llvm" or "asm" (assembly)."""
        if kind not in CODE_KINDS:
            raise CompileError(f"there is no {kind!r} code", facts=[("available", ", ".join(CODE_KINDS))])
        return self._compiled.code(kind)

    @property
    def memory(self) -> Memory:
        """The memory for intermediate results, `peak` bytes, and the operations that a call takes, `flops`;
        both also as they are without a memory budget. Nothing smaller than `lower_bound` could hold what is
        live at once.

        >>> import symgrad as sg
        >>> x = sg.vector("x", size=1000)
        >>> sg.function([x], sg.sum(sg.cumsum(x))).memory.peak
        8000
        """
        return self._compiled.memory

    def plan(self) -> str:
        """The steps with their loops, flops and bytes, the memory at its peak, and the buffers, as text."""
        return self._compiled.report()

    def profile(self, /, *inputs: Any, repeat: int = 20, **named: Any) -> Profile:
        """Where the time of a call with these inputs goes, step by step: times, operations and bytes a
        second, and how near that is to what this machine was measured to do at most. See docs/profile.md.

        A form of the program with clocks around its steps is compiled for this, and run `repeat` times on
        copies of the state as it is now: no state changes. Results go into the same arrays in every run.

        Raises:
            InputError: when an argument is not right, as in a call, or `repeat` is not at least 1.

        >>> import symgrad as sg
        >>> x = sg.vector("x")
        >>> found = sg.function([x], sg.exp(x)).profile(numpy.ones(1000), repeat=3)
        >>> [(row.step, row.flops) for row in found.rows]
        [('0', 1000)]
        """
        times = check_repeat(repeat)
        try:
            measured = self._compiled.measured(inputs, named, times)
        except IndexError as error:
            raise range_error(error) from error.__cause__
        return profile_of(self.name, measured)

    def __copy__(self) -> Function:
        return self

    def __deepcopy__(self, memo: Any) -> Function:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a compiled function cannot be pickled\n  hint: pickle f.graph, and compile that again"
        )

    def __repr__(self) -> str:
        names = ", ".join(
            f"{n}: {t.type}" for n, t in zip(self.graph.input_names, self.graph.inputs, strict=True)
        )
        return f"<function {self.name}({names})>"


def _check_target(name: str, target: Any, tensor: Tensor) -> None:
    fits = (
        isinstance(target, numpy.ndarray)
        and target.dtype == tensor.dtype.numpy
        and target.dtype.isnative
        and target.ndim == tensor.ndim
    )
    if not fits:
        is_array = isinstance(target, numpy.ndarray)
        got = f"{target.dtype}{list(target.shape)}" if is_array else type(target).__name__
        raise InputError(f"the output {name!r} does not fit", facts=[("expected", tensor.type), ("got", got)])
    if not target.flags.writeable:
        raise InputError(f"the array for the output {name!r} is read-only")


def _make_function(graph: Graph, form: Any, options: Options) -> Function:
    """A function object: of the native class where calls can go to native code at once."""
    compiled = build(graph, options)
    program = compiled.program
    call = _Caller(program, form)
    if isinstance(program, NativeProgram):
        is_fast = not program.states and program.callbacks is None
        program.context.answer_with(call, call.form, call.keys, fast=is_fast)
        made: Function = native_instance(Function, program)()
    else:
        made = Function()
    made.graph, made.name, made._compiled, made._call = graph, graph.name, compiled, call
    return made


def function(
    inputs: Tensors,
    outputs: Outputs,
    *,
    updates: Updates = None,
    givens: Mapping[Tensor, Any] | None = None,
    name: str | None = None,
    backend: str | None = None,
    on_unused_input: str = "raise",
    memory_budget: int | None = None,
    nan_guard: bool = False,
    passes: Sequence[Pass] | None = None,
    validate: bool | None = None,
    cast: bool = False,
) -> Function:
    """Compile a graph to a Python callable.

    Args:
        inputs: input tensors in call order, or a dict that names them.
        outputs: a tensor (the call returns an array), a tuple (a tuple), another sequence (a list) or a dict
            (a dict). A size, `x.shape[0]`, is a 0-d tensor.
        updates: shared tensor -> its value after the call: a tensor, or numbers of its type.
        givens: tensor -> what to use instead: a tensor, or numbers of its type.
        name: an identifier.
        backend: "llvm" (the default where it runs) or "numpy", the reference; see `set_backend`.
        on_unused_input: "raise", "warn" or "ignore".
        memory_budget: bytes for intermediate results (not for inputs, results and state), where all sizes
            are numbers: what does not fit is computed again instead of being kept, see `Function.memory`.
        nan_guard: check all arguments, state and every op, and raise an ExecutionError that names the first
            that makes a NaN or an infinity, with its line and its operands; no state changes then. Infinities
            and NaN that the graph itself holds, such as the -inf of a mask, are intended: what is computed
            from an infinite one must only not be NaN, as far as an op with bounded results such as softmax.
        passes: the pipeline, default `symgrad.passes.default`.
        validate: after each pass, verify the graph, run it on random and special arguments, and compare with
            the graph before it: bit by bit where only exact rules were applied, else to within what rounding
            may do. Graphs of more than 2,000 nodes or 1,000,000 elements are verified only. Default: whether
            the environment variable SYMGRAD_VALIDATE is 1.
        cast: convert arguments even where that loses digits. Without it, integers of any width are taken
            where the input's dtype holds each of them, floats where it is as wide; Python's floats, lists of
            them too, are rounded to it, but not to infinity.

    Raises:
        GraphError, ShapeError, CompileError: here, when the graph is not right, or a pass is not
            (`validate`).
        InputError: at a call, when an argument is not.

    One call checks its arguments, computes all outputs and all new state from the old state, and then
    writes the state.

    >>> import symgrad as sg
    >>> x = sg.scalar("x")
    >>> f = sg.function([x], {"value": x**2, "slope": sg.grad(x**2, x)})
    >>> f(3.0)
    {'value': np.float64(9.0), 'slope': np.float64(6.0)}
    """
    check_choice("on_unused_input", on_unused_input, ["raise", "warn", "ignore"], CompileError)
    given: Any = inputs
    if isinstance(given, Iterator):  # it is looked at more than once
        given = list(given)
    named_tensors(given, "input")
    _check_budget(memory_budget)
    _check_flag("nan_guard", nan_guard)
    _check_flag("cast", cast)
    if validate is not None:
        _check_flag("validate", validate)
    form = outputs
    if givens:
        outputs, updates = _with_givens(outputs, updates, givens)
    graph = Graph(given, outputs, updates, name or "main")
    _check_unused(graph, on_unused_input)
    options = Options(
        backend=backend or _default["backend"] or default_backend(),
        passes=passes,
        validate=validates() if validate is None else validate,
        nan_guard=nan_guard,
        cast=cast,
        memory_budget=memory_budget,
    )
    return _make_function(graph, form, options)


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, (bool, numpy.bool_)):
        raise CompileError(f"{name} is True or False", facts=[("got", repr(value)[:80])])


def _check_budget(budget: Any) -> None:
    is_number = hasattr(budget, "__index__") and not isinstance(budget, bool)
    if budget is not None and not (is_number and budget >= 0):
        raise CompileError(
            "memory_budget is a number of bytes", facts=[("got", repr(budget)[:80])], hint="for example 2**20"
        )


def _with_givens(outputs: Outputs, updates: Updates, givens: Mapping[Tensor, Any]) -> tuple[Any, Updates]:
    named = named_tensors(outputs, "output")
    checked = check_updates(updates)
    tensors = substitute_tensors([*[t for _, t in named], *checked.values()], givens)
    results, values = tensors[: len(named)], tensors[len(named) :]
    if isinstance(outputs, (Tensor, Size)):
        new: Any = results[0]
    elif isinstance(outputs, Mapping):
        new = dict(zip(outputs, results, strict=True))
    else:
        new = results
    return new, dict(zip(checked, values, strict=True))


def _check_unused(graph: Graph, action: str) -> None:
    if action == "ignore":
        return
    used = {t for n in graph.nodes for t in n.inputs} | {*graph.outputs, *graph.updates.values()}
    sized = _sizes_asked_for(graph, [t for t in graph.inputs if t in used])
    unused = [
        (n, t)
        for n, t in zip(graph.input_names, graph.inputs, strict=True)
        if t not in used and not sized.intersection(map(lone_symbol, t.shape))
    ]
    if not unused:
        return
    error = GraphError(
        f"the input {unused[0][0]!r} of {graph.name} is not used by any output",
        facts=[(n, t.type) for n, t in unused],
        hint='leave it out, or pass on_unused_input="ignore"',
    )
    if action == "raise":
        raise error
    warn(error)


def _sizes_asked_for(graph: Graph, used: Sequence[Tensor]) -> set[str]:
    """The sizes for which an input may be given although nothing reads its elements: those of what is made of
    sizes alone, and those that no input that is used determines."""
    made: set[str] = set()
    asked: set[str] = set()
    for node in graph.nodes:
        sizes = [d for t in node.outputs for d in t.shape] + list(size_attributes(node))
        names = {name for d in sizes for name in symbols(d)}
        asked |= names
        made |= set() if node.inputs else names
    return made | asked.difference(lone_symbol(d) or "" for t in used for d in t.shape)


# ---- eval -------------------------------------------------------------------------------------------


@provide("eval")
def evaluate(tensor: Tensor, values: Mapping[Any, Any] | None = None) -> Any:
    """The value of a tensor for given values of the inputs (by tensor or by name); compiled once.

    >>> import symgrad as sg
    >>> x = sg.scalar("x")
    >>> (x + 1).eval({x: 2.0}), (x + 1).eval({"x": 3.0})
    (np.float64(3.0), np.float64(4.0))
    """
    leaves = [t for n in ancestors([tensor]) for t in n.outputs if is_leaf(t) and not isinstance(t, Shared)]
    if values is not None and not isinstance(values, Mapping):
        raise InputError(
            f"eval takes a dict from inputs to values, not {type(values).__name__}",
            facts=[("inputs", ", ".join(str(t.name) for t in leaves) or "none")],
            hint="t.eval({x: value, ...})",
        )
    given = dict(values or {})
    by_name = {t.name: t for t in leaves}
    keyed: dict[Tensor, Any] = {}
    for key, value in given.items():
        found = key if isinstance(key, Tensor) else by_name.get(key)
        if found is None or not is_leaf(found):
            raise InputError(
                f"{key!r} is not an input of this tensor",
                facts=[("inputs", ", ".join(str(t.name) for t in leaves))],
            )
        keyed[found] = value
    missing = [t for t in leaves if t not in keyed]
    if missing:
        raise InputError(
            f"eval needs a value for {missing[0].name}",
            facts=[("missing", ", ".join(f"{t.name}: {t.type}" for t in missing))],
            hint="t.eval({x: value, ...})",
        )
    inputs = list(keyed)
    key = tuple(map(id, inputs))
    cached: tuple[tuple[int, ...], Function] | None = tensor.compiled
    if cached is None or cached[0] != key:
        named = {f"argument_{i}": t for i, t in enumerate(inputs)} if _clash(inputs) else inputs
        cached = (key, function(named, tensor, on_unused_input="ignore", name="eval"))
        tensor.compiled = cached
    return cached[1](*keyed.values())


def _clash(inputs: Sequence[Tensor]) -> bool:
    return len({t.name for t in inputs}) < len(inputs)
