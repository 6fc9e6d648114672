"""Where values belong in sorted rows, by bisection without branches.

`size` elements from `place` on are left, and the answer is among the places before, between and behind them.
If the value comes after the last element of the lower half, that half is passed over; else only the upper
half's size is dropped. All values of a row take the same steps, so a few go side by side and their chains of
loads overlap. Comparisons are those of sorts: NaN is the largest number, and equal to itself.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.ir import Value, literal
from symgrad_compiler.backends.llvm.lanes import memory_kind
from symgrad_compiler.backends.llvm.scalars import kind_of
from symgrad_compiler.backends.llvm.sort import smaller, sortable
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.steps import SearchStep

#: Values that are looked for side by side.
BESIDE = 4

_ZERO, _ONE = literal(0, "i64"), literal(1, "i64")


def emit_search(emitter: StepEmitter, step: SearchStep) -> None:
    """`i32 name(ptr frame)`: the place of each value."""
    _Search(emitter, step).run()


class _Search:
    def __init__(self, emitter: StepEmitter, step: SearchStep) -> None:
        self.emitter, self.step = emitter, step
        self.f, self.code = emitter.f, emitter.code
        self.kind = memory_kind(kind_of(step.row.storage.dtype))
        self.starts = [emitter.pointer(a) for a in (step.row, step.values, step.out)]

    def run(self) -> None:
        """Over all axes but the last, with some values of that side by side."""
        step, emitter, f = self.step, self.emitter, self.f
        shape = step.values.layout.shape
        rows = len(step.row.layout.shape) - 1
        if len(shape) == rows:  # one value in each row
            emitter.nest(shape, lambda indices: self._find(indices, [indices]))
        else:
            count = emitter.sizes.extent(shape[-1])
            last = self.code.subtract(count, _ONE)

            def outer(indices: list[Value]) -> None:
                def group(i: Value, _: list[Value]) -> list[Value]:
                    further = [self.code.add(i, literal(k, "i64")) for k in range(BESIDE)]
                    wanted = [[*indices, smaller(self.code, k, last)] for k in further]
                    self._find(indices[:rows], wanted)
                    return []

                f.loop(_ZERO, count, literal(BESIDE, "i64"), [], group)

            emitter.nest(shape[:-1], outer)
        emitter.finish()

    def _find(self, row: list[Value], wanted: list[list[Value]]) -> None:
        """The places of the values at the indices `wanted`, in the row at the indices `row`."""
        step, emitter, f, code = self.step, self.emitter, self.f, self.code
        strides = step.row.layout.strides
        start = f.offset(self.starts[0], emitter.position(strides[:-1], row), self.kind)
        stride = emitter.sizes(strides[-1])
        length = emitter.sizes.extent(step.row.layout.shape[-1])
        keys = []
        for indices in wanted:
            at = emitter.position(step.values.layout.strides, indices)
            keys.append(self._key(f.load(f.offset(self.starts[1], at, self.kind), self.kind)))

        def comes_after(key: Value, place: Value) -> Value:
            at = f.offset(start, code.multiply(place, stride), self.kind)
            there = self._key(f.load(at, self.kind))
            return code.less(there, key) if step.side == "left" else code.less_equal(there, key)

        def halve(now: list[Value]) -> list[Value]:
            size, *places = now
            half = code.shift_right(size, 1)
            found = []
            for key, place in zip(keys, places, strict=True):
                passed = comes_after(key, code.subtract(code.add(place, half), _ONE))
                # place + half if passed; LLVM would make a branch of a selection
                bit = code.convert(passed, "i64")
                doubled = f.emit(f"shl i64 {half.text}, {bit.text}", "i64")
                found.append(code.add(code.subtract(place, half), doubled))
            return [code.subtract(size, half), *found]

        size, *places = f.repeat([length, *[_ZERO] * len(keys)], lambda now: code.less(_ONE, now[0]), halve)

        def finish() -> None:
            for key, place, indices in zip(keys, places, wanted, strict=True):
                write(indices, code.add(place, code.convert(comes_after(key, place), "i64")))

        def write(indices: list[Value], place: Value) -> None:
            at = emitter.position(step.out.layout.strides, indices)
            f.store(place, f.offset(self.starts[2], at, "i64"))

        def nothing() -> None:
            for indices in wanted:
                write(indices, _ZERO)

        f.either(code.less(_ZERO, size), finish, nothing)

    def _key(self, value: Value) -> Value:
        return sortable(self.code, value, False)
