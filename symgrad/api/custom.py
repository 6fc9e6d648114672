"""Functions with derivatives of the user's: `custom_vjp`, `custom_jvp`, `checkpoint`, `custom_root`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import wraps
from typing import Any

from symgrad.api.differentiate import like_output, require_float, vjp
from symgrad.api.givens import substitute_tensors
from symgrad.api.jacobians import jvp, unit_vectors
from symgrad.api.structure import flatten, rebuild, require_function, tensors
from symgrad.api.trace import Function, function_name, parameter_names, unique_names
from symgrad.api.vmap import vmap
from symgrad.errors import GradientError, GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.graph import Graph, Subgraph
from symgrad.ir.op import Input
from symgrad.ir.tensor import Shared, Tensor, apply, apply_all, make_input
from symgrad.ops.align import common_dtype, is_weak
from symgrad.ops.cast import stop_gradient
from symgrad.ops.create import as_tensor, constant, zeros_like
from symgrad.ops.custom import Checkpoint, CustomJVP, CustomVJP, ImplicitRoot
from symgrad.ops.elimination import eliminated
from symgrad.ops.shape import permute_dims, reshape
from symgrad.types import FLOAT64, TensorType


class _Traced:
    """A Python function on tensors, traced for given arguments, with what it reads besides them."""

    def __init__(self, f: Function, args: tuple[Any, ...], what: str) -> None:
        self.args = args
        self.arguments = tensors(args)
        if not self.arguments:
            raise GraphError(f"a function under {what} needs at least one argument")
        self.name = function_name(f)
        names = unique_names(parameter_names(f, len(self.arguments)))
        self.inputs = [make_input(t.type, n) for t, n in zip(self.arguments, names, strict=True)]
        self.result = f(*rebuild(args, self.inputs))
        self.values = tensors(self.result)
        self.captured = _captured(self.values, self.inputs, self.inputs[0].node.id)

    def computed(self) -> list[Tensor]:
        """The function's values for the arguments."""
        arguments = dict(zip(self.inputs, self.arguments, strict=True))
        return substitute_tensors(self.values, arguments, self.inputs[0].node.id)

    def finish(self, made: Sequence[Tensor]) -> Any:
        """Values in the form in which the function returns them."""
        for new, old in zip(made, self.values, strict=True):
            new.name = old.name
        return rebuild(self.result, made)


def _captured(outputs: Sequence[Tensor], inputs: Sequence[Tensor], first: int) -> list[Tensor]:
    """The tensors made before node `first` that `outputs` read, constants aside."""
    stack, seen, found = [*outputs], {*outputs, *inputs}, []
    own = set(inputs)
    while stack:
        tensor = stack.pop()
        if tensor in own:
            continue
        node = tensor.node
        outside = node.id < first and node.inputs
        if (
            outside
            or isinstance(node.op, Input)
            or isinstance(tensor, Shared)
            or _is_held(tensor, own, first)
        ):
            found.append(tensor)
            continue
        fresh = [t for t in node.inputs if t not in seen]
        seen.update(fresh)
        stack += fresh
    return sorted(found, key=lambda t: (t.node.id, t.index))


def _is_held(tensor: Tensor, own: set[Tensor], first: int) -> bool:
    """Whether the tensor is `stop_gradient` of something from outside."""
    node = tensor.node
    return node.op is stop_gradient and node.inputs[0] not in own and node.inputs[0].node.id < first


def _closed(
    before: Sequence[Tensor],
    captured: Sequence[Tensor],
    after: Sequence[Tensor],
    outputs: Sequence[Tensor],
    name: str,
) -> Subgraph:
    """The graph of `outputs` with the inputs `before`, one for each captured tensor, and `after`."""
    stands_for = {t: make_input(t.type, t.name or t.node.op.name) for t in captured}
    first = _named(before)
    last = _named(after, first)
    middle = _named(stands_for.values(), (*first, *last))
    return Subgraph(Graph({**first, **middle, **last}, substitute_tensors(outputs, stands_for), name=name))


def custom_vjp(f: Function, rule: Function) -> Function:
    """`f` with a derivative of your own, in reverse mode (forward mode follows by transposing it).

    Args:
        f: a Python function on tensors; arguments and results may be nested tuples, lists and dicts.
        rule: called as `rule(g, *arguments)`, or as `rule(g, *arguments, result)` if it takes one more; `g`
            is the cotangent of the result, in its form. Returns the cotangent of the argument, or a tuple
            of one for each; None stands for zero.

    Returns:
        A function that computes what `f` does. What `f` reads from outside without taking it as an
        argument has no derivative: asking for one is a GradientError.

    >>> import symgrad as sg
    >>> clipped = sg.custom_vjp(lambda x: x, lambda g, x: sg.clip(g, -1.0, 1.0))   # clips gradients
    >>> x = sg.scalar("x")
    >>> sg.grad(clipped(x) * 100.0, x).eval({x: 1.0})
    np.float64(1.0)
    """

    require_function(f, "custom_vjp")
    require_function(rule, "custom_vjp")

    @wraps(f)
    def wrapped(*args: Any) -> Any:
        traced = _Traced(f, args, "custom_vjp")
        gs = [_placeholder(t, "g") for t in traced.values]
        graph, captured, besides = _rule_graph(
            traced, rule, rebuild(traced.result, gs), gs, traced.inputs, "custom_vjp"
        )
        op = CustomVJP(graph, len(traced.values), len(captured) - besides, besides)
        return traced.finish(apply_all(op, (*traced.computed(), *traced.arguments, *captured)))

    return wrapped


def custom_jvp(f: Function, rule: Function) -> Function:
    """`f` with a derivative of your own, in forward mode (reverse mode follows by transposing it).

    Args:
        f: as for `custom_vjp`.
        rule: called as `rule(t, *arguments)`, or as `rule(t, *arguments, result)` if it takes one more; `t`
            is the tangent of the argument, or a tuple of one for each where there are several. Returns
            the tangent of the result, in its form; it must be linear in `t`.

    >>> import symgrad as sg
    >>> softabs = sg.custom_jvp(sg.abs, lambda t, x: t * sg.tanh(10.0 * x))
    >>> x = sg.scalar("x")
    >>> sg.grad(softabs(x), x).eval({x: 0.0})
    np.float64(0.0)
    """

    require_function(f, "custom_jvp")
    require_function(rule, "custom_jvp")

    @wraps(f)
    def wrapped(*args: Any) -> Any:
        traced = _Traced(f, args, "custom_jvp")
        ts = [_placeholder(t, "t") for t in traced.inputs]
        form = rebuild(args, ts)
        given = form[0] if len(args) == 1 else form
        graph, captured, besides = _rule_graph(traced, rule, given, ts, traced.values, "custom_jvp")
        op = CustomJVP(graph, len(traced.values), len(captured) - besides, besides)
        return traced.finish(apply_all(op, (*traced.computed(), *traced.arguments, *captured)))

    return wrapped


def _placeholder(tensor: Tensor, name: str) -> Tensor | None:
    return make_input(tensor.type, name) if tensor.dtype.is_differentiable else None


def _rule_graph(
    traced: _Traced,
    rule: Function,
    given: Any,
    moved: Sequence[Tensor | None],
    wanted: Sequence[Tensor],
    what: str,
) -> tuple[Subgraph, list[Tensor], int]:
    """The rule as a graph of what moves, the arguments, captured tensors and values; what is captured, and
    how much of that by the rule alone."""
    outs = [make_input(t.type, t.name or "out") for t in traced.values]
    arguments = rebuild(traced.args, traced.inputs)
    extra = [rebuild(traced.result, outs)] if _takes(rule, len(arguments) + 2) else []
    found = flatten(rule(given, *arguments, *extra))
    if len(found) != len(wanted):
        raise GradientError(
            f"the rule of {what} must return {len(wanted)} tensors, not {len(found)}",
            facts=[("function", traced.name)],
            hint="one cotangent for each argument, None for zero" if what == "custom_vjp" else None,
        )
    results = []
    for result, like in zip(found, wanted, strict=True):
        if like.dtype.is_differentiable:
            results.append(
                zeros_like(like) if result is None else like_output(like, result, "result of the rule")
            )
    live = [t for t in moved if t is not None]
    own = [*live, *traced.inputs, *outs]
    inside = set(traced.captured)
    besides = [t for t in _captured(results, own, traced.inputs[0].node.id) if t not in inside]
    captured = [*traced.captured, *besides]
    graph = _closed([*live, *traced.inputs], captured, outs, results, f"{traced.name}_rule")
    return graph, captured, len(besides)


def _takes(f: Function, count: int) -> bool:
    """Whether a function asks for so many positional arguments; those with defaults are its own."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return False
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return count == sum(p.kind in plain and p.default is p.empty for p in parameters)


def checkpoint(f: Function) -> Function:
    """`f`, whose intermediate values are computed again for the derivative instead of being kept.

    This trades time for memory: only the arguments (and what `f` reads from outside) are kept.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> layer = sg.checkpoint(lambda h: sg.tanh(sg.tanh(h)))
    >>> sg.Graph([x], sg.grad(sg.sum(layer(x)), x)).stats()["ops"]["barrier"]
    1
    """

    require_function(f, "checkpoint")

    @wraps(f)
    def wrapped(*args: Any) -> Any:
        traced = _Traced(f, args, "checkpoint")
        body = _closed(traced.inputs, traced.captured, (), traced.values, traced.name)
        op = Checkpoint(body, len(traced.values))
        return traced.finish(apply_all(op, (*traced.computed(), *traced.arguments, *traced.captured)))

    return wrapped


def custom_root(
    f: Function, initial_guess: Any, solve: Function, tangent_solve: Function | None = None
) -> Tensor:
    """A root of `f`, differentiated by the implicit function theorem and not through the iterations.

    Args:
        f: maps a tensor x to a residual of its shape and dtype; it reads its parameters from outside.
        initial_guess: where to start.
        solve: called as `solve(f, initial_guess)`; returns the root. Nothing in it is differentiated.
        tangent_solve: called as `tangent_solve(matvec, b)` with a linear function of x's shape; returns t
            with matvec(t) = b. Needed for more than 8 unknowns; up to there, the matrix is made and
            eliminated.

    Returns:
        The root; its derivatives (of any order, both modes) are those of the exact root with respect to
        every tensor that `f` reads.

    >>> import symgrad as sg
    >>> a = sg.scalar("a")
    >>> def newton(f, x):
    ...     for _ in range(8):
    ...         y = f(x)
    ...         x = x - y / sg.grad(y, x)
    ...     return x
    >>> root = sg.custom_root(lambda x: x**3 - a, 1.0, newton)
    >>> root.eval({a: 8.0}).round(12), sg.grad(root, a).eval({a: 8.0}).round(12)
    (np.float64(2.0), np.float64(0.083333333333))
    """
    for each in (f, solve, *([] if tangent_solve is None else [tangent_solve])):
        require_function(each, "custom_root")
    guess = _as_guess(f, initial_guess)
    solution = as_tensor(solve(f, guess))
    x = make_input(solution.type, "x")
    residual = as_tensor(f(x))
    if residual.type != x.type:
        raise ShapeError(
            "the residual must have the shape and dtype of the root",
            facts=[("root", x.type), ("residual", residual.type)],
            at=origin.locate(origin.current()),
        )
    captured = _captured([residual], [x], x.node.id)
    names = unique_names(["x", *[t.name or "p" for t in captured]])[1:]
    parameters = [make_input(t.type, n) for t, n in zip(captured, names, strict=True)]
    (inner,) = substitute_tensors([residual], dict(zip(captured, parameters, strict=True)))
    b = make_input(x.type, "b")
    inputs = _named([x, *parameters])
    solver = tangent_solve or _dense_solve

    def solved(matvec: Function, name: str) -> Subgraph:
        found = like_output(x, solver(matvec, b), "solution")
        return Subgraph(Graph({**inputs, **_named([b], inputs)}, found, name=name))

    op = ImplicitRoot(
        Subgraph(Graph(inputs, inner, name="residual")),
        solved(lambda v: jvp(inner, x, v, disconnected_inputs="ignore"), "solve"),
        solved(lambda v: vjp(inner, x, v, disconnected_inputs="ignore"), "solve_transposed"),
    )
    return apply(op, solution, *captured)


def _as_guess(f: Function, value: Any) -> Tensor:
    """Where to start, as a float tensor; a number takes the dtype of the floats that `f` reads."""
    if is_weak(value):
        probe = make_input(TensorType(FLOAT64, ()), "x")
        read = _captured([as_tensor(f(probe))], [probe], probe.node.id)
        floats = [t for t in read if t.dtype.is_differentiable]
        return constant(float(value), common_dtype(floats) if floats else FLOAT64)
    guess = as_tensor(value)
    require_float(guess, "the initial guess")
    return guess


def _named(tensors: Iterable[Tensor], taken: Iterable[str] = ()) -> dict[str, Tensor]:
    """The tensors by names of their own, other than those that are taken."""
    before = list(taken)
    names = unique_names([*before, *[t.name or "x" for t in tensors]])[len(before) :]
    return dict(zip(names, tensors, strict=True))


#: The largest system that custom_root solves by itself.
MOST_UNKNOWNS = 8


def _dense_solve(matvec: Function, b: Tensor) -> Tensor:
    """The solution of matvec(t) = b: the matrix is made, column by column at once, and eliminated."""
    n = b.size
    if not isinstance(n, int) or n > MOST_UNKNOWNS:
        raise GradientError(
            f"custom_root solves at most {MOST_UNKNOWNS} linear equations by itself",
            facts=[("root", b.type)],
            hint="give tangent_solve=: tangent_solve(matvec, b) returns t with matvec(t) = b",
        )
    if n == 0:
        return b
    columns = vmap(matvec)(unit_vectors(b))
    return reshape(eliminated(permute_dims(reshape(columns, (n, n))), reshape(b, (n,))), b.shape)
