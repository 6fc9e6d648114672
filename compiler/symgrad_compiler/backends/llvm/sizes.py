"""Sizes as native integers: polynomials of the symbolic sizes, read from memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from symgrad.dims import Dim, FloorDiv, Minimum, Size, Symbol, extent
from symgrad_compiler.backends.llvm.ir import Function, Value, literal


class Sizes:
    """Emits the values of sizes into a function; `read` gives the value of a symbol."""

    def __init__(self, function: Function, read: Callable[[str], Value]) -> None:
        self.f = function
        self._read = read

    def __call__(self, dim: Dim) -> Value:
        """The value of a size."""
        return literal(dim, "i64") if isinstance(dim, int) else self._polynomial(dim)

    def extent(self, dim: Dim) -> Value:
        """How many elements an axis of the size has."""
        return self(extent(dim))

    def _polynomial(self, size: Size) -> Value:
        total: Value | None = None
        for monomial, coefficient in size.terms:
            term = literal(coefficient, "i64")
            for atom, power in monomial:
                factor = self._atom(atom)
                for _ in range(power):
                    term = factor if term.number == 1 else self._binary("mul", term, factor)
            total = term if total is None else self._binary("add", total, term)
        assert total is not None
        return total

    def _binary(self, instruction: str, a: Value, b: Value) -> Value:
        return self.f.emit(f"{instruction} i64 {a.text}, {b.text}", "i64")

    def _atom(self, atom: object) -> Value:
        if isinstance(atom, Symbol):
            return self._read(atom.name)
        if isinstance(atom, FloorDiv):
            return self._floor_divide(self(atom.numerator), self(atom.denominator))
        assert not isinstance(atom, Symbol)
        relation = "slt" if isinstance(atom, Minimum) else "sgt"
        a, b = self(atom.a), self(atom.b)  # type: ignore[attr-defined]
        first = self.f.emit(f"icmp {relation} i64 {a.text}, {b.text}", "i1")
        return self.f.emit(f"select i1 {first.text}, i64 {a.text}, i64 {b.text}", "i64")

    def _floor_divide(self, a: Value, b: Value) -> Value:
        """Rounded down; 0 where b is 0."""
        f = self.f
        zero = f.emit(f"icmp eq i64 {b.text}, 0", "i1")
        safe = f.emit(f"select i1 {zero.text}, i64 1, i64 {b.text}", "i64")
        quotient = self._binary("sdiv", a, safe)
        rest = self._binary("srem", a, safe)
        signs = self._binary("xor", rest, safe)
        negative = f.emit(f"icmp slt i64 {signs.text}, 0", "i1")
        inexact = f.emit(f"icmp ne i64 {rest.text}, 0", "i1")
        down = f.emit(f"and i1 {negative.text}, {inexact.text}", "i1")
        less = f.emit(f"sext i1 {down.text} to i64", "i64")
        return f.emit(f"select i1 {zero.text}, i64 0, i64 {self._binary('add', quotient, less).text}", "i64")


class RoughSizes:
    """The same in float64, which does not overflow."""

    def __init__(self, function: Function, read: Callable[[str], Value]) -> None:
        self.f = function
        self._read = read

    def sum_reaches(self, dims: Iterable[Dim], bound: int) -> Value:
        """Whether the sizes add up to `bound`; none counts as less than nothing."""
        zero, total = literal(0, "f64"), literal(0, "f64")
        for dim in dims:
            value = self._value(dim)
            total = self._binary("fadd", total, self._select("ogt", value, zero, value, zero))
        return self.f.emit(f"fcmp oge double {total.text}, {literal(bound, 'f64').text}", "i1")

    def _value(self, dim: Dim) -> Value:
        if isinstance(dim, int):
            return literal(dim, "f64")
        total = literal(0, "f64")
        for monomial, coefficient in dim.terms:
            term = literal(coefficient, "f64")
            for atom, power in monomial:
                factor = self._atom(atom)
                for _ in range(power):
                    term = self._binary("fmul", term, factor)
            total = self._binary("fadd", total, term)
        return total

    def _atom(self, atom: object) -> Value:
        if isinstance(atom, Symbol):
            return self.f.emit(f"sitofp i64 {self._read(atom.name).text} to double", "f64")
        if isinstance(atom, FloorDiv):
            a, b, zero = self._value(atom.numerator), self._value(atom.denominator), literal(0, "f64")
            return self._select("oeq", b, zero, zero, self._binary("fdiv", a, b))
        relation = "olt" if isinstance(atom, Minimum) else "ogt"
        a, b = self._value(atom.a), self._value(atom.b)  # type: ignore[attr-defined]
        return self._select(relation, a, b, a, b)

    def _binary(self, instruction: str, a: Value, b: Value) -> Value:
        return self.f.emit(f"{instruction} double {a.text}, {b.text}", "f64")

    def _select(self, relation: str, a: Value, b: Value, then: Value, otherwise: Value) -> Value:
        holds = self.f.emit(f"fcmp {relation} double {a.text}, {b.text}", "i1")
        return self.f.emit(f"select i1 {holds.text}, double {then.text}, double {otherwise.text}", "f64")
