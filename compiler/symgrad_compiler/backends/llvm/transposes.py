"""Kernels that read across their rows: memory without gaps along another axis than that of the vectors.

    out[.., v] of all v in lanes, in[v, ..] with v far apart        as in x.T + 1, or in a copy of a transpose

A vector of such an operand is as many loads as it has lanes, each of a line of memory of its own. So the
loop over the other axis, u, goes in blocks where it was, and the loop over a block is the innermost one. What
a block reads across is turned in registers before, and laid down on the stack, one vector for each u:

    for block of u: .. for v in vectors:  turn in[v, u];  for u in block: out[u, v] = f(turned[u], ..)

A tile of 16 bytes along u and a register along v is turned by loads of 16 bytes, of which each register takes
one in each of its quarters (of 16 bytes), and log2 stages of the interleaving that all machines do within
those. In v, rows beyond the last are not read: the last one is, again. In u, a tile beyond the end of the
axis moves back to end there: it turns again what came before, which nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from symgrad.records import record
from symgrad_compiler.backends.llvm.axes import Axis, Stream
from symgrad_compiler.backends.llvm.ir import BITS, Function, Value, literal, vector_type
from symgrad_compiler.backends.llvm.lanes import memory_kind
from symgrad_compiler.backends.llvm.scalars import Code
from symgrad_compiler.backends.llvm.turns import MOST_APART, shuffled
from symgrad_compiler.plan.steps import IOTA

#: Bytes of a row within which all machines interleave elements of two registers.
PIECE = 16
#: Bytes along u that a block covers: those of a line of the cache.
LINE = 64
#: Bytes on the stack that a block may take beyond that: short vectors are turned many at a time.
ROOM = 4096
#: The least elements along v and u that are worth it.
LEAST = 2
#: How many operands are turned: their blocks have to fit into the first cache.
MOST_TURNED = 4

_ZERO, _ONE = literal(0, "i64"), literal(1, "i64")


@record
class Across:
    """What a kernel reads across."""

    axis: int  # along which it has no gaps: u
    streams: tuple[Stream, ...]
    block: int  # elements along u between two turns


def size(stream: Stream) -> int:
    """Bytes of an element in memory."""
    return BITS[memory_kind(stream.kind)] // 8


def read_across(
    axes: Sequence[Axis], sources: Iterable[Stream], vector_axis: int, lanes: int, least: int
) -> Across | None:
    """The axis along which most of what is read across has no gaps, and what that is; None where there is no
    such axis, or there are less than `least` elements along that of the vectors, which have so many lanes."""
    if not _is_long(axes[vector_axis], least):
        return None
    found: dict[int, list[Stream]] = {}
    for stream in sources:
        along = stream.strides[vector_axis]
        is_near = isinstance(along, int) and 0 <= along <= MOST_APART
        if stream.storage.kind == IOTA or is_near:
            continue
        for axis, stride in enumerate(stream.strides):
            if stride == 1 and _is_long(axes[axis], LEAST):
                found.setdefault(axis, []).append(stream)
    if not found:
        return None
    axis = max(found, key=lambda a: len(found[a]))
    streams = tuple(found[axis][:MOST_TURNED])
    widest = max(map(size, streams))
    return Across(axis, streams, max(LINE // min(map(size, streams)), ROOM // (lanes * widest)))


def _is_long(axis: Axis, least: int) -> bool:
    return not isinstance(axis.extent, int) or axis.extent >= least


def is_far(stream: Stream, axis: int, vector_axis: int) -> bool:
    """Whether vectors without gaps lie further from each other than memory is read ahead."""
    stride = stream.strides[axis]
    near = isinstance(stride, int) and abs(stride) * size(stream) < 2 * LINE
    return stream.strides[vector_axis] == 1 and not near


def ask_for(f: Function, at: Value, count: int) -> None:
    """Ask for the lines of the next `count` bytes, to write them."""
    f.module.declare("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
    for line in range(0, count, LINE):
        f.do(f"call void @llvm.prefetch.p0(ptr {f.field(at, line).text}, i32 1, i32 3, i32 1)")


class Turner:
    """Turns the blocks of one stream. `lanes` are those of the kernel's vectors, which lie behind each other
    on the stack."""

    def __init__(self, code: Code, stream: Stream, across: Across, lanes: int, extent: Value) -> None:
        self.code, self.f = code, code.f
        self.kind = memory_kind(stream.kind)
        self.bytes = size(stream)
        self.rows = min(lanes, code.machine.vector_bytes // self.bytes)  # of a tile
        self.extent = extent  # along u
        self.piece = min(self.rows, PIECE // self.bytes)  # elements of a row of it
        while isinstance(extent.number, int) and self.piece > extent.number:
            self.piece //= 2
        # a tile that moves back lies before the block
        room = (across.block + self.piece) * lanes * self.bytes
        self.room = self.f.volatile(f"alloca [{room} x i8], align 64", "ptr")

    def turned(self, lanes: int) -> Value:
        """Where the vector of the first u is."""
        return self.f.field(self.room, self.piece * lanes * self.bytes)

    def lay_down(self, at: Value, stride: Value, start: Value, stop: Value, lanes: int, count: Value) -> None:
        """Lay down u from `start` to `stop` of `lanes` rows, of which `count` are there; `at` is where u is 0
        in the first, and `stride` the distance of rows."""
        places = (at, stride, start, stop, lanes, count)
        if self.extent.number is not None:
            self._turn(*places)
            return
        is_short = self.code.less(self.extent, literal(self.piece, "i64"))
        self.f.either(is_short, lambda: self._copy(*places), lambda: self._turn(*places))

    def _turn(self, at: Value, stride: Value, start: Value, stop: Value, lanes: int, count: Value) -> None:
        """By tiles."""
        f, code = self.f, self.code
        rows = min(self.rows, lanes)
        piece = min(self.piece, rows)
        target = self.turned(lanes)

        def some_rows(first: Value, _: list[Value]) -> list[Value]:
            steps = self._steps(first, count, rows, stride, lanes)

            def tile(u: Value, _: list[Value]) -> list[Value]:
                latest = code.subtract(stop, literal(piece, "i64"))
                u = code.select(code.less(latest, u), latest, u)
                source = f.offset(f.offset(at, code.multiply(first, stride), self.kind), u, self.kind)
                place = code.add(code.multiply(code.subtract(u, start), literal(lanes, "i64")), first)
                for vector in self._tile(source, steps, piece):
                    f.do(
                        f"store {vector.type} {vector.text}, ptr {f.offset(target, place, self.kind).text}, "
                        f"align {self.bytes}"
                    )
                    place = code.add(place, literal(lanes, "i64"))
                return []

            f.loop(start, stop, literal(piece, "i64"), [], tile)
            return []

        f.loop(_ZERO, count, literal(rows, "i64"), [], some_rows)

    def _copy(self, at: Value, stride: Value, start: Value, stop: Value, lanes: int, count: Value) -> None:
        """Element by element: where the axis is shorter than a tile."""
        f, code = self.f, self.code
        target = self.turned(lanes)

        def row(v: Value, _: list[Value]) -> list[Value]:
            source = f.offset(at, code.multiply(v, stride), self.kind)

            def element(u: Value, _: list[Value]) -> list[Value]:
                place = code.add(code.multiply(code.subtract(u, start), literal(lanes, "i64")), v)
                f.store(f.load(f.offset(source, u, self.kind), self.kind), f.offset(target, place, self.kind))
                return []

            f.loop(start, stop, _ONE, [], element)
            return []

        f.loop(_ZERO, count, _ONE, [], row)

    def _steps(self, first: Value, count: Value, rows: int, stride: Value, lanes: int) -> list[Value]:
        """How far the rows of a tile are from its first one; those behind the last are the last."""
        code = self.code
        if count.number == lanes:
            return [code.multiply(literal(i, "i64"), stride) for i in range(rows)]
        most = code.subtract(code.subtract(count, _ONE), first)
        numbers = [literal(i, "i64") for i in range(rows)]
        return [code.multiply(code.select(code.less(most, i), most, i), stride) for i in numbers]

    def _tile(self, source: Value, steps: Sequence[Value], piece: int) -> list[Value]:
        """Vectors of rows, one for each of `piece` elements of the rows."""
        code = self.code
        pieces = [self._load(self.f.offset(source, step, self.kind), piece) for step in steps]
        columns = [self._joined(pieces[i::piece]) for i in range(piece)]
        half = piece // 2
        for _ in range(piece.bit_length() - 1):
            pairs = zip(columns[:half], columns[half:], strict=True)
            columns = [_interleaved(code, x, y, piece, upper) for x, y in pairs for upper in (False, True)]
        return columns

    def _load(self, at: Value, count: int) -> Value:
        expression = f"load {vector_type(self.kind, count)}, ptr {at.text}, align {self.bytes}"
        return self.f.volatile(expression, self.kind, count)

    def _joined(self, pieces: Sequence[Value]) -> Value:
        """Vectors behind each other."""
        parts = list(pieces)
        while len(parts) > 1:
            lanes = 2 * parts[0].lanes
            parts = [
                shuffled(self.code, x, y, range(lanes)) for x, y in zip(parts[::2], parts[1::2], strict=True)
            ]
        return parts[0]


def _interleaved(code: Code, x: Value, y: Value, piece: int, upper: bool) -> Value:
    """In each piece x0, y0, x1, y1, ... of its lower or upper half."""
    half = piece // 2 if upper else 0
    order = [
        p + half + i + y_lanes
        for p in range(0, x.lanes, piece)
        for i in range(piece // 2)
        for y_lanes in (0, x.lanes)
    ]
    return shuffled(code, x, y, order)
