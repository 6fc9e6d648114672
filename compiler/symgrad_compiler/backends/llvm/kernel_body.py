"""What is done in the loops of a kernel: values are loaded, computed and stored, in vectors along an axis."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext

from symgrad.dims import Dim
from symgrad.ir.tensor import Node, Tensor
from symgrad.ir.values import Scalar
from symgrad.ops.arithmetic import divide, reciprocal, sqrt
from symgrad.ops.cast import AsType
from symgrad.ops.kinds import Elementwise
from symgrad_compiler.backends.llvm import lanes as lanes_of
from symgrad_compiler.backends.llvm import turns
from symgrad_compiler.backends.llvm.axes import Stream
from symgrad_compiler.backends.llvm.guard import KernelGuard
from symgrad_compiler.backends.llvm.ir import BITS, Value, literal
from symgrad_compiler.backends.llvm.kernel_memory import KernelMemory
from symgrad_compiler.backends.llvm.maths import Maths
from symgrad_compiler.backends.llvm.nest import FEW, LIGHT, MODERATE
from symgrad_compiler.backends.llvm.quotients import Quotients
from symgrad_compiler.backends.llvm.reductions import Accumulators
from symgrad_compiler.backends.llvm.scalars import FLOATS, Code, kind_of
from symgrad_compiler.plan.steps import Number, Scatter, SizeNumber, Storage

#: How an element of memory and an update give the new element; None: the update is it.
COMBINE: dict[str, Callable[[Code, Value, Value], Value] | None] = {
    "set": None,
    "add": Code.add,
    "mul": Code.multiply,
    "max": lambda code, x, v: code.call("maximum", x, v),
    "min": lambda code, x, v: code.call("minimum", x, v),
}


class KernelBody(KernelMemory):
    """The values of a kernel, and its loop in vectors."""

    values: dict[Tensor, Value]
    extents: list[Value]
    sums: Accumulators
    quotients: Quotients
    maths: Maths
    #: Looks at all values, in a guarded program.
    guard: KernelGuard | None = None
    #: What is written past the caches where it is large; whether the loop that is being emitted does so, None
    #: for no.
    streaming: list[Stream]
    streams_now: Value | None = None
    #: What fills memory together, and what of that is known already.
    turns: dict[Stream, tuple[Stream, ...]]
    waiting: dict[Stream, Value]

    def choose_streaming(self, unread: Collection[Storage]) -> None:
        """The streams that are written past the caches where they are large: along the vector axis in whole
        registers, into memory that the program does not read."""
        register = self.machine.vector_bytes
        innermost = self.lanes > 1 and self.order[-1] == self.vector_axis
        for stream in self.store_streams if innermost else ():
            bytes_ = BITS[stream.kind] // 8
            fits = stream.strides[self.vector_axis] == 1 and self.lanes * bytes_ % register == 0
            if fits and stream.kind != "i1" and stream.storage in unread:
                self.streaming.append(stream)

    def _streams_now(self, start: Value) -> Value | None:
        """Whether what is streamed is large, and starts where registers fit."""
        if not self.streaming:
            return None
        size: Dim = 0
        for stream in self.streaming:
            size = size + stream.storage.size * stream.storage.dtype.itemsize
        if isinstance(size, int) and size <= lanes_of.STREAMED:
            return None
        starts = [self.f.offset(self._at(stream), start, stream.kind) for stream in self.streaming]
        return lanes_of.is_streamed(self.code, starts, self.sizes(size), self.machine.vector_bytes)

    # ---- values -------------------------------------------------------------------------------------

    def _compute(self, depth: int) -> None:
        """Load and compute what is known now. In the innermost loop, values are loaded when they are first
        read and stored as soon as they are known, so that few are alive at a time."""
        innermost = depth == len(self.order)
        for tensor in self.sources_at[depth]:
            self.values.pop(tensor, None)
        if not innermost:
            for tensor in self.sources_at[depth]:
                self._value(tensor)
        for node in self.nodes_at[depth]:
            self._node(node)
            out = node.outputs[0]
            if self.guard is not None:
                self.guard.computed(out, self.values[out])
            if innermost and out in self.stores_of:
                for stream in self.stores_of[out]:
                    self._store(out, stream)
        if innermost:
            for tensor in self.late_stores:
                for stream in self.stores_of[tensor]:
                    self._store(tensor, stream)
        if self.guard is not None:
            self.guard.flush(self.mask)

    def _value(self, tensor: Tensor) -> Value:
        """A value of the kernel, loaded now if it is a source that was not read yet."""
        found = self.values.get(tensor)
        if found is None:
            found = self.values[tensor] = self._source(tensor, self.kernel.sources[tensor])
            if self.guard is not None:
                self.guard.loaded(tensor, found, self.mask)
        return found

    def _store(self, tensor: Tensor, stream: Stream) -> None:
        """Write a value, after all has been read that lies in the same memory."""
        for source, other in self.source_streams.items():
            if other.storage.kind == stream.storage.kind and other.storage.index == stream.storage.index:
                self._value(source)
        value, at = self._value(tensor), self._at(stream)
        group = self.turns.get(stream, ()) if self.current_lanes > 1 else ()
        if group:
            self._store_in_turns(group, stream, value)
            return
        if self.streams_now is None or stream not in self.streaming:
            self._write(value, stream, at)
            return
        lanes, register = self.current_lanes, self.machine.vector_bytes
        self.f.either(
            self.streams_now,
            lambda: lanes_of.write_past_caches(self.code, value, at, lanes, register),
            lambda: self._write(value, stream, at),
        )

    def _store_in_turns(self, group: Sequence[Stream], stream: Stream, value: Value) -> None:
        """Write what fills memory together, once all of it is known."""
        self.waiting[stream] = value
        if all(s in self.waiting for s in group):
            values = [self.waiting.pop(s) for s in group]
            turns.store_in_turns(self.code, values, self._at(group[0]), self.current_lanes, self.mask)

    def _source(self, tensor: Tensor, source: object) -> Value:
        if isinstance(source, Number):
            return number(source.value)
        if isinstance(source, SizeNumber):
            return self.sizes(source.size)
        stream = self.source_streams[tensor]
        value = self._read(stream, self._at(stream))
        # A load that only a selection uses would become one with its mask. Processors of AMD do not ask for
        # those ahead: a third of the speed, where the data comes from memory.
        is_plain = self.machine.has_avx512 and self.mask is None and self._vector_stride(stream).number == 1
        return lanes_of.frozen(self.code, value) if is_plain and value.lanes > 1 else value

    def _node(self, node: Node) -> None:
        out = node.outputs[0]
        if out in self.gather_streams:
            self.values[out] = self._gathered(out)
            return
        operands = [self._value(t) for t in node.inputs]
        if isinstance(node.op, AsType):
            value = self.code.convert(operands[0], kind_of(node.op.dtype))
        elif node.op is divide and operands[1].kind in FLOATS and self.quotients.is_plain(operands[1]):
            value = self.quotients.by_number(*operands)
        elif node.op in (divide, reciprocal) and node.inputs[-1] in self.shared_divisors:
            made = self.quotients
            value = made.quotient(*operands) if node.op is divide else made.inverse(operands[0])
        elif node.op is sqrt and self.quotients.newton:
            value = self.quotients.square_root(operands[0])
        else:
            assert isinstance(node.op, Elementwise)
            value = node.op.scalar(self.code, *operands)
        self.values[out] = value

    def _gathered(self, tensor: Tensor) -> Value:
        base, streams = self.gather_streams[tensor]
        f = self.f
        at = self._position_of(self.kernel.gathers[tensor].indices, streams)
        if at.lanes == 1:
            return self._read(base, f.offset(self._at(base), at, base.kind))
        along = self._vector_stride(base)
        if along.number != 0:
            at = self.code.add(at, self.code.multiply(lanes_of.lane_numbers(at.lanes), along))
        return lanes_of.gather(self.code, self._at(base), at, base.kind, self.mask)

    def _innermost(self) -> None:
        for scatter, (base, streams) in zip(self.kernel.scatters, self.scatter_streams, strict=True):
            self._scatter(scatter, base, streams)

    def _scatter(self, scatter: Scatter, base: Stream, streams: Sequence[Stream]) -> None:
        at = self.f.offset(self._at(base), self._position_of(scatter.indices, streams), base.kind)
        value = self._value(scatter.value)
        combine = COMBINE[scatter.mode]
        self._write(value if combine is None else combine(self.code, self._read(base, at), value), base, at)

    # ---- vectors ------------------------------------------------------------------------------------

    def _segments(self, axis: int) -> list[tuple[int, bool]]:
        """(lanes, masked) of the loops that together run through the vector axis: the main loop, and one for
        what is left at its end."""
        extent = self.axes[axis].extent
        lanes = self.lanes
        if lanes == 1 or (isinstance(extent, int) and extent % lanes == 0):
            return [(lanes, False)]
        if not self.machine.has_masks:
            return [(lanes, False), (1, False)]
        few = FEW if self.kernel.weight > MODERATE and len(self.order) == 1 else 1
        if isinstance(extent, int) and extent < few * lanes:
            return [(lanes, True)]
        end = lanes if self.kernel.weight <= LIGHT else self.register_lanes
        if not isinstance(extent, int) or self.kernel.reductions:
            return [(lanes, False), (end, True)]
        while end > self.register_lanes and 2 * (extent % lanes) <= end:  # as wide as what is left
            end //= 2
        return [(lanes, False), (end, extent % end != 0)]

    def _vector_loop(
        self,
        axis: int,
        carried: Sequence[Value],
        body: Callable[[Value, list[Value]], Sequence[Value]],
        start: Value | None = None,
        stop: Value | None = None,
    ) -> list[Value]:
        """Run through the vector axis. Accumulators are vectors and are handed from loop to loop; where a
        loop has other lanes, they are folded into one first."""
        f = self.f
        start = start or literal(0, "i64")
        stop = stop or self.extents[axis]
        accumulators = list(carried)
        segments = self._segments(axis)
        for number, (lanes, masked) in enumerate(segments):
            end = stop
            if number < len(segments) - 1:
                length = f.emit(f"sub i64 {stop.text}, {start.text}", "i64")
                rest = f.emit(f"srem i64 {length.text}, {lanes}", "i64")
                end = f.emit(f"sub i64 {stop.text}, {rest.text}", "i64")
                empty = f.emit(f"icmp slt i64 {length.text}, 0", "i1")
                end = f.emit(f"select i1 {empty.text}, i64 {start.text}, i64 {end.text}", "i64")
            if accumulators and accumulators[0].lanes != lanes:
                accumulators = self.sums.into_lane(self.sums.fold(accumulators), lanes)
            saved = (self.current_lanes, self.mask, self.streams_now)
            self.streams_now = None if masked or lanes < self.lanes else self._streams_now(start)

            def inside(
                index: Value, now: list[Value], lanes: int = lanes, masked: bool = masked
            ) -> Sequence[Value]:
                self.current_lanes = lanes
                self.mask = lanes_of.lane_mask(self.code, index, stop, lanes) if masked else None
                once = 1 < lanes < self.lanes and len(self.order) == 1
                with self.maths.apart() if once else nullcontext():
                    return body(index, now)

            accumulators = f.loop(start, end, literal(lanes, "i64"), accumulators, inside)
            self.current_lanes, self.mask, self.streams_now = saved
            start = end
        return accumulators


def number(scalar: Scalar) -> Value:
    """A literal of a dtype."""
    kind = kind_of(scalar.dtype)
    if scalar.dtype.kind == "complex":
        return Value(str(int.from_bytes(scalar.bits, "little")), kind)
    return literal(scalar.python, kind)  # type: ignore[arg-type]
