"""What holds of every pass, a user's own included, checked as it runs: cheap, and so always on.

A pass returns a graph of the same inputs, results (count, types, names) and updates. Only an update that
gives a state its own value may go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from symgrad.errors import CompileError
from symgrad.ir import origin
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import same_tensors


def pass_name(step: Callable[[Graph], Graph]) -> str:
    """What to call a pass in messages."""
    return getattr(step, "__name__", None) or type(step).__name__


def as_passes(passes: Iterable[Callable[[Graph], Graph]]) -> tuple[Callable[[Graph], Graph], ...]:
    """What a user gave as `passes=`, as a tuple; CompileError where it is none of passes."""
    given: Any = passes
    if callable(given) or isinstance(given, str) or not isinstance(given, Iterable):
        raise CompileError(
            f"passes are a sequence of functions Graph -> Graph, not {_described(given)}",
            hint="for a single pass: passes=[it]",
        )
    checked = tuple(given)
    for step in checked:
        if not callable(step):
            raise CompileError(
                f"a pass is a function Graph -> Graph, not {_described(step)}", hint=_hint(step)
            )
    return checked


def _described(thing: Any) -> str:
    return repr(thing) if isinstance(thing, str) else f"a {type(thing).__name__}"


def _hint(step: Any) -> str:
    if isinstance(step, str):
        return f"passes go by themselves, not by name: sg.passes.{step}"
    if hasattr(step, "maths") or isinstance(step, (list, tuple)):
        return 'rules become a pass by sg.passes.Rewriting("name", [rule, ...])'
    return "for example sg.passes.merge"


def apply_pass(step: Callable[[Graph], Graph], graph: Graph) -> Graph:
    """What a pass makes of a graph; CompileError if that is not what a pass may return."""
    name = pass_name(step)
    try:
        result: Any = step(graph)
    except Exception as error:
        error.add_note(f"in the pass {name}")
        raise
    if not isinstance(result, Graph):
        raise CompileError(
            f"the pass {name} returned {type(result).__name__}", hint="a pass takes a Graph and returns one"
        )
    if result is not graph:
        _check(name, graph, result)
    return result


def _check(name: str, before: Graph, after: Graph) -> None:
    if not same_tensors(after.inputs, before.inputs) or after.input_names != before.input_names:
        raise _fault(name, "the inputs", ", ".join(before.input_names), ", ".join(after.input_names))
    if len(after.outputs) != len(before.outputs) or after.given_output_names != before.given_output_names:
        raise _fault(name, "the outputs", _outputs(before), _outputs(after))
    for i, (old, new) in enumerate(zip(before.outputs, after.outputs, strict=True)):
        if new.type is not old.type and new.type != old.type:
            error = _fault(name, f"the type of the output {before.output_names[i]}", old.type, new.type)
            error.at = origin.locate(old.node.origins)
            raise error
    for state, value in before.updates.items():
        if state not in after.updates:
            if value is not state:
                raise _fault(name, "the updates", f"one of {before.names[state]}", "none of it")
        elif after.updates[state].type != state.type:
            raise _fault(
                name,
                f"the type of the update of {before.names[state]}",
                state.type,
                after.updates[state].type,
            )
    for state in after.updates:
        if state not in before.updates:
            raise _fault(name, "the updates", f"none of {after.names[state]}", "one")


def _outputs(graph: Graph) -> str:
    named = zip(graph.given_output_names, graph.outputs, strict=True)
    return ", ".join(str(t.type) if n is None else f"{n}: {t.type}" for n, t in named) or "none"


def _fault(name: str, what: str, before: object, after: object) -> CompileError:
    return CompileError(
        f"the pass {name} changed {what}",
        facts=[("before", before), ("after", after)],
        hint="return graph.with_results(outputs, updates), which keeps the rest",
    )
