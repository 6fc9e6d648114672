"""Derivatives with more than one direction: `jvp`, `jacobian`, `hessian`, `hvp`.

A Jacobian is one graph: the pullback of a single cotangent (or the pushforward of a single tangent),
vectorised over a basis. Its basis vectors are mostly zeros, and those zeros are strong: an infinite slope
in one direction does not make NaN of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgrad.api.differentiate import (
    Targets,
    Wrt,
    as_list,
    check_disconnected,
    disconnected_error,
    grad,
    like_output,
    one_for_each,
    require_float,
    require_scalar,
    stabilized,
)
from symgrad.dims import Dim, Size, product
from symgrad.errors import GradientError, warn
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.collector import without_collections
from symgrad.ir.tensor import Tensor, make_input
from symgrad.ops.cast import astype
from symgrad.ops.complexes import conj
from symgrad.ops.create import arange, zeros_like
from symgrad.ops.reduce import spread
from symgrad.ops.shape import moveaxis, reshape
from symgrad.types import complex_dtype
from symgrad_compiler.autodiff import reverse
from symgrad_compiler.autodiff.forward import pushforward as push
from symgrad_compiler.autodiff.vectorize import vectorize

_MODES = ("auto", "forward", "reverse")


@without_collections
def jvp(
    y: Any,
    wrt: Wrt,
    tangents: Any,
    *,
    consider_constant: Tensor | Iterable[Tensor] = (),
    disconnected_inputs: str = "raise",
    stabilize: bool = True,
) -> Any:
    """The Jacobian-vector product: the tangents of `y` for given `tangents` of `wrt` (forward mode).

    Args:
        y: a tensor of any shape, or a sequence of them.
        wrt: a tensor, a sequence or a dict of tensors, intermediates included.
        tangents: one for each of them, of its shape, in the form of `wrt`.
        consider_constant: tensors through which no derivative passes.
        disconnected_inputs: where no y depends on one of `wrt`: "raise" an error, "warn", or "ignore"
            (or "zero") that; "none" gives None for each y without a tangent.
        stabilize: as for `grad`.

    Returns:
        Tangents in the form of `y`; zeros where one y depends on nothing.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> sg.jvp(x * x, x, [1.0, 10.0]).eval({x: [1.0, 2.0]})
    array([ 2., 40.])
    """
    outputs = as_list(y, "the output must be a tensor")
    for output in outputs:
        require_float(output, "the output")
    targets = Targets(wrt)
    given = _in_form(targets, tangents, "tangent")
    check_disconnected(disconnected_inputs)
    new_outputs, held, new_wrt = outputs, as_list(consider_constant), targets.tensors
    if stabilize:
        new_outputs, held, new_wrt = stabilized(outputs, held, new_wrt)
    if disconnected_inputs in ("raise", "warn"):
        _require_connected(new_outputs, outputs, new_wrt, targets.tensors, held, disconnected_inputs)
    seeds: dict[Tensor, Tensor] = {}
    for target, tangent in zip(new_wrt, given, strict=True):
        seeds[target] = seeds[target] + tangent if target in seeds else tangent
    found = push(new_outputs, seeds, held)
    missing = (lambda t: None) if disconnected_inputs == "none" else zeros_like
    results = [found[t] if t in found else missing(t) for t in new_outputs]
    return results[0] if isinstance(y, Tensor) else tuple(results) if isinstance(y, tuple) else results


pushforward = jvp


def jacobian(
    y: Tensor,
    wrt: Wrt,
    *,
    mode: str = "auto",
    holomorphic: bool = False,
    consider_constant: Tensor | Iterable[Tensor] = (),
    disconnected_inputs: str = "raise",
    stabilize: bool = True,
) -> Any:
    """The derivative of every element of `y` with respect to every element of `wrt`.

    Args:
        y: a float or complex tensor of any shape.
        wrt: a tensor, a sequence or a dict of tensors, intermediates included; the result has this form.
        mode: "reverse" (a pullback for each element of y), "forward" (a pushforward for each element
            of wrt) or "auto", which takes what is less. Where one of y and x is complex, one mode tells all:
            of a real y the reverse one, whose rows are gradients; of a real x the forward one.
        holomorphic: of a complex y of complex x, a promise that y is an analytic function of x, so that
            dy/dx is one complex number.
        consider_constant: tensors through which no derivative passes.
        disconnected_inputs: as for `grad`.
        stabilize: as for `grad`.

    Returns:
        Tensors of shape `y.shape + x.shape`.

    Raises:
        GradientError: y and x are complex without `holomorphic`; the mode cannot tell.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> sg.jacobian(sg.stack([x[0] * x[1], x[0] ** 2]), x).eval({x: [3.0, 5.0]})
    array([[5., 3.],
           [6., 0.]])
    """
    require_float(y, "the output")
    targets = Targets(wrt)
    held = as_list(consider_constant)
    for x in targets.tensors:
        _require_mode(y, x, mode, holomorphic)
    return targets.rebuild(_jacobians([y], targets.tensors, held, mode, disconnected_inputs, stabilize)[0])


def _require_mode(y: Tensor, x: Tensor, mode: str, holomorphic: bool) -> None:
    """Whether one number for each pair of elements of y and x, found in that mode, is their derivative."""
    kinds = (y.dtype.kind == "complex", x.dtype.kind == "complex")
    facts = [("y", y.type), ("wrt", x.type)]
    if all(kinds) and not holomorphic:
        raise GradientError(
            "the derivative of a complex y by a complex x is one complex number only if y is analytic",
            facts=facts,
            at=origin.locate(origin.current()),
            hint="holomorphic=True promises that; else differentiate sg.real(y) and sg.imag(y)",
        )
    only = {(True, False): "forward", (False, True): "reverse"}.get(kinds)
    if only and mode in _MODES and mode not in ("auto", only):
        raise GradientError(
            f"the Jacobian of {y.dtype} by {x.dtype} needs mode {only!r}",
            facts=[*facts, ("mode", mode)],
            at=origin.locate(origin.current()),
        )


def hessian(
    cost: Tensor,
    wrt: Wrt,
    *,
    consider_constant: Tensor | Iterable[Tensor] = (),
    disconnected_inputs: str = "raise",
    stabilize: bool = True,
) -> Any:
    """All second derivatives of a scalar: the Jacobian of the gradient.

    Returns:
        A tensor of shape `x.shape + x.shape`; for a sequence or dict of tensors, a sequence of sequences
        or a dict of dicts, where entry [a][b] has the shape `a.shape + b.shape`.

    Raises:
        GradientError: a tensor of `wrt` is complex; how its gradient moves is no matrix of complex numbers.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> sg.hessian(x[0] ** 2 * x[1], x).eval({x: [3.0, 5.0]})
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    targets = Targets(wrt)
    for target in targets.tensors:
        if target.dtype.kind == "complex":
            raise GradientError(
                "a Hessian is taken with respect to real numbers",
                facts=[("wrt", target.type)],
                at=origin.locate(origin.current()),
                hint="make z of its parts, sg.complex(x, y), and take them; or use sg.hvp",
            )
    start = _gradients(cost, targets, consider_constant, disconnected_inputs, stabilize)
    rows = _jacobians(*start, "auto", "ignore", stabilize)
    return targets.rebuild([targets.rebuild(row) for row in rows])


def hvp(
    cost: Tensor,
    wrt: Wrt,
    vectors: Any,
    *,
    consider_constant: Tensor | Iterable[Tensor] = (),
    disconnected_inputs: str = "raise",
    stabilize: bool = True,
) -> Any:
    """The Hessian-vector product: the gradient's derivative in the direction of `vectors`.

    It never makes the Hessian: forward mode over the gradient costs about as much as two gradients.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> sg.hvp(x[0] ** 2 * x[1], x, [1.0, 0.0]).eval({x: [3.0, 5.0]})
    array([10.,  6.])
    """
    targets = Targets(wrt)
    gradients, inputs, held = _gradients(cost, targets, consider_constant, disconnected_inputs, stabilize)
    given = _in_form(targets, vectors, "vector")
    options: dict[str, Any] = {"disconnected_inputs": "ignore", "stabilize": stabilize}
    return targets.rebuild(jvp(gradients, inputs, given, consider_constant=held, **options))


# ---- the way through --------------------------------------------------------------------------------


def _gradients(
    cost: Tensor,
    targets: Targets,
    constants: Tensor | Iterable[Tensor],
    disconnected: str,
    stabilize: bool,
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """What second derivatives start from: the gradients (zeros where there is none), and targets and
    constants as they stand in these."""
    require_scalar(cost)
    held, wrt = as_list(constants), targets.tensors
    if stabilize:
        (cost,), held, wrt = stabilized([cost], held, wrt)
    found = grad(
        cost,
        wrt,
        consider_constant=held,
        disconnected_inputs="ignore" if disconnected == "none" else disconnected,
        stabilize=False,
    )
    return found, wrt, held


def _in_form(targets: Targets, given: Any, what: str) -> list[Tensor]:
    """Tangents in the form of `wrt`, checked."""
    form = targets.form
    if isinstance(form, Tensor):
        values = [given]
    elif isinstance(form, Mapping):
        if not isinstance(given, Mapping) or set(given) != set(form):
            keys = ", ".join(map(str, form))
            raise GradientError(f"the {what}s need the keys of wrt", facts=[("expected", keys)])
        values = [given[key] for key in form]
    else:
        values = one_for_each(given, targets.tensors, what)
    return [like_output(x, v, what) for x, v in zip(targets.tensors, values, strict=True)]


def _require_connected(
    outputs: Sequence[Tensor],
    shown: Sequence[Tensor],
    wrt: Sequence[Tensor],
    named: Sequence[Tensor],
    held: Sequence[Tensor],
    choice: str,
) -> None:
    for target, name in zip(wrt, named, strict=True):
        if reverse.connected(outputs, target, held).isdisjoint(outputs):
            error = disconnected_error(name, shown)
            if choice == "raise":
                raise error
            warn(error)


@without_collections
def _jacobians(
    outputs: Sequence[Tensor],
    wrt: Sequence[Tensor],
    constants: Sequence[Tensor],
    mode: str,
    disconnected: str,
    stabilize: bool,
) -> list[list[Tensor | None]]:
    """For each output, its derivative with respect to each of `wrt`."""
    check_choice("mode", mode, _MODES, GradientError)
    check_disconnected(disconnected)
    ys, held, xs = list(outputs), list(constants), list(wrt)
    if stabilize:
        ys, held, xs = stabilized(outputs, constants, wrt)
    found = _by_kind(ys, xs, held, mode)
    rows = []
    for y, shown, row in zip(ys, outputs, found, strict=True):
        for x, entry in zip(wrt, row, strict=True):
            if entry is None and disconnected == "raise":
                raise disconnected_error(x, [shown])
            if entry is None and disconnected == "warn":
                warn(disconnected_error(x, [shown]))
        pairs = zip(xs, row, strict=True)
        filled: list[Tensor | None] = [_zeros(y, x) if e is None else e for x, e in pairs]
        rows.append(row if disconnected == "none" else filled)
    return rows


def _by_kind(
    ys: Sequence[Tensor], xs: Sequence[Tensor], held: Sequence[Tensor], mode: str
) -> list[list[Tensor | None]]:
    """Each pair in the mode that was asked for; of real and complex numbers, in the one that can tell."""
    table: dict[tuple[int, int], Tensor | None] = {}
    for to in (False, True):
        for of in (False, True):
            rows = [i for i, y in enumerate(ys) if (y.dtype.kind == "complex") == to]
            columns = [k for k, x in enumerate(xs) if (x.dtype.kind == "complex") == of]
            if not rows or not columns:
                continue
            some, others = [ys[i] for i in rows], [xs[k] for k in columns]
            forward = mode == "forward" or (mode == "auto" and _is_less(others, some))
            forward = forward if to == of else to
            found = _by_tangents(some, others, held) if forward else _by_cotangents(some, others, held)
            table.update({(i, k): found[a][b] for a, i in enumerate(rows) for b, k in enumerate(columns)})
    return [[table[i, k] for k in range(len(xs))] for i in range(len(ys))]


def _zeros(y: Tensor, x: Tensor) -> Tensor:
    like = astype(y, complex_dtype(y.dtype)) if x.dtype.kind == "complex" else y
    return zeros_like(spread(like, (*y.shape, *x.shape), tuple(range(y.ndim, y.ndim + x.ndim))))


def _is_less(xs: Sequence[Tensor], ys: Sequence[Tensor]) -> bool:
    """Whether the inputs have provably not more elements than the outputs."""
    difference: Dim = 0
    for y in ys:
        difference = difference + y.size
    for x in xs:
        difference = difference - x.size
    if isinstance(difference, Size):
        return all(c >= 0 for _, c in difference.terms)
    return difference >= 0


def _by_cotangents(
    ys: Sequence[Tensor], xs: Sequence[Tensor], held: Sequence[Tensor]
) -> list[list[Tensor | None]]:
    """A pullback of each output, vectorised over its elements; of a complex y, the derivative's conjugate."""
    rows: list[list[Tensor | None]] = []
    for y in ys:
        g = make_input(y.type, "g")
        table = reverse.pullback({y: g}, xs, held, masked=[y] if y.ndim else [])
        sent = [table.get(x) for x in xs]
        basis = unit_vectors(y)
        made = vectorize([t for t in sent if t is not None], {g: basis}, basis.shape[0])
        rows.append(
            [
                None if t is None else _derivative(reshape(made[t], (*y.shape, *x.shape)), y)
                for t, x in zip(sent, xs, strict=True)
            ]
        )
    return rows


def _derivative(sent: Tensor, y: Tensor) -> Tensor:
    return conj(sent) if y.dtype.kind == "complex" else sent


def _by_tangents(
    ys: Sequence[Tensor], xs: Sequence[Tensor], held: Sequence[Tensor]
) -> list[list[Tensor | None]]:
    """A pushforward from each input, vectorised over its elements."""
    columns: list[list[Tensor | None]] = []
    for x in xs:
        t = make_input(x.type, "t")
        moved = push(ys, {x: t}, held, masked=[x] if x.ndim else [])
        basis = unit_vectors(x)
        made = vectorize(list(moved.values()), {t: basis}, basis.shape[0])
        columns.append(
            [
                reshape(moveaxis(made[moved[y]], 0, -1), (*y.shape, *x.shape)) if y in moved else None
                for y in ys
            ]
        )
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in ys]


def unit_vectors(x: Tensor) -> Tensor:
    """The unit vectors of the space of x, stacked in front: (x.size, *x.shape)."""
    n = product(x.shape)
    index = arange(n)
    eye = astype(spread(index, (n, n), (1,)) == spread(index, (n, n), (0,)), x.dtype)
    return reshape(eye, (n, *x.shape))
