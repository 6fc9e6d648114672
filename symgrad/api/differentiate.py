"""Derivatives for users: checks of what is asked, stabilisation of the cost, then `autodiff`.

Everything here returns tensors; nothing is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from symgrad.errors import (
    DisconnectedInputError,
    GradientError,
    GradientShapeError,
    GradientTypeError,
    warn,
)
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.collector import without_collections
from symgrad.ir.tensor import Tensor
from symgrad.ops.create import as_tensor, ones_like, zeros_like
from symgrad_compiler.autodiff import reverse
from symgrad_compiler.passes.stabilize import stabilize_tensors

Wrt: TypeAlias = Tensor | Sequence[Tensor] | Mapping[str, Tensor]

_DISCONNECTED = ("raise", "warn", "ignore", "zero", "none")


def grad(
    cost: Tensor,
    wrt: Wrt,
    *,
    consider_constant: Tensor | Iterable[Tensor] = (),
    known_grads: Mapping[Tensor, Any] | None = None,
    disconnected_inputs: str = "raise",
    stabilize: bool = True,
) -> Any:
    """The gradient of a scalar `cost` with respect to tensors, as tensors.

    Args:
        cost: a 0-d float tensor. May be None when `known_grads` says where to start.
        wrt: a tensor, a sequence or a dict of tensors, intermediates included; the result has this form. The
            gradient towards a complex z = x + iy is d/dx + i d/dy, the direction of steepest ascent.
        consider_constant: tensors through which no derivative passes.
        known_grads: tensor -> its cotangent, which replaces what would come from the cost.
        disconnected_inputs: what to do where the cost does not depend on a target: "raise" an error,
            "warn" and give zeros, "ignore" (or "zero") and give zeros, or give "none".
        stabilize: rewrite the cost into numerically stable form first (`log(1 + exp(x))` as softplus ...),
            never across a tensor named in this call.

    Returns:
        Tensors of the types of `wrt`.

    Raises:
        GradientError: the cost is not a scalar; a cotangent has the wrong type.
        GradientTypeError: the cost is not of floats, or a target neither of floats nor complex.
        DisconnectedInputError: the cost does not depend on a target.

    >>> import symgrad as sg
    >>> x = sg.scalar("x")
    >>> sg.grad(x ** 3, x).eval({x: 2.0})
    np.float64(12.0)
    """
    return _differentiate(cost, wrt, consider_constant, known_grads, disconnected_inputs, stabilize)[1]


def value_and_grad(cost: Tensor, wrt: Wrt, **options: Any) -> tuple[Tensor, Any]:
    """The cost (in its stabilised form) and its gradient; options as for `grad`.

    >>> import symgrad as sg
    >>> x = sg.scalar("x")
    >>> value, gradient = sg.value_and_grad(sg.log(1 + sg.exp(x)), x)
    >>> value.eval({x: 1000.0}), gradient.eval({x: 1000.0})
    (np.float64(1000.0), np.float64(1.0))
    """
    defaults = {
        "consider_constant": (),
        "known_grads": None,
        "disconnected_inputs": "raise",
        "stabilize": True,
    }
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise TypeError(f"value_and_grad has no option {unknown[0]!r}\n  hint: it has {', '.join(defaults)}")
    return _differentiate(cost, wrt, *{**defaults, **options}.values())


def vjp(
    y: Any,
    wrt: Wrt,
    cotangents: Any,
    *,
    consider_constant: Tensor | Iterable[Tensor] = (),
    disconnected_inputs: str = "raise",
    stabilize: bool = True,
) -> Any:
    """The vector-Jacobian product: the cotangents of `wrt` for given `cotangents` of `y`.

    Args:
        y: a tensor of any shape, or a sequence of them.
        wrt: as for `grad`.
        cotangents: one for each y, of its shape. For complex numbers the product is the gradient of
            Re(sum(conj(cotangent) y)); for an analytic y it is conj(dy/dz) times the cotangent.

    >>> import symgrad as sg
    >>> x = sg.vector("x", size=2)
    >>> sg.vjp(x * x, x, [1.0, 10.0]).eval({x: [1.0, 2.0]})
    array([ 2., 40.])
    """
    outputs = as_list(y, "the output must be a tensor")
    given = [cotangents] if isinstance(y, Tensor) else one_for_each(cotangents, outputs, "cotangent")
    targets = Targets(wrt)
    seeds: dict[Tensor, Tensor] = {}
    for output, cotangent in zip(outputs, given, strict=True):
        require_float(output, "the output")
        seed = like_output(output, cotangent)
        seeds[output] = seeds[output] + seed if output in seeds else seed
    return gradients_of(seeds, targets, consider_constant, disconnected_inputs, stabilize)[1]


pullback = vjp


def grad_table(cost: Tensor, wrt: Wrt) -> dict[Tensor, Tensor]:
    """The textbook's grad table: every tensor on a way from `wrt` to `cost`, with its gradient.

    The graph is differentiated as it is written, without stabilisation, so that its own tensors are the keys.

    >>> import symgrad as sg
    >>> x = sg.scalar("x")
    >>> h = sg.sin(x)
    >>> table = sg.grad_table(h * h, x)
    >>> [t in table for t in (x, h)]
    [True, True]
    """
    require_scalar(cost)
    targets = Targets(wrt)
    table = reverse.pullback({cost: ones_like(cost)}, targets.tensors)
    for target in targets.tensors:
        if target not in table:
            raise disconnected_error(target, [cost])
    return table


# ---- the way through --------------------------------------------------------------------------------


class Targets:
    """`wrt` in the form given, checked."""

    def __init__(self, wrt: Wrt) -> None:
        self.form = wrt
        if isinstance(wrt, Tensor):
            self.tensors = [wrt]
        elif isinstance(wrt, Mapping):
            self.tensors = list(wrt.values())
        elif isinstance(wrt, (tuple, list)):
            self.tensors = list(wrt)
        else:
            require_float(wrt, "wrt")
        for target in self.tensors:
            require_float(target, "wrt")

    def rebuild(self, gradients: Sequence[Any]) -> Any:
        """Gradients in the form of `wrt`."""
        if isinstance(self.form, Tensor):
            return gradients[0]
        if isinstance(self.form, Mapping):
            return dict(zip(self.form, gradients, strict=True))
        return tuple(gradients) if isinstance(self.form, tuple) else list(gradients)


def _differentiate(
    cost: Tensor | None,
    wrt: Wrt,
    constants: Tensor | Iterable[Tensor],
    known_grads: Mapping[Tensor, Any] | None,
    disconnected: str,
    stabilize: bool,
) -> tuple[Any, Any]:
    targets = Targets(wrt)
    seeds: dict[Tensor, Tensor] = {}
    if cost is not None:
        require_scalar(cost)
        seeds[cost] = ones_like(cost)
    if known_grads is not None and not isinstance(known_grads, Mapping):
        raise GradientTypeError(
            f"known_grads is a dict from tensors to cotangents, not {type(known_grads).__name__}",
            facts=[("got", repr(known_grads)[:80])],
        )
    if cost is None and not known_grads:
        raise GradientError("grad needs a cost or known_grads")
    for tensor, known in (known_grads or {}).items():
        require_float(tensor, "known_grads")
        seeds[tensor] = like_output(tensor, known)
    values, gradients = gradients_of(
        seeds, targets, constants, disconnected, stabilize, list(known_grads or ())
    )
    return (values[0] if cost is not None else None), gradients


@without_collections
def gradients_of(
    seeds: Mapping[Tensor, Tensor],
    targets: Targets,
    constants: Tensor | Iterable[Tensor],
    disconnected: str,
    stabilize: bool,
    known: Sequence[Tensor] = (),
    masked: bool = False,
) -> tuple[list[Tensor], Any]:
    """(the outputs, stabilised; the gradients in the form of wrt); `masked` where zeros of seeds are
    strong."""
    check_disconnected(disconnected)
    outputs, held, wrt = list(seeds), as_list(constants), targets.tensors
    new_outputs, new_held, new_wrt = (
        stabilized(outputs, held, wrt, known) if stabilize else (outputs, held, wrt)
    )
    new_seeds: dict[Tensor, Tensor] = {}
    for output, seed in zip(new_outputs, seeds.values(), strict=True):
        new_seeds[output] = new_seeds[output] + seed if output in new_seeds else seed
    new_known = [n for t, n in zip(outputs, new_outputs, strict=True) if t in set(known)]
    table = reverse.pullback(new_seeds, new_wrt, new_held, new_known, new_seeds if masked else ())
    gradients = []
    for target, mapped in zip(wrt, new_wrt, strict=True):
        gradient = table.get(mapped)
        if gradient is None:
            gradient = _replacement(target, outputs, disconnected)
        elif gradient.derivative_of is mapped:
            gradient.derivative_of = target
        gradients.append(gradient)
    return new_outputs, targets.rebuild(gradients)


def stabilized(
    outputs: Sequence[Tensor], held: Sequence[Tensor], wrt: Sequence[Tensor], known: Sequence[Tensor] = ()
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The three, in stable form; rewriting never crosses a tensor that the caller named."""
    found = stabilize_tensors([*outputs, *held, *wrt], barriers=[*wrt, *held, *known])
    return [found[t] for t in outputs], [found[t] for t in held], [found[t] for t in wrt]


def as_list(
    given: Tensor | Iterable[Tensor], wanted: str = "consider_constant takes tensors"
) -> list[Tensor]:
    """One tensor or several, as a list; GradientTypeError that says what is `wanted` otherwise."""
    found = list(given) if isinstance(given, Iterable) and not isinstance(given, Tensor) else [given]
    for tensor in found:
        if not isinstance(tensor, Tensor):
            raise GradientTypeError(
                f"{wanted}, not {type(tensor).__name__}",
                facts=[("got", repr(tensor)[:80])],
            )
    return found


def one_for_each(given: Any, tensors: Sequence[Tensor], what: str) -> list[Any]:
    """`given` as a list of one for each of `tensors`; GradientError where it is none."""
    try:
        found = list(given)
    except TypeError:  # no sequence, or a tensor without an axis of known size
        found = None
    if found is None or len(found) != len(tensors):
        got = f"{type(given).__name__} {given!r:.60}" if found is None else len(found)
        raise GradientError(
            f"there must be one {what} for each tensor", facts=[("expected", len(tensors)), ("got", got)]
        )
    return found


def check_disconnected(choice: str) -> None:
    """GradientError unless it is a way to treat targets that nothing depends on."""
    check_choice("disconnected_inputs", choice, _DISCONNECTED, GradientError)


def _replacement(target: Tensor, outputs: Sequence[Tensor], disconnected: str) -> Tensor | None:
    if disconnected == "raise":
        raise disconnected_error(target, outputs)
    if disconnected == "warn":
        warn(disconnected_error(target, outputs))
    return None if disconnected == "none" else zeros_like(target)


def disconnected_error(target: Tensor, outputs: Sequence[Tensor]) -> DisconnectedInputError:
    reasons = [reason for output in outputs for reason in reverse.blocked(output, target)]
    return DisconnectedInputError(
        f"the cost does not depend on {_label(target)}"
        + (" through anything that has a derivative" if reasons else ""),
        facts=[("wrt", target.type), *[("blocked by", reason) for reason in reasons[:5]]],
        at=origin.locate(origin.current()),
        hint='for zeros instead of this error: disconnected_inputs="ignore"',
    )


def require_scalar(cost: Tensor) -> None:
    require_float(cost, "the cost")
    if cost.dtype.kind == "complex":
        raise GradientTypeError(
            f"the cost must be real, but {_label(cost)} is {cost.dtype}",
            facts=[("cost", cost.type)],
            at=origin.locate(cost.node.origins),
            hint="take sg.real, sg.imag or sg.abs of it, or use sg.vjp with a cotangent",
        )
    if cost.ndim:
        raise GradientShapeError(
            f"the cost must be a scalar, but {_label(cost)} has shape ({', '.join(map(str, cost.shape))})",
            facts=[("cost", cost.type)],
            at=origin.locate(cost.node.origins),
            hint="reduce it with sg.sum or sg.mean, or use sg.vjp with a cotangent",
        )


def require_float(tensor: Any, what: str) -> None:
    if not isinstance(tensor, Tensor):
        raise GradientTypeError(
            f"{what} must be a tensor, not {type(tensor).__name__}", facts=[("got", repr(tensor)[:80])]
        )
    if not tensor.dtype.is_differentiable:
        kind = "integers" if tensor.dtype.kind in ("int", "uint") else "booleans"
        raise GradientTypeError(
            f"there are no derivatives with respect to {kind}: {_label(tensor)} is {tensor.dtype}",
            facts=[(what, tensor.type)],
            at=origin.locate(tensor.node.origins),
            hint="make it a float tensor, e.g. with dtype='float64' or .astype('float64')",
        )


def like_output(output: Tensor, given: Any, what: str = "cotangent") -> Tensor:
    """A cotangent or tangent as a tensor of the type of what it belongs to."""
    vector = as_tensor(given)
    if vector.shape != output.shape:
        raise GradientShapeError(
            f"a {what} must have the shape of its tensor",
            facts=[(_label(output), output.type), (what, vector.type)],
            at=origin.locate(origin.current()),
        )
    return vector.astype(output.dtype)  # type: ignore[no-any-return]


def _label(tensor: Tensor) -> str:
    return tensor.name or f"the result of {tensor.node.op.name}"
