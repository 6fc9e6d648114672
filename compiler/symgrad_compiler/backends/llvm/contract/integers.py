"""Integers of code under construction, with the operators of Python: `first + step * index`."""

from __future__ import annotations

from typing import TypeAlias

from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import Function, Value, literal


@record
class Int:
    """An i64; division is of numbers that are not negative."""

    f: Function
    value: Value

    def _of(self, other: Operand) -> Value:
        return other.value if isinstance(other, Int) else literal(other, "i64")

    def _binary(self, instruction: str, a: Operand, b: Operand) -> Int:
        return Int(self.f, self.f.emit(f"{instruction} i64 {self._of(a).text}, {self._of(b).text}", "i64"))

    def _test(self, relation: str, other: Operand) -> Value:
        return self.f.emit(f"icmp {relation} i64 {self.value.text}, {self._of(other).text}", "i1")

    def __add__(self, other: Operand) -> Int:
        return self._binary("add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Int:
        return self._binary("sub", self, other)

    def __rsub__(self, other: Operand) -> Int:
        return self._binary("sub", other, self)

    def __mul__(self, other: Operand) -> Int:
        return self._binary("mul", self, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Operand) -> Int:
        return self._binary("udiv", self, other)

    def __rfloordiv__(self, other: Operand) -> Int:
        return self._binary("udiv", other, self)

    def __mod__(self, other: Operand) -> Int:
        return self._binary("urem", self, other)

    def __and__(self, other: Operand) -> Int:
        return self._binary("and", self, other)

    def __lt__(self, other: Operand) -> Value:
        return self._test("slt", other)

    def __le__(self, other: Operand) -> Value:
        return self._test("sle", other)

    def __gt__(self, other: Operand) -> Value:
        return self._test("sgt", other)

    def __ge__(self, other: Operand) -> Value:
        return self._test("sge", other)

    def equals(self, other: Operand) -> Value:
        return self._test("eq", other)

    def differs(self, other: Operand) -> Value:
        return self._test("ne", other)

    def up_over(self, other: Operand) -> Int:
        """The quotient, rounded up."""
        return (self + other - 1) // other

    def up_to(self, multiple: int) -> Int:
        """The next multiple."""
        return self.up_over(multiple) * multiple

    def at_most(self, other: Operand) -> Int:
        return self.where(self < other, other)

    def at_least(self, other: Operand) -> Int:
        return self.where(self > other, other)

    def where(self, condition: Value, other: Operand) -> Int:
        """This if the condition holds, else the other."""
        text = f"select i1 {condition.text}, i64 {self.value.text}, i64 {self._of(other).text}"
        return Int(self.f, self.f.emit(text, "i64"))


Operand: TypeAlias = Int | int
