"""Accumulators of a kernel's reductions, as lists of values: one for each, two for a positional one.

add, multiply, maximum, minimum    the value so far
argmax, argmin                     the extreme so far and its position, which is behind all others where
                                   nothing has beaten the identity

A maximum or minimum beside its position is that one's value, and has no accumulator. Truth values stay bytes,
as they lie in memory, where vectors hold nothing else and the machine has no registers of bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm.ir import LLVM_TYPES, Value, literal
from symgrad_compiler.backends.llvm.pieces import two_sum
from symgrad_compiler.backends.llvm.scalars import Code, kind_of
from symgrad_compiler.plan.steps import Reduction
from symgrad_compiler.plan.steps import identity as start_of

#: The values of positional reductions.
_EXTREMES = {"argmax": "maximum", "argmin": "minimum"}


class Accumulators:
    """The accumulators of one kernel."""

    def __init__(
        self, code: Code, reductions: Sequence[Reduction], position_kind: str = "i64", truth_kind: str = "i1"
    ) -> None:
        self.code = code
        self.reductions = reductions
        self.position_kind = position_kind
        self.truth_kind = truth_kind
        found = {(_EXTREMES[r.kind], r.value): r for r in reductions if _is_positional(r)}
        #: The extremes that come with their position.
        self._beside = {i: found.get((r.kind, r.value)) for i, r in enumerate(reductions)}
        #: Those that have accumulators.
        self.own = [r for i, r in enumerate(reductions) if self._beside[i] is None]

    def identities(self, lanes: int) -> list[Value]:
        """Accumulators of nothing."""
        found = []
        for reduction in self.own:
            found.append(self.identity(reduction, lanes))
            if _is_positional(reduction):
                found.append(self._nowhere(lanes))
        return found

    def identity(self, reduction: Reduction, lanes: int) -> Value:
        """What a reduction starts from."""
        dtype = reduction.value.dtype
        kind = self.truth_kind if dtype.kind == "bool" else kind_of(dtype)
        return literal(start_of(reduction.kind, dtype), kind, lanes)

    def combine(self, accumulators: Sequence[Value], others: Sequence[Value]) -> list[Value]:
        """Accumulators of one level into those of the next; of one element too."""
        result: list[Value] = []
        i = 0
        for reduction in self.own:
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

    def _nowhere(self, lanes: int) -> Value:
        """The position where nothing has beaten the identity: as a result, that of the first element; where
        lanes are compared, behind all others."""
        bits = {"i32": 31, "i64": 63}[self.position_kind]
        return literal(2**bits - 1, self.position_kind, lanes)

    def _better(self, kind: str, best: Sequence[Value], new: Sequence[Value]) -> list[Value]:
        """The extreme, a NaN before all else; of equals the best so far."""
        code = self.code
        value, position = new
        if value.kind in ("f32", "f64"):
            stays = code.less_equal(*((value, best[0]) if kind == "argmax" else (best[0], value)))
            wins = code.logical_and(code.logical_not(stays), code.logical_not(code.is_nan(best[0])))
        else:
            wins = code.less(*((best[0], value) if kind == "argmax" else (value, best[0])))
        return [code.select(wins, value, best[0]), code.select(wins, position, best[1])]

    def _best_lane(self, kind: str, best: Sequence[Value]) -> list[Value]:
        """The extreme of all lanes, and the first position where it is: that of a NaN, if there are any."""
        code, f = self.code, self.code.f
        values, positions = best
        lanes = values.lanes
        value = self._halved("maximum" if kind == "argmax" else "minimum", values)
        here = code.equal(values, code.splat(value, lanes))
        if values.kind in ("f32", "f64"):
            here = code.logical_or(here, code.is_nan(values))
        places = code.select(here, positions, self._nowhere(lanes))
        name = f"llvm.vector.reduce.smin.v{lanes}{positions.kind}"
        f.module.declare(f"declare {positions.kind} @{name}({places.type})")
        return [value, f.emit(f"call {positions.kind} @{name}({places.type} {places.text})", positions.kind)]

    def results(self, accumulators: Sequence[Value]) -> list[Value]:
        """What is stored: the value, or the position."""
        first, count = {}, 0
        for reduction in self.own:
            first[id(reduction)] = count
            count += 2 if _is_positional(reduction) else 1
        result = []
        for i, reduction in enumerate(self.reductions):
            at = first[id(self._beside[i] or reduction)]
            is_place = _is_positional(reduction)
            value = accumulators[at]
            kind = kind_of(reduction.value.dtype)
            result.append(self._place(accumulators[at + 1]) if is_place else self.code.convert(value, kind))
        return result

    def _place(self, position: Value) -> Value:
        """A position as it is stored."""
        code = self.code
        is_first = code.equal(position, self._nowhere(position.lanes))
        return code.convert(code.select(is_first, code.constant(0, position), position), "i64")

    def fold(self, accumulators: Sequence[Value]) -> list[Value]:
        """Vectors to scalars."""
        if accumulators[0].lanes == 1:
            return list(accumulators)
        result: list[Value] = []
        i = 0
        for reduction in self.own:
            if _is_positional(reduction):
                result += self._best_lane(reduction.kind, accumulators[i : i + 2])
                i += 2
            else:
                result.append(self._halved(reduction.kind, accumulators[i]))
                i += 1
        return result

    def _halved(self, kind: str, value: Value) -> Value:
        """A vector to a scalar: halves onto halves."""
        while value.lanes > 1:
            half = value.lanes // 2
            value = combine(self.code, kind, self._part(value, 0, half), self._part(value, half, half))
        return value

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


def combine(code: Code, kind: str, a: Value, b: Value) -> Value:
    """One step of a reduction of values."""
    if kind == "add":
        return code.add(a, b)
    if kind == "multiply":
        return code.multiply(a, b)
    return code.call(kind, a, b)
