"""Graphs on both backends, optimised and as written, against their own NumPy forms.

What is allowed follows from the graph and the arguments: `symgrad_compiler.validate.estimate` computes it
several times with other roundings. No digit that counts may change, and no NaN may come in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.ir.graph import Graph
from symgrad_compiler.passes.release import release
from symgrad_compiler.validate import Arguments, Estimate, Estimates, Interpreter, agree, arguments
from symgrad_compiler.validate.interpret import undefined
from symgrad_compiler.validate.noise import MANY

#: (what to call it, backend, passes, class)
PROGRAMS: list[tuple[str, str, Any, str]] = [
    ("numpy, as written", "numpy", (), "rounding"),
    ("numpy, optimised", "numpy", None, "stable"),
    ("llvm, as written", "llvm", (), "rounding"),
    ("llvm, optimised", "llvm", None, "stable"),
]


def compiled(graph: Graph, backend: str, passes: Any = None) -> Callable[[Arguments], list[np.ndarray]]:
    """The graph as a function from arguments to its outputs and then the new values of its states."""
    inputs = dict(zip(graph.input_names, graph.inputs, strict=True))
    f = sg.function(
        inputs,
        list(graph.outputs),
        updates=graph.updates,
        backend=backend,
        passes=passes,
        on_unused_input="ignore",
    )

    def call(given: Arguments) -> list[np.ndarray]:
        before = [s.state.array for s in graph.states]
        try:
            for s in graph.states:
                s.state.array = given.values[s].copy()
            outputs = f(*[given.values[t] for t in graph.inputs])
            return [np.asarray(v) for v in (*outputs, *[s.get() for s in graph.states])]
        finally:
            for s, array in zip(graph.states, before, strict=True):
                s.state.array = array

    return call


def some_arguments(graph: Graph, count: int, seed: int = 0) -> Iterator[tuple[Arguments, Interpreter]]:
    """Ordinary ones, special ones, and then of the other kinds in turn, as far as the graph accepts them."""
    others = ["positive", "huge", "empty"]
    kinds = ["ordinary", "special", *others[seed % 3 :], *others[: seed % 3], "special"]
    return itertools.islice(arguments(graph, seed, kinds), count)


def disagreements(
    graph: Graph,
    count: int = 3,
    seed: int = 0,
    programs: Sequence[tuple[str, str, Any, str]] = tuple(PROGRAMS),
) -> Iterator[str]:
    """What is wrong with the programs of a graph on `count` sets of arguments, a text each."""
    written = release(graph)
    sets = [
        (
            given,
            {k: Estimates(run, stable=k == "stable") for k in ("rounding", "stable")},
            undefined(written, run.values),
        )
        for given, run in some_arguments(written, count, seed)
    ]
    for name, backend, passes, kind in programs:
        call = compiled(graph, backend, passes)
        for given, wanted, is_open in sets:
            try:
                found = call(given)
            except (sg.SymgradError, IndexError, ValueError) as error:
                yield _report(graph, given, f"{name}: {type(error).__name__}: {error}")
                continue
            by = wanted[kind]
            for i, (known, value) in enumerate(zip(by(written), found, strict=True)):

                def again(by: Estimates = by, i: int = i) -> Estimate:
                    return by(written, MANY)[i]

                wrong = None if is_open[i] else _differs(known, again, value, kind, given)
                if wrong is not None:
                    yield _report(graph, given, f"{name}, result {i}: {wrong}")


def _differs(
    known: Estimate, again: Callable[[], Estimate], value: np.ndarray, kind: str, given: Arguments
) -> str | None:
    if value.shape != known.value.shape or value.dtype != known.value.dtype:
        return f"{value.dtype}{list(value.shape)} for {known.value.dtype}{list(known.value.shape)}"
    verdict = agree(
        kind,
        known.value,
        value,
        lambda: known,
        again=again,
        ordinary=given.ordinary,
        moderate=given.moderate,
    )
    if verdict is None:
        return None
    return f"at {list(verdict.place)}: {verdict.before!r} became {verdict.after!r}, allowed {verdict.allowed}"


def _report(graph: Graph, given: Arguments, what: str) -> str:
    with np.printoptions(precision=17, threshold=60):
        values = [f"{t.name or 'state'} = {v!r}" for t, v in given.values.items()]
    return "\n".join([what, f"arguments: {given.kind}, {given.sizes}", *values, str(graph)])
