"""Rules: rows `rule(pattern, replacement, kind)`, and functions for what no pattern can say."""

from __future__ import annotations

import inspect
import itertools
import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from symgrad import registry
from symgrad.errors import CompileError, DTypeError
from symgrad.ir import origin
from symgrad.ir.op import Op
from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.kinds import ANY, Elementwise
from symgrad_compiler.rewrite.pattern import (
    Application,
    Attribute,
    Pattern,
    Variable,
    as_pattern,
    instantiate,
    match,
    root_of,
)

KINDS = ("exact", "rounding", "stable", "fast")

#: All rules that exist, by when they were made: origins name rules, and `why` tells what they say.
_rules: weakref.WeakValueDictionary[int, Rule] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def rules_called(name: str) -> list[Rule]:
    """The rules of this name, oldest first."""
    return [r for _, r in sorted(_rules.items()) if r.name == name]


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


@dataclass(frozen=True, eq=False, repr=False)
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
        _remember(self)

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
        if _only_real(self, tensor) or (self.dtypes and tensor.dtype.kind not in self.dtypes):
            return None
        bound = match(self.pattern, tensor, barriers)
        if bound is None:
            return None
        try:
            return instantiate(self.replacement, bound, tensor.type)
        except DTypeError:  # an op of the replacement is not for this dtype, complex say
            return None

    def __repr__(self) -> str:
        return described(self)


@dataclass(frozen=True, eq=False, repr=False)
class FunctionRule:
    """A rule as a function from (tensor, barriers) to its replacement or None."""

    function: Callable[[Tensor, Collection[Tensor]], Tensor | None]
    key: Any
    kind: str
    name: str
    #: The ops, one of which some operand must be made by; empty where any will do.
    operands: tuple[Any, ...] = ()
    unshared: bool = False

    def __post_init__(self) -> None:
        _remember(self)

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
        return None if _only_real(self, tensor) else self.function(tensor, barriers)

    def __repr__(self) -> str:
        return described(self)


def _only_real(r: Rule, tensor: Tensor) -> bool:
    """Stable forms are for real numbers: log(exp(z)) is another branch, and sqrt(z^2) is z or -z."""
    return r.kind == "stable" and tensor.dtype.kind == "complex"


def described(r: Rule) -> str:
    """A rule in a line."""
    return f"<{r.kind} rule {r.name}: {r.maths}>" if r.maths else f"<{r.kind} rule {r.name}>"


def _remember(made: Rule) -> None:
    _rules[next(_numbers)] = made


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

    Raises:
        CompileError: a kind that there is not, a pattern that is a variable, a number or a tensor, a
            replacement with variables that the pattern does not have.

    >>> from symgrad_compiler.rewrite.pattern import var
    >>> x = var("x")
    >>> rule(x * 1, x)
    <exact rule multiply: x * 1 = x>
    """
    _check_kind(kind)
    for side, what in ((pattern, "pattern"), (replacement, "replacement")):
        if isinstance(side, Tensor):
            raise _fault(f"a {what} is made of variables, not of tensors", 'x = sg.rewrite.var("x")')
    if not isinstance(pattern, Application):
        raise _fault("the root of a pattern must be an op", "for example rule(x * 1, x)", ("got", pattern))
    if name is not None and not isinstance(name, str):
        raise _fault(f"a rule's name must be a string, not {type(name).__name__}")
    by = as_pattern(replacement)
    known = set(_variables(pattern))
    unknown = [v for v in _variables(by) if v not in known]
    if unknown:
        raise _fault(
            f"the replacement has {unknown[0]}, which the pattern does not have",
            "a replacement is made of what the pattern has found",
            ("rule", f"{pattern} = {by}"),
        )
    if not {*dtypes} <= {*ANY}:
        raise _fault(f"dtypes is a tuple of kinds among {', '.join(ANY)}, not {dtypes!r}")
    return PatternRule(pattern, by, kind, name or pattern.op.name, unshared, dtypes)


def _variables(pattern: Pattern) -> Iterator[str]:
    """The names of variables, of attributes too."""
    if isinstance(pattern, Variable):
        yield pattern.name
    elif isinstance(pattern, Application):
        yield from (v.name for v in pattern.attributes.values() if isinstance(v, Attribute))
        for operand in pattern.operands:
            yield from _variables(operand)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise _fault(f"a rule is {', '.join(KINDS)}; not {kind!r}")


def _fault(what: str, hint: str | None = None, *facts: tuple[str, object]) -> CompileError:
    return CompileError(what, facts=facts, at=origin.locate(origin.current()), hint=hint)


def function_rule(
    *keys: Any, kind: str = "exact", operands: tuple[Any, ...] = (), unshared: bool = False
) -> Callable[[Callable[..., Tensor | None]], list[FunctionRule]]:
    """Decorator: a rule as a function, for each of the given roots.

    The function takes a tensor that such an op has made, and the tensors that it must not look behind. It
    gives a tensor of the same type for it, or None where the rule does not apply. The first paragraph of its
    docstring is the rule's maths.

    Args:
        keys: ops by name ("sum"), elementwise ops, or classes of ops.
        kind: "exact", "rounding", "stable" or "fast".
        operands: ops or classes of ops, one of which must have made some operand, for a first, cheap look.
        unshared: as for `rule`.

    Raises:
        CompileError: a kind or an op that there is not, a function that does not take these two.

    >>> import symgrad as sg
    >>> @sg.rewrite.function_rule("exp")
    ... def exp_of_log(tensor, barriers):
    ...     "exp(log(x)) = x"
    ...     (y,) = tensor.node.inputs
    ...     return y.node.inputs[0] if y.node.op is sg.log and y not in barriers else None
    >>> exp_of_log
    [<exact rule exp_of_log: exp(log(x)) = x>]
    """
    _check_kind(kind)
    roots = [_root(key) for key in keys]
    if not roots:
        raise _fault("a rule as a function needs the op at its root", 'for example @function_rule("sum")')

    def make(function: Callable[..., Tensor | None]) -> list[FunctionRule]:
        try:
            inspect.signature(function).bind(None, ())
        except TypeError:
            raise _fault(
                f"{function.__name__} must take two arguments",
                "the tensor, and the tensors that it must not look behind: def rule(tensor, barriers)",
            ) from None
        name = function.__name__.strip("_")
        return [FunctionRule(function, key, kind, name, operands, unshared) for key in roots]

    return make


def _root(key: Any) -> Any:
    """The op or class of ops that a user means."""
    if isinstance(key, str) and key in registry.ops:
        return registry.ops[key]
    if isinstance(key, Elementwise) or (isinstance(key, type) and issubclass(key, Op)):
        return key
    name = key if isinstance(key, str) else getattr(key, "__name__", "")
    hint = f'"{name}", by name, is one' if name in registry.ops else "docs/ops.md lists the ops"
    raise _fault(f"{name or repr(key)} is no op but a {type(key).__name__}", hint)
