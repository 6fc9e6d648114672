"""Pieces of a product: the functions over ranges of them, which threads share.

    packs(job, ..., start, stop)       packs panels of A, block by block of the inner dimension
    pieces(job, ..., start, stop)      computes pieces of C

A piece is some columns of B wide, some panels of A high. In it, for each block of the inner dimension, each
panel of A meets each panel of B. Panels of B that are packed go to memory of the piece alone, which stays in
the second cache; if rows of B have no gaps, the first panel of A packs them on its way, reading B where it is
(`micro.py`).

Panels of A are as high as a tile; the last two are about equally high.
"""

from __future__ import annotations

from enum import IntEnum

from symgrad_compiler.backends.llvm.contract import micro, pack
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.request import WORDS, Request
from symgrad_compiler.backends.llvm.contract.room import GIVE, TAKE
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.splitting import RANGE

#: Bytes of memory that are taken from the stack, and of a cache line.
STACK, LINE = 2**16, 64


class Job(IntEnum):
    """The words behind those of the request: what is under way."""

    BLOCK_INNER = WORDS
    ROW = WORDS + 1  # the first of the chunk
    CHUNK_ROWS = WORDS + 2
    STEP = WORDS + 3  # of the inner dimension, the first of the chunk
    CHUNK_INNER = WORDS + 4
    INNER_BLOCKS = WORDS + 5  # in the chunk
    ADDS_NOW = WORDS + 6
    PANELS = WORDS + 7  # of A in the chunk
    B_PANELS = WORDS + 8
    B_FROM = WORDS + 9  # the first that is packed
    BLOCK_PANELS = WORDS + 10  # panels of B in a piece
    GROUPS = WORDS + 11  # pieces below each other
    LEADS = WORDS + 12  # 1: the first panel of A in a piece packs B on its way
    A_PACKED = WORDS + 13  # where, or null
    A_TAKEN = WORDS + 14  # the memory that is given back, or null
    NARROW = WORDS + 15  # 1: there is room for two panels of A only


JOB_WORDS = WORDS + len(Job)


class Loops:
    """What all functions are written with."""

    def __init__(self, tiles: Tiles, f: Function) -> None:
        self.tiles, self.kind, self.f = tiles, tiles.kind, f

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))

    def flag(self, condition: Value) -> Int:
        return self.number(1).where(condition, 0)

    def at(self, pointer: Value, index: Int) -> Value:
        return self.f.offset(pointer, index.value, self.kind)

    def both(self, a: Value, b: Value) -> Value:
        return self.f.emit(f"and i1 {a.text}, {b.text}", "i1")

    def or_(self, a: Value, b: Value) -> Value:
        return self.f.emit(f"or i1 {a.text}, {b.text}", "i1")

    def not_(self, a: Value) -> Value:
        return self.f.emit(f"xor i1 {a.text}, true", "i1")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        return self.f.emit(f"select i1 {condition.text}, ptr {a.text}, ptr {b.text}", "ptr")

    def is_null(self, pointer: Value) -> Value:
        return self.f.emit(f"icmp eq ptr {pointer.text}, null", "i1")

    def take(self, bytes_: Int) -> Value:
        return self.f.volatile(f"call ptr @{TAKE}(i64 {bytes_.value.text})", "ptr")

    def stack(self, bytes_: Int) -> Value:
        return self.f.volatile(f"alloca i8, i64 {bytes_.value.text}, align {LINE}", "ptr")


class Shared(Loops):
    """A function over a range of a job."""

    title = ""

    def __init__(self, module: Module, tiles: Tiles) -> None:
        super().__init__(tiles, module.function(self.name_of(tiles), [("job", "ptr"), *RANGE[1:]]))
        self.job = Words(self.f, self.f.parameters["job"])
        self.start, self.stop = (Int(self.f, self.f.parameters[n]) for n in ("start", "stop"))

    @classmethod
    def name_of(cls, tiles: Tiles) -> str:
        return f"contract.{cls.title}.{tiles.kind}"

    def inner_block(self, number: Int) -> tuple[Int, Int]:
        """The first step of a block of the inner dimension, in its chunk, and its length."""
        first = number * self.job[Job.BLOCK_INNER]
        return first, self.job[Job.BLOCK_INNER].at_most(self.job[Job.CHUNK_INNER] - first)

    def panel(self, number: Int) -> tuple[Int, Int]:
        """The first row of a panel of A, in its chunk, and its height."""
        tile, rows, two = self.tiles.rows, self.job[Job.CHUNK_ROWS], self.job[Job.PANELS] - 2
        left = rows - two * tile  # of the last two
        low = (left // 2).where(two >= 0, rows)
        row = (number * tile).where(number <= two, rows - low)
        height = self.number(tile).where(number < two, (left - low).where(number.equals(two), low))
        return row, height

    def a_source(self, row: Int, step: Int) -> Value:
        job = self.job
        by_row = (job[Job.ROW] + row) * job[Request.A_ROW]
        return self.at(job.pointer(Request.A), by_row + (job[Job.STEP] + step) * job[Request.A_COLUMN])

    def a_packed(self, number: Int, row: Int, block: Int, step: Int, inner: Int) -> Value:
        """A panel of A; behind each, there is a register's room for what packing spills."""
        job = self.job
        before = (block * job[Job.PANELS] + number) * self.tiles.lanes
        return self.at(job.pointer(Job.A_PACKED), step * job[Job.CHUNK_ROWS] + row * inner + before)

    def pack(
        self, to: Value, to_step: Int, width: Int, source: Value, lane_step: Int, inner_step: Int, inner: Int
    ) -> None:
        call(self.f, pack.name(self.tiles), to, to_step, width, source, lane_step, inner_step, inner)


class Packs(Shared):
    """Packs panels of A."""

    title = "packs"

    def emit(self) -> None:
        every(self.f, self.start, self.stop, 1, self._panel)
        self.f.do("ret void")

    def _panel(self, index: Int) -> None:
        job = self.job
        block, number = index // job[Job.PANELS], index % job[Job.PANELS]
        (row, height), (step, inner) = self.panel(number), self.inner_block(block)
        to = self.a_packed(number, row, block, step, inner)
        by = job[Request.A_ROW], job[Request.A_COLUMN]
        self.pack(to, height, height, self.a_source(row, step), *by, inner)


class Pieces(Shared):
    """Computes pieces of C."""

    title = "pieces"

    def emit(self) -> None:
        """With room for the packed panels of B in a piece: on the stack if it is small; for one panel at a
        time if there is no memory."""
        job, f, tiles = self.job, self.f, self.tiles
        panels = job[Job.BLOCK_PANELS]
        packed = panels.at_most(job[Job.B_PANELS] - job[Job.B_FROM])
        bytes_ = packed * job[Job.BLOCK_INNER] * (tiles.columns * tiles.bytes)
        on_stack = bytes_ <= STACK
        stack = self.stack(bytes_.where(on_stack, 0))
        room = f.choose(on_stack, lambda: stack, lambda: self.take(bytes_))
        none = self.is_null(room)
        least = (tiles.inner + 8) * tiles.columns * tiles.bytes
        to = f.choose(none, lambda: self.stack(self.number(least)), lambda: room)
        span = self.number(1).where(none, panels)
        every(f, self.start, self.stop, 1, lambda piece: self._piece(piece, to, span))
        f.when(self.both(bytes_ > STACK, self.not_(none)), lambda: call(f, GIVE, room))
        f.do("ret void")

    def _piece(self, piece: Int, room: Value, span: Int) -> None:
        job = self.job
        groups, panels = job[Job.GROUPS], job[Job.PANELS]
        block, group = piece // groups, piece % groups
        top, bottom = group * panels // groups, (group + 1) * panels // groups
        start = block * job[Job.BLOCK_PANELS]
        stop = (start + job[Job.BLOCK_PANELS]).at_most(job[Job.B_PANELS])

        def columns(first: Int) -> None:
            last = (first + span).at_most(stop)
            every(
                self.f,
                self.number(0),
                job[Job.INNER_BLOCKS],
                1,
                lambda number: self._block(_Block(self, room, number, first, last, top), bottom),
            )

        every(self.f, start, stop, span, columns)

    def _block(self, block: _Block, bottom: Int) -> None:
        """Pack the panels of B that the first panel of A does not, then let all meet."""
        f, job = self.f, self.job
        before = block.whole.where(job[Job.LEADS].differs(0), block.base)
        every(f, before, block.last, 1, lambda panel: self._pack_b(block, panel))
        leads = block.top + job[Job.LEADS]
        every(f, block.top, bottom, 1, lambda number: self._panel(block, number, number < leads))

    def _pack_b(self, block: _Block, panel: Int) -> None:
        job, columns = self.job, self.tiles.columns
        width = (job[Request.COLUMNS] - panel * columns).at_most(columns)
        by = job[Request.B_COLUMN], job[Request.B_ROW]
        self.pack(block.packed(panel), self.number(columns), width, block.source(panel), *by, block.inner)

    def _panel(self, block: _Block, number: Int, leads: Value) -> None:
        """A panel of A and those of B in a block."""
        f, job, tiles = self.f, self.job, self.tiles
        (row, height), columns, inner = self.panel(number), tiles.columns, block.inner
        is_packed = self.not_(self.is_null(job.pointer(Job.A_PACKED)))
        packed = self.a_packed(number, row, block.number, block.step, inner)
        a = self.select(is_packed, packed, self.a_source(row, block.step))
        a_row = self.number(1).where(is_packed, job[Request.A_ROW])
        a_step = height.where(is_packed, job[Request.A_COLUMN])
        c_row = job[Request.C_ROW]
        c = self.at(job.pointer(Request.C), (job[Job.ROW] + row) * c_row)
        alpha = f.load(f.field(job.pointer_to(Request.ALPHA), 0), self.kind)
        adds = job[Job.ADDS_NOW].where(block.number.equals(0), 1)
        kernels = f.field(Value(f"@{micro.table(tiles)}", "ptr"), 0)
        here = f.offset(kernels, ((height - 1) * tiles.vectors).value, "ptr")
        normal = f.load(f.field(here, 8 * (tiles.vectors - 1)), "ptr")
        is_dense = self.both(job[Request.A_COLUMN].equals(1), job[Request.A_ROW].equals(inner))
        asks = self.both(self.or_(is_packed, is_dense), height.equals(tiles.rows))
        ahead = self.select(asks, Value(f"@{micro.ahead_name(tiles)}", "ptr"), normal)
        full = self.select(leads, Value(f"@{micro.packing_name(tiles)}", "ptr"), ahead)
        after = self.at(a, inner * tiles.rows + self.number(tiles.lanes).where(is_packed, 0))
        further = self.number(tiles.rows * tiles.bytes).up_over(block.last - block.first)

        def tile(kernel: Value, panel: Int, width: Int, in_place: Value, is_normal: Value) -> None:
            there = block.packed(panel)
            b = self.select(in_place, block.source(panel), there)
            b_step = job[Request.B_ROW].where(in_place, columns)
            following = self.at(b, self._following(in_place, b_step))
            panel_ahead = f.bytes_on(after, ((panel - block.first) * inner * further).value)
            to = self.select(is_normal, following, self.select(leads, there, panel_ahead))
            at = self.at(c, panel * columns)
            places = (a, a_row, a_step, b, b_step, at, c_row)
            call(f, kernel, *places, inner, alpha, adds, width, to, further)

        def full_tile(panel: Int) -> None:
            is_normal = self.not_(self.or_(leads, asks))
            tile(full, panel, self.number(columns), self.or_(leads, panel < job[Job.B_FROM]), is_normal)

        def ragged() -> None:
            width = job[Request.COLUMNS] - block.whole * columns
            vectors = width.up_over(tiles.lanes)
            kernel = f.load(f.offset(here, (vectors - 1).value, "ptr"), "ptr")
            tile(kernel, block.whole, width, block.whole < job[Job.B_FROM], literal(1, "i1"))

        every(f, block.first, block.whole, 1, full_tile)
        f.when(block.whole < block.last, ragged)

    def _following(self, in_place: Value, b_step: Int) -> Int:
        """How far behind a row of a panel of B lies what a micro-kernel asks for: some steps, or where panels
        of the same number will be needed next, or two panels of B in place."""
        tiles, job = self.tiles, self.job
        steps = b_step * micro.FURTHER
        if micro.asks_beside(tiles, tiles.rows, tiles.vectors):
            return self.number(2 * tiles.columns).where(in_place, steps)
        knows = self.both(in_place, job[Request.B_AHEAD].differs(0))
        return job[Request.B_AHEAD].where(knows, steps)


class _Block:
    """A block of the inner dimension and of columns: panels of B from `first` to `last`, those before `whole`
    of full width."""

    def __init__(self, pieces: Pieces, room: Value, number: Int, first: Int, last: Int, top: Int) -> None:
        self.pieces, self.room, self.number, self.top = pieces, room, number, top
        self.first, self.last = first, last
        job = pieces.job
        self.step, self.inner = pieces.inner_block(number)
        self.whole = (job[Request.COLUMNS] // pieces.tiles.columns).at_most(last)
        #: The first that is packed.
        self.base = job[Job.B_FROM].at_least(first)

    def source(self, panel: Int) -> Value:
        job, pieces = self.pieces.job, self.pieces
        by_row = (job[Job.STEP] + self.step) * job[Request.B_ROW]
        column = panel * pieces.tiles.columns
        return pieces.at(job.pointer(Request.B), by_row + column * job[Request.B_COLUMN])

    def packed(self, panel: Int) -> Value:
        return self.pieces.at(self.room, (panel - self.base) * self.inner * self.pieces.tiles.columns)
