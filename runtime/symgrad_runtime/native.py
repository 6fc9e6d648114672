"""A program in native code, and the sequence of one call that Python has a part in.

Functions without state take the native entry alone (`context.py`, `callable.py`). Here is what remains: calls
whose arguments need conversion, calls with state, results in the caller's arrays, and errors.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy

from symgrad.dims import Dim, evaluate
from symgrad.errors import (
    ExecutionError,
    InputError,
    LinAlgError,
    matrix_error,
    negative_size,
    wrong_bound,
    wrong_rank,
)
from symgrad.locks import holding
from symgrad.types import TensorType
from symgrad_runtime.buffers import pool
from symgrad_runtime.context import Context
from symgrad_runtime.entry import Entry
from symgrad_runtime.program import OF_OPS, StateCell, copies
from symgrad_runtime.signals import renewals, until_failure

#: What an error record says went wrong.
(
    INDEX_ERROR,
    SLICE_ERROR,
    SHAPE_ERROR,
    CALLBACK_ERROR,
    NO_ELEMENTS,
    NEGATIVE_POWER,
    NOT_FINITE,
    SINGULAR,
    NOT_POSITIVE_DEFINITE,
    NEGATIVE_SIZE,
    WRONG_BOUND,
) = range(1, 12)

#: What a step that sorts says it checks.
RANKS = "ranks"


class Callbacks(Protocol):
    """Ops that native code calls back for."""

    def listen(self) -> None:
        """Be ready to learn of exceptions that are raised at the very start of a call-back, by a signal."""

    def error(self) -> BaseException | None:
        """The exception of this thread's last call-back that failed."""


@dataclass(eq=False)
class NativeProgram:
    """A program that `launch(*inputs, *outputs, *states, *spares)` runs on checked arrays.

    `launch` returns None, or (step, what, number, number) if it failed; no state has changed then.
    """

    name: str
    entry: Entry
    outputs: Sequence[TensorType]
    states: tuple[StateCell, ...]
    #: The states whose new value is computed into their spare array.
    spares: tuple[StateCell, ...]
    launch: Callable[..., tuple[int, int, int, int] | None]
    context: Context
    #: The step of an error record -> (the node as text, the axis concerned, the reduction concerned).
    describe: Callable[[int], tuple[str, int, str]]
    #: What calls Python back; None if nothing does.
    callbacks: Callbacks | None
    #: The step of an error record -> the sizes of the batch of matrices that it works on.
    batch_of: Callable[[int], tuple[Dim, ...]]
    #: The text of the plan, and of the generated code by kind.
    report: Callable[[], str]
    code: Callable[[str], str]
    #: What must live as long as the code runs.
    kept: tuple[Any, ...] = ()
    #: Of a guarded program: the error for the step that made what is not finite, from the arguments.
    explain: Callable[[int, Sequence[Any]], Exception] | None = None
    _shapes: dict[tuple[int, ...], list[tuple[int, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._locks = [s.lock for _, s in sorted({id(s): s for s in self.states}.items())]

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        arrays, sizes = self._arguments(args, kwargs)
        results = [
            pool().empty(shape, t.dtype.numpy)
            for t, shape in zip(self.outputs, self._output_shapes(sizes), strict=True)
        ]
        self._run(arrays, results)
        return tuple([r if r.ndim else r[()] for r in results])

    def into(self, args: tuple[Any, ...], targets: Sequence[Any]) -> None:
        """Compute into arrays of the right dtype and rank."""
        arrays, sizes = self._arguments(args, {})
        shapes = self._output_shapes(sizes)
        for i, (target, shape) in enumerate(zip(targets, shapes, strict=True)):
            if target.shape != shape:
                raise InputError(
                    f"the array for output {i} of {self.name} has the wrong shape",
                    facts=[("expected", f"shape {shape}"), ("got", f"shape {target.shape}")],
                )
        shared = _overlapping(targets, arrays)
        direct = [_is_plain(t) and not shares for t, shares in zip(targets, shared, strict=True)]
        results = [
            t if fits else pool().empty(t.shape, t.dtype) for t, fits in zip(targets, direct, strict=True)
        ]
        self._run(arrays, results)
        for target, result in zip(targets, results, strict=True):
            if target is not result:
                numpy.copyto(target, result)

    def rehearsal(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[[], int], dict[str, int]]:
        """A function that runs the program on these arguments, on copies of the states as they are now, and
        returns how many nanoseconds that took; and the sizes."""
        arrays, sizes = self._arguments(args, kwargs)
        results = [
            numpy.empty(shape, t.dtype.numpy)
            for t, shape in zip(self.outputs, self._output_shapes(sizes), strict=True)
        ]
        old = copies(self.states)
        spares = [numpy.empty_like(s.array) for s in self.spares]

        def once() -> int:
            now = [a.copy() for a in old]
            start = time.perf_counter_ns()
            failure = self.launch(*arrays, *results, *now, *spares)
            took = time.perf_counter_ns() - start
            self._check(failure, arrays)
            return took

        return once, dict(zip(self.entry.sizes, sizes, strict=True))

    def _arguments(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], tuple[int, ...]]:
        arrays = self.entry.arguments(args, kwargs)
        sizes = self.entry.bind(arrays)
        return [a if _is_plain(a) else numpy.array(a, order="C") for a in arrays], sizes

    def _output_shapes(self, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
        found = self._shapes.get(sizes)
        if found is None:
            values = dict(zip(self.entry.sizes, sizes, strict=True))
            found = [tuple(_extent(d, values) for d in t.shape) for t in self.outputs]
            self._shapes.clear()
            self._shapes[sizes] = found
        return found

    def _run(self, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        if self.callbacks is not None:
            self.callbacks.listen()
        if not self.states:
            self._check(self.launch(*arrays, *results), arrays)
        else:
            holding(self._locks, lambda: self._run_locked(arrays, results))

    def _run_locked(self, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        now = [s.array for s in self.states]
        if self.spares:
            self._renew(arrays, results, now)
        else:
            self._check(self.launch(*arrays, *results, *now), arrays)

    def _renew(self, arrays: Sequence[Any], results: Sequence[Any], now: Sequence[Any]) -> None:
        """Compute new states, which take the place of the old ones if nothing fails."""
        for state in self.spares:
            if state.spare is None:
                state.spare = numpy.empty_like(state.array)
        run = partial(self.launch, *arrays, *results, *now, *[s.spare for s in self.spares])
        self._check(until_failure([run, *renewals(self.spares)]), arrays)

    def _check(self, failure: tuple[int, int, int, int] | None, arrays: Sequence[Any]) -> None:
        if failure is None:
            return
        step, what, a, b = failure
        if step < 0:
            raise MemoryError(f"no memory for the arena of {self.name}")
        if what == NOT_FINITE:
            assert self.explain is not None, "only guarded programs look"
            raise self.explain(step, arrays)
        where, axis, detail = self.describe(step)
        if what in (INDEX_ERROR, SLICE_ERROR):
            text = f"index {a} is out of bounds for axis {axis} with size {b}"
            raise IndexError(f"{wrong_rank(b) if detail == RANKS else text}\n  in {where}")
        if what == SHAPE_ERROR:
            raise InputError(f"sizes that were assumed equal differ: {a} is not {b} (axis {axis})", at=where)
        if what == NEGATIVE_SIZE:
            raise negative_size(detail, a, where)
        if what == WRONG_BOUND:
            raise wrong_bound(detail, a, where)
        if what == NO_ELEMENTS:
            text = f"zero-size array to reduction operation {detail} which has no identity"
            if detail.startswith("arg"):
                text = f"attempt to get {detail} of an empty sequence"
            raise ExecutionError(f"{text}\n  in {where}")
        if what == NEGATIVE_POWER:
            raise ExecutionError(
                f"integers to negative integer powers are not allowed, such as {a}\n  in {where}"
            )
        if what in (SINGULAR, NOT_POSITIVE_DEFINITE):
            raise self._matrix_error(step, what == SINGULAR, a, b, where, arrays)
        error = self.callbacks.error() if self.callbacks is not None else None
        if error is None:  # lost on the way, by a second signal
            error = KeyboardInterrupt()
        if not isinstance(error, OF_OPS):
            raise error
        if isinstance(error, LinAlgError):
            raise LinAlgError(error.what, facts=error.facts, at=where) from error
        for kind in (IndexError, MemoryError):
            if type(error) is kind:
                raise kind(f"{error}\n  in {where}") from error
        raise ExecutionError(f"{error}\n  in {where}") from error

    def _matrix_error(
        self, step: int, is_singular: bool, number: int, info: int, where: str, arrays: Sequence[Any]
    ) -> LinAlgError:
        """The error for matrix `number` of a batch, of which LAPACK said `info`."""
        sizes = dict(zip(self.entry.sizes, self.entry.bind(arrays), strict=True))
        shape = tuple(_extent(d, sizes) for d in self.batch_of(step))
        place = tuple(int(i) for i in numpy.unravel_index(number, shape)) if shape else ()
        return matrix_error(is_singular, place, info, where)


def _extent(dim: Dim, values: Mapping[str, int]) -> int:
    return max(0, evaluate(dim, values))


def _is_plain(array: Any) -> bool:
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned)


def _overlapping(targets: Sequence[Any], arrays: Sequence[Any]) -> list[bool]:
    """Whether writing a target could change an input or another result. Two arrays that own their memory do
    not share it."""
    everything = [*arrays, *targets]
    views = [a for a in everything if not a.flags.owndata]
    times = Counter(map(id, everything))
    return [
        times[id(t)] > 1
        or any(
            numpy.may_share_memory(t, other)
            for other in (views if t.flags.owndata else everything)
            if other is not t
        )
        for t in targets
    ]
