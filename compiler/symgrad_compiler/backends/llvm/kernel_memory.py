"""Where the memory of a kernel is, loop by loop, and how it is read and written there: the streams of its
nest as they advance.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad_compiler.backends.llvm import lanes as lanes_of
from symgrad_compiler.backends.llvm.axes import Stream
from symgrad_compiler.backends.llvm.frame import Frame, frame_word
from symgrad_compiler.backends.llvm.ir import Function, Value, literal
from symgrad_compiler.backends.llvm.nest import Nest
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.sizes import Sizes
from symgrad_compiler.backends.llvm.structure import from_table, split
from symgrad_compiler.plan.steps import IOTA, Index


class KernelMemory(Nest):
    """The streams of a nest in a function. What is said here changes as loops are entered and left."""

    f: Function
    code: Code
    frame: Frame
    sizes: Sizes
    #: Whether other kernels share the code: then a table tells where streams start.
    is_shared: bool
    strides: dict[Stream, list[Value]]
    #: The lanes of the loop that is being emitted, and which of them count; the index of each loop around.
    current_lanes: int = 1
    mask: Value | None = None
    index_of: dict[int, Value]
    #: The block of the innermost loop, and where in it lies what was turned (see `transposes.py`).
    block: tuple[Value, Value] | None = None
    laid_down: dict[Stream, Value]

    def _size(self, name: str) -> Value:
        return frame_word(self.f, self.frame.size_word(name), "i64")

    def _start(self, stream: Stream) -> Value:
        """The first element: its address, or the position of an iota."""
        if stream.storage.kind == IOTA:
            return self.sizes(stream.offset)
        if self.is_shared:
            base = self.sizes(split(stream.offset)[1])
            pointer = from_table(self.f, 2 * self.streams.index(stream))
        else:
            base = self.sizes(stream.offset)
            word, bytes_ = self.frame.place(stream.storage)
            pointer = frame_word(self.f, word, "ptr")
            pointer = self.f.field(pointer, bytes_) if bytes_ else pointer
        return pointer if base.number == 0 else self.f.offset(pointer, base, stream.kind)

    def _at(self, stream: Stream) -> Value:
        """Where a stream is now."""
        return stream.at[-1] if stream.at else self._start(stream)

    def _enter(self, level: int, index: Value) -> None:
        """Advance all streams to an index of the loop at `level`."""
        axis = self.order[level]
        self.index_of[axis] = index
        f = self.f
        for stream in self.streams:
            stride = self.strides[stream][axis]
            now = self._at(stream)
            if stream in self.laid_down and self.block is not None:
                vector = self._binary("sub", index, self.block[0])
                step = self._binary("mul", vector, literal(self.current_lanes, "i64"))
                stream.at.append(f.offset(self.laid_down[stream], step, stream.kind))
                continue
            if stride.number == 0:
                stream.at.append(now)
                continue
            step = index if stride.number == 1 else f.emit(f"mul i64 {index.text}, {stride.text}", "i64")
            if stream.storage.kind == IOTA:
                stream.at.append(f.emit(f"add i64 {now.text}, {step.text}", "i64"))
            else:
                stream.at.append(f.offset(now, step, stream.kind))

    def _leave(self, level: int) -> None:
        for stream in self.streams:
            stream.at.pop()

    def _vector_stride(self, stream: Stream) -> Value:
        """The stride along the vector axis, if vectors are being run; else 0."""
        if self.current_lanes == 1 or self.vector_axis < 0 or self.vector_axis not in self.index_of:
            return literal(0, "i64")
        if stream in self.laid_down:
            return literal(1, "i64")
        return self.strides[stream][self.vector_axis]

    def _read(self, stream: Stream, at: Value) -> Value:
        """The element(s) of a stream where it is now."""
        stride, lanes = self._vector_stride(stream), self.current_lanes
        if stream.storage.kind != IOTA:
            mask = None if stream in self.laid_down else self.mask
            return lanes_of.read(self.code, at, stride, stream.kind, lanes, mask)
        steps = self.code.multiply(lanes_of.lane_numbers(lanes), stride) if stride.number != 0 else stride
        return self.code.convert(self.code.add(at, steps), stream.kind)

    def _write(self, value: Value, stream: Stream, at: Value) -> None:
        lanes_of.write(self.code, value, at, self._vector_stride(stream), self.current_lanes, self.mask)

    def _position_of(self, indices: Sequence[Index], streams: Sequence[Stream]) -> Value:
        """The sum of (index, counted from the end where negative) * stride."""
        code = self.code
        total: Value | None = None
        for index, stream in zip(indices, streams, strict=True):
            size, stride = self.sizes(index.size), self.sizes(index.stride)
            found = code.convert(self._read(stream, self._at(stream)), "i64")
            negative = code.less(found, literal(0, "i64", found.lanes))
            found = code.select(negative, code.add(found, size), found)
            found = found if stride.number == 1 else code.multiply(found, stride)
            total = found if total is None else code.add(total, found)
        assert total is not None
        return total

    def _binary(self, instruction: str, a: Value, b: Value) -> Value:
        return self.f.emit(f"{instruction} i64 {a.text}, {b.text}", "i64")

    def _minimum(self, a: Value, b: Value) -> Value:
        first = self.f.emit(f"icmp slt i64 {a.text}, {b.text}", "i1")
        return self.f.emit(f"select i1 {first.text}, i64 {a.text}, i64 {b.text}", "i64")
