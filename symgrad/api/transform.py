"""Transforms of Python functions on tensors: `trace`, `vmap`, and functions with derivatives of the
user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

from symgrad import dims, registry
from symgrad.api.differentiate import like_output, vjp
from symgrad.api.givens import substitute_tensors
from symgrad.api.jacobians import jvp, unit_vectors
from symgrad.api.structure import flatten, rebuild, spread_axes, tensors
from symgrad.dims import Dim
from symgrad.errors import GradientError, GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.graph import Graph, Subgraph
from symgrad.ir.op import Input
from symgrad.ir.tensor import MAX_NAME, RESERVED, Shared, Tensor, apply, apply_all, make_input
from symgrad.ops.create import as_tensor, zeros_like
from symgrad.ops.custom import Checkpoint, CustomJVP, CustomVJP, ImplicitRoot
from symgrad.ops.elimination import eliminated
from symgrad.ops.shape import broadcast_to, moveaxis, normalize_axis, permute_dims, reshape
from symgrad.types import TensorType, as_shape
from symgrad.types import dtype as as_dtype
from symgrad_compiler.autodiff.vectorize import vectorize

Function = Callable[..., Any]


def trace(f: Any, *specs: Any, name: str | None = None, **options: Any) -> Any:
    """The graph of a Python function on tensors. (Of a tensor: the sum of its diagonal,
    `symgrad.linalg.trace`.)

    Args:
        f: takes tensors, returns a tensor, a sequence or a dict of tensors.
        specs: for each parameter an input tensor, or (shape, dtype) of one that is named after the parameter.
        name: the graph's name; the function's unless given.

    >>> import symgrad as sg
    >>> g = sg.trace(lambda x, y: x @ y, (("n", 3), "float64"), ((3,), "float64"))
    >>> g.inputs, g.outputs
    ((<x: f64[n,3]>, <y: f64[3]>), (<matmul: f64[n]>,))
    """
    if not callable(f):
        return registry.language["trace"](f, *specs, **options)
    names = _parameter_names(f, len(specs))
    inputs = [_input(spec, wish) for spec, wish in zip(specs, names, strict=True)]
    result = f(*inputs)
    outputs = result if isinstance(result, (Tensor, dict)) else tensors(result)
    return Graph(inputs, outputs, name=name or _function_name(f))


def _input(spec: Any, name: str) -> Tensor:
    if isinstance(spec, Tensor):
        return spec if isinstance(spec.node.op, Input) else make_input(spec.type, name)
    if isinstance(spec, TensorType):
        return make_input(spec, name)
    if isinstance(spec, tuple) and len(spec) == 2 and isinstance(spec[0], (tuple, list)):
        return make_input(TensorType(as_dtype(spec[1]), as_shape(spec[0])), name)
    if hasattr(spec, "shape") and hasattr(spec, "dtype"):
        return make_input(TensorType(as_dtype(spec.dtype), as_shape(spec.shape)), name)
    raise GraphError(
        "a spec must be an input tensor or (shape, dtype)",
        facts=[("got", repr(spec)[:80])],
        hint='(("n", 3), "float64")',
    )


def _parameter_names(f: Function, count: int) -> list[str]:
    """The names of the first parameters of a function, where they can be found out."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in plain][:count]
    names += [f"x{i}" for i in range(len(names), count)]
    return [n if _is_free(n) else f"{n}_" for n in names]


def _function_name(f: Function) -> str:
    name = getattr(f, "__name__", "")
    return name if name.isidentifier() and _is_free(name) else "main"


def _is_free(name: str) -> bool:
    return name not in RESERVED and len(name) < MAX_NAME


# ---- vmap -------------------------------------------------------------------------------------------


def vmap(f: Function, in_axes: Any = 0, out_axes: Any = 0) -> Function:
    """`f` for each element along an axis of its arguments at once.

    Args:
        f: a Python function on tensors; its arguments and results may be nested tuples, lists and dicts of
        them. in_axes: the axis of the arguments that is mapped: an int for all, or a tuple with an int,
        None (not
            mapped) or a nested structure of these for each positional argument. Keyword arguments are
            mapped along axis 0.
        out_axes: where the axis goes in the results, in the same manner; None for what does not depend on it.

    Returns:
        A Python function on tensors. Whatever `f` calls is vectorised: there is no loop. `f` is called once.

    >>> import symgrad as sg
    >>> x, w = sg.matrix("x", ("n", 3)), sg.vector("w", size=3)
    >>> rowwise = sg.vmap(lambda row: sg.grad(sg.tanh(row @ w), w))
    >>> rowwise(x)
    <reshape: f64[n,3]>
    """

    @wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves = tensors((args, kwargs))
        axes = spread_axes(_axes_of(in_axes, args), args, "in_axes") + [0] * len(flatten(kwargs))
        size, placeholders, batched = _split_axes(leaves, axes)
        given = iter(placeholders)
        results = f(*rebuild(args, [next(given) for _ in flatten(args)]), **rebuild(kwargs, list(given)))
        outputs = tensors(results)
        made = vectorize(outputs, batched, size)
        placed = [
            _place(t, made.get(t), axis, size)
            for t, axis in zip(outputs, spread_axes(out_axes, results, "out_axes"), strict=True)
        ]
        return rebuild(results, placed)

    return mapped


def _axes_of(in_axes: Any, args: tuple[Any, ...]) -> Any:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(f"in_axes has {len(in_axes)} entries for {len(args)} positional arguments")
    return in_axes


def _split_axes(
    leaves: Sequence[Tensor], axes: Sequence[int | None]
) -> tuple[Dim, list[Tensor], dict[Tensor, Tensor]]:
    """(the size of the mapped axis, what the function sees, placeholder -> the tensor with the axis in
    front)."""
    found: list[tuple[str, Tensor, Dim]] = []
    seen: list[Tensor] = []
    batched: dict[Tensor, Tensor] = {}
    for number, (tensor, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            seen.append(tensor)
            continue
        if not tensor.ndim:
            raise ShapeError(
                "vmap needs an axis to map over, but an argument has none",
                facts=[(tensor.name or f"argument {number}", tensor.type)],
                hint="in_axes=None for arguments that are not mapped",
            )
        front = moveaxis(tensor, normalize_axis(axis, tensor.ndim), 0)
        name = tensor.name or f"x{number}"
        placeholder = make_input(front.type.with_shape(front.shape[1:]), name)
        seen.append(placeholder)
        batched[placeholder] = front
        found.append((name, tensor, front.shape[0]))
    if not found:
        raise ValueError("vmap maps over no argument: at least one of in_axes must be an int")
    size = found[0][2]
    for _, _, other in found:
        if not dims.equal(size, other):
            raise ShapeError(
                f"the mapped axes have different sizes: {size} and {other}",
                facts=[(name, tensor.type) for name, tensor, _ in found],
                at=origin.locate(origin.current()),
            )
    return size, seen, batched


def _place(tensor: Tensor, made: Tensor | None, axis: int | None, size: Dim) -> Tensor:
    if axis is None:
        if made is not None:
            raise ValueError("out_axes is None for a result that depends on a mapped argument")
        return tensor
    if made is None:
        made = broadcast_to(tensor, (size, *tensor.shape))
    return moveaxis(made, 0, normalize_axis(axis, made.ndim))


# ---- functions with rules ---------------------------------------------------------------------------


class _Traced:
    """A Python function on tensors, traced for given arguments, with what it reads besides them."""

    def __init__(self, f: Function, args: tuple[Any, ...], what: str) -> None:
        self.f, self.args = f, args
        self.arguments = tensors(args)
        if not self.arguments:
            raise GraphError(f"a function under {what} needs at least one argument")
        self.name = _function_name(f)
        names = _unique(_parameter_names(f, len(self.arguments)))
        self.inputs = [make_input(t.type, n) for t, n in zip(self.arguments, names, strict=True)]
        self.result = f(*rebuild(args, self.inputs))
        self.values = tensors(self.result)
        self.captured = _captured(self.values, self.inputs, self.inputs[0].node.id)

    def computed(self) -> list[Tensor]:
        """The function's values for the arguments."""
        return substitute_tensors(self.values, dict(zip(self.inputs, self.arguments, strict=True)))

    def finish(self, made: Sequence[Tensor]) -> Any:
        """Values in the form in which the function returns them."""
        for new, old in zip(made, self.values, strict=True):
            new.name = old.name
        return rebuild(self.result, made)


def _unique(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        while name in found or not _is_free(name):
            name += "_"
        found.append(name)
    return found


def _captured(outputs: Sequence[Tensor], inputs: Sequence[Tensor], first: int) -> list[Tensor]:
    """The tensors made before node `first` that `outputs` read, constants aside."""
    stack, seen, found = [*outputs], {*outputs, *inputs}, []
    own = set(inputs)
    while stack:
        tensor = stack.pop()
        if tensor in own:
            continue
        node = tensor.node
        if isinstance(node.op, Input) or isinstance(tensor, Shared) or (node.id < first and node.inputs):
            found.append(tensor)
            continue
        fresh = [t for t in node.inputs if t not in seen]
        seen.update(fresh)
        stack += fresh
    return sorted(found, key=lambda t: (t.node.id, t.index))


def _closed(
    before: Sequence[Tensor],
    captured: Sequence[Tensor],
    after: Sequence[Tensor],
    outputs: Sequence[Tensor],
    name: str,
) -> Subgraph:
    """The graph of `outputs` with the inputs `before`, one for each captured tensor, and `after`."""
    given = [*before, *after]
    taken = _unique([*[t.name or "x" for t in given], *[t.name or t.node.op.name for t in captured]])
    stands_for = {t: make_input(t.type, n) for t, n in zip(captured, taken[len(given) :], strict=True)}
    inputs = dict(zip(taken, given, strict=False))
    first, last = list(inputs.items())[: len(before)], list(inputs.items())[len(before) :]
    middle = [(t.name or "x", t) for t in stands_for.values()]
    return Subgraph(Graph(dict([*first, *middle, *last]), substitute_tensors(outputs, stands_for), name=name))


def custom_vjp(f: Function, rule: Function) -> Function:
    """`f` with a derivative of your own, in reverse mode (forward mode follows by transposing it).

    Args:
        f: a Python function on tensors; arguments and results may be nested tuples, lists and dicts.
        rule: called as `rule(g, *arguments)`, or as `rule(g, *arguments, result)` if it takes one more;
        `g` is the
            cotangent of the result, in its form. Returns the cotangent of the argument, or a tuple of one
            for each; None stands for zero.

    Returns:
        A function that computes what `f` does. What `f` reads from outside without taking it as an
        argument has no derivative: asking for one is a GradientError.

    >>> import symgrad as sg
    >>> clipped = sg.custom_vjp(lambda x: x, lambda g, x: sg.clip(g, -1.0, 1.0))   # clips gradients
    >>> x = sg.scalar("x")
    >>> sg.grad(clipped(x) * 100.0, x).eval({x: 1.0})
    np.float64(1.0)
    """

    @wraps(f)
    def wrapped(*args: Any) -> Any:
        traced = _Traced(f, args, "custom_vjp")
        gs = [_placeholder(t, "g") for t in traced.values]
        graph, captured = _rule_graph(
            traced, rule, rebuild(traced.result, gs), gs, traced.inputs, "custom_vjp"
        )
        op = CustomVJP(graph, len(traced.values), len(captured))
        return traced.finish(apply_all(op, (*traced.computed(), *traced.arguments, *captured)))

    return wrapped


def custom_jvp(f: Function, rule: Function) -> Function:
    """`f` with a derivative of your own, in forward mode (reverse mode follows by transposing it).

    Args:
        f: as for `custom_vjp`.
        rule: called as `rule(t, *arguments)`, or as `rule(t, *arguments, result)` if it takes one more;
        `t` is the
            tangent of the argument, or a tuple of one for each where there are several. Returns the
            tangent of the result, in its form; it must be linear in `t`.

    >>> import symgrad as sg
    >>> softabs = sg.custom_jvp(sg.abs, lambda t, x: t * sg.tanh(10.0 * x))
    >>> x = sg.scalar("x")
    >>> sg.grad(softabs(x), x).eval({x: 0.0})
    np.float64(0.0)
    """

    @wraps(f)
    def wrapped(*args: Any) -> Any:
        traced = _Traced(f, args, "custom_jvp")
        ts = [_placeholder(t, "t") for t in traced.inputs]
        form = rebuild(args, ts)
        given = form[0] if len(args) == 1 else form
        graph, captured = _rule_graph(traced, rule, given, ts, traced.values, "custom_jvp")
        op = CustomJVP(graph, len(traced.values), len(captured))
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
) -> tuple[Subgraph, list[Tensor]]:
    """The rule as a graph of what moves, the arguments, captured tensors and values; and what is captured."""
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
    captured = sorted(
        {*traced.captured, *_captured(results, own, traced.inputs[0].node.id)},
        key=lambda t: (t.node.id, t.index),
    )
    return _closed([*live, *traced.inputs], captured, outs, results, f"{traced.name}_rule"), captured


def _takes(f: Function, count: int) -> bool:
    """Whether a function can be called with so many positional arguments."""
    try:
        inspect.signature(f).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return False
    return True


def checkpoint(f: Function) -> Function:
    """`f`, whose intermediate values are computed again for the derivative instead of being kept.

    This trades time for memory: only the arguments (and what `f` reads from outside) are kept.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=3)
    >>> layer = sg.checkpoint(lambda h: sg.tanh(sg.tanh(h)))
    >>> sg.Graph([x], sg.grad(sg.sum(layer(x)), x)).stats()["ops"]["barrier"]
    1
    """

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
        with
            matvec(t) = b. Needed for more than 8 unknowns; up to there, the matrix is made and eliminated.

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
    guess = as_tensor(initial_guess)
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
    names = _unique(["x", *[t.name or "p" for t in captured]])[1:]
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


def _named(tensors: Sequence[Tensor], taken: Iterable[str] = ()) -> dict[str, Tensor]:
    before = list(taken)
    names = _unique([*before, *[t.name or "x" for t in tensors]])[len(before) :]
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
