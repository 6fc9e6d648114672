"""A kernel's loop nest.

Axes along which all memory advances evenly are merged. The innermost axis is run through in vectors; its
last, incomplete vector is masked (or, without masks, done element by element). Where a kernel reduces,

    rows      the innermost axis is reduced:  for kept: for reduced: acc += ...; store acc
    columns   the innermost axis is kept:     for block of rows: for column: for row: acc += ...
                                                                             result += acc

Each level of a reduction has its own accumulator, and long ones are cut into blocks of fixed length, whose
sums are added up with what each addition loses: rounding errors do not grow with the length, nor depend on
how work is split.
A value is computed in the outermost loop in which it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from symgrad_compiler.backends.llvm import lanes as lanes_of
from symgrad_compiler.backends.llvm import transposes, turns
from symgrad_compiler.backends.llvm.axes import Stream
from symgrad_compiler.backends.llvm.frame import Frame
from symgrad_compiler.backends.llvm.guard import Guard
from symgrad_compiler.backends.llvm.ir import Module, Value, literal
from symgrad_compiler.backends.llvm.kernel_body import KernelBody
from symgrad_compiler.backends.llvm.maths import Maths
from symgrad_compiler.backends.llvm.pieces import two_sum
from symgrad_compiler.backends.llvm.quotients import Quotients
from symgrad_compiler.backends.llvm.reductions import Accumulators, combine
from symgrad_compiler.backends.llvm.scalars import Code, Machine
from symgrad_compiler.backends.llvm.sizes import Sizes
from symgrad_compiler.backends.llvm.splitting import RANGE, emit_kernel_call
from symgrad_compiler.plan.cost import is_costly
from symgrad_compiler.plan.steps import (
    Kernel,
    Reduction,
    Storage,
)

#: Rounds of one accumulator before its value goes to the next level, and those of float32.
BLOCK, SHORT_BLOCK = 128, 32


def emit_kernel(
    module: Module,
    maths: Maths,
    machine: Machine,
    frame: Frame,
    kernel: Kernel,
    name: str,
    is_shared: bool = False,
    splits: bool = False,
    guard: Guard | None = None,
    unread: Collection[Storage] = (),
) -> None:
    """The function `void name(ptr frame)`; shared by kernels of one structure, `void name(ptr frame, ptr
    places)`, see `structure.py`. Where it is asked to split and can, it is shared by threads, see
    `splitting.py`."""
    emitter = _KernelEmitter(module, maths, machine, frame, kernel, name, is_shared, splits)
    emitter.choose_streaming(unread)
    if guard is not None:
        emitter.guard = guard.of_kernel(emitter.code, kernel, emitter.lanes)
    emitter.run()


class _KernelEmitter(KernelBody):
    """The loops."""

    def __init__(
        self,
        module: Module,
        maths: Maths,
        machine: Machine,
        frame: Frame,
        kernel: Kernel,
        name: str,
        is_shared: bool,
        splits: bool,
    ) -> None:
        super().__init__(kernel, machine)
        self.is_shared = is_shared
        self.maths = maths
        self.turners: dict[Stream, transposes.Turner] = {}
        self.laid_down = {}
        self.streaming = []
        self.turns = turns.groups(self.store_streams, self.vector_axis) if self.lanes > 1 else {}
        self.waiting = {}
        self.splits = splits and bool(self.order) and not kernel.scatters
        self.splits = self.splits and not self.axes[self.order[0]].reduced
        if self.splits:
            unit = self.lanes if self.outermost == self.vector_axis else 1
            if self.across is not None and self.outermost == self.across.axis:
                unit = self.across.block
            emit_kernel_call(module, frame, kernel, name, is_shared, self.axes[self.outermost].extent, unit)
            name, parameters = f"{name}.range", RANGE
        else:
            parameters = [("frame", "ptr"), ("places", "ptr")] if is_shared else [("frame", "ptr")]
        self.f = module.function(name, parameters)
        self.code = Code(self.f, maths, machine)
        maths.inline = bool(kernel.space) and maths.may_inline(sum(is_costly(n.op) for n in kernel.nodes))
        self.frame = frame
        self.sizes = Sizes(self.f, self._size)
        self.sums = Accumulators(self.code, kernel.reductions, self.position_kind(), self.truth_kind())

    # ---- the nest -----------------------------------------------------------------------------------

    def run(self) -> None:
        f = self.f
        if self.order:  # else each is found when it is used
            for stream in self.streams:
                stream.at.append(self._start(stream))
        self.extents = [self.sizes.extent(a.extent) for a in self.axes]
        self.strides = {s: [self.sizes(d) for d in s.strides] for s in self.streams}
        self.values = {}
        self.quotients = Quotients(self.code, newton=self.divides_much(len(self.shared_divisors)))
        self.index_of = {}
        if self.guard is not None:
            self.guard.begin()
        if self.across is not None:
            extent = self.extents[self.across.axis]
            for stream in self.across.streams:
                self.turners[stream] = transposes.Turner(self.code, stream, self.across, self.lanes, extent)
        self._compute(0)
        if self.columns and self._is_blocked_columns():
            self._blocked_columns()
        else:
            self._loops(0)
        if self.guard is not None:
            self.guard.end(self.extents)
        f.do("ret void")

    def _loops(self, level: int) -> None:
        """The loops from `level` on, without or before reductions."""
        reductions = self.kernel.reductions
        if reductions and self.columns and level == len(self.kept) - 1:
            self._column_loop(level)
            return
        if reductions and level == len(self.kept):
            accumulators = self._reduce(level, self.sums.identities(1))
            self._finish_rows(accumulators)
            return
        if level == len(self.order):
            self._innermost()
            return
        if self.across is not None and level == self.across.axis and self.block is None:
            self._blocks(level)
            return
        axis = self.order[level]

        def body(index: Value, _: list[Value]) -> list[Value]:
            self._enter(level, index)
            self._compute(level + 1)
            self._loops(level + 1)
            self._leave(level)
            return []

        if axis == self.vector_axis:
            self._vector_loop(axis, [], body, *self._range(axis))
        elif self.block is not None and level == len(self.order) - 1:
            self._loop_in_block(self.block, body)
        else:
            self.f.loop(*self._range(axis), literal(1, "i64"), [], body)

    def _blocks(self, level: int) -> None:
        """The loop over an axis in blocks, which are the innermost loop."""
        assert self.across is not None
        start, stop = self._range(self.across.axis)
        length = literal(self.across.block, "i64")

        def block(start: Value, _: list[Value]) -> list[Value]:
            self.block = start, self._minimum(self._binary("add", start, length), stop)
            self._loops(level)
            self.block = None
            return []

        self.f.loop(start, stop, length, [], block)

    def _loop_in_block(
        self, block: tuple[Value, Value], body: Callable[[Value, list[Value]], Sequence[Value]]
    ) -> None:
        """The innermost loop, in a block; of vectors, what it reads across is turned before."""
        lanes = self.current_lanes
        if lanes > 1:
            count = literal(lanes, "i64")
            if self.mask is not None:
                rest = self._binary("sub", self.extents[self.vector_axis], self.index_of[self.vector_axis])
                count = self._minimum(rest, count)
            self._ask_for_rows(block)
            for stream, turner in self.turners.items():
                turner.lay_down(
                    self._at(stream), self.strides[stream][self.vector_axis], *block, lanes, count
                )
            self.laid_down = {stream: turner.turned(lanes) for stream, turner in self.turners.items()}
        self.f.loop(*block, literal(1, "i64"), [], body)
        self.laid_down = {}

    def _ask_for_rows(self, block: tuple[Value, Value]) -> None:
        """Ask for the lines that a block writes: far from each other, they come while it is turned."""
        axis = self.order[-1]
        streams = [s for s in self.store_streams if transposes.is_far(s, axis, self.vector_axis)]
        if not streams:
            return

        def row(index: Value, _: list[Value]) -> list[Value]:
            for stream in streams:
                step = self._binary("mul", index, self.strides[stream][axis])
                at = self.f.offset(self._at(stream), step, stream.kind)
                transposes.ask_for(self.f, at, self.current_lanes * transposes.size(stream))
            return []

        self.f.loop(*block, literal(1, "i64"), [], row)

    def _range(self, axis: int) -> tuple[Value, Value]:
        """What the loop over an axis runs through: the outermost one, the part of this call."""
        if self.splits and axis == self.outermost:
            return self.f.parameters["start"], self.f.parameters["stop"]
        return literal(0, "i64"), self.extents[axis]

    # ---- reductions ---------------------------------------------------------------------------------

    def _contributions(self, lanes: int) -> list[Value]:
        """What the current element(s) add; in masked lanes nothing."""
        found = []
        for reduction in self.sums.own:
            nothing = self.sums.identity(reduction, lanes)
            value = self.code.convert(self.code.splat(self._value(reduction.value), lanes), nothing.kind)
            if self.mask is not None and not self.columns:
                value = self.code.select(self.mask, value, nothing)
            found.append(value)
            if reduction.kind.startswith("arg"):
                found.append(self._position_now(lanes))
        return found

    def _position_now(self, lanes: int) -> Value:
        """Where the current element(s) are along the reduced axis. (In masked lanes, nothing wins.)"""
        code, kind = self.code, self.sums.position_kind
        axes = [i for i, a in enumerate(self.axes) if a.reduced]
        if not axes:
            return literal(0, kind, lanes)
        position = code.splat(code.convert(self.index_of[axes[0]], kind), lanes)
        if lanes == 1 or axes[0] != self.vector_axis:
            return position
        return code.add(position, lanes_of.lane_numbers(lanes, kind))

    def _reduce(self, level: int, initial: list[Value]) -> list[Value]:
        """The loops over reduced axes from `level` on: their accumulated values, starting from `initial`."""
        if level == len(self.order):
            self._innermost()
            lanes = self.current_lanes
            return self.sums.combine([self.code.splat(v, lanes) for v in initial], self._contributions(lanes))
        axis = self.order[level]
        vector = axis == self.vector_axis
        last = level == len(self.order) - 1

        def element(index: Value, carried: list[Value]) -> list[Value]:
            self._enter(level, index)
            self._compute(level + 1)
            lanes = carried[0].lanes
            if last:
                result = self._reduce(level + 1, carried)
            else:
                inner = self._reduce(level + 1, self.sums.identities(1 if not self.columns else lanes))
                result = self.sums.combine(carried, inner)
            self._leave(level)
            return result

        def run(start: Value, stop: Value, carried: list[Value]) -> list[Value]:
            if vector:
                return self._vector_loop(axis, carried, element, start, stop)
            return self.f.loop(start, stop, literal(1, "i64"), carried, element)

        zero, extent = literal(0, "i64"), self.extents[axis]
        lanes = self.lanes if vector else initial[0].lanes
        length = self._block_length() * (lanes if vector else 1)
        begin = self.sums.identities(lanes) if vector else initial
        if not self._needs_blocks(axis, length):
            found = run(zero, extent, begin)
            return self.sums.combine(initial, self.sums.fold(found)) if vector else found

        def block(start: Value, carried: list[Value]) -> list[Value]:
            stop = self._minimum(self._binary("add", start, literal(length, "i64")), extent)
            partial = run(start, stop, self.sums.identities(carried[0].lanes))
            if partial[0].lanes != carried[0].lanes:  # the end was done in other vectors
                partial = self.sums.into_lane(self.sums.fold(partial), carried[0].lanes)
            return self.sums.add_block(carried, partial)

        begin = [*begin, *self.sums.identities(begin[0].lanes)]
        found = self.sums.settle(self.f.loop(zero, extent, literal(length, "i64"), begin, block))
        return self.sums.combine(initial, self.sums.fold(found)) if vector else found

    def _block_length(self) -> int:
        """Shorter for float32, whose roundings are seen sooner."""
        short = any(r.value.dtype.short == "f32" for r in self.kernel.reductions)
        return SHORT_BLOCK if short else BLOCK

    def _needs_blocks(self, axis: int, length: int) -> bool:
        """Whether a sum of floats along this axis is long enough to be cut."""
        extent = self.axes[axis].extent
        if isinstance(extent, int) and extent <= length:
            return False
        return all(r.kind == "add" and r.value.dtype.kind == "float" for r in self.kernel.reductions)

    def _finish_rows(self, accumulators: list[Value]) -> None:
        self._store_results(self.sums.results(accumulators))

    def _store_results(self, values: list[Value]) -> None:
        for (reduction, _), stream in zip(self.kernel.results, self.result_streams, strict=True):
            value = values[self.kernel.reductions.index(reduction)]
            if self.kernel.lost is not None:
                value = self._with_memory(reduction, stream, value)
            if self.guard is not None:
                self.guard.reduced(reduction, value, self.mask)
            self._write(value, stream, self._at(stream))

    def _with_memory(self, reduction: Reduction, stream: Stream, value: Value) -> Value:
        """What is in memory, with a block more. Of sums, what an addition loses goes into the next."""
        before = self._read(stream, self._at(stream))
        if reduction not in self.lost_streams:
            return combine(self.code, reduction.kind, before, value)
        lost = self.lost_streams[reduction]
        value = self.code.add(value, self._read(lost, self._at(lost)))
        total, error = two_sum(self.code, before, value)
        nothing = literal(0, error.kind, error.lanes)
        self._write(
            self.code.select(self.code.is_nan(error), nothing, error), lost, self._at(lost)
        )  # NaN beside infinity
        return total

    # ---- columns ------------------------------------------------------------------------------------

    def _column_loop(self, level: int) -> None:
        """The innermost kept axis in vectors, and the reduced axes inside."""
        axis = self.order[level]

        def body(index: Value, _: list[Value]) -> list[Value]:
            self._enter(level, index)
            self._compute(level + 1)
            accumulators = self._reduce(level + 1, self.sums.identities(self.current_lanes))
            self._store_results(self.sums.results(accumulators))
            self._leave(level)
            return []

        self._vector_loop(axis, [], body, *self._range(axis))

    def _is_blocked_columns(self) -> bool:
        kept = self.kept
        first = self.order[len(kept)]
        return len(kept) == 1 and self._needs_blocks(first, BLOCK)

    def _blocked_columns(self) -> None:
        """Blocks of rows outside, so that memory is read nearly in order; results are added up in memory."""
        f = self.f
        axis, first = self.order[0], self.order[1]
        zero, one = literal(0, "i64"), literal(1, "i64")

        def clear(index: Value, _: list[Value]) -> list[Value]:
            self._enter(0, index)
            self._store_results([self.code.splat(v, self.current_lanes) for v in self.sums.identities(1)])
            self._leave(0)
            return []

        if self.kernel.lost is None:
            self._vector_loop(axis, [], clear, *self._range(axis))

        def block(start: Value, _: list[Value]) -> list[Value]:
            stop = self._minimum(self._binary("add", start, literal(BLOCK, "i64")), self.extents[first])

            def column(index: Value, _: list[Value]) -> list[Value]:
                self._enter(0, index)
                self._compute(1)
                lanes = self.current_lanes

                def row(index: Value, carried: list[Value]) -> list[Value]:
                    self._enter(1, index)
                    self._compute(2)
                    if len(self.order) == 2:
                        result = self._reduce(2, carried)
                    else:
                        result = self.sums.combine(carried, self._reduce(2, self.sums.identities(lanes)))
                    self._leave(1)
                    return result

                found = f.loop(start, stop, one, self.sums.identities(lanes), row)
                if self.kernel.lost is None:
                    before = [self._read(s, self._at(s)) for s in self.result_streams]
                    found = self.sums.combine(before, found)
                self._store_results(found)
                self._leave(0)
                return []

            self._vector_loop(axis, [], column, *self._range(axis))
            return []

        f.loop(zero, self.extents[first], literal(BLOCK, "i64"), [], block)
