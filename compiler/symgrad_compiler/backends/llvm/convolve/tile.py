"""The micro-kernel: a tile of the result in registers, summed up over some loops.

    tile(a, b, c[, adds][, streams][, count ...][, place ...])
    c[r, v] = sum over k of a[r, k] b[k, v]         a: one number for all lanes, or lanes of its own

Rows r are places of A at known distances, and rows of C at known distances; v are lanes. What is summed over
is a list of segments, each for some of the rows: nests of loops with known counts and steps. Around them are
loops whose counts are arguments. An epilogue computes what is stored from the sums and from further operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field

from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import BITS, Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lane_sums import places, side_by_side, totals
from symgrad_compiler.backends.llvm.lanes import read, write, write_past_caches
from symgrad_compiler.backends.llvm.scalars import Code, Machine

#: Multiplications in the body of an innermost loop, at most.
_UNROLLED = 72
#: How many steps ahead operands are asked for, read without gaps or with gaps; loads that fit beside one
#: multiplication; bytes of a cache line.
_FAR, _NEAR, _LOADS, LINE = 16, 8, 0.8, 64
_ONE, _ZERO = literal(1, "i64"), literal(0, "i64")


@record
class Loop:
    """So many rounds; steps of A and B in bytes."""

    count: int
    a: int
    b: int


@record
class Segment:
    """Loops, from the outermost, of some of the rows; where they start in A and B, in bytes."""

    rows: tuple[int, ...]
    loops: tuple[Loop, ...]
    a: int = 0
    b: int = 0


@record
class Epilogue:
    """Elementwise code between the sums and memory. Equal names stand for equal code."""

    name: str
    #: Of each further operand, whether it lies as C does; else it is one row, for all rows of C.
    reads: tuple[bool, ...]
    #: How many results there are: the first one is C, the others lie as C does.
    writes: int
    #: From a sum and the operands to the results.
    code: Callable[[Code, Value, list[Value]], list[Value]] = field(repr=False, compare=False)

    @property
    def places(self) -> tuple[bool, ...]:
        """Of each argument beside C, whether it lies as C does."""
        return (*self.reads, *(True,) * (self.writes - 1))


@record
class Tile:
    kind: str
    lanes: int
    vectors: int
    #: Where the rows of A and of C are, in bytes.
    rows: tuple[int, ...]
    results: tuple[int, ...]
    #: Columns of C: they end in the last vector.
    columns: int
    segments: tuple[Segment, ...]
    #: Steps of A and B of the loops around the segments.
    around: tuple[tuple[int, int], ...] = ()
    #: Whether there is an argument that says whether to add to C.
    may_add: bool = False
    #: Whether there is one that says whether C is written past the caches.
    may_stream: bool = False
    #: Whether each lane has a number of A of its own.
    is_lanewise: bool = False
    #: Of dot products, whose lanes are along what is summed up: the distance of columns of B; the `vectors`
    #: are the columns.
    column: int = 0
    #: Whether columns of B beyond those of C may be read.
    reads_beyond: bool = True
    #: How far behind the rows of A, and those of C, lie rows that are asked for.
    asks_a: tuple[int, ...] = ()
    asks_c: tuple[int, ...] = ()
    epilogue: Epilogue | None = None


def tile_function(module: Module, tile: Tile, machine: Machine) -> str:
    """The name of the function of a tile; equal tiles share one."""
    key = repr(tile)
    made = module.made.get(key)
    if made is None:
        name = f"tile{len(module.functions)}"
        made = module.made[key] = _Emitter(module, name, tile, machine).emit()
    return made.name


class _Emitter:
    def __init__(self, module: Module, name: str, tile: Tile, machine: Machine) -> None:
        self.tile = tile
        self.bytes = BITS[tile.kind] // 8
        #: Of a row of C.
        self.registers = 1 if tile.column else tile.vectors
        parameters = [("a", "ptr"), ("b", "ptr"), ("c", "ptr")]
        parameters += [("adds", "i64")] if tile.may_add else []
        parameters += [("streams", "i64")] if tile.may_stream else []
        parameters += [(f"count{i}", "i64") for i in range(len(tile.around))]
        count = len(tile.epilogue.places) if tile.epilogue else 0
        parameters += [(f"place{i}", "ptr") for i in range(count)]
        self.f: Function = module.function(name, parameters, linkage="internal ")
        self.code = Code(self.f, machine=machine)
        ragged = tile.columns % tile.lanes
        self.mask = _first_lanes(ragged, tile.lanes) if ragged else None

    def emit(self) -> Function:
        tile, f = self.tile, self.f
        self._ask_for("a", tile.rows, tile.asks_a)
        if tile.may_stream:
            f.when(self._is_not("streams"), lambda: self._ask_for("c", tile.results, tile.asks_c))
        else:
            self._ask_for("c", tile.results, tile.asks_c)
        nothing = literal(0, tile.kind, tile.lanes)
        sums = [nothing] * (len(tile.rows) * tile.vectors)
        made = self._around(0, f.parameters["a"], f.parameters["b"], sums)
        if tile.may_add:
            f.either(self._is_not("adds"), lambda: self._store(made), lambda: self._store(made, adds=True))
        elif tile.may_stream:
            f.either(
                self._is_not("streams"), lambda: self._store(made), lambda: self._store(made, streams=True)
            )
        else:
            self._store(made)
        f.do("ret void")
        return f

    def _is_not(self, argument: str) -> Value:
        return self.f.emit(f"icmp eq i64 {self.f.parameters[argument].text}, 0", "i1")

    def _ask_for(self, start: str, rows: Sequence[int], further: Sequence[int]) -> None:
        """Ask for what lies so far behind rows of A or of C."""
        for at in (row + more + line for more in further for row in rows for line in self._lines()):
            self._prefetch(self.f.parameters[start], at, near=2, writes=start == "c")

    # ---- loops --------------------------------------------------------------------------------------

    def _around(self, level: int, a: Value, b: Value, sums: list[Value]) -> list[Value]:
        tile, f = self.tile, self.f
        if level == len(tile.around):
            return self._segments(a, b, sums)
        a_step, b_step = tile.around[level]

        def body(_: Value, carried: list[Value]) -> list[Value]:
            made = self._around(level + 1, carried[0], carried[1], carried[2:])
            return [f.field(carried[0], a_step), f.field(carried[1], b_step), *made]

        return f.loop(_ZERO, f.parameters[f"count{level}"], _ONE, [a, b, *sums], body)[2:]

    def _segments(self, a: Value, b: Value, sums: list[Value]) -> list[Value]:
        vectors = self.tile.vectors
        sums = list(sums)
        for segment in self.tile.segments:
            places = [r * vectors + v for r in segment.rows for v in range(vectors)]
            start = self.f.field(a, segment.a), self.f.field(b, segment.b)
            loops = tuple(loop for loop in segment.loops if loop.count != 1)
            made = self._nest(segment.rows, loops, *start, [sums[p] for p in places])
            for place, value in zip(places, made, strict=True):
                sums[place] = value
        return sums

    def _nest(
        self, rows: Sequence[int], loops: tuple[Loop, ...], a: Value, b: Value, sums: list[Value]
    ) -> list[Value]:
        if not loops:
            return self._step(rows, a, b, sums)
        loop, inner = loops[0], loops[1:]
        each = 1
        if not inner:
            most = max(1, _UNROLLED // len(sums))
            each = max(n for n in range(1, min(most, loop.count) + 1) if loop.count % n == 0)
        f = self.f

        def body(carried: list[Value]) -> list[Value]:
            made = carried[2:]
            for i in range(each):
                if not inner:
                    self._ask(rows, loop, i, carried[0], carried[1])
                at = f.field(carried[0], i * loop.a), f.field(carried[1], i * loop.b)
                made = self._nest(rows, inner, *at, made)
            return [f.field(carried[0], each * loop.a), f.field(carried[1], each * loop.b), *made]

        return self._rounds(loop.count // each, [a, b, *sums], body)[2:]

    def _rounds(
        self, count: int, carried: list[Value], body: Callable[[list[Value]], list[Value]]
    ) -> list[Value]:
        """carried = body(carried), so often. The test is at the end, so that sums have one register each."""
        f = self.f
        if count == 1:
            return body(carried)
        before, head, end = f.block, f.label(), f.label()
        f.branch(head)
        f.start(head)
        left = Value(f.fresh(), "i64")
        places = [Value(f.fresh(), v.kind, v.lanes) for v in carried]
        patch = len(f.lines)
        f.lines += [""] * (1 + len(places))
        with f.scope():
            made = body(places)
            less = f.volatile(f"sub i64 {left.text}, 1", "i64")
            more = f.volatile(f"icmp ne i64 {less.text}, 0", "i1")
        latch = f.block
        f.branch_if(more, head, end)
        firsts, lasts = [literal(count, "i64"), *carried], [less, *made]
        for i, (place, first, last) in enumerate(zip([left, *places], firsts, lasts, strict=True)):
            coming = f"[ {first.text}, %{before} ], [ {last.text}, %{latch} ]"
            f.lines[patch + i] = f"  {place.text} = phi {place.type} {coming}"
        f.start(end)
        return made

    def _ask(self, rows: Sequence[int], loop: Loop, i: int, a: Value, b: Value) -> None:
        """Ask for what later steps read, where that many loads more hold up nothing: for all of B, if it is
        without gaps or every step reads other lines; of A, whose steps read other lines, for both ends of
        rows side by side."""
        tile = self.tile
        if tile.column:
            return
        width = tile.vectors * tile.lanes * self.bytes
        lines = -(-width // LINE)
        is_apart = loop.a >= LINE and loop.b >= LINE
        ends = {tile.rows[rows[0]], tile.rows[rows[-1]]} if is_apart else set()
        loads = len(rows) + tile.vectors + lines + len(ends)
        if loop.count < _NEAR or loads > _LOADS * len(rows) * tile.vectors:
            return
        if is_apart or loop.b == width:
            ahead = i + (_NEAR if is_apart else _FAR)
            for line in range(lines):
                self._prefetch(b, ahead * loop.b + line * LINE)
            for end in sorted(ends):
                self._prefetch(a, ahead * loop.a + end)

    def _lines(self) -> range:
        """The lines of the cache that a row has, in bytes."""
        return range(0, self.tile.vectors * self.tile.lanes * self.bytes, LINE)

    def _prefetch(self, start: Value, bytes_: int, near: int = 3, writes: bool = False) -> None:
        f = self.f
        f.module.declare("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
        at = f.field(start, bytes_)
        f.do(f"call void @llvm.prefetch.p0(ptr {at.text}, i32 {int(writes)}, i32 {near}, i32 1)")

    # ---- one step -----------------------------------------------------------------------------------

    def _step(self, rows: Sequence[int], a: Value, b: Value, sums: list[Value]) -> list[Value]:
        tile, f, code = self.tile, self.f, self.code
        if tile.column:
            return self._dots(rows, a, b, sums)
        width = tile.lanes * self.bytes
        masked = None if tile.reads_beyond else self.mask
        row = [self._vector(f.field(b, width * v), v, masked) for v in range(tile.vectors)]
        made = []
        for i, r in enumerate(rows):
            at = f.field(a, tile.rows[r])
            if tile.is_lanewise:
                xs = [self._vector(f.field(at, width * v), v, self.mask) for v in range(tile.vectors)]
            else:
                xs = [code.splat(f.load(at, tile.kind), tile.lanes)] * tile.vectors
            for v in range(tile.vectors):
                made.append(code.muladd(xs[v], row[v], sums[i * tile.vectors + v]))
        return made

    def _dots(self, rows: Sequence[int], a: Value, b: Value, sums: list[Value]) -> list[Value]:
        """A step of dot products: registers along what is summed up."""
        tile, f = self.tile, self.f

        def load(at: Value) -> Value:
            return read(self.code, at, _ONE, tile.kind, tile.lanes, None)

        columns = [load(f.field(b, tile.column * j)) for j in range(tile.vectors)]
        made = []
        for i, r in enumerate(rows):
            x = load(f.field(a, tile.rows[r]))
            for j, column in enumerate(columns):
                made.append(self.code.muladd(x, column, sums[i * tile.vectors + j]))
        return made

    def _vector(self, at: Value, v: int, mask: Value | None) -> Value:
        """Vector v of a row; the mask is for the last one."""
        masked = mask if v == self.registers - 1 else None
        return read(self.code, at, _ONE, self.tile.kind, self.tile.lanes, masked)

    def _store(self, sums: list[Value], adds: bool = False, streams: bool = False) -> None:
        tile, f, code = self.tile, self.f, self.code
        if tile.column:
            sums = self._rows_of_dots(sums)
        for v in range(self.registers):
            masked = self.mask if v == self.registers - 1 else None
            rows = self._rows(v)
            for r, offset in enumerate(tile.results):
                place = offset + v * tile.lanes * self.bytes
                at = f.field(f.parameters["c"], place)
                total = sums[r * self.registers + v]
                if adds:
                    total = code.add(self._vector(at, v, self.mask), total)
                for value, to in self._finish(total, at, place, v, rows):
                    if streams:
                        write_past_caches(code, value, to, tile.lanes, tile.lanes * self.bytes)
                    else:
                        write(code, value, to, _ONE, tile.lanes, masked)

    def _rows_of_dots(self, sums: list[Value]) -> list[Value]:
        """The totals of each row of C in the first lanes of a register."""
        count, ends = self.tile.vectors, places(len(sums), self.tile.lanes)
        registers = totals(self.code, sums)
        return [side_by_side(self.code, registers, ends[r : r + count]) for r in range(0, len(sums), count)]

    def _rows(self, v: int) -> dict[int, Value]:
        """Vector v of the operands of the epilogue that are one row, by their number."""
        reads = self.tile.epilogue.reads if self.tile.epilogue else ()
        width = self.tile.lanes * self.bytes
        starts = {i: self.f.parameters[f"place{i}"] for i, full in enumerate(reads) if not full}
        return {i: self._vector(self.f.field(p, v * width), v, self.mask) for i, p in starts.items()}

    def _finish(
        self, total: Value, at: Value, place: int, v: int, rows: dict[int, Value]
    ) -> list[tuple[Value, Value]]:
        """What is stored, and where."""
        epilogue, f = self.tile.epilogue, self.f
        if epilogue is None:
            return [(total, at)]
        count = len(epilogue.reads)
        operands = []
        for i in range(count):
            full = f.field(f.parameters[f"place{i}"], place)
            operands.append(rows[i] if i in rows else self._vector(full, v, self.mask))
        others = range(count, len(epilogue.places))
        places = [at, *[f.field(f.parameters[f"place{i}"], place) for i in others]]
        return list(zip(epilogue.code(self.code, total, operands), places, strict=True))


def _first_lanes(count: int, lanes: int) -> Value:
    listed = ", ".join(f"i1 {'true' if i < count else 'false'}" for i in range(lanes))
    return Value(f"<{listed}>", "i1", lanes)
