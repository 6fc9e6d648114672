"""Cumulative ops as loops: along the axis one element after the other, across it in vectors.

the axis is not the last    for vector of columns: for i along the axis: state = ...; out[i] = state
the axis is the last        for some rows: for i along the axis: the state of each row
                            (rows side by side, so that their chains of operations overlap)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.dims import Dim
from symgrad_compiler.backends.llvm import lanes as lanes_of
from symgrad_compiler.backends.llvm.ir import BITS, Value, literal
from symgrad_compiler.backends.llvm.reductions import combine
from symgrad_compiler.backends.llvm.scalars import Machine, kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.steps import Access, ScanStep, identity

#: Rows that are run through side by side, and vectors of columns.
ROWS, VECTORS = 4, 2


def emit_scan(emitter: StepEmitter, step: ScanStep, machine: Machine) -> None:
    """The function of one scan."""
    _Scan(emitter, step, machine).run()


class _Scan:
    def __init__(self, emitter: StepEmitter, step: ScanStep, machine: Machine) -> None:
        self.emitter, self.step = emitter, step
        self.f, self.code = emitter.f, emitter.code
        self.kind = kind_of(step.out.storage.dtype)
        self.lanes = VECTORS * max(2, machine.vector_bytes // (BITS[self.kind] // 8))

    def run(self) -> None:
        step, f = self.step, self.f
        rank = len(step.out.layout.shape)
        others = [i for i in range(rank) if i != step.axis]
        accesses = [*step.operands, step.out]
        self.length = self.emitter.sizes.extent(step.out.layout.shape[step.axis])
        starts = [self._start(a) for a in accesses]
        across = others[-1] if others else None
        in_vectors = across is not None and step.axis != rank - 1
        together = self.lanes if in_vectors else ROWS
        shape = step.out.layout.shape

        def lines(indices: list[Value]) -> None:
            outer = others[:-1]
            base = [
                f.offset(s, self.emitter.position([a.layout.strides[i] for i in outer], indices), self.kind)
                for s, a in zip(starts, accesses, strict=True)
            ]
            if across is None:
                self._line([base], 1)
                return
            extent = self.emitter.sizes.extent(shape[across])
            steps = [a.layout.strides[across] for a in accesses]
            whole = f.emit(f"and i64 {extent.text}, {-together}", "i64")

            def many(index: Value, _: list[Value]) -> list[Value]:
                first = self._moved(base, steps, index)
                if in_vectors:
                    self._line([first], together, steps)
                else:
                    self._line([self._moved(first, steps, literal(k, "i64")) for k in range(ROWS)], 1)
                return []

            def one(index: Value, _: list[Value]) -> list[Value]:
                self._line([self._moved(base, steps, index)], 1)
                return []

            f.loop(literal(0, "i64"), whole, literal(together, "i64"), [], many)
            f.loop(whole, extent, literal(1, "i64"), [], one)

        self.emitter.nest([shape[i] for i in others[:-1]], lines)
        self.emitter.finish()

    def _start(self, access: Access) -> Value:
        """The first element, or backwards the last one along the axis."""
        start = self.emitter.pointer(access)
        if not self.step.reverse:
            return start
        code = self.code
        last = code.subtract(self.length, literal(1, "i64"))
        stride = self.emitter.sizes(access.layout.strides[self.step.axis])
        return self.f.offset(start, code.multiply(last, stride), self.kind)

    def _moved(self, pointers: Sequence[Value], steps: Sequence[Dim], index: Value) -> list[Value]:
        """The pointers, `index` further across the axis."""
        sizes = self.emitter.sizes
        return [
            self.f.offset(p, self.code.multiply(index, sizes(s)), self.kind)
            for p, s in zip(pointers, steps, strict=True)
        ]

    def _line(self, chains: Sequence[Sequence[Value]], lanes: int, across: Sequence[Dim] = ()) -> None:
        """Along the axis, for several chains of `lanes` elements side by side; a chain is where its operands
        and its result start."""
        step, code, f = self.step, self.code, self.f
        sizes = self.emitter.sizes
        along = []
        for access in (*step.operands, step.out):
            stride = sizes(access.layout.strides[step.axis])
            along.append(code.negative(stride) if step.reverse else stride)
        apart = [sizes(s) for s in across] if lanes > 1 else [literal(1, "i64")] * len(along)
        nothing = "add" if step.kind == "recurrence" else step.kind
        initial = [literal(identity(nothing, step.out.storage.dtype), self.kind, lanes)] * len(chains)

        def body(index: Value, states: list[Value]) -> list[Value]:
            following = []
            for chain, state in zip(chains, states, strict=True):
                at = [
                    f.offset(p, code.multiply(index, s), self.kind) for p, s in zip(chain, along, strict=True)
                ]

                def read(k: int, at: list[Value] = at) -> Value:
                    return lanes_of.read(code, at[k], apart[k], self.kind, lanes, None)

                def write(value: Value, at: list[Value] = at) -> None:
                    lanes_of.write(code, value, at[-1], apart[-1], lanes, None)

                following.append(self._step(state, read, write))
            return following

        f.loop(literal(0, "i64"), self.length, literal(1, "i64"), initial, body)

    def _step(self, state: Value, read: Callable[[int], Value], write: Callable[[Value], None]) -> Value:
        """One element: reads before it writes, since operand and result may be one in memory."""
        code, step = self.code, self.step
        operands = [read(k) for k in range(len(step.operands))]
        operands = [code.splat(v, state.lanes) for v in operands]
        if step.kind != "recurrence":
            following = combine(code, step.kind, state, operands[0])
        elif step.mode == "lagged":
            met = code.add(state, operands[1])
            write(met)
            return self._strong(operands[0], met)
        else:
            following = code.add(self._strong(operands[0], state), operands[1])
        write(state if step.mode == "exclusive" else following)
        return following

    def _strong(self, a: Value, s: Value) -> Value:
        """a s, but 0 where either is 0."""
        zero = self.code.constant(0, a)
        nothing = self.code.logical_or(self.code.equal(a, zero), self.code.equal(s, zero))
        return self.code.select(nothing, zero, self.code.multiply(a, s))
