"""Accumulators of a kernel's reductions, as lists of values: one for each, two for a positional one.

add, multiply, maximum, minimum    the value so far
argmax, argmin                     the extreme so far and its position, -1 for none
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm.ir import LLVM_TYPES, Value, literal
from symgrad_compiler.backends.llvm.pieces import two_sum
from symgrad_compiler.backends.llvm.scalars import Code, kind_of
from symgrad_compiler.plan.steps import Reduction
from symgrad_compiler.plan.steps import identity as start_of


class Accumulators:
    """The accumulators of one kernel."""

    def __init__(self, code: Code, reductions: Sequence[Reduction], position_kind: str = "i64") -> None:
        self.code = code
        self.reductions = reductions
        self.position_kind = position_kind

    def identities(self, lanes: int) -> list[Value]:
        """Accumulators of nothing."""
        found = []
        for reduction in self.reductions:
            found.append(identity(reduction, lanes))
            if _is_positional(reduction):
                found.append(literal(-1, self.position_kind, lanes))
        return found

    def combine(self, accumulators: Sequence[Value], others: Sequence[Value]) -> list[Value]:
        """Accumulators of one level into those of the next; of one element too."""
        result: list[Value] = []
        i = 0
        for reduction in self.reductions:
            if _is_positional(reduction):
                result += self._better(reduction.kind, accumulators[i : i + 2], others[i : i + 2])
                i += 2
            else:
                result.append(combine(self.code, reduction.kind, accumulators[i], others[i]))
                i += 1
        return result

    def add_block(self, carried: Sequence[Value], partial: Sequence[Value]) -> list[Value]:
        """Sums of blocks, and behind them what their additions lost, with one block more."""
        sums, lost = [], []
        for total, before, value in zip(
            carried[: len(partial)], carried[len(partial) :], partial, strict=True
        ):
            total, error = two_sum(self.code, total, value)
            sums.append(total)
            lost.append(self.code.add(before, error))
        return [*sums, *lost]

    def settle(self, carried: Sequence[Value]) -> list[Value]:
        """The sums with what was lost; beside infinity that is NaN, and not asked."""
        half = len(carried) // 2
        result = []
        for total, lost in zip(carried[:half], carried[half:], strict=True):
            corrected = self.code.add(total, lost)
            result.append(self.code.select(self.code.is_nan(corrected), total, corrected))
        return result

    def _better(self, kind: str, best: Sequence[Value], new: Sequence[Value]) -> list[Value]:
        """The extreme, a NaN before all else; of equals the best so far. A position of -1 goes with the
        identity, and wins over nothing but another one."""
        code = self.code
        value, position = new
        wins = code.less(best[0], value) if kind == "argmax" else code.less(value, best[0])
        if value.kind in ("f32", "f64"):
            nan_wins = code.logical_and(code.is_nan(value), code.logical_not(code.is_nan(best[0])))
            wins = code.logical_or(wins, nan_wins)
        wins = code.logical_or(wins, code.less(best[1], code.constant(0, best[1])))
        return [code.select(wins, value, best[0]), code.select(wins, position, best[1])]

    def _better_lane(self, kind: str, best: Sequence[Value], new: Sequence[Value]) -> list[Value]:
        """As `_better`, of equals that with the lower position."""
        code = self.code
        after = code.logical_and(code.less(new[1], best[1]), code.less(code.constant(-1, new[1]), new[1]))
        first = [code.select(after, a, b) for a, b in zip(new, best, strict=True)]
        second = [code.select(after, b, a) for a, b in zip(new, best, strict=True)]
        return self._better(kind, first, second)

    def results(self, accumulators: Sequence[Value]) -> list[Value]:
        """What is stored: the value, or the position."""
        result, i = [], 0
        for reduction in self.reductions:
            i += 2 if _is_positional(reduction) else 1
            value = accumulators[i - 1]
            result.append(self.code.convert(value, "i64") if _is_positional(reduction) else value)
        return result

    def fold(self, accumulators: Sequence[Value]) -> list[Value]:
        """Vectors to scalars: halves onto halves."""
        if accumulators[0].lanes == 1:
            return list(accumulators)
        result: list[Value] = []
        i = 0
        for reduction in self.reductions:
            count = 2 if _is_positional(reduction) else 1
            values = list(accumulators[i : i + count])
            i += count
            while values[0].lanes > 1:
                half = values[0].lanes // 2
                low = [self._part(v, 0, half) for v in values]
                high = [self._part(v, half, half) for v in values]
                if count == 2:
                    values = self._better_lane(reduction.kind, low, high)
                else:
                    values = [combine(self.code, reduction.kind, low[0], high[0])]
            result += values
        return result

    def _part(self, value: Value, start: int, count: int) -> Value:
        f = self.code.f
        if count == 1:
            return f.emit(f"extractelement {value.type} {value.text}, i64 {start}", value.kind)
        chosen = ", ".join(f"i32 {start + i}" for i in range(count))
        expression = (
            f"shufflevector {value.type} {value.text}, {value.type} poison, <{count} x i32> <{chosen}>"
        )
        return f.emit(expression, value.kind, count)

    def into_lane(self, scalars: Sequence[Value], lanes: int) -> list[Value]:
        """Vectors that hold scalars in their first lane, and the identity in the others."""
        if lanes == 1:
            return list(scalars)
        result = []
        for value, nothing in zip(scalars, self.identities(lanes), strict=True):
            element = f"{LLVM_TYPES[value.kind]} {value.text}"
            expression = f"insertelement {nothing.type} {nothing.text}, {element}, i64 0"
            result.append(self.code.f.emit(expression, value.kind, lanes))
        return result


def _is_positional(reduction: Reduction) -> bool:
    return reduction.kind.startswith("arg")


def identity(reduction: Reduction, lanes: int) -> Value:
    """What a reduction starts from."""
    dtype = reduction.value.dtype
    return literal(start_of(reduction.kind, dtype), kind_of(dtype), lanes)


def combine(code: Code, kind: str, a: Value, b: Value) -> Value:
    """One step of a reduction of values."""
    if kind == "add":
        return code.add(a, b)
    if kind == "multiply":
        return code.multiply(a, b)
    return code.call(kind, a, b)
