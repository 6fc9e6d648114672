"""A compiled program, and the sequence of one call.

    check the arguments -> bind the sizes -> take a workspace -> lock the states -> run
    -> swap the states' arrays -> give the workspace back -> return

New state is computed into spare arrays, which change places with the old ones after everything that can
fail. Calls in several threads use a workspace each; states are locked in a fixed order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy

from symgrad.errors import ExecutionError, InputError, LinAlgError, SymgradError
from symgrad.locks import holding
from symgrad_runtime.entry import Entry
from symgrad_runtime.signals import at_once, renewals

#: Workspaces that are kept for the next call, per program.
MAX_IDLE = 4
#: What ops raise. Other exceptions come from handlers of signals, and are whoever's wrote those.
OF_OPS = (SymgradError, ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


class StateCell(Protocol):
    """Where shared state lives."""

    array: Any
    spare: Any
    lock: Any


def copies(states: Sequence[StateCell]) -> list[Any]:
    """The values of states now, in arrays of their own."""
    found = []
    for state in states:
        with state.lock:
            found.append(state.array.copy())
    return found


@dataclass(eq=False)
class Program:
    """What a backend makes of a graph.

    `run(inputs, states, spares, sizes, buffers)` computes the outputs and writes new values of states into
    their spares. It returns the outputs, and calls of functions in C that write other new values over the old
    ones. `allocate(*sizes)` makes the buffers of one workspace.
    """

    name: str
    entry: Entry
    states: tuple[StateCell, ...]
    updated: tuple[bool, ...]
    run: Callable[..., tuple[tuple[Any, ...], tuple[Callable[[], Any], ...]]]
    allocate: Callable[..., tuple[Any, ...]]
    source: Callable[[], str]
    report: Callable[[], str]
    #: (file name, line) of generated code -> the node it is for.
    locate: Callable[[str, int], str | None]
    _idle: list[tuple[tuple[int, ...], tuple[Any, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._locks = [s.lock for s in sorted(self.states, key=id)]
        self._swapped = tuple(s for s, updated in zip(self.states, self.updated, strict=True) if updated)

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        return self._call(args, kwargs, lambda outputs: None)

    def _call(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], check: Callable[[tuple[Any, ...]], None]
    ) -> tuple[Any, ...]:
        """The outputs; `check` may refuse them, as long as no state has changed."""
        arrays = self.entry.arguments(args, kwargs)
        sizes = self.entry.bind(arrays)
        workspace = self._take(sizes)
        try:
            with numpy.errstate(all="ignore"):
                if self.states:
                    outputs = self._run_locked(arrays, sizes, workspace, check)
                else:
                    outputs, _ = self.run(arrays, (), (), sizes, workspace)
                    check(outputs)
        except OF_OPS as error:
            raise self._located(error) from error
        if len(self._idle) < MAX_IDLE:
            self._idle.append((sizes, workspace))
        return outputs

    def into(self, args: tuple[Any, ...], targets: Sequence[Any]) -> None:
        """Compute into arrays of the right dtype and rank."""

        def check(outputs: tuple[Any, ...]) -> None:
            for i, (target, result) in enumerate(zip(targets, outputs, strict=True)):
                if target.shape != numpy.shape(result):
                    raise InputError(
                        f"the array for output {i} of {self.name} has the wrong shape",
                        facts=[
                            ("expected", f"shape {numpy.shape(result)}"),
                            ("got", f"shape {target.shape}"),
                        ],
                    )

        results = self._call(args, {}, check)
        for target, result in zip(targets, results, strict=True):
            numpy.copyto(target, result)

    def rehearsal(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Callable[[], int], dict[str, int]]:
        """A function that runs the program on these arguments, on copies of the states as they are now, and
        returns how many nanoseconds that took; and the sizes."""
        arrays = self.entry.arguments(args, kwargs)
        sizes = self.entry.bind(arrays)
        workspace = self.allocate(*sizes)
        old = copies(self.states)
        spares = [numpy.empty_like(s.array) for s in self._swapped]

        def once() -> int:
            now = [a.copy() for a in old]
            start = time.perf_counter_ns()
            try:
                with numpy.errstate(all="ignore"):
                    self.run(arrays, now, spares, sizes, workspace)
            except Exception as error:
                raise self._located(error) from error
            return time.perf_counter_ns() - start

        return once, dict(zip(self.entry.sizes, sizes, strict=True))

    def trial(self, arrays: Sequence[Any]) -> Exception | None:
        """What a run on checked arrays raises. It changes no state, and does not lock it."""
        sizes = self.entry.bind(arrays)
        now = [s.array for s in self.states]
        spares = [numpy.empty_like(s.array) for s in self._swapped]
        assert len(spares) == sum(self.updated), "it writes all new state into spares"
        try:
            with numpy.errstate(all="ignore"):
                self.run(arrays, now, spares, sizes, self.allocate(*sizes))
        except Exception as error:
            return self._located(error)
        return None

    def _take(self, sizes: tuple[int, ...]) -> tuple[Any, ...]:
        try:
            found, workspace = self._idle.pop()
        except IndexError:
            return self.allocate(*sizes)
        return workspace if found == sizes else self.allocate(*sizes)

    def _run_locked(
        self,
        arrays: Sequence[Any],
        sizes: tuple[int, ...],
        workspace: tuple[Any, ...],
        check: Callable[[tuple[Any, ...]], None],
    ) -> tuple[Any, ...]:
        def locked() -> tuple[Any, ...]:
            for state in self._swapped:
                if state.spare is None:
                    state.spare = numpy.empty_like(state.array)
            outputs, last = self.run(
                arrays, [s.array for s in self.states], [s.spare for s in self._swapped], sizes, workspace
            )
            check(outputs)
            at_once([*last, *renewals(self._swapped)])
            return outputs

        return holding(self._locks, locked)

    def _located(self, error: Exception) -> Exception:
        """The error with the node that failed and where it comes from."""
        if isinstance(error, ExecutionError):
            return error
        where = self._node_of(error)
        if where is None:
            return error
        if isinstance(error, LinAlgError):
            return LinAlgError(error.what, facts=error.facts, at=where)
        if isinstance(error, SymgradError):
            return InputError(error.what, facts=error.facts, at=where, hint=error.hint)
        kind = type(error) if type(error) in (IndexError, MemoryError) else ExecutionError
        return kind(f"{error}\n  in {where}")

    def _node_of(self, error: Exception) -> str | None:
        trace, found = error.__traceback__, None
        while trace is not None:
            found = self.locate(trace.tb_frame.f_code.co_filename, trace.tb_lineno) or found
            trace = trace.tb_next
        return found
