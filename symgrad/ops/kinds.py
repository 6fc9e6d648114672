"""The kinds of ops, each with its way to state derivatives.

    Elementwise   `d_x`: the partial derivative, a number or a function of the operands and the output.
                  Reverse: cotangent * partial. Where the product itself matters (selections), `vjp_x`
                  states it whole; it must be linear in the cotangent, element by element.
    Linear        `transpose_x(g, *operands)`: the transpose of the op as a linear map of operand x.
    Custom        `vjp_x(g, *operands, out)`: for the few others.

Each operand has a rule or a reason in `no_gradient`; an op without either is an error when it is declared.
A rule returns None for "no path". Rules are written in the language, so they differentiate again.

**Masked cotangents.** Where a selection (`where`, `maximum`, a slice ...) does not take a value, that value's
cotangent is exactly 0, and must stay 0 whatever the partial is: 0 * (1/0) is NaN. Differentiation tracks which
cotangents may hold such zeros and says `masked=True`; products with partials that may be infinite are then
strong-zero products (`select.masked_multiply`). Forward, so are the tangents of what depends on no target: of the
zeros around a padded tensor, of the other parts of a `concat`.

**Complex numbers.** The gradient of a real L towards z = x + iy is dL/dx + i dL/dy, the direction of steepest
ascent, and a cotangent g of w is that of L towards w: dL = Re(conj(g) dw). So a transpose is an adjoint, for the
inner product Re(conj(a) b):

    w = f(z), f analytic       tangent f'(z) t             cotangent conj(f'(z)) g
    real f(z), gradient p      tangent Re(conj(p) t)       cotangent p g
    complex f(x), x real       tangent f'(x) t             cotangent Re(conj(f'(x)) g)

`d_x` states f' or the gradient p; what is neither (conj, say) states `vjp_x` whole, and forward mode transposes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

from symgrad import registry
from symgrad.dims import Dim
from symgrad.errors import DTypeError, GraphError, ShapeError
from symgrad.ir.op import Op
from symgrad.ir.tensor import Node, Tensor, apply_all
from symgrad.ops.scalar import ScalarCode
from symgrad.types import BOOL, DType, PyScalar, TensorType

#: Kinds of dtypes that ops accept.
ANY = ("bool", "uint", "int", "float", "complex")
NUMBERS = ("uint", "int", "float", "complex")
REALS = ("uint", "int", "float")
INEXACT = ("float", "complex")
FLOATS = ("float",)
INTEGERS = ("uint", "int")
BITS = ("bool", "uint", "int")
BOOLS = ("bool",)
COMPLEX = ("complex",)

Rule = Callable[..., Any]
#: One for each output; None where there is none.
Tangents: TypeAlias = tuple[Tensor | None, ...]


class TensorOp(Op):
    """An op of the language: adds derivative rules and numeric forms to `Op`."""

    #: Operands without a derivative, each with the reason.
    no_gradient: ClassVar[Mapping[str, str]] = {}
    #: Whether the op leaves values unused, so that it makes cotangents that are exactly 0.
    selects: ClassVar[bool] = False
    #: Whether some values of the result depend on no operand (zeros around what is put in), so that it makes
    #: tangents that are exactly 0.
    fills: ClassVar[bool] = False
    #: Whether attributes hold graphs, whose derivatives are taken for all operands at once (`pull_all`).
    holds_graphs: ClassVar[bool] = False
    #: NumPy code: a template over operand names, attributes and `{out}`. Modules in scope: numpy, numeric,
    #: special (scipy.special).
    numpy: ClassVar[str] = ""
    #: Whether the NumPy form returns a view of its first operand.
    view: ClassVar[bool] = False
    #: Whether the op may raise when it runs (an index out of bounds, say).
    fails: ClassVar[bool] = False
    #: Whether an axis whose size comes out negative (n - 2 for an n of 1) may be taken for one without
    #: elements: the op makes no other size of it. Else such sizes are errors in a call.
    negative_is_empty: ClassVar[bool] = False
    #: Whether a call raises where windows do not fit: the numbers of windows need no check.
    checks_windows: ClassVar[bool] = False
    #: Native form of an op that only moves elements: the layout of its output(s) in the memory of its operand,
    #: from the operand's layout; None where there is none (see `strided.py`).
    strided: ClassVar[Callable[..., Any] | None] = None
    #: Native form of a reduction over `axes`: "add", "multiply", "maximum", "minimum", "argmax", "argmin".
    reduction: ClassVar[str] = ""
    #: Whether that reduction is defined for no elements.
    has_identity: ClassVar[bool] = True
    #: Native form of a composite: the same in simpler ops of the language.
    expand: ClassVar[Callable[..., Tensor | tuple[Tensor, ...]] | None] = None

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        """The cotangent that this node sends to one of its operands; None where there is no path."""
        raise NotImplementedError

    def pull_all(
        self, node: Node, operands: Sequence[int], cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Iterable[Tensor | None]:
        """`pull` for several operands, one after the other, as the results are asked for."""
        return (self.pull(node, i, cotangents, masked) for i in operands)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The tangents of the outputs, from those of the operands (None: no tangent).

        None where the op has no rule of its own: then forward mode transposes the transpose.
        """
        return None

    def makes_zeros(self, tangents: Sequence[Tensor | None]) -> bool:
        """Whether `push` may give tangents that are exactly 0 where those of the operands are not."""
        return self.selects or self.fills

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        """The outputs with a new leading axis of `size`, for operands of which some have one.

        Unless an op knows better, the other operands are repeated, and `batched_op` is applied.
        """
        return apply_all(self.batched_op(size), repeated(size, operands, batched))

    def batched_op(self, size: Dim) -> Op:
        """The op that does the same along a new leading axis of all operands and outputs."""
        raise GraphError(
            f"the op {self.name} has no rule for vmap", hint="give its class a method `batched_op` or `batch`"
        )

    def takes_as_empty(self, node: Node) -> bool:
        """Whether a node of this op takes axes of negative sizes for such without elements."""
        return self.negative_is_empty

    def reason(self, operand: int) -> str | None:
        """Why the operand has no derivative; None where it has one."""
        return self.no_gradient.get(self.operand_rule(operand))


def repeated(size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
    """The operands, all with a leading axis of `size`, which some have already."""
    repeat = registry.language["broadcast_to"]
    given = zip(operands, batched, strict=True)
    return tuple([x if has_axis else repeat(x, (size, *x.shape)) for x, has_axis in given])


# ---- elementwise ------------------------------------------------------------------------------------


class Elementwise(TensorOp):
    """An op on equal shapes, element by element; one table row, made by `elementwise`."""

    negative_is_empty = True

    def __init__(
        self,
        name: str,
        operands: tuple[str, ...],
        accepts: tuple[str, ...],
        result: DType | Callable[[DType], DType] | None,
        rules: Mapping[str, Any],
        no_gradient: Mapping[str, str],
        numpy: str,
        scalar: ScalarCode,
        commutative: bool,
        selects: bool,
        linear: bool,
        conditions: int,
        to_float: bool,
        check: Callable[..., None] | None,
        doc: str,
    ) -> None:
        self.name = name  # type: ignore[misc]
        self.operands = operands  # type: ignore[misc]
        self.accepts = accepts
        self.result = result
        self.rules = rules
        self.no_gradient = no_gradient  # type: ignore[misc]
        self.numpy = numpy  # type: ignore[misc]
        self.scalar = scalar
        self.commutative = commutative  # type: ignore[misc]
        self.selects = selects  # type: ignore[misc]
        self.linear = linear
        self.conditions = conditions
        self.to_float = to_float
        self.check = check
        self.__doc__ = doc

    def infer(self, *operands: TensorType) -> TensorType:
        if len(operands) != len(self.operands):
            raise ShapeError(f"{self.name} takes {len(self.operands)} operands, not {len(operands)}")
        first = operands[-1]
        for i, operand in enumerate(operands):
            if operand is not first and operand.shape != first.shape:
                raise ShapeError(f"{self.name} needs equal shapes")
            expected = BOOL if i < self.conditions else first.dtype
            if operand.dtype is not expected:
                raise DTypeError(
                    f"{self.name} needs {'equal dtypes' if i >= self.conditions else 'a bool first'}"
                )
        if first.dtype.kind not in self.accepts:
            raise DTypeError(
                f"{self.name} does not take {first.dtype}", hint=f"it takes {', '.join(self.accepts)}"
            )
        if self.result is None:
            return first
        return first.with_dtype(self.result if isinstance(self.result, DType) else self.result(first.dtype))

    def __call__(self, *operands: Any) -> Tensor:
        """Apply to tensors, arrays and numbers, with broadcasting and promotion."""
        result: Tensor = registry.language["align_and_apply"](self, operands)
        return result

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        g = cotangents[0]
        name = self.operands[operand]
        if g is None or name in self.no_gradient:
            return None
        whole = self.rules.get("vjp_" + name)
        if whole is not None:
            result: Tensor | None = whole(g, *node.inputs, node.outputs[0])
            return result
        return chained(g, self._partial(node, name), masked, node.inputs[operand].dtype, forward=False)

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """Element by element, a real Jacobian is its own transpose: what operands would send back, added up."""
        live = [
            (i, t)
            for i, t in enumerate(tangents)
            if t is not None and self.operands[i] not in self.no_gradient
        ]
        if self.linear and live:
            zeros = registry.language["zeros_like"]
            given = [zeros(x) if t is None else t for t, x in zip(tangents, node.inputs, strict=True)]
            return apply_all(self, tuple(given))
        output = node.outputs[0].dtype
        if output.kind != "complex" and all(t.dtype.kind != "complex" for _, t in live):
            return (total([self.pull(node, i, (t,), masked) for i, t in live]),)
        if any("vjp_" + self.operands[i] in self.rules for i, _ in live):
            return None
        partials = [self._partial(node, self.operands[i]) for i, _ in live]
        parts = [
            chained(t, p, masked, output, forward=True) for (_, t), p in zip(live, partials, strict=True)
        ]
        return (total(parts),)

    def makes_zeros(self, tangents: Sequence[Tensor | None]) -> bool:
        return super().makes_zeros(tangents) or (self.linear and any(t is None for t in tangents))

    def _partial(self, node: Node, name: str) -> Tensor | PyScalar | None:
        partial: Any = self.rules["d_" + name]
        found: Tensor | PyScalar | None = (
            partial(*node.inputs, node.outputs[0]) if callable(partial) else partial
        )
        return found

    def batched_op(self, size: Dim) -> Op:
        return self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return op_named, (self.name,)


def op_named(name: str) -> Any:
    """The op that a pickle names."""
    found = registry.ops.get(name)
    if found is None:
        raise GraphError(f"there is no op called {name}", hint="import the module that declares it first")
    return found


def product(g: Tensor, partial: Tensor | PyScalar | None, masked: bool) -> Tensor | None:
    """cotangent * partial: strong in the cotangent's zeros where it may be masked and the partial infinite."""
    if partial is None:
        return None
    if isinstance(partial, Tensor):
        if masked and not known_finite(partial):
            result: Tensor = registry.language["masked_multiply"](g, partial)
            return result
        return g * partial
    if partial == 1:
        return g
    if partial == -1:
        return -g
    if partial == 0:
        zeros: Tensor = registry.language["zeros_like"](g)
        return zeros
    return g * partial


def chained(
    given: Tensor, partial: Tensor | PyScalar | None, masked: bool, to: DType, *, forward: bool
) -> Tensor | None:
    """A cotangent or (`forward`) a tangent through a partial, to a tensor of dtype `to`; see "Complex numbers"."""
    if partial is None or (given.dtype.kind != "complex" and to.kind != "complex"):
        return product(given, partial, masked)
    language = registry.language
    if given.dtype.kind != "complex":
        return product(language["astype"](given, to), partial, masked)
    if not (forward and to.kind == "complex"):
        partial = language["conj"](partial) if isinstance(partial, Tensor) else partial.conjugate()
    found = product(given, partial, masked)
    return found if to.kind == "complex" or found is None else language["real"](found)


def total(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The sum of what is there."""
    result: Tensor | None = None
    for part in parts:
        if part is not None:
            result = part if result is None else result + part
    return result


def known_finite(tensor: Tensor) -> bool:
    """Whether the tensor is finite whatever the inputs are, as far as a short look can tell."""
    stack, budget = [tensor], 32
    while stack:
        node = stack.pop().node
        budget -= 1
        if budget < 0:
            return False
        finite = getattr(node.op, "finite_if", None)
        answer = finite(node) if finite else node.outputs[0].dtype.kind in BITS
        if answer is False:
            return False
        if answer is not True:
            stack.extend(answer)
    return True


_SIGNATURE = re.compile(r"(\w+)\((\w+(?:, \w+)*)\)\Z")


def elementwise(
    signature: str,
    doc: str,
    *,
    accepts: tuple[str, ...] = INEXACT,
    numpy: str,
    scalar: ScalarCode,
    result: DType | Callable[[DType], DType] | None = None,
    no_gradient: str | Mapping[str, str] = "",
    commutative: bool = False,
    selects: bool = False,
    linear: bool = False,
    conditions: int = 0,
    aliases: tuple[str, ...] = (),
    provided: bool = True,
    check: Callable[..., None] | None = None,
    **rules: Rule | PyScalar,
) -> Elementwise:
    """Declare an elementwise op, from `signature` ("tanh(x)") to its derivative (`d_x=`) in one row.

    Args:
        signature: name and operands.
        doc: one line, the mathematics.
        accepts: the kinds of dtypes; where ints are not among them, the language converts them to float64.
        numpy: a template, e.g. "numpy.tanh({x}, out={out})".
        scalar: native form, see `scalar.py`.
        result: the output's dtype where it is not the operands', or a function that tells it from theirs.
        no_gradient: the reason why no operand has a derivative, or a dict operand -> reason.
        commutative: whether two operands may be exchanged.
        selects: whether values may stay unused, see "Masked cotangents".
        linear: whether it is linear in all operands together, over the reals.
        conditions: how many leading operands are bools (the condition of `where`).
        aliases: further names in the language.
        provided: whether the op is what the language calls by its name; else a function with more arguments is.
        check: called with the operands; raises for those that can be seen to fail.
        rules: for each operand x, `d_x` or `vjp_x`.
    """
    match = _SIGNATURE.match(signature)
    if match is None:
        raise TypeError(f'not a signature: {signature!r}; expected one such as "tanh(x)" or "atan2(y, x)"')
    name, operands = match[1], tuple(match[2].split(", "))
    if not {*accepts} <= {*ANY}:
        raise TypeError(
            f"{name}: accepts is a tuple of kinds of dtypes among {', '.join(ANY)}, not {accepts!r}"
        )
    try:
        numpy.format(**dict.fromkeys((*operands, "out"), "x"))
    except (LookupError, ValueError) as error:
        raise TypeError(f"{name}: numpy is a template in {', '.join(operands)} and out: {numpy!r}") from error
    known = [prefix + operand for operand in operands for prefix in ("d_", "vjp_")]
    unknown = sorted(rules.keys() - {*known})
    if unknown:
        raise TypeError(f"{name}: there is no argument {unknown[0]!r}; rules are {', '.join(known)}")
    reasons = (
        dict.fromkeys(operands, no_gradient) if isinstance(no_gradient, str) and no_gradient else no_gradient
    )
    reasons = dict(reasons) if reasons else {}
    _check_rules(name, operands, reasons, [rule for rule in known if rule in rules])
    op = Elementwise(
        name=name,
        operands=operands,
        accepts=accepts,
        result=result,
        rules=rules,
        no_gradient=reasons,
        numpy=numpy,
        scalar=scalar,
        commutative=commutative,
        selects=selects,
        linear=linear,
        conditions=conditions,
        to_float="int" not in accepts and "float" in accepts,
        check=check,
        doc=doc,
    )
    registry.register_op(name, op)
    if provided:
        registry.provide(name, *aliases)(op)
    return op


# ---- structured ops ---------------------------------------------------------------------------------


class Structured(TensorOp):
    """An op that is a frozen dataclass; registered by `declare`."""

    _rule_prefix: ClassVar[str]

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        name = self.operand_rule(operand)
        if name in self.no_gradient:
            return None
        rule = getattr(self, self._rule_prefix + name)
        gs = cotangents[0] if len(cotangents) == 1 else cotangents
        result: Tensor | None = self.call_rule(rule, node, operand, gs)
        return result

    def call_rule(self, rule: Rule, node: Node, operand: int, gs: Any) -> Any:
        raise NotImplementedError


class Linear(Structured):
    """Linear in each operand that has a `transpose_<operand>(g, *operands)`."""

    _rule_prefix = "transpose_"
    #: Whether the op is linear in all operands together, as concat is; else it is so in each by itself.
    linear_in_all: ClassVar[bool] = False

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The op itself, applied to tangents."""
        names = [self.operand_rule(i) for i in range(len(node.inputs))]
        live = [(i, t) for i, t in enumerate(tangents) if t is not None and names[i] not in self.no_gradient]
        if not live or not all(t.dtype.is_differentiable for t in node.outputs):
            return (None,) * len(node.outputs)
        if self.linear_in_all:
            zeros = registry.language["zeros_like"]
            given = [zeros(x) if t is None else t for t, x in zip(tangents, node.inputs, strict=True)]
            return apply_all(self, tuple(given))
        columns = []
        for i, tangent in live:
            operands = list(node.inputs)
            operands[i] = tangent
            columns.append(apply_all(self, tuple(operands)))
        return tuple(total(row) for row in zip(*columns, strict=True))

    def makes_zeros(self, tangents: Sequence[Tensor | None]) -> bool:
        return super().makes_zeros(tangents) or (self.linear_in_all and any(t is None for t in tangents))

    def call_rule(self, rule: Rule, node: Node, operand: int, gs: Any) -> Any:
        if self.operands[0].endswith("*"):
            return rule(gs, operand, *node.inputs)
        return rule(gs, *node.inputs)


class Custom(Structured):
    """Any other op: `vjp_<operand>(g, *operands, out)`; several outputs come as tuples."""

    _rule_prefix = "vjp_"

    def call_rule(self, rule: Rule, node: Node, operand: int, gs: Any) -> Any:
        return rule(gs, *node.inputs, node.outputs[0] if len(node.outputs) == 1 else node.outputs)


def declare(cls: type[Any]) -> type[Any]:
    """Class decorator: register a structured op, and check that each operand has a rule or a reason.

    An op with a `pull` (or `pull_all`) of its own answers for all operands there.
    """
    missing = [n for n in ("name", "infer") if not hasattr(cls, n)]
    if missing:
        raise TypeError(f"the op {cls.__name__} has no `{missing[0]}`")
    if cls.pull is Structured.pull and cls.pull_all is TensorOp.pull_all:
        operands = [o.rstrip("*") for o in cls.operands]
        prefix = cls._rule_prefix
        rules = [prefix + o for o in operands if hasattr(cls, prefix + o)]
        _check_rules(cls.name, operands, cls.no_gradient, rules)
    registry.register_op(cls.name, cls)
    return cls


def _check_rules(
    name: str, operands: tuple[str, ...] | list[str], reasons: Mapping[str, str], rules: list[str]
) -> None:
    for operand in operands:
        has_rule = any(r.split("_", 1)[1] == operand for r in rules)
        if has_rule == (operand in reasons):
            raise TypeError(
                f"op {name}: operand {operand!r} needs a derivative rule or a reason in no_gradient"
            )
