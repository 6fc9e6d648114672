"""The loops around the micro-kernel: chunks, pieces, blocks, panels, tiles; and how threads share them.

    single(pool, request)      one product, by as many threads as the pool has; by one if the pool is null

C is cut into pieces, some columns of B wide and some panels of A high, which threads take in turn. In a
piece, each panel of A meets each panel of B (`pieces.py`).

Panels that are read often are packed where reading them as they lie would be slow: those of B piece by
piece, those of A first, by all threads, for all pieces: a chunk of A at a time that fits into the last cache.
A stays where it is if few panels of B meet it, and its rows do not meet in few places of the cache.

The inner dimension is cut by its length alone, and each element of C is summed up in that order, whoever does
it.
"""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract import direct, micro, pack
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.pieces import (
    JOB_WORDS,
    LINE,
    STACK,
    Job,
    Loops,
    Packs,
    Pieces,
    Shared,
)
from symgrad_compiler.backends.llvm.contract.request import Request
from symgrad_compiler.backends.llvm.contract.room import GIVE
from symgrad_compiler.backends.llvm.contract.tiles import Tiles
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.ir import Module, Value
from symgrad_runtime.threads import PARALLEL

#: Multiplications that are worth one of the simple operations by which the pool counts; and the operations
#: that one packed element is worth.
_PRODUCTS, _PACKING = 4, 4
#: Pieces of C at most, pieces beside each other, and the multiplications that are worth one.
_PIECES, _BESIDE, _PIECE = 16, 8, 2**18
#: Panels of A in a piece, from which there are pieces below each other; from which the first packs B.
_HIGH, _LEAD_FROM = 36, 3
#: Elements of an operand that is read in place although it would be faster packed; panels of B that are few
#: for a column of A, and columns of B that are few for a row of A.
_SMALL, _FEW, _SOME = 2**13, 4, 512
#: Rows from which rows of B without gaps are packed, however few they are.
_PACK_FROM = 96
#: Bytes of half of what the first cache has in one way.
_HALF = 2048


def split_name(tiles: Tiles) -> str:
    return f"contract.split.{tiles.kind}"


def single_name(tiles: Tiles) -> str:
    return f"contract.single.{tiles.kind}"


def emit_single(module: Module, tiles: Tiles) -> None:
    """All functions of one product."""
    micro.emit_micro_kernels(module, tiles)
    pack.emit_pack(module, tiles)
    _emit_split(module, tiles)
    Packs(module, tiles).emit()
    Pieces(module, tiles).emit()
    direct.emit_direct(module, tiles)
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


class _Single(Loops):
    """One product: goes through its chunks."""

    def __init__(self, module: Module, tiles: Tiles) -> None:
        super().__init__(tiles, module.function(single_name(tiles), [("pool", "ptr"), ("request", "ptr")]))
        f = self.f
        self.job = Words(f, f.volatile(f"alloca [{JOB_WORDS} x i64], align 64", "ptr"))
        self.request = Words(f, f.parameters["request"])
        self.rows, self.columns, self.inner = (
            self.request[w] for w in (Request.ROWS, Request.COLUMNS, Request.INNER)
        )

    def emit(self) -> None:
        f, request = self.f, self.request
        f.either(
            direct.is_direct(self, request),
            lambda: call(f, direct.direct_name(self.tiles), request.at),
            self._laid_out,
        )
        f.do("ret void")

    def _laid_out(self) -> None:
        f, job, tiles = self.f, self.job, self.tiles
        for word in Request:
            job[word] = self.request[word]
        blocks = self.inner.up_over(tiles.inner)
        length = Int(f, f.choose(blocks <= 1, lambda: self.inner.value, lambda: self._length(blocks).value))
        job[Job.BLOCK_INNER] = length
        job[Job.B_PANELS] = b_panels = self.columns.up_over(tiles.columns)
        job[Job.CHUNK_ROWS], job[Job.CHUNK_INNER] = self.rows, self.inner
        job[Job.A_PACKED] = job[Job.A_TAKEN] = Value("null", "ptr")
        job[Job.NARROW] = 0
        f.when(self.not_(self._a_stays(b_panels)), self._room_for_a)
        self._chunks(b_panels)
        taken = job.pointer(Job.A_TAKEN)
        f.when(self.not_(self.is_null(taken)), lambda: call(f, GIVE, taken))

    def _length(self, blocks: Int) -> Int:
        return self.inner.up_over(blocks).up_to(8)

    def _a_stays(self, b_panels: Int) -> Value:
        """Whether A is read where it is: a column of a panel, whose elements are side by side; or a row, if
        kernels can."""
        job, tiles = self.job, self.tiles
        small = self.rows * self.inner <= _SMALL
        stays = self.both(job[Request.A_ROW].equals(1), self.or_(small, b_panels <= _FEW))
        if not tiles.rows_apart:
            return stays
        line, half = LINE // tiles.bytes, _HALF // tiles.bytes
        apart = ((job[Request.A_ROW] + line // 2) & (half - 1)) >= line
        seldom = self.or_(b_panels <= 1, self.both(self.columns <= _SOME, apart))
        return self.or_(stays, self.both(job[Request.A_COLUMN].equals(1), self.or_(small, seldom)))

    def _room_for_a(self) -> None:
        """For the panels of a chunk of A; without memory, for the two that a narrow one has at most."""
        f, job, tiles = self.f, self.job, self.tiles
        fits, length = self.number(tiles.packed), job[Job.BLOCK_INNER]

        def some_blocks() -> Value:
            return (fits // (self.rows * length)).at_least(1).value

        all_ = self.rows * self.inner <= fits
        blocks = Int(f, f.choose(all_, lambda: self.inner.up_over(length).value, some_blocks))
        inner = (blocks * length).at_most(self.inner)
        some = (fits // inner).at_least(tiles.rows)
        rows = self.rows.where(all_, some.at_most(self.rows))
        job[Job.CHUNK_ROWS], job[Job.CHUNK_INNER] = rows, inner
        bytes_ = self._bytes(rows, inner)

        def on_stack() -> None:
            job[Job.A_PACKED] = self.stack(bytes_)

        def taken() -> None:
            room = self.take(bytes_)
            job[Job.A_PACKED] = job[Job.A_TAKEN] = room
            f.when(self.is_null(room), narrow)

        def narrow() -> None:
            job[Job.NARROW], job[Job.CHUNK_INNER] = 1, length
            most = self.number(2 * tiles.rows), self.number(tiles.inner + 8)
            job[Job.A_PACKED] = self.stack(self._bytes(*most))

        f.either(bytes_ <= STACK, on_stack, taken)

    def _bytes(self, rows: Int, inner: Int) -> Int:
        """Of packed panels; behind each, there is a register's room for what packing spills."""
        blocks = inner.up_over(self.job[Job.BLOCK_INNER].at_least(1))
        panels = rows.up_over(self.tiles.rows) * blocks
        return (rows * inner + panels * self.tiles.lanes) * self.tiles.bytes

    def _chunks(self, b_panels: Int) -> None:
        """All chunks. Narrow ones go panel by panel, through the last two at once: so panels are as high as
        they would be otherwise, and the bits the same."""
        f, job, tile = self.f, self.job, self.tiles.rows
        chunk_rows, chunk_inner = job[Job.CHUNK_ROWS], job[Job.CHUNK_INNER]
        zero, adds, is_narrow = self.number(0), job[Request.ADDS], job[Job.NARROW].differs(0)

        def steps(step: Int) -> None:
            length = chunk_inner.at_most(self.inner - step)
            job[Job.STEP], job[Job.CHUNK_INNER] = step, length
            job[Job.INNER_BLOCKS] = length.up_over(job[Job.BLOCK_INNER])
            job[Job.ADDS_NOW] = adds.where(step.equals(0), 1)

            def rows(row: Int) -> None:
                height = chunk_rows.at_most(self.rows - row)
                last = (height.up_over(tile) - 1).where(is_narrow, 1).at_least(1) - 1

                def some(number: Int) -> None:
                    above = number * tile
                    job[Job.ROW] = row + above
                    job[Job.CHUNK_ROWS] = (height - above).where(number.equals(last), tile)
                    self._chunk(b_panels)

                every(f, zero, last + 1, 1, some)

            every(f, zero, self.rows, chunk_rows, rows)

        every(f, zero, self.inner, chunk_inner, steps)

    def _chunk(self, b_panels: Int) -> None:
        """Pack what is to be packed of A, then compute."""
        tiles, job, f = self.tiles, self.job, self.f
        rows, inner = job[Job.CHUNK_ROWS], job[Job.CHUNK_INNER]
        panels = rows.up_over(tiles.rows)
        job[Job.PANELS] = panels
        units = panels * job[Job.INNER_BLOCKS]
        packing = rows * inner * _PACKING
        f.when(self.not_(self.is_null(job.pointer(Job.A_PACKED))), lambda: self._share(Packs, units, packing))
        # Pieces of C: as many columns as the second cache takes, less where there would be too few pieces.
        work = rows * self.columns * inner
        wanted = (work // _PIECE).at_least(1).at_most(_PIECES)
        groups = (panels // _HIGH).at_least(1).at_most(wanted)
        beside = wanted.up_over(groups).at_most(_BESIDE)
        fit = self.number(tiles.cache) // (job[Job.BLOCK_INNER] * (tiles.columns * tiles.bytes))
        each = b_panels.up_over(beside).at_most(fit).at_least(1)
        job[Job.BLOCK_PANELS], job[Job.GROUPS] = each, groups
        # Panels of B: in place, packed on the way, or packed before.
        has_lanes = job[Request.B_COLUMN].equals(1)
        is_small = self.both(self.columns * inner <= _SMALL, rows < _PACK_FROM)
        is_low = panels < groups * _LEAD_FROM
        in_place = self.both(has_lanes, self.or_(is_small, is_low))
        is_ragged = (self.columns & (tiles.lanes - 1)).differs(0)
        first = (self.columns // tiles.columns).where(is_ragged, b_panels).where(in_place, 0)
        job[Job.B_FROM] = first
        job[Job.LEADS] = self.flag(self.both(has_lanes, self.not_(in_place)))
        self._share(Pieces, b_panels.up_over(each) * groups, work.up_over(_PRODUCTS))

    def _share(self, what: type[Shared], total: Int, work: Int) -> None:
        f = self.f
        function = Value(f"@{what.name_of(self.tiles)}", "ptr")
        pool, unit = f.parameters["pool"], self.number(1)
        call(f, split_name(self.tiles), pool, function, self.job.at, total, unit, work)
