"""Rules: rows `rule(pattern, replacement, kind)`, and functions for what no pattern can say."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from symgrad.errors import DTypeError
from symgrad.ir.tensor import Node, Tensor
from symgrad_compiler.rewrite.pattern import Application, Pattern, as_pattern, instantiate, match, root_of

KINDS = ("exact", "rounding", "stable", "fast")


class Rule(Protocol):
    """What the engine applies: `key` is the op or class of ops at the root."""

    @property
    def key(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def unshared(self) -> bool:
        """Whether it pays only where what it takes apart has no other use."""

    @property
    def maths(self) -> str:
        """What the rule says, in a line."""

    def plausible(self, node: Node) -> bool:
        """A first, cheap look at the node and its operands' ops: False where the rule cannot apply."""

    def apply(self, tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
        """The replacement of `tensor`, or None where the rule does not apply."""


@dataclass(frozen=True, eq=False)
class PatternRule:
    """pattern -> replacement."""

    pattern: Application
    replacement: Pattern
    kind: str
    name: str
    unshared: bool = False
    #: The kinds of dtypes for which it holds; empty for all.
    dtypes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        operands = enumerate(self.pattern.operands)
        needs = tuple((i, root) for i, p in operands for root in [root_of(p)] if root is not None)
        object.__setattr__(self, "_needs", needs)
        orders = [(0, 1), (1, 0)] if getattr(self.pattern.op, "commutative", False) else [None]
        object.__setattr__(self, "_orders", orders)

    @property
    def key(self) -> Any:
        return self.pattern.op

    @property
    def maths(self) -> str:
        return f"{self.pattern} = {self.replacement}"

    def plausible(self, node: Node) -> bool:
        inputs = node.inputs
        for order in self._orders:  # type: ignore[attr-defined]
            for i, root in self._needs:  # type: ignore[attr-defined]
                op = inputs[i if order is None else order[i]].node.op
                if op is not root and op.__class__ is not root:
                    break
            else:
                return True
        return False

    def apply(self, tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
        if self.dtypes and tensor.dtype.kind not in self.dtypes:
            return None
        bound = match(self.pattern, tensor, barriers)
        if bound is None:
            return None
        try:
            result = instantiate(self.replacement, bound, tensor.type)
        except DTypeError:  # an op of the replacement is not for this dtype, complex say
            return None
        return result if result.type == tensor.type else None


@dataclass(frozen=True, eq=False)
class FunctionRule:
    """A rule as a function from (tensor, barriers) to its replacement or None."""

    function: Callable[[Tensor, Collection[Tensor]], Tensor | None]
    key: Any
    kind: str
    name: str
    #: The ops, one of which some operand must be made by; empty where any will do.
    operands: tuple[Any, ...] = ()
    unshared: bool = False

    @property
    def maths(self) -> str:
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split()).rstrip(".")

    def plausible(self, node: Node) -> bool:
        wanted = self.operands
        if not wanted:
            return True
        for tensor in node.inputs:
            op = tensor.node.op
            if op.__class__ in wanted or op in wanted:
                return True
        return False

    def apply(self, tensor: Tensor, barriers: Collection[Tensor]) -> Tensor | None:
        return self.function(tensor, barriers)


def rule(
    pattern: Any,
    replacement: Any,
    kind: str = "exact",
    name: str | None = None,
    *,
    unshared: bool = False,
    dtypes: tuple[str, ...] = (),
) -> PatternRule:
    """A rewrite rule in the operators of the language.

    Args:
        pattern: an expression over `var`s; its root is an op.
        replacement: an expression over the same variables, of the same type.
        kind: "exact", "rounding", "stable" or "fast".
        name: what origins call the rule; the replaced op unless given.
        unshared: whether the rule pays only where what the pattern takes apart has no other use: then it
            applies there alone.
        dtypes: the kinds of dtypes ("bool", "uint", "int", "float", "complex") for which it holds; all unless
            given.

    >>> from symgrad_compiler.rewrite.pattern import var
    >>> x = var("x")
    >>> rule(x * 1, x).name
    'multiply'
    """
    if kind not in KINDS:
        raise ValueError(f"a rule is {', '.join(KINDS)}; not {kind!r}")
    if not isinstance(pattern, Application):
        raise TypeError("the root of a pattern must be an op")
    return PatternRule(pattern, as_pattern(replacement), kind, name or pattern.op.name, unshared, dtypes)


def function_rule(
    *keys: Any, kind: str = "exact", operands: tuple[Any, ...] = (), unshared: bool = False
) -> Callable[[Callable[..., Tensor | None]], list[FunctionRule]]:
    """Decorator: a rule as a function, for each of the given roots (elementwise ops or classes of ops).

    Args:
        keys: the roots.
        kind: as for `rule`.
        operands: where given, some operand must be made by one of these.
        unshared: as for `rule`.
    """

    def make(function: Callable[..., Tensor | None]) -> list[FunctionRule]:
        name = function.__name__.strip("_")
        return [FunctionRule(function, key, kind, name, operands, unshared) for key in keys]

    return make
