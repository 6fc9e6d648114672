"""The micro-kernels: a tile of C in registers, over a block of the inner dimension.

    micro.<rows>x<vectors>(a, a_step, b, b_step, c, c_row, inner, alpha, adds, columns)

A is read by `rows` numbers in a row, a_step from one to the next step of the inner dimension; B by `vectors`
registers, b_step apart. C = alpha A B, or C += alpha A B if `adds`, in the first `columns` columns: they end
in the last register. There is one function for each height up to that of a tile and each width, so that rows
are never padded. Of tiles so small that their multiplications would wait for each other, several sums are
under way, in turns.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import lane_mask, read, write
from symgrad_compiler.backends.llvm.scalars import Code

#: Multiplications that a processor has under way: two or four units, each with a latency of four.
_UNDER_WAY = 8
#: Loads that fit beside one multiplication; how many steps ahead panels are asked for; bytes of a cache line.
_LOADS, _AHEAD, _LINE = 0.8, 16, 64


def name(tiles: Tiles, rows: int, vectors: int) -> str:
    return f"micro.{tiles.kind}.{rows}x{vectors}"


def table(tiles: Tiles) -> str:
    """The name of the table of all micro-kernels, by rows, then vectors, from 1."""
    return f"micro.{tiles.kind}"


def emit_micro_kernels(module: Module, tiles: Tiles) -> None:
    """All functions and their table."""
    names = []
    for rows in range(1, tiles.rows + 1):
        for vectors in range(1, tiles.vectors + 1):
            _Micro(module, tiles, rows, vectors).emit()
            names.append(f"ptr @{name(tiles, rows, vectors)}")
    listed = ", ".join(names)
    module.declare(f"@{table(tiles)} = private constant [{len(names)} x ptr] [{listed}], align 8")


class _Micro:
    """One micro-kernel."""

    def __init__(self, module: Module, tiles: Tiles, rows: int, vectors: int) -> None:
        self.tiles, self.rows, self.vectors = tiles, rows, vectors
        self.kind, self.lanes = tiles.kind, tiles.lanes
        parameters = [("a", "ptr"), ("a_step", "i64"), ("b", "ptr"), ("b_step", "i64"), ("c", "ptr")]
        parameters += [("c_row", "i64"), ("inner", "i64"), ("alpha", tiles.kind), ("adds", "i64")]
        self.f: Function = module.function(
            name(tiles, rows, vectors), [*parameters, ("columns", "i64")], linkage="internal "
        )
        self.code = Code(self.f, machine=tiles.machine)

    def emit(self) -> None:
        count = self.rows * self.vectors
        turns = 1
        while turns * count < _UNDER_WAY:
            turns *= 2
        sums = self._one_sum() if turns == 1 else self._sums(turns)
        while len(sums) > count:
            half = len(sums) // 2
            sums = [self.code.add(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
        self._store(sums)
        self.f.do("ret void")

    def _one_sum(self) -> list[Value]:
        """One step a round. The test is at the end, so that the sums have one register each throughout."""
        f, p = self.f, self.f.parameters
        head, end = f.label(), f.label()
        before = f.block
        f.branch(head)
        f.start(head)
        left = Value(f.fresh(), "i64")
        places = [Value(f.fresh(), "ptr") for _ in range(2)]
        sums = [Value(f.fresh(), self.kind, self.lanes) for _ in range(self.rows * self.vectors)]
        patch = len(f.lines)
        f.lines += [""] * (3 + len(sums))
        with f.scope():
            self._prefetch(places[0], places[1])
            a, b, made = self._step(places[0], places[1], sums)
            less = f.volatile(f"sub i64 {left.text}, 1", "i64")
            more = f.volatile(f"icmp ne i64 {less.text}, 0", "i1")
            f.branch_if(more, head, end)
        nothing = literal(0, self.kind, self.lanes)
        first = [p["inner"], p["a"], p["b"], *[nothing] * len(sums)]
        for i, (place, start, following) in enumerate(
            zip([left, *places, *sums], first, [less, a, b, *made], strict=True)
        ):
            coming = f"[ {start.text}, %{before} ], [ {following.text}, %{head} ]"
            f.lines[patch + i] = f"  {place.text} = phi {place.type} {coming}"
        f.start(end)
        return made

    def _prefetch(self, a: Value, b: Value) -> None:
        """Ask for what will be read some steps later, where that many loads more hold up nothing: the panels
        come from the second cache, those of A at first from the third."""
        f, p, bytes_ = self.f, self.f.parameters, self.tiles.bytes
        lines = -(-self.rows * bytes_ // _LINE), self.vectors * self.lanes * bytes_ // _LINE
        if self.rows + self.vectors + sum(lines) > _LOADS * self.rows * self.vectors:
            return
        f.module.declare("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
        for start, step, count in ((a, p["a_step"], lines[0]), (b, p["b_step"], lines[1])):
            ahead = self.code.multiply(step, literal(_AHEAD, "i64"))
            for i in range(count):
                at = f.field(f.offset(start, ahead, self.kind), _LINE * i)
                f.do(f"call void @llvm.prefetch.p0(ptr {at.text}, i32 0, i32 3, i32 1)")

    def _sums(self, turns: int) -> list[Value]:
        """As many sums as a round has steps; a round has one step for each."""
        f, p = self.f, self.f.parameters
        count = self.rows * self.vectors
        whole = f.emit(f"and i64 {p['inner'].text}, {-turns}", "i64")
        nothing = [literal(0, self.kind, self.lanes)] * (count * turns)

        def several(_: Value, carried: list[Value]) -> list[Value]:
            a, b, sums = carried[0], carried[1], carried[2:]
            for turn in range(0, count * turns, count):
                a, b, sums[turn : turn + count] = self._step(a, b, sums[turn : turn + count])
            return [a, b, *sums]

        zero, one = literal(0, "i64"), literal(1, "i64")
        a, b, *sums = f.loop(zero, whole, literal(turns, "i64"), [p["a"], p["b"], *nothing], several)

        def single(_: Value, carried: list[Value]) -> list[Value]:
            a, b, made = self._step(carried[0], carried[1], carried[2:])
            return [a, b, *made]

        _, _, *first = f.loop(whole, p["inner"], one, [a, b, *sums[:count]], single)
        return [*first, *sums[count:]]

    def _step(self, a: Value, b: Value, sums: list[Value]) -> tuple[Value, Value, list[Value]]:
        """Add the product of a column of A and a row of B; the places of the next ones."""
        f, p = self.f, self.f.parameters
        bytes_ = self.tiles.bytes
        row = [self._vector(f.field(b, self.lanes * bytes_ * j), None) for j in range(self.vectors)]
        made = []
        for i in range(self.rows):
            x = self.code.splat(f.load(f.field(a, bytes_ * i), self.kind), self.lanes)
            for j in range(self.vectors):
                made.append(self.code.muladd(x, row[j], sums[i * self.vectors + j]))
        return f.offset(a, p["a_step"], self.kind), f.offset(b, p["b_step"], self.kind), made

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
                at = f.field(row, j * self.lanes * self.tiles.bytes)
                masked = mask if j == self.vectors - 1 else None
                total = code.multiply(alpha, sums[i * self.vectors + j])
                if adds.number != 0:
                    read_of = [m for m in (masked, everything) if m is not None]
                    both = code.logical_and(*read_of) if len(read_of) == 2 else next(iter(read_of), None)
                    total = code.add(total, self._vector(at, both))
                write(code, total, at, literal(1, "i64"), self.lanes, masked)
            row = f.offset(row, p["c_row"], self.kind)
