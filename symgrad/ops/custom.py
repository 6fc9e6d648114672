"""Functions with a derivative that the user gives, and functions that are computed again for their derivative.

Each such op hands its first operands on as they are: the values of a function, computed by the nodes before. Its
attribute is a graph that says how to differentiate it. `release` drops these ops when a graph is compiled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import ClassVar

from symgrad.dims import Dim
from symgrad.errors import GradientError, ShapeError
from symgrad.ir.graph import Graph, Subgraph
from symgrad.ir.tensor import Node, Tensor, apply, apply_all, make_input
from symgrad.ir.traverse import ancestors
from symgrad.ops.arithmetic import negative
from symgrad.ops.compare import equal, isfinite, logical_and, logical_not
from symgrad.ops.create import zeros_like
from symgrad.ops.kinds import Linear, Structured, Tangents, TensorOp, declare, repeated
from symgrad.ops.select import where
from symgrad.ops.truth import all as all_of
from symgrad.records import record
from symgrad.registry import language
from symgrad.types import TensorType


@record
class _WithRule(Structured, ABC):
    """(values*, arguments*, captured*) -> values: the identity on the first `count` operands.

    The operands after the values are the arguments of the function and, last, what it reads besides.
    """

    rule: Subgraph
    count: int
    operands = ("values*",)
    holds_graphs = True
    negative_is_empty = True

    def operand_name(self, index: int) -> str:
        return f"values{index}" if index < self.count else f"arguments{index - self.count}"

    @abstractmethod
    def expected(self, types: Sequence[TensorType]) -> tuple[Sequence[TensorType], Sequence[TensorType]]:
        """The types of the inputs and outputs of `rule`, for given types of the operands."""

    def infer(self, *types: TensorType) -> Sequence[TensorType]:
        if not 0 < self.count <= len(types):
            raise ShapeError(f"{self.name} has {len(types)} operands, {self.count} of them values")
        inputs, outputs = self.expected(types)
        graph = self.rule.graph
        for what, want, have in (("takes", inputs, graph.inputs), ("gives", outputs, graph.outputs)):
            if list(want) != [t.type for t in have]:
                raise ShapeError(
                    f"the graph {graph.name} of {self.name} {what} other types",
                    facts=[
                        ("expected", ", ".join(map(str, want))),
                        ("got", ", ".join(str(t.type) for t in have)),
                    ],
                )
        return types[: self.count]

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        """All operands and the rule get the new axis."""
        op = replace(self, rule=_batched_graph(self.rule, size))
        return apply_all(op, repeated(size, operands, batched))


def _batched_graph(rule: Subgraph, size: Dim) -> Subgraph:
    graph = rule.graph
    inputs = {
        t: make_input(t.type.with_shape((size, *t.shape)), name)
        for name, t in zip(graph.input_names, graph.inputs, strict=True)
    }
    found: Mapping[Tensor, Tensor] = language["vectorize"](graph.outputs, inputs, size)
    repeat = language["broadcast_to"]
    outputs = [found[t] if t in found else repeat(t, (size, *t.shape)) for t in graph.outputs]
    return Subgraph(Graph(list(inputs.values()), outputs, name=graph.name))


def _quiet(result: Tensor | None, given: Sequence[Tensor | None], masked: bool) -> Tensor | None:
    """What a rule of the user's gives for a cotangent (or tangent) that a mask has made 0: where the rule makes
    no number of that 0, as 0 * inf is none, it stays 0. Element by element where shapes are equal."""
    moved = [g for g in given if g is not None]
    if result is None or not masked:
        return result
    nothing: Tensor | None = None
    for g in moved:
        zero = equal(g, 0)
        if g.shape != result.shape:
            zero = all_of(zero)
        nothing = zero if nothing is None else logical_and(nothing, zero)
    return where(logical_and(nothing, logical_not(isfinite(result))), 0, result)


@lru_cache(maxsize=256)
def _stable(rule: Subgraph) -> Subgraph:
    """The graph in the form in which it is differentiated."""
    graph = rule.graph
    found: Mapping[Tensor, Tensor] = language["stabilize_tensors"](graph.outputs, graph.inputs)
    inputs = dict(zip(graph.input_names, graph.inputs, strict=True))
    return Subgraph(Graph(inputs, [found[t] for t in graph.outputs], name=graph.name))


def _floats(types: Sequence[TensorType]) -> list[TensorType]:
    return [t for t in types if t.dtype.is_differentiable]


def _filled(parts: Sequence[Tensor | None], like: Sequence[Tensor]) -> list[Tensor]:
    """What is missing is zero; what has no derivative is left out."""
    return [
        zeros_like(t) if p is None else p
        for p, t in zip(parts, like, strict=True)
        if t.dtype.is_differentiable
    ]


def _matched(results: Sequence[Tensor], like: Sequence[Tensor]) -> list[Tensor | None]:
    """One result for each tensor that has a derivative, None for the others."""
    given = iter(results)
    return [next(given) if t.dtype.is_differentiable else None for t in like]


@declare
@record
class CustomVJP(_WithRule):
    """A function with a rule for its cotangents.

    `rule` maps the cotangents of the values (of floats), all arguments and all values to the cotangents of the
    arguments (of floats). Behind the arguments stand `captured` operands that the function reads from outside, and
    `besides` that only the rule does.
    """

    captured: int = 0
    besides: int = 0
    name: ClassVar[str] = "custom_vjp"

    def expected(self, types: Sequence[TensorType]) -> tuple[Sequence[TensorType], Sequence[TensorType]]:
        values, rest = types[: self.count], types[self.count :]
        arguments = rest[: len(rest) - self.captured - self.besides]
        return [*_floats(values), *rest, *values], _floats(arguments)

    def pull_all(
        self, node: Node, operands: Sequence[int], cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> list[Tensor | None]:
        values, rest = node.outputs, node.inputs[self.count :]
        arguments = rest[: len(rest) - self.captured - self.besides]
        _refuse_captured(self, node, operands)
        results = _matched(self.rule(*_filled(cotangents, values), *rest, *values), arguments)
        sent = {i: _quiet(t, cotangents, masked) for i, t in enumerate(results, self.count)}
        return [sent.get(i) for i in operands]


@declare
@record
class CustomJVP(_WithRule):
    """A function with a rule for its tangents.

    `rule` maps the tangents of the arguments (of floats), all arguments and all values to the tangents of the
    values (of floats), linearly in the tangents.
    """

    captured: int = 0
    besides: int = 0
    name: ClassVar[str] = "custom_jvp"

    def expected(self, types: Sequence[TensorType]) -> tuple[Sequence[TensorType], Sequence[TensorType]]:
        values, rest = types[: self.count], types[self.count :]
        arguments = rest[: len(rest) - self.captured - self.besides]
        return [*_floats(arguments), *rest, *values], _floats(values)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        values, rest = node.outputs, node.inputs[self.count :]
        arguments = rest[: len(rest) - self.captured - self.besides]
        given = tangents[self.count : self.count + len(arguments)]
        _refuse_captured(self, node, [i for i, t in enumerate(tangents) if t is not None])
        if not any(t is not None for t in given):
            return (None,) * self.count
        if any(t is None and x.dtype.is_differentiable for t, x in zip(given, arguments, strict=True)):
            ts, pushed = self._of_any_tangents(node)
            seeds = {t: s for t, s in zip(ts, given, strict=True) if t is not None and s is not None}
            found = language["pushforward"](
                [y for y in pushed if y is not None], seeds, masked=seeds if masked else ()
            )
            self._require_linear(ts, found.values())
            return tuple([None if y is None else found.get(y) for y in pushed])
        pushed = _matched(self.rule(*_filled(given, arguments), *rest, *values), values)
        return tuple([_quiet(t, given, masked) for t in pushed])

    def pull_all(
        self, node: Node, operands: Sequence[int], cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> list[Tensor | None]:
        """The rule, linear in the tangents, transposed."""
        _refuse_captured(self, node, operands)
        ts, pushed = self._of_any_tangents(node)
        seeds = _seeds(pushed, cotangents)
        table = language["pullback_of"](
            seeds, [t for t in ts if t is not None], masked=seeds if masked else ()
        )
        sent = {i: table.get(t) for i, t in enumerate(ts, self.count) if t is not None}
        self._require_linear(ts, [g for g in sent.values() if g is not None])
        return [sent.get(i) for i in operands]

    def _of_any_tangents(self, node: Node) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Placeholders for the tangents of the arguments, and the rule of them: None for what has none."""
        values, rest = node.outputs, node.inputs[self.count :]
        arguments = rest[: len(rest) - self.captured - self.besides]
        ts = [make_input(t.type, "t") if t.dtype.is_differentiable else None for t in arguments]
        return ts, _matched(self.rule(*[t for t in ts if t is not None], *rest, *values), values)

    def _require_linear(self, ts: Sequence[Tensor | None], found: Iterable[Tensor]) -> None:
        """GradientError if derivatives by the placeholders still depend on these."""
        if not {t.node for t in ts if t is not None}.isdisjoint(ancestors(list(found))):
            raise GradientError(
                f"the rule {self.rule.graph.name} of custom_jvp is not linear in the tangent",
                hint="a tangent of the result is a sum of products with tangents of the arguments",
            )


def _refuse_captured(op: CustomVJP | CustomJVP, node: Node, operands: Sequence[int]) -> None:
    end = len(node.inputs) - op.besides
    for i in operands:
        if end - op.captured <= i < end and node.inputs[i].dtype.is_differentiable:
            outside = node.inputs[i]
            raise GradientError(
                f"{op.rule.graph.name} says nothing about {outside.name or outside.node.op.name}, which the function "
                "reads without taking it as an argument",
                facts=[("captured", outside.type)],
                hint="make it an argument, or wrap it with symgrad.stop_gradient",
            )


def _seeds(outputs: Sequence[Tensor | None], cotangents: Sequence[Tensor | None]) -> dict[Tensor, Tensor]:
    """Output -> cotangent, added up where outputs are one tensor."""
    seeds: dict[Tensor, Tensor] = {}
    for y, g in zip(outputs, cotangents, strict=True):
        if y is not None and g is not None:
            seeds[y] = seeds[y] + g if y in seeds else g
    return seeds


@declare
@record
class Checkpoint(_WithRule):
    """A function whose intermediate values are not kept for its derivative, but computed once more.

    `rule` is the function itself: all operands after the values to the values.
    """

    name: ClassVar[str] = "checkpoint"

    def expected(self, types: Sequence[TensorType]) -> tuple[Sequence[TensorType], Sequence[TensorType]]:
        return types[self.count :], types[: self.count]

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """Forward, there is nothing to keep: the tangents of the function itself."""
        arguments = [apply(Barrier(), x, x) for x in node.inputs[self.count :]]
        values = _stable(self.rule)(*arguments)
        seeds = {x: t for x, t in zip(arguments, tangents[self.count :], strict=True) if t is not None}
        found = language["pushforward"](values, seeds, masked=seeds if masked else ())
        return tuple([found.get(y) for y in values])

    def pull_all(
        self, node: Node, operands: Sequence[int], cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> list[Tensor | None]:
        """Compute the values again, when the cotangents have come, and pull back through that."""
        first = next(g for g in cotangents if g is not None)
        arguments = [apply(Barrier(), x, first) for x in node.inputs[self.count :]]
        seeds = _seeds(_stable(self.rule)(*arguments), cotangents)
        table = language["pullback_of"](seeds, arguments, masked=seeds if masked else ())
        sent = dict(enumerate([table.get(x) for x in arguments], self.count))
        return [sent.get(i) for i in operands]


@declare
@record
class Barrier(Linear):
    """x, but not before `after` is computed; what is behind it is computed again, not shared."""

    name: ClassVar[str] = "barrier"
    negative_is_empty = True
    operands = ("x", "after")
    numpy = "{x}"
    view = True
    no_gradient: ClassVar = {"after": "it only says when"}

    def infer(self, x: TensorType, after: TensorType) -> TensorType:
        return x

    def transpose_x(self, g: Tensor, x: Tensor, after: Tensor) -> Tensor:
        return g

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        return (tangents[0],)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        x, after = operands
        return (apply(Barrier(), *repeated(size, (x,), batched[:1]), after),)


@declare
@record
class ImplicitRoot(Structured):
    """(x, parameters*) -> x, where residual(x, parameters) = 0.

    With A the derivative of the residual in x, `solve` maps (x, parameters, b) to the solution of A t = b and
    `solve_transposed` to that of A^T t = b. Implicit function theorem: dx = -A^-1 (d residual / d parameters).
    """

    residual: Subgraph
    solve: Subgraph
    solve_transposed: Subgraph
    name: ClassVar[str] = "implicit_root"
    operands = ("values*",)
    holds_graphs = True
    negative_is_empty = True

    def infer(self, *types: TensorType) -> TensorType:
        x = types[0]
        wanted = [(self.residual, types), (self.solve, (*types, x)), (self.solve_transposed, (*types, x))]
        for graph, inputs in wanted:
            fits = tuple(t.type for t in graph.graph.inputs) == tuple(inputs)
            if not fits or tuple(t.type for t in graph.graph.outputs) != (x,):
                raise ShapeError(
                    f"the graph {graph.graph.name} of implicit_root has other types",
                    facts=[("x", x), ("inputs", ", ".join(str(t.type) for t in graph.graph.inputs))],
                    hint="the residual and the solutions have the shape and dtype of x",
                )
        return x

    def pull_all(
        self, node: Node, operands: Sequence[int], cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> list[Tensor | None]:
        (g,) = cotangents
        assert g is not None
        x, parameters = node.output, node.inputs[1:]
        (solved,) = self.solve_transposed(x, *parameters, g)
        adjoint = _quiet(solved, (g,), masked)
        fresh = [make_input(p.type, "p") for p in parameters]
        (residual,) = _stable(self.residual)(x, *fresh)
        seeds = {residual: negative(adjoint)}
        live = [p for p in fresh if p.dtype.is_differentiable]
        table = language["pullback_of"](seeds, live, masked=seeds if masked else ())
        back = dict(zip(fresh, parameters, strict=True))
        wanted = [table[p] for p in fresh if p in table]
        placed = iter(language["substitute"](wanted, back))
        sent = {i: next(placed) for i, p in enumerate(fresh, 1) if p in table}
        return [sent.get(i) for i in operands]

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        x, parameters = node.output, node.inputs[1:]
        fresh = [make_input(p.type, "p") for p in parameters]
        (residual,) = _stable(self.residual)(x, *fresh)
        seeds = {p: t for p, t in zip(fresh, tangents[1:], strict=True) if t is not None}
        moved = language["pushforward"]([residual], seeds, masked=seeds if masked else ()).get(residual)
        if moved is None:
            return (None,)
        (right,) = language["substitute"]([-moved], dict(zip(fresh, parameters, strict=True)))
        (solved,) = self.solve(x, *parameters, right)
        return (_quiet(solved, (right,), masked),)

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        graphs = [_batched_graph(g, size) for g in (self.residual, self.solve, self.solve_transposed)]
        return apply_all(ImplicitRoot(*graphs), repeated(size, operands, batched))


RULE_OPS: tuple[type[TensorOp], ...] = (CustomVJP, CustomJVP, Checkpoint, ImplicitRoot)


def value_of(node: Node) -> tuple[Tensor, ...]:
    """The operands that an op with a rule hands on."""
    return node.inputs[: len(node.outputs)]
