"""The loops around the micro-kernel: chunks, panels, blocks, tiles; and how threads share them.

    single(pool, request)      one product, by as many threads as the pool has; by one if the pool is null

Chunks of A and B that fit into the last cache are packed into panels, all of which threads share; then
threads take blocks of C. In a block, for each block of the inner dimension, each panel of A meets each panel
of B, which stay in the second cache. A panel that the kernel can read where it is may be left there: of A
where its columns have no gaps, of B where its rows have none, if it is not used often enough for packing to
pay.

Panels of A are as high as a tile or lower, such that all are about equally high. The inner dimension is cut
by its length alone, and each element of C is summed up in that order, whoever does it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from symgrad_compiler.backends.llvm.contract import micro, pack
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.request import WORDS, Request
from symgrad_compiler.backends.llvm.contract.room import GIVE, TAKE
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.splitting import RANGE
from symgrad_runtime.threads import PARALLEL

#: Multiplications that are worth one of the simple operations by which the pool counts; and the operations
#: that one packed element is worth.
_PRODUCTS, _PACKING = 4, 4
#: Blocks of C that threads can share, where it is large enough.
_BLOCKS = 16
#: Rows from which rows of B without gaps are packed.
_PACK_FROM = 96
#: Elements of an operand that is read in place although it would be faster packed; tiles that are few.
_SMALL, _FEW = 2**13, 4
#: Bytes of memory that are taken from the stack.
_STACK = 2**16
_LINE = 64


class Job(IntEnum):
    """The words behind those of the request: of what is under way."""

    CHUNK_ROWS = WORDS
    CHUNK_COLUMNS = WORDS + 1
    CHUNK_INNER = WORDS + 2
    ROW = WORDS + 3  # the first of the chunk
    COLUMN = WORDS + 4
    STEP = WORDS + 5  # of the inner dimension
    BLOCK_INNER = WORDS + 6
    INNER_BLOCKS = WORDS + 7  # in the chunk
    PANELS = WORDS + 8  # of A
    HEIGHT = WORDS + 9  # of the lower ones
    HIGHER = WORDS + 10  # how many are one row higher; they come first
    B_PANELS = WORDS + 11
    B_FROM = WORDS + 12  # the first that is packed
    A_UNITS = WORDS + 13  # panels of A to pack, times blocks of the inner dimension
    BLOCK_PANELS = WORDS + 14  # panels of B in a block of C
    GROUPS = WORDS + 15  # blocks of C below each other
    A_PACKED = WORDS + 16
    B_PACKED = WORDS + 17
    ADDS_NOW = WORDS + 18


_JOB_WORDS = WORDS + len(Job)


def split_name(tiles: Tiles) -> str:
    return f"contract.split.{tiles.kind}"


def single_name(tiles: Tiles) -> str:
    return f"contract.single.{tiles.kind}"


def emit_single(module: Module, tiles: Tiles) -> None:
    """All functions of one product."""
    micro.emit_micro_kernels(module, tiles)
    pack.emit_pack(module, tiles)
    _emit_split(module, tiles)
    _Panels(module, tiles).emit()
    _Blocks(module, tiles).emit()
    _Single(module, tiles).emit()


def _emit_split(module: Module, tiles: Tiles) -> None:
    """split(pool, fn, job, total, unit, work): the pool's `parallel`, or all at once without pool."""
    parameters = [("pool", "ptr"), ("fn", "ptr"), ("job", "ptr"), ("total", "i64"), ("unit", "i64")]
    parameters.append(("work", "i64"))
    f = module.function(split_name(tiles), parameters)
    no_pool = f.emit("icmp eq ptr %pool, null", "i1")

    def alone() -> None:
        f.do("call void %fn(ptr %job, ptr null, ptr null, i64 0, i64 %total)")

    def shared() -> None:
        function = f.load(f.field(f.parameters["pool"], PARALLEL), "ptr")
        f.do(
            f"call void {function.text}(ptr %pool, ptr %fn, ptr %job, ptr null, i64 %total, i64 %unit, "
            "i64 %work, i64 0)"
        )

    f.either(no_pool, alone, shared)
    f.do("ret void")


class _Shared:
    """A function over a range of pieces of a job."""

    title = ""

    def __init__(self, module: Module, tiles: Tiles) -> None:
        self.tiles, self.kind = tiles, tiles.kind
        self.f: Function = module.function(self.name_of(tiles), [("job", "ptr"), *RANGE[1:]])
        self.job = Words(self.f, self.f.parameters["job"])

    @classmethod
    def name_of(cls, tiles: Tiles) -> str:
        return f"contract.{cls.title}.{tiles.kind}"

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))

    def at(self, pointer: Value, index: Int) -> Value:
        return self.f.offset(pointer, index.value, self.kind)

    def emit(self) -> None:
        every(self.f, self.range("start"), self.range("stop"), 1, self.piece)
        self.f.do("ret void")

    def range(self, end: str) -> Int:
        return Int(self.f, self.f.parameters[end])

    def piece(self, index: Int) -> None:
        raise NotImplementedError

    # ---- where things are ---------------------------------------------------------------------------

    def inner_block(self, number: Int) -> tuple[Int, Int]:
        """The first step of a block of the inner dimension, in its chunk, and its length."""
        first = number * self.job[Job.BLOCK_INNER]
        return first, self.job[Job.BLOCK_INNER].at_most(self.job[Job.CHUNK_INNER] - first)

    def panel(self, number: Int) -> tuple[Int, Int]:
        """The first row of a panel of A, in its chunk, and its height."""
        higher = self.job[Job.HIGHER]
        height = self.job[Job.HEIGHT]
        one_more = Int(self.f, literal(1, "i64")).where(number < higher, 0)
        return number * height + number.at_most(higher), height + one_more

    def a_source(self, row: Int, step: Int) -> Value:
        job = self.job
        by_row = (job[Job.ROW] + row) * job[Request.A_ROW]
        return self.at(job.pointer(Request.A), by_row + (job[Job.STEP] + step) * job[Request.A_COLUMN])

    def b_source(self, column: Int, step: Int) -> Value:
        job = self.job
        by_row = (job[Job.STEP] + step) * job[Request.B_ROW]
        return self.at(job.pointer(Request.B), by_row + (job[Job.COLUMN] + column) * job[Request.B_COLUMN])

    def a_packed(self, number: Int, row: Int, block: Int, step: Int, inner: Int) -> Value:
        """A panel of A; behind each, there is a register's room for what packing spills."""
        job = self.job
        before = (block * job[Job.PANELS] + number) * self.tiles.lanes
        return self.at(job.pointer(Job.A_PACKED), step * job[Job.CHUNK_ROWS] + row * inner + before)

    def b_packed(self, number: Int, step: Int, inner: Int) -> Value:
        job = self.job
        first = job[Job.B_FROM]
        before = (step * (job[Job.B_PANELS] - first) + (number - first) * inner) * self.tiles.columns
        return self.at(job.pointer(Job.B_PACKED), before)


class _Panels(_Shared):
    """Packs panels: those of A, then those of B."""

    title = "panels"

    def piece(self, index: Int) -> None:
        units = self.job[Job.A_UNITS]
        self.f.either(index < units, lambda: self._of_a(index), lambda: self._of_b(index - units))

    def _of_a(self, index: Int) -> None:
        job = self.job
        panels = job[Job.PANELS]
        block, number = index // panels, index % panels
        (row, height), (step, inner) = self.panel(number), self.inner_block(block)
        to = self.a_packed(number, row, block, step, inner)
        by = job[Request.A_ROW], job[Request.A_COLUMN]
        self._pack(to, height, height, self.a_source(row, step), *by, inner)

    def _of_b(self, index: Int) -> None:
        job = self.job
        panels = job[Job.B_PANELS] - job[Job.B_FROM]
        block, number = index // panels, job[Job.B_FROM] + index % panels
        step, inner = self.inner_block(block)
        columns = self.tiles.columns
        column = number * columns
        width = (job[Job.CHUNK_COLUMNS] - column).at_most(columns)
        to, by = self.b_packed(number, step, inner), (job[Request.B_COLUMN], job[Request.B_ROW])
        self._pack(to, self.number(columns), width, self.b_source(column, step), *by, inner)

    def _pack(
        self, to: Value, to_step: Int, width: Int, source: Value, lane_step: Int, inner_step: Int, inner: Int
    ) -> None:
        call(self.f, pack.name(self.tiles), to, to_step, width, source, lane_step, inner_step, inner)


class _Blocks(_Shared):
    """Computes blocks of C."""

    title = "blocks"

    def piece(self, index: Int) -> None:
        job = self.job
        groups, panels = job[Job.GROUPS], job[Job.PANELS]
        block, group = index // groups, index % groups
        first = block * job[Job.BLOCK_PANELS]
        last = (first + job[Job.BLOCK_PANELS]).at_most(job[Job.B_PANELS])
        top, bottom = group * panels // groups, (group + 1) * panels // groups

        def inner_block(number: Int) -> None:
            step, inner = self.inner_block(number)
            adds = job[Job.ADDS_NOW].where(number.equals(0), 1)
            every(self.f, top, bottom, 1, lambda p: self._panel(p, first, last, number, step, inner, adds))

        every(self.f, self.number(0), job[Job.INNER_BLOCKS], 1, inner_block)

    def _panel(
        self, number: Int, first: Int, last: Int, block: Int, step: Int, inner: Int, adds: Int
    ) -> None:
        """A panel of A and those of B from first to last."""
        f, job, columns = self.f, self.job, self.tiles.columns
        row, height = self.panel(number)
        is_packed = job[Job.A_UNITS] > 0
        packed = self.a_packed(number, row, block, step, inner)
        a = self._select(is_packed, packed, self.a_source(row, step))
        a_step = height.where(is_packed, job[Request.A_COLUMN])
        c_row = job[Request.C_ROW]
        c = self.at(job.pointer(Request.C), (job[Job.ROW] + row) * c_row + job[Job.COLUMN])
        alpha = f.load(f.field(job.pointer_to(Request.ALPHA), 0), self.kind)
        whole = (job[Job.CHUNK_COLUMNS] // columns).at_most(last)
        kernels = f.field(Value(f"@{micro.table(self.tiles)}", "ptr"), 0)
        here = f.offset(kernels, ((height - 1) * self.tiles.vectors).value, "ptr")
        full = f.load(f.field(here, 8 * (self.tiles.vectors - 1)), "ptr")

        def tile(kernel: Value, panel: Int, width: Int) -> None:
            in_place = panel < job[Job.B_FROM]
            b = self._select(
                in_place, self.b_source(panel * columns, step), self.b_packed(panel, step, inner)
            )
            b_step = job[Request.B_ROW].where(in_place, columns)
            at = self.at(c, panel * columns)
            call(f, kernel, a, a_step, b, b_step, at, c_row, inner, alpha, adds, width)

        every(f, first, whole, 1, lambda panel: tile(full, panel, self.number(columns)))

        def ragged() -> None:
            width = job[Job.CHUNK_COLUMNS] - whole * columns
            vectors = width.up_over(self.tiles.lanes)
            kernel = f.load(f.offset(here, (vectors - 1).value, "ptr"), "ptr")
            tile(kernel, whole, width)

        f.when(whole < last, ragged)

    def _select(self, condition: Value, a: Value, b: Value) -> Value:
        return self.f.emit(f"select i1 {condition.text}, ptr {a.text}, ptr {b.text}", "ptr")


class _Single:
    """One product: lays out chunks, takes memory, goes through the chunks."""

    def __init__(self, module: Module, tiles: Tiles) -> None:
        self.module, self.tiles = module, tiles
        self.f: Function = module.function(single_name(tiles), [("pool", "ptr"), ("request", "ptr")])
        f = self.f
        self.job = Words(f, f.volatile(f"alloca [{_JOB_WORDS} x i64], align 64", "ptr"))
        self.request = Words(f, f.parameters["request"])
        self.rows, self.columns, self.inner = (
            self.request[w] for w in (Request.ROWS, Request.COLUMNS, Request.INNER)
        )

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))

    def emit(self) -> None:
        f = self.f
        for word in Request:
            self.job[word] = self.request[word]
        self._plan()
        self._with_memory()
        f.do("ret void")

    def _plan(self) -> None:
        """How large chunks and blocks are, and what is packed."""
        tiles, job, inner = self.tiles, self.job, self.inner
        blocks = inner.up_over(tiles.inner).at_least(1)
        length = self._unless_one(blocks, lambda: inner.up_over(blocks).up_to(8), inner)
        # A chunk: some blocks of the inner dimension, so many rows of A and columns of B that each fits.
        longer = self.rows.at_least(self.columns).at_least(1)
        fits = self.number(tiles.packed)
        many = self.f.choose(
            inner * longer <= fits,
            lambda: blocks.value,
            lambda: (fits // (longer * length)).at_least(1).at_most(blocks).value,
        )
        chunk = (Int(self.f, many) * length).at_most(inner)
        most = (fits // chunk.at_least(1)).at_least(tiles.columns)
        job[Job.BLOCK_INNER] = length
        job[Job.CHUNK_INNER] = chunk
        job[Job.CHUNK_ROWS] = self.rows.at_most(most)
        job[Job.CHUNK_COLUMNS] = self.columns.at_most(most // tiles.columns * tiles.columns)

    def _unless_one(self, count: Int, otherwise: Callable[[], Int], value: Int) -> Int:
        made = self.f.choose(count <= 1, lambda: value.value, lambda: otherwise().value)
        return Int(self.f, made)

    def _with_memory(self) -> None:
        """Room for the packed panels of the largest chunk: on the stack if it is small."""
        tiles, job, f = self.tiles, self.job, self.f
        rows, columns, inner = (job[w] for w in (Job.CHUNK_ROWS, Job.CHUNK_COLUMNS, Job.CHUNK_INNER))
        blocks = inner.up_over(job[Job.BLOCK_INNER].at_least(1))
        spilled = (rows.up_over(tiles.rows) + 1) * blocks * tiles.lanes
        of_a = (rows * inner + spilled).up_to(_LINE)
        of_b = columns.up_to(tiles.columns) * inner
        bytes_ = (of_a + of_b) * tiles.bytes + _LINE
        on_stack = bytes_ <= _STACK
        small = bytes_.where(on_stack, 0)
        stack = f.volatile(f"alloca i8, i64 {small.value.text}, align {_LINE}", "ptr")

        def take() -> Value:
            return f.volatile(f"call ptr @{TAKE}(i64 {bytes_.value.text})", "ptr")

        room = f.choose(on_stack, lambda: stack, take)
        job[Job.A_PACKED] = room
        job[Job.B_PACKED] = f.offset(room, of_a.value, tiles.kind)
        f.when(f.emit(f"icmp eq ptr {room.text}, null", "i1"), self._without_memory)
        self._chunks()
        taken = self._both(bytes_ > _STACK, f.emit(f"icmp ne ptr {room.text}, null", "i1"))
        f.when(taken, lambda: call(f, GIVE, room))

    def _without_memory(self) -> None:
        """Chunks of one panel of A and of B: slow, but the same result."""
        tiles, job, f = self.tiles, self.job, self.f
        job[Job.CHUNK_ROWS], job[Job.CHUNK_COLUMNS] = tiles.rows, tiles.columns
        job[Job.CHUNK_INNER] = job[Job.BLOCK_INNER]
        of_a = (tiles.rows * (tiles.inner + 8) + 2 * tiles.lanes) * tiles.bytes
        of_b = tiles.columns * (tiles.inner + 8) * tiles.bytes
        room = f.volatile(f"alloca i8, i64 {of_a + of_b + 2 * _LINE}, align {_LINE}", "ptr")
        job[Job.A_PACKED] = room
        job[Job.B_PACKED] = f.field(room, -(-of_a // _LINE) * _LINE)

    def _chunks(self) -> None:
        f, job = self.f, self.job
        zero = self.number(0)
        chunk_rows, chunk_columns, chunk_inner = (
            job[w] for w in (Job.CHUNK_ROWS, Job.CHUNK_COLUMNS, Job.CHUNK_INNER)
        )
        adds = self.request[Request.ADDS]

        def steps(step: Int) -> None:
            length = chunk_inner.at_most(self.inner - step)
            job[Job.STEP], job[Job.CHUNK_INNER] = step, length
            job[Job.INNER_BLOCKS] = length.up_over(job[Job.BLOCK_INNER])
            job[Job.ADDS_NOW] = adds.where(step.equals(0), 1)

            def columns(column: Int) -> None:
                job[Job.COLUMN] = column
                job[Job.CHUNK_COLUMNS] = chunk_columns.at_most(self.columns - column)

                def rows(row: Int) -> None:
                    job[Job.ROW], job[Job.CHUNK_ROWS] = row, chunk_rows.at_most(self.rows - row)
                    self._chunk(row)

                every(f, zero, self.rows, chunk_rows, rows)

            every(f, zero, self.columns, chunk_columns, columns)

        every(f, zero, self.inner, chunk_inner, steps)

    def _chunk(self, row: Int) -> None:
        """Pack what is to be packed, then compute."""
        tiles, job, f = self.tiles, self.job, self.f
        rows, columns, inner = job[Job.CHUNK_ROWS], job[Job.CHUNK_COLUMNS], job[Job.CHUNK_INNER]
        panels, width = rows.up_over(tiles.rows), tiles.columns
        job[Job.PANELS], job[Job.HEIGHT], job[Job.HIGHER] = panels, rows // panels, rows % panels
        b_panels = columns.up_over(width)
        job[Job.B_PANELS] = b_panels
        inner_blocks = job[Job.INNER_BLOCKS]
        is_small = rows * inner <= _SMALL
        stays = self._both(job[Request.A_ROW].equals(1), self._or(is_small, b_panels <= _FEW))
        a_units = self.number(0).where(stays, panels * inner_blocks)
        job[Job.A_UNITS] = a_units
        is_small = self._both(columns * inner <= _SMALL, rows < _PACK_FROM)
        in_place = self._both(job[Request.B_COLUMN].equals(1), self._or(is_small, panels <= 1))
        is_ragged = (columns % tiles.lanes).differs(0)
        first = (columns // width).where(is_ragged, b_panels).where(in_place, 0)
        job[Job.B_FROM] = first
        b_units = ((b_panels - first) * inner_blocks).where(row.equals(0), 0)
        # Blocks of C: as many columns as the second cache takes, less where there would be too few blocks.
        each = b_panels.up_over(_BLOCKS // 2).at_most(tiles.block // width)
        blocks = b_panels.up_over(each)
        groups = (_BLOCKS + blocks - 1) // blocks
        groups = groups.at_most(panels)
        job[Job.BLOCK_PANELS], job[Job.GROUPS] = each, groups
        packed = a_units * tiles.rows + b_units * width
        units = a_units + b_units
        pack_work = packed * job[Job.BLOCK_INNER] * _PACKING
        f.when(units > 0, lambda: self._share(_Panels, units, pack_work))
        work = (rows * columns * inner).up_over(_PRODUCTS)
        self._share(_Blocks, blocks * groups, work)

    def _share(self, what: type[_Shared], total: Int, work: Int) -> None:
        f = self.f
        function = Value(f"@{what.name_of(self.tiles)}", "ptr")
        pool, unit = f.parameters["pool"], self.number(1)
        call(f, split_name(self.tiles), pool, function, self.job.at, total, unit, work)

    def _both(self, a: Value, b: Value) -> Value:
        return self.f.emit(f"and i1 {a.text}, {b.text}", "i1")

    def _or(self, a: Value, b: Value) -> Value:
        return self.f.emit(f"or i1 {a.text}, {b.text}", "i1")
