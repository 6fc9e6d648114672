"""Symbolic sizes: integer polynomials in named symbols, in normal form.

A dimension of a shape is an `int` or a `Size`. A `Size` is a polynomial with integer coefficients whose
indeterminates ("atoms") are symbols (`Symbol`) and the opaque `FloorDiv`, `Minimum` and `Maximum`. The
normal form is unique, so `==` is exact equality of polynomials, and hashing is cheap. A polynomial
without atoms is an `int`, never a `Size`.

    Dim    = int | Size
    Size   = sum of coefficient * Monomial
    Monomial = product of Atom ** power
    Atom   = Symbol(name) | FloorDiv(Size, Dim) | Minimum(Dim, Dim) | Maximum(Dim, Dim)

Imports nothing of the project but `errors`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from symgrad.errors import ShapeError

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

#: The longest polynomial that shape arithmetic may build; hostile text cannot ask for more.
MAX_TERMS = 256
MAX_POWER = 64


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named size that is known when the compiled function is called."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """floor(numerator / denominator), opaque."""

    numerator: Size
    denominator: Dim

    def __str__(self) -> str:
        return f"floordiv({self.numerator}, {self.denominator})"


@dataclass(frozen=True, slots=True)
class Minimum:
    """min(a, b), opaque."""

    a: Dim
    b: Dim

    def __str__(self) -> str:
        return f"min({self.a}, {self.b})"


@dataclass(frozen=True, slots=True)
class Maximum:
    """max(a, b), opaque."""

    a: Dim
    b: Dim

    def __str__(self) -> str:
        return f"max({self.a}, {self.b})"


Atom: TypeAlias = Symbol | FloorDiv | Minimum | Maximum
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]
_Terms: TypeAlias = dict[Monomial, int]


class Size:
    """A symbolic size. Build one with `size("n")` and integer arithmetic.

    >>> n = size("n")
    >>> (n + 1) * (n - 1) == n * n - 1
    True
    >>> print((6 * n + 4) // 2, n // 2, -(-n // 4))
    3*n+2 floordiv(n, 2) -floordiv(-n, 4)
    """

    __slots__ = ("_hash", "_text", "terms")

    def __init__(self, terms: Collection[tuple[Monomial, int]]) -> None:
        self.terms: tuple[tuple[Monomial, int], ...] = (
            tuple(sorted(terms, key=_order)) if len(terms) > 1 else tuple(terms)
        )
        self._hash = hash(self.terms)
        self._text = ""  # made when it is asked for: the normal form is sorted by the texts of its parts

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Size) and self._hash == other._hash and self.terms == other.terms

    # Arithmetic with ints and sizes gives sizes. With a float, a size is the number it stands for, a
    # 0-d tensor: `as_number`, set by the language, makes it. Tensors handle sizes by themselves.
    as_number: ClassVar[Callable[[Size], Any]]

    def __add__(self, other: Any) -> Any:
        if _is_dim(other):
            return _sum([(1, self), (1, other)])
        return self._number() + other if _is_float(other) else NotImplemented

    def __sub__(self, other: Any) -> Any:
        if _is_dim(other):
            return _sum([(1, self), (-1, other)])
        return self._number() - other if _is_float(other) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        if _is_dim(other):
            return _sum([(-1, self), (1, other)])
        return other - self._number() if _is_float(other) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        if _is_dim(other):
            return _product(self, other)
        return self._number() * other if _is_float(other) else NotImplemented

    def __floordiv__(self, other: Any) -> Any:
        if _is_dim(other):
            return floordiv(self, other)
        return self._number() // other if _is_float(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        if _is_dim(other):
            return floordiv(other, self)
        return other // self._number() if _is_float(other) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        if _is_dim(other):
            return self - floordiv(self, other) * other
        return self._number() % other if _is_float(other) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        if _is_dim(other):
            return other - floordiv(other, self) * self
        return other % self._number() if _is_float(other) else NotImplemented

    def __divmod__(self, other: Any) -> Any:
        return (self // other, self % other) if _is_dim(other) or _is_float(other) else NotImplemented

    def __rdivmod__(self, other: Any) -> Any:
        return (other // self, other % self) if _is_dim(other) or _is_float(other) else NotImplemented

    def __truediv__(self, other: Any) -> Any:
        return self._number() / other if _is_dim(other) or _is_float(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return other / self._number() if _is_dim(other) or _is_float(other) else NotImplemented

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and 0 <= other <= MAX_POWER:
            return product([self] * other)
        if _is_dim(other):
            raise self._no_size(f"{self}**{_in_brackets(other)}", f"sg.pow({self}, {other})")
        return self._number() ** other if _is_float(other) else NotImplemented

    def __rpow__(self, other: Any) -> Any:
        if _is_dim(other):
            raise self._no_size(f"{other}**{_in_brackets(self)}", f"sg.pow({other}, {self})")
        return other ** self._number() if _is_float(other) else NotImplemented

    def __neg__(self) -> Dim:
        return _sum([(-1, self)])

    def __pos__(self) -> Size:
        return self

    def __abs__(self) -> Dim:
        return self if is_never_negative(self) else maximum(self, -self)

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, "<", "less")

    def __le__(self, other: Any) -> Any:
        return self._compare(other, "<=", "less_equal")

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, ">", "greater")

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, ">=", "greater_equal")

    def _compare(self, other: Any, sign: str, name: str) -> Any:
        if not _is_dim(other) and not _is_float(other):
            return NotImplemented
        raise TypeError(
            f"whether {self} {sign} {other} is not known when the graph is built; "
            f"sg.{name}({self}, {other}) is a tensor of it"
        )

    def _no_size(self, what: str, tensor: str) -> TypeError:
        return TypeError(f"{what} is no size, since sizes are polynomials; {tensor} is a tensor of it")

    def _number(self) -> Any:
        return Size.as_number(self)

    __radd__ = __add__
    __rmul__ = __mul__

    def __bool__(self) -> bool:
        raise TypeError(f"the truth of the symbolic size {self} is not known when the graph is built")

    def __int__(self) -> int:
        raise TypeError(f"the symbolic size {self} is not known when the graph is built")

    __index__ = __int__

    def __str__(self) -> str:
        if not self._text:
            self._text = self._written()
        return self._text

    def _written(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            factors = [str(a) if p == 1 else f"{a}**{p}" for a, p in monomial]
            if not factors or abs(coefficient) != 1:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+" if text else ""
            text += sign + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"Size({self})"


Dim: TypeAlias = int | Size
Shape: TypeAlias = tuple[Dim, ...]


def size(name: str) -> Size:
    """The symbolic size called `name`; equal names in one graph are the same size.

    A symbol may be any int >= 0 at run time, 0 and 1 included.

    >>> size("n") == size("n")
    True
    """
    if not isinstance(name, str) or not IDENTIFIER.match(name) or name in RESERVED:
        raise ShapeError(
            f"a size name must be an identifier, not {name!r}",
            hint="letters, digits and underscores, not beginning with a digit",
        )
    return _of_atom(Symbol(name))


#: Words with a meaning of their own in size expressions.
RESERVED = frozenset({"floordiv", "min", "max"})


def floordiv(a: Dim, b: Dim) -> Dim:
    """floor(a / b); coefficients that `b` divides leave the floor, and so does a product that it divides.

    >>> print(floordiv(6 * size("n") * size("m"), 2 * size("n")))
    3*m
    """
    if isinstance(b, int) and b == 0:
        raise ShapeError("size divided by zero", facts=[("size", a)])
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if isinstance(a, int) and a == 0:
        return 0
    if isinstance(b, int):
        if b < 0:
            return floordiv(-a, -b)
        assert isinstance(a, Size)
        outside = {m: c // b for m, c in a.terms if c % b == 0 or not m}
        inside = {m: (c if m else c % b) for m, c in a.terms if c % b != 0}
        if not any(inside):  # only a constant remainder is left inside, and it is below b
            return _make(outside)
        rest = _make(inside)
        assert isinstance(rest, Size)
        return _sum([(1, _make(outside)), (1, _of_atom(FloorDiv(rest, b)))])
    if a == b:
        return 1
    exact = _quotient(a, b)
    if exact is not None:
        return exact
    numerator = a if isinstance(a, Size) else Size([((), a)])
    return _of_atom(FloorDiv(numerator, b))


def _quotient(a: Dim, b: Size) -> Dim | None:
    """a / b where b is one term that divides each term of a; else None."""
    if not isinstance(a, Size) or len(b.terms) != 1:
        return None
    ((divisor, factor),) = b.terms
    terms: _Terms = {}
    for monomial, coefficient in a.terms:
        powers = dict(monomial)
        if coefficient % factor or any(powers.get(atom, 0) < power for atom, power in divisor):
            return None
        for atom, power in divisor:
            powers[atom] -= power
        terms[tuple((atom, power) for atom, power in powers.items() if power)] = coefficient // factor
    return _make(terms)


def minimum(a: Dim, b: Dim) -> Dim:
    """The smaller of two sizes (also of two that differ by a constant, whatever the symbols are)."""
    difference = _sum([(1, a), (-1, b)])
    if isinstance(difference, int):
        return a if difference <= 0 else b
    first, second = sorted((a, b), key=str)
    return _of_atom(Minimum(first, second))


def maximum(a: Dim, b: Dim) -> Dim:
    """The larger of two sizes."""
    difference = _sum([(1, a), (-1, b)])
    if isinstance(difference, int):
        return a if difference >= 0 else b
    first, second = sorted((a, b), key=str)
    return _of_atom(Maximum(first, second))


def is_never_negative(dim: Dim) -> bool:
    """Whether a size is at least 0 for all values of its symbols, as far as its coefficients tell.

    >>> is_never_negative(3 * size("n")), is_never_negative(size("n") - 1), is_never_negative(size("n") // 2)
    (True, False, True)
    """
    if isinstance(dim, int):
        return dim >= 0
    return all(c >= 0 and all(_is_natural(atom) for atom, _ in monomial) for monomial, c in dim.terms)


def _is_natural(atom: Atom) -> bool:
    if isinstance(atom, FloorDiv):
        return is_never_negative(atom.numerator) and is_never_negative(atom.denominator)
    if isinstance(atom, Symbol):
        return True
    some = [is_never_negative(side) for side in (atom.a, atom.b)]
    return any(some) if isinstance(atom, Maximum) else all(some)


def is_never_positive(dim: Dim) -> bool:
    """Whether a size is at most 0 for all values of its symbols, as far as its coefficients tell.

    >>> n = size("n")
    >>> is_never_positive(-n // 2), is_never_positive(-(n // 2)), is_never_positive(1 - n)
    (True, True, False)
    """
    if isinstance(dim, int):
        return dim <= 0
    return all(
        all(_is_natural(atom) for atom, _ in monomial) if c < 0 else _falls(monomial)
        for monomial, c in dim.terms
    )


def _falls(monomial: Monomial) -> bool:
    """Whether a product is at most 0: here, one that is a single factor."""
    if len(monomial) != 1 or monomial[0][1] != 1:
        return False
    atom = monomial[0][0]
    if isinstance(atom, Symbol):
        return False
    if isinstance(atom, FloorDiv):
        return is_never_positive(atom.numerator) and is_never_negative(atom.denominator)
    some = [is_never_positive(side) for side in (atom.a, atom.b)]
    return any(some) if isinstance(atom, Minimum) else all(some)


def constant_term(dim: Dim) -> int:
    """What a size is without its symbols, floors and so on.

    >>> constant_term(3 - size("n"))
    3
    """
    return dict(_terms(dim)).get((), 0)


def extent(dim: Dim) -> Dim:
    """How many elements an axis of this size has: none, where the size comes out negative, as n - 2 does for
    an n of 1.

    >>> print(extent(size("n")), extent(size("n") - 2))
    n max(0, n-2)
    """
    return dim if is_never_negative(dim) else maximum(dim, 0)


def count(shape: Iterable[Dim]) -> Dim:
    """How many elements there are, where axes of negative sizes have none."""
    return product(map(extent, shape))


def product(dims: Iterable[Dim]) -> Dim:
    """The product of sizes; of none, 1."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def symbols(dim: Dim) -> frozenset[str]:
    """The names of all symbols in `dim`."""
    found: set[str] = set()
    stack: list[Dim] = [dim]
    while stack:
        top = stack.pop()
        if isinstance(top, int):
            continue
        for atom in _atoms(top):
            if isinstance(atom, Symbol):
                found.add(atom.name)
            else:
                stack.extend(_operands(atom))
    return frozenset(found)


def lone_symbol(dim: Dim) -> str | None:
    """The name when `dim` is one bare symbol, else None."""
    if isinstance(dim, Size) and len(dim.terms) == 1:
        monomial, coefficient = dim.terms[0]
        if coefficient == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            atom = monomial[0][0]
            return atom.name if isinstance(atom, Symbol) else None
    return None


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The number that `dim` is for the given symbols."""
    value = substitute(dim, sizes)
    if isinstance(value, Size):
        missing = sorted(symbols(value))
        raise ShapeError(f"the size {dim} is not determined", facts=[("unknown", ", ".join(missing))])
    return value


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """`dim` with symbols replaced."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom, power in monomial:
            factor = _substitute_atom(atom, values)
            for _ in range(power):
                term = term * factor
        total = total + term
    return total


def code(dim: Dim) -> str:
    """A Python expression for `dim` over its symbols as int variables.

    >>> print(code(2 * size("n") + size("m") // 3))
    m//3+2*n
    >>> print(code(3 * (size("m") // 3) ** 2))
    3*(m//3)**2
    """
    if isinstance(dim, int):
        return str(dim)
    text = ""
    for monomial, coefficient in dim.terms:
        is_alone = coefficient == 1 and [power for _, power in monomial] == [1]
        factors = []
        for atom, power in monomial:
            factor = _atom_code(atom)
            factor = f"({factor})" if isinstance(atom, FloorDiv) and not is_alone else factor
            factors.append(factor if power == 1 else f"{factor}**{power}")
        if not factors or abs(coefficient) != 1:
            factors.insert(0, str(abs(coefficient)))
        sign = "-" if coefficient < 0 else "+" if text else ""
        text += sign + "*".join(factors)
    return text


def equal(a: Dim, b: Dim) -> bool:
    """Whether two sizes are provably equal, for all values of their symbols.

    The normal form decides polynomials; sympy is asked (and loaded) only where opaque atoms are left in
    the difference.
    """
    if a is b or a == b:
        return True
    difference = _sum([(1, a), (-1, b)])
    if isinstance(difference, int):
        return difference == 0
    difference = _assumed(difference)
    if isinstance(difference, int):
        return difference == 0
    if all(isinstance(atom, Symbol) for atom in _atoms(difference)):
        return False
    return bool(importlib.import_module("symgrad.proofs").is_zero(difference))


# ---- assumptions ------------------------------------------------------------------------------------

_assumptions: list[tuple[Dim, Dim]] = []


class Assumption:
    """A size equality in force; as a context manager it ends with its block."""

    def __init__(self, pair: tuple[Dim, Dim]) -> None:
        self._pair = pair

    def __enter__(self) -> Assumption:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def end(self) -> None:
        """Take the assumption back (for graphs that are built from now on)."""
        if self._pair in _assumptions:
            _assumptions.remove(self._pair)


def assume_equal(a: Dim, b: Dim) -> Assumption:
    """Let graphs that are built from now on take sizes `a` and `b` as equal.

    Where a graph relies on it, the graph holds a check (`specify_shape`), which the compiled function
    makes at each call. Use it as a context manager to end the assumption with a block.

    >>> n, m = size("n"), size("m")
    >>> with assume_equal(n, m):
    ...     equal(n + 1, m + 1)
    True
    >>> equal(n, m)
    False
    """
    for value in (a, b):
        if not _is_dim(value):
            raise ShapeError(
                f"assume_equal takes sizes, not {type(value).__name__}",
                hint='e.g. sg.size("n") or x.shape[0]',
            )
    difference = a - b
    difference = _assumed(difference) if isinstance(difference, Size) else difference
    if isinstance(difference, int) and difference != 0:
        known = [("assumed before", ", ".join(f"{x} = {y}" for x, y in _assumptions))] if _assumptions else []
        raise ShapeError(f"{a} and {b} cannot be equal", facts=known)
    pair = (a, b)
    if a != b:
        _assumptions.append(pair)
    return Assumption(pair)


def assumptions() -> tuple[tuple[Dim, Dim], ...]:
    """The pairs of sizes that are assumed to be equal now."""
    return tuple(_assumptions)


def _assumed(difference: Size) -> Dim:
    """`difference` reduced by the assumptions in force, each used as a rewrite of one symbol."""
    rewrites: dict[str, Dim] = {}
    opaque: list[Dim] = []
    for a, b in _assumptions:
        left, right = substitute(a, rewrites), substitute(b, rewrites)
        if left == right:
            continue
        for name, other in ((lone_symbol(left), right), (lone_symbol(right), left)):
            if name is not None and name not in symbols(other):
                rewrites = {k: substitute(v, {name: other}) for k, v in rewrites.items()}
                rewrites[name] = other
                break
        else:
            opaque.append(left - right)
    reduced = substitute(difference, rewrites)
    for zero in opaque:
        zero = substitute(zero, rewrites)
        if reduced in (zero, -zero):
            return 0
    return reduced


# ---- normal form ------------------------------------------------------------------------------------


def _is_dim(value: object) -> bool:
    return isinstance(value, (int, Size)) and not isinstance(value, bool)


def _in_brackets(dim: Dim) -> str:
    text = str(dim)
    return text if text.isalnum() else f"({text})"


def _is_float(value: object) -> bool:
    return isinstance(value, (float, complex))


def _of_atom(atom: Atom) -> Size:
    return Size([(((atom, 1),), 1)])


def _make(terms: Mapping[Monomial, int]) -> Dim:
    kept = {m: c for m, c in terms.items() if c}
    if not kept:
        return 0
    if len(kept) == 1 and () in kept:
        return kept[()]
    if len(kept) > MAX_TERMS:
        raise ShapeError(f"a size expression of {len(kept)} terms is too large")
    return Size(kept.items())


def _terms(dim: Dim) -> Iterable[tuple[Monomial, int]]:
    return dim.terms if isinstance(dim, Size) else (((), dim),)


def _sum(parts: Iterable[tuple[int, Dim]]) -> Dim:
    terms: _Terms = {}
    for factor, dim in parts:
        for monomial, coefficient in _terms(dim):
            terms[monomial] = terms.get(monomial, 0) + factor * coefficient
    return _make(terms)


def _product(a: Dim, b: Dim) -> Dim:
    terms: _Terms = {}
    for m1, c1 in _terms(a):
        for m2, c2 in _terms(b):
            monomial = _monomials_product(m1, m2) if m1 and m2 else m1 or m2
            terms[monomial] = terms.get(monomial, 0) + c1 * c2
    return _make(terms)


def _monomials_product(m1: Monomial, m2: Monomial) -> Monomial:
    powers: dict[Atom, int] = dict(m1)
    for atom, power in m2:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _order(term: tuple[Monomial, int]) -> tuple[int, str]:
    monomial = term[0]
    return (-sum(p for _, p in monomial), "*".join(f"{a}**{p}" for a, p in monomial))


def _atoms(dim: Size) -> Iterator[Atom]:
    for monomial, _ in dim.terms:
        for atom, _ in monomial:
            yield atom


def _operands(atom: Atom) -> tuple[Dim, ...]:
    if isinstance(atom, FloorDiv):
        return (atom.numerator, atom.denominator)
    if isinstance(atom, Symbol):
        return ()
    return (atom.a, atom.b)


def _substitute_atom(atom: Atom, values: Mapping[str, Dim]) -> Dim:
    if isinstance(atom, Symbol):
        return values.get(atom.name, _of_atom(atom))
    a, b = (substitute(d, values) for d in _operands(atom))
    if isinstance(atom, FloorDiv):
        return floordiv(a, b)
    return minimum(a, b) if isinstance(atom, Minimum) else maximum(a, b)


def _atom_code(atom: Atom) -> str:
    if isinstance(atom, Symbol):
        return atom.name
    if isinstance(atom, FloorDiv):
        top, bottom = code(atom.numerator), code(atom.denominator)
        wrap = [t if re.fullmatch(r"\w+", t) else f"({t})" for t in (top, bottom)]
        return "//".join(wrap)
    name = "min" if isinstance(atom, Minimum) else "max"
    return f"{name}({code(atom.a)}, {code(atom.b)})"
