"""The micro-kernels: a tile of C in registers, over a block of the inner dimension.

    micro.<rows>x<vectors>(a, a_row, a_step, b, b_step, c, c_row, inner, alpha, adds, columns, to, further)

A is read by `rows` numbers, a_row apart, and a_step from one step of the inner dimension to the next (a
machine without scaled addresses reads rows of a packed panel only: a_row is 1); B by `vectors` registers in a
row, b_step from one step to the next. C = alpha A B, or C += alpha A B if `adds`, in the first `columns`
columns: they end in the last register. What lies as far behind B as `to` is asked for. There is one function
for each height up to that of a tile and each width, so that rows are never padded. Of tiles so small that
their multiplications would wait for each other, several sums are under way, in turns.

C is asked for before a sum begins. Two more functions are of a full tile. One packs B on its way: what it
read is put to `to`, a tile's columns a step. One, for large products, asks for what comes next from `to` on,
`further` bytes a step: the tiles of a row of C together so fetch the next panel of A.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import lane_mask, read, write
from symgrad_compiler.backends.llvm.scalars import Code

#: Multiplications that a processor has under way: two or four units, each with a latency of four.
_UNDER_WAY = 8
#: Loads that fit beside one multiplication; how many steps ahead panels are asked for, mostly; bytes of a
#: cache line.
_LOADS, FURTHER, _LINE = 0.8, 16, 64
#: Rows that are reached from one pointer: at 1, 2, 4 and 8 times four odd multiples of their distance.
_REACH = 9


def name(tiles: Tiles, rows: int, vectors: int) -> str:
    return f"micro.{tiles.kind}.{rows}x{vectors}"


def packing_name(tiles: Tiles) -> str:
    """The micro-kernel of a full tile that packs B."""
    return f"{name(tiles, tiles.rows, tiles.vectors)}.packing"


def ahead_name(tiles: Tiles) -> str:
    """The micro-kernel of a full tile that asks for the next panel of A."""
    return f"{name(tiles, tiles.rows, tiles.vectors)}.ahead"


def table(tiles: Tiles) -> str:
    """The name of the table of all micro-kernels, by rows, then vectors, from 1."""
    return f"micro.{tiles.kind}"


def asks_beside(tiles: Tiles, rows: int, vectors: int) -> bool:
    """Whether loads take so much of a tile's time that only B is asked for; where it is in place, the panel
    next but one. That lies beside this one, while a step of the inner dimension may be a page away."""
    lines = -(-rows * tiles.bytes // _LINE) + lines_of_b(tiles, vectors)
    return rows + vectors + lines > _LOADS * rows * vectors


def lines_of_b(tiles: Tiles, vectors: int) -> int:
    """The lines of a step of B."""
    return vectors * tiles.lanes * tiles.bytes // _LINE


def emit_micro_kernels(module: Module, tiles: Tiles) -> None:
    """All functions and their table."""
    names = []
    for rows in range(1, tiles.rows + 1):
        for vectors in range(1, tiles.vectors + 1):
            _Micro(module, tiles, rows, vectors, name(tiles, rows, vectors)).emit()
            names.append(f"ptr @{name(tiles, rows, vectors)}")
    _Packing(module, tiles, tiles.rows, tiles.vectors, packing_name(tiles)).emit()
    _Ahead(module, tiles, tiles.rows, tiles.vectors, ahead_name(tiles)).emit()
    listed = ", ".join(names)
    module.declare(f"@{table(tiles)} = private constant [{len(names)} x ptr] [{listed}], align 8")


class _Micro:
    """One micro-kernel. `streams` are the pointers that go on with each step: B, then those to A."""

    #: Whether it always reads B in place.
    leads = False

    def __init__(self, module: Module, tiles: Tiles, rows: int, vectors: int, name: str) -> None:
        self.tiles, self.rows, self.vectors = tiles, rows, vectors
        self.kind, self.lanes = tiles.kind, tiles.lanes
        parameters = [("a", "ptr"), ("a_row", "i64"), ("a_step", "i64"), ("b", "ptr"), ("b_step", "i64")]
        parameters += [("c", "ptr"), ("c_row", "i64"), ("inner", "i64"), ("alpha", tiles.kind)]
        parameters += [("adds", "i64"), ("columns", "i64"), ("to", "ptr"), ("further", "i64")]
        self.f: Function = module.function(name, parameters, linkage="internal ")
        self.code = Code(self.f, machine=tiles.machine)
        #: Odd multiples of the bytes between rows of A.
        self.apart: dict[int, Value] = {}

    def emit(self) -> None:
        count = self.rows * self.vectors
        turns = 1
        while turns * count < _UNDER_WAY:
            turns *= 2
        before = literal((self.vectors - 1) * self.lanes, "i64")
        self.mask = lane_mask(self.code, before, self.f.parameters["columns"], self.lanes)
        if turns == 1:
            self._ask_for_c()
        streams = self._streams()
        self.further = self._further_bytes()
        sums = self._one_sum(streams) if turns == 1 else self._sums(streams, turns)
        while len(sums) > count:
            half = len(sums) // 2
            sums = [self.code.add(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
        self._store(sums)
        self.f.do("ret void")

    def _streams(self) -> list[Value]:
        f, p = self.f, self.f.parameters
        if not self.tiles.rows_apart:
            return [p["b"], p["a"]]
        apart = self.code.multiply(p["a_row"], literal(self.tiles.bytes, "i64"))
        for odd in range(1, min(self.rows, _REACH), 2):
            self.apart[odd] = f.opaque(self.code.multiply(apart, literal(odd, "i64")))
        starts = [p["a"]]
        if self.rows > _REACH:
            further = self.code.multiply(apart, literal(_REACH, "i64"))
            starts.append(f.opaque(f.bytes_on(p["a"], further)))
        return [p["b"], *starts]

    def _one_sum(self, streams: list[Value]) -> list[Value]:
        """One step a round. The test is at the end, so that the sums have one register each throughout."""
        f, p = self.f, self.f.parameters
        head, end = f.label(), f.label()
        before = f.block
        f.branch(head)
        f.start(head)
        left = Value(f.fresh(), "i64")
        places = [Value(f.fresh(), "ptr") for _ in streams]
        sums = [Value(f.fresh(), self.kind, self.lanes) for _ in range(self.rows * self.vectors)]
        patch = len(f.lines)
        f.lines += [""] * (1 + len(places) + len(sums))
        with f.scope():
            self._prefetch(places[1], places[0])
            following, made = self._step(places, sums)
            less = f.volatile(f"sub i64 {left.text}, 1", "i64")
            more = f.volatile(f"icmp ne i64 {less.text}, 0", "i1")
            f.branch_if(more, head, end)
        nothing = literal(0, self.kind, self.lanes)
        first = [p["inner"], *streams, *[nothing] * len(sums)]
        for i, (place, start, then) in enumerate(
            zip([left, *places, *sums], first, [less, *following, *made], strict=True)
        ):
            coming = f"[ {start.text}, %{before} ], [ {then.text}, %{head} ]"
            f.lines[patch + i] = f"  {place.text} = phi {place.type} {coming}"
        f.start(end)
        return made

    def _prefetch(self, a: Value, b: Value) -> None:
        """Ask for what will be read some steps later, as far as loads hold up nothing: the panels come from
        the second cache, those of A at first from the third."""
        f, p = self.f, self.f.parameters
        if not asks_beside(self.tiles, self.rows, self.vectors):
            ahead = f.offset(a, self.code.multiply(p["a_step"], literal(FURTHER, "i64")), self.kind)
            for i in range(-(-self.rows * self.tiles.bytes // _LINE)):
                self._ask(f.field(ahead, _LINE * i), False, 3)
        lines = lines_of_b(self.tiles, self.vectors)
        if self.rows + self.vectors + lines <= self.rows * self.vectors:
            there = f.bytes_on(b, self.further)
            for i in range(lines):
                self._ask(f.field(there, _LINE * i), False, 3)

    def _ask_for_c(self) -> None:
        """C comes while the sums are made: where the inner dimension is short, waiting for it would take as
        long."""
        f, p = self.f, self.f.parameters
        row = p["c"]
        for _ in range(self.rows):
            for at in range(0, self._register(self.vectors), _LINE):
                self._ask(f.field(row, at + _LINE - 1), True, 3)
            row = f.offset(row, p["c_row"], self.kind)

    def _further_bytes(self) -> Value:
        """How far behind a row of B lies what is asked for."""
        f, p = self.f, self.f.parameters
        there, here = (f.emit(f"ptrtoint ptr {p[n].text} to i64", "i64") for n in ("to", "b"))
        return self.code.subtract(there, here)

    def _ask(self, at: Value, writes: bool, near: int) -> None:
        """Ask for a line of memory, to be written or not; 3 is nearest."""
        f = self.f
        f.module.declare("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
        f.do(f"call void @llvm.prefetch.p0(ptr {at.text}, i32 {int(writes)}, i32 {near}, i32 1)")

    def _sums(self, streams: list[Value], turns: int) -> list[Value]:
        """As many sums as a round has steps; a round has one step for each."""
        f, p, many = self.f, self.f.parameters, len(streams)
        count = self.rows * self.vectors
        whole = f.emit(f"and i64 {p['inner'].text}, {-turns}", "i64")
        nothing = [literal(0, self.kind, self.lanes)] * (count * turns)

        def several(_: Value, carried: list[Value]) -> list[Value]:
            places, sums = carried[:many], carried[many:]
            for turn in range(0, count * turns, count):
                places, sums[turn : turn + count] = self._step(places, sums[turn : turn + count])
            return [*places, *sums]

        zero, one = literal(0, "i64"), literal(1, "i64")
        done = f.loop(zero, whole, literal(turns, "i64"), [*streams, *nothing], several)

        def single(_: Value, carried: list[Value]) -> list[Value]:
            places, made = self._step(carried[:many], carried[many:])
            return [*places, *made]

        rest = f.loop(whole, p["inner"], one, done[: many + count], single)
        return [*rest[many:], *done[many + count :]]

    def _step(self, places: list[Value], sums: list[Value]) -> tuple[list[Value], list[Value]]:
        """Add the product of a column of A and a row of B; the places of the next ones."""
        f, p = self.f, self.f.parameters
        b, *a = places
        row = [self._vector(f.field(b, self._register(j)), self._mask()) for j in range(self.vectors)]
        made = []
        for i in range(self.rows):
            x = self.code.splat(f.load(self._row(a, i), self.kind), self.lanes)
            for j in range(self.vectors):
                made.append(self.code.muladd(x, row[j], sums[i * self.vectors + j]))
        following = [f.offset(x, p["a_step"], self.kind) for x in a]
        if self.tiles.rows_apart:
            following = [f.opaque(x) for x in following]
        return [f.offset(b, p["b_step"], self.kind), *following], made

    def _row(self, a: list[Value], i: int) -> Value:
        """Where row i of A is: from a pointer, 1, 2, 4 or 8 times an odd multiple of the distance."""
        f = self.f
        if not self.tiles.rows_apart:
            return f.field(a[0], self.tiles.bytes * i)
        near, i = a[i // _REACH], i % _REACH
        if i == 0:
            return near
        shift = (i & -i).bit_length() - 1
        return f.bytes_on(near, f.volatile(f"shl i64 {self.apart[i >> shift].text}, {shift}", "i64"))

    def _register(self, number: int) -> int:
        """The bytes before a register of a row of B or C."""
        return self.lanes * self.tiles.bytes * number

    def _mask(self) -> Value | None:
        """Of the lanes of the only register of B: with AVX-512, none is read beyond the columns. (In a wider
        tile, each masked load would take a unit from a multiplication.)"""
        return self.mask if self.vectors == 1 and self.tiles.machine.has_avx512 else None

    def _vector(self, at: Value, mask: Value | None) -> Value:
        return read(self.code, at, literal(1, "i64"), self.kind, self.lanes, mask)

    # ---- the results --------------------------------------------------------------------------------

    def _store(self, sums: list[Value]) -> None:
        """Masks, where they cost nothing, take the place of branches: one for the last register, and one for
        what is loaded to be added to."""
        f, code, p = self.f, self.code, self.f.parameters
        machine = self.tiles.machine
        adds = f.emit(f"icmp ne i64 {p['adds'].text}, 0", "i1")
        before = literal((self.vectors - 1) * self.lanes, "i64")
        is_ragged = code.less(code.subtract(p["columns"], before), literal(self.lanes, "i64"))

        def last() -> Value:
            return lane_mask(code, before, p["columns"], self.lanes)

        def store(mask: Value | None) -> None:
            if machine.has_masks:
                self._write(sums, mask, adds)
                return
            always, never = literal(1, "i1"), literal(0, "i1")
            f.either(adds, lambda: self._write(sums, mask, always), lambda: self._write(sums, mask, never))

        if machine.has_avx512:
            store(last())
        else:
            f.either(is_ragged, lambda: store(last()), lambda: store(None))

    def _write(self, sums: list[Value], mask: Value | None, adds: Value) -> None:
        f, code, p = self.f, self.code, self.f.parameters
        alpha = code.splat(p["alpha"], self.lanes)
        everything = None if adds.number == 1 else code.splat(adds, self.lanes)
        row = p["c"]
        for i in range(self.rows):
            for j in range(self.vectors):
                at = f.field(row, self._register(j))
                masked = mask if j == self.vectors - 1 else None
                total = code.multiply(alpha, sums[i * self.vectors + j])
                if adds.number != 0:
                    read_of = [m for m in (masked, everything) if m is not None]
                    both = code.logical_and(*read_of) if len(read_of) == 2 else next(iter(read_of), None)
                    total = code.add(total, self._vector(at, both))
                write(code, total, at, literal(1, "i64"), self.lanes, masked)
            row = f.offset(row, p["c_row"], self.kind)


class _Further(_Micro):
    """One in which `to` goes on with each step too."""

    def _further_bytes(self) -> Value:
        if self.leads and asks_beside(self.tiles, self.rows, self.vectors):
            return literal(2 * self._register(self.vectors), "i64")
        return self.code.multiply(self.f.parameters["b_step"], literal(FURTHER * self.tiles.bytes, "i64"))

    def _streams(self) -> list[Value]:
        return [*super()._streams(), self.f.parameters["to"]]

    def _step(self, places: list[Value], sums: list[Value]) -> tuple[list[Value], list[Value]]:
        bytes_ = self._further(places[-1], places[0])
        following, made = super()._step(places[:-1], sums)
        return [*following, self.f.bytes_on(places[-1], bytes_)], made

    def _further(self, to: Value, b: Value) -> Value:
        """What is done there, and the bytes to go on."""
        raise NotImplementedError


class _Packing(_Further):
    """The one that packs B."""

    leads = True

    def _further(self, to: Value, b: Value) -> Value:
        f = self.f
        for j in range(self.vectors):
            x = self._vector(f.field(b, self._register(j)), None)
            write(self.code, x, f.field(to, self._register(j)), literal(1, "i64"), self.lanes, None)
        return literal(self._register(self.vectors), "i64")


class _Ahead(_Further):
    """The one that asks for what comes next."""

    def _further(self, to: Value, b: Value) -> Value:
        self._ask(to, False, 2)
        return self.f.parameters["further"]
