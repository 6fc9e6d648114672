"""The gradient for the weights: d_w[t, c, o] = sum over n, i of x[n, i s + t d - low, c] g[n, i, o].

    tiles(job, places, own, start, stop)      some tasks: tiles of the result, over some of the images
    add(job, places, own, start, stop)        some of the result: the sum of what was found for each chunk

Blocks of images and places (`weight_tiles.py`) are dealt to chunks, each with a result of its own; these are
added up in their order. A task is a part of the tiles, over a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.words import Words, call, every
from symgrad_compiler.backends.llvm.convolve.cutting import Placed
from symgrad_compiler.backends.llvm.convolve.sharing import job_of, share
from symgrad_compiler.backends.llvm.convolve.tile import tile_function
from symgrad_compiler.backends.llvm.convolve.weight_tiles import Tiles
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.lanes import read, write
from symgrad_compiler.backends.llvm.scalars import Code, Machine
from symgrad_compiler.backends.llvm.splitting import RANGE
from symgrad_compiler.plan.geometry import Axis, Convolution

#: Elements of a piece of the sum of what chunks found.
_PIECE = 4096
_ONE = literal(1, "i64")


class Job(IntEnum):
    """The words of a job."""

    X = 0
    G = 1
    TO = 2
    IMAGES = 3
    BLOCKS = 4
    CHUNKS = 5


def emit_weights(f: Function, convolution: Convolution, machine: Machine, name: str) -> None:
    """The body of the function of a convolution, and the functions that it calls."""
    _Weights(f.module, Tiles(convolution, machine), machine, name).emit(f)


class _Weights:
    def __init__(self, module: Module, tiles: Tiles, machine: Machine, name: str) -> None:
        self.module, self.cut, self.machine, self.name = module, tiles, machine, name
        self.c, self.bytes = tiles.c, tiles.bytes

    def emit(self, f: Function) -> None:
        p = f.parameters
        parts, chunks = self.c.cut
        images = Int(f, p["images"])
        many, places = self.cut.block
        blocks = images.up_over(many) * -(-max(1, self.cut.outer[0].out) // places)
        used = blocks.at_most(chunks).at_least(1)
        several = used > 1
        to = f.emit(f"select i1 {several.text}, ptr {p['room'].text}, ptr {p['c'].text}", "ptr")
        job = job_of(f, [p["a"], p["b"], to, images.value, blocks.value, used.value])
        self._emit_tiles(f"{self.name}.tiles")
        share(f, f"{self.name}.tiles", job, used * parts, images * self.c.work)
        if chunks > 1:
            self._emit_add(f"{self.name}.add")
            pieces = -(-self.c.weights // _PIECE)
            job = job_of(f, [p["room"], p["c"], used.value])
            total = Int(f, literal(pieces, "i64"))
            f.when(several, lambda: share(f, f"{self.name}.add", job, total, used * self.c.weights))

    # ---- code ---------------------------------------------------------------------------------------

    def _emit_tiles(self, name: str) -> None:
        f = self.module.function(name, [("job", "ptr"), *RANGE[1:]])
        job = Words(f, f.parameters["job"])
        parts, _ = self.c.cut
        many, places = self.cut.block
        images, blocks, chunks = job[Job.IMAGES], job[Job.BLOCKS], job[Job.CHUNKS]
        rows = -(-max(1, self.cut.outer[0].out) // places)
        size = self.c.weights * self.bytes

        def task(index: Int) -> None:
            part, chunk = index % parts, index // parts
            first, last = part * self.cut.all_tiles // parts, (part + 1) * self.cut.all_tiles // parts
            low = chunk * blocks // chunks
            high = (chunk + 1) * blocks // chunks
            to = f.offset(job.pointer(Job.TO), (chunk * size).value, "i8")

            def block(number: Int) -> None:
                n = number // rows * many
                i = number % rows * places
                count = (images - n).at_most(many).where(number < high, 0)
                adds = Int(f, literal(1, "i64")).where(number > low, 0)
                every(f, first, last, 1, lambda t: self._tile(f, job, t, to, adds, (n, count), i))

            # At least one block, for the zeros of an empty sum.
            every(f, low, high.at_least(low + 1), 1, block)

        every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, task)
        f.do("ret void")

    def _either_panel(self, f: Function, panel: Int, some: Callable[[int], None]) -> None:
        """Code for a panel of so many columns: the last one may have fewer."""
        width = self.cut.width
        if width.panels == 1:
            some(width.last)
        elif width.last == width.panel:
            some(width.panel)
        else:
            f.either(panel.equals(width.panels - 1), lambda: some(width.last), lambda: some(width.panel))

    def _tile(
        self,
        f: Function,
        job: Words,
        index: Int,
        to: Value,
        adds: Int,
        images: tuple[Int, Int],
        place: Int,
    ) -> None:
        """One tile, over one block."""
        cut, width, places = self.cut, self.cut.width, self.cut.block[1]
        number, rest = index % cut.each, index // cut.each
        x = f.offset(job.pointer(Job.X), (images[0] * cut.a_steps[-1]).value, "i8")
        x = f.field(x, -cut.last.low * cut.a_steps[len(cut.outer)])
        g = f.offset(job.pointer(Job.G), (images[0] * cut.b_steps[-1]).value, "i8")
        counts = [images[1]]
        taps, many = Int(f, literal(0, "i64")), 1
        for i, axis in reversed(list(enumerate(cut.outer))):
            tap = Int(f, literal(0, "i64"))
            if cut.outer_taps:
                tap, rest = rest % axis.taps, rest // axis.taps
                taps = taps + tap * many
                many *= axis.taps
            low, high = _results_of(axis, tap)
            if i == 0:
                low, high = low.at_least(place), high.at_most(place + places)
            counts.insert(1, (high - low).at_least(0))
            element = low * axis.stride + tap * axis.dilation - axis.low
            x = f.offset(x, (element * cut.a_steps[i]).value, "i8")
            g = f.offset(g, (low * cut.b_steps[i]).value, "i8")
        to = f.offset(to, (taps * (len(cut.rows) * self.c.features * self.bytes)).value, "i8")
        panel, group = rest % width.panels, rest // width.panels
        at = (group * cut.features + panel * width.panel) * self.bytes
        to, g = f.offset(to, at.value, "i8"), f.offset(g, at.value, "i8")
        channel = at if self.c.is_depthwise else group * (cut.channels * self.bytes)
        x = f.offset(x, channel.value, "i8")

        def some(columns: int) -> None:
            self._select(f, number, cut.tiles(columns), x, g, to, [adds, *counts])

        self._either_panel(f, panel, some)

    def _select(
        self, f: Function, number: Int, tiles: list[Placed], x: Value, g: Value, to: Value, rest: list[Int]
    ) -> None:
        """Call the tile of a number: equal ones are called at one place."""
        tables = {}
        for title, values in (("a", [t.a for t in tiles]), ("c", [t.c for t in tiles])):
            listed = ", ".join(f"i64 {v}" for v in values)
            text = f"constant [{len(values)} x i64] [{listed}], align 8"
            table = f"@{self.name}.{title}{tiles[0].tile.columns}"
            self.module.declare(f"{table} = private {text}")
            at = f.offset(Value(table, "ptr"), number.value, "i64")
            tables[title] = f.load(at, "i64")
        x, to = f.offset(x, tables["a"], "i8"), f.offset(to, tables["c"], "i8")
        kinds: dict[str, list[int]] = {}
        for i, placed in enumerate(tiles):
            kinds.setdefault(tile_function(self.module, placed.tile, self.machine), []).append(i)
        if len(kinds) == 1:
            call(f, next(iter(kinds)), x, g, to, *rest)
            return
        names = [next(n for n, numbers in kinds.items() if i in numbers) for i in range(len(tiles))]
        table = f"@{self.name}.f{tiles[0].tile.columns}"
        listed = ", ".join(f"ptr @{n}" for n in names)
        self.module.declare(f"{table} = private constant [{len(names)} x ptr] [{listed}], align 8")
        function = f.load(f.offset(Value(table, "ptr"), number.value, "ptr"), "ptr")
        call(f, function, x, g, to, *rest)

    def _emit_add(self, name: str) -> None:
        """The sum of the results of all chunks."""
        f = self.module.function(name, [("job", "ptr"), *RANGE[1:]])
        code = Code(f, machine=self.machine)
        job = Words(f, f.parameters["job"])
        source, to, chunks = job.pointer(0), job.pointer(1), job[2]
        kind, total = self.c.kind, self.c.weights
        lanes = self.machine.vector_bytes // self.bytes * 4  # several registers: additions overlap

        def at(pointer: Value, index: Int) -> Value:
            return f.offset(pointer, index.value, kind)

        def add(lanes: int) -> Callable[[Int], None]:
            def one(i: Int) -> None:
                def more(k: Value, carried: list[Value]) -> list[Value]:
                    here = at(source, i + Int(f, k) * total)
                    return [code.add(carried[0], read(code, here, _ONE, kind, lanes, None))]

                first = read(code, at(source, i), _ONE, kind, lanes, None)
                (value,) = f.loop(_ONE, chunks.value, _ONE, [first], more)
                write(code, value, at(to, i), _ONE, lanes, None)

            return one

        def piece(index: Int) -> None:
            first = index * _PIECE
            last = (first + _PIECE).at_most(total)
            whole = first + (last - first) // lanes * lanes
            every(f, first, whole, lanes, add(lanes))
            every(f, whole, last, 1, add(1))

        every(f, Int(f, f.parameters["start"]), Int(f, f.parameters["stop"]), 1, piece)
        f.do("ret void")


def _results_of(axis: Axis, t: Int) -> tuple[Int, Int]:
    """`Axis.results_of`, at run time."""
    if axis.is_inside:
        zero = t - t
        return zero, zero + axis.out
    at = t * axis.dilation - axis.low
    low = (0 - at).at_least(0).up_over(axis.stride)
    reach = (axis.size - 1) - at
    high = reach.at_least(0) // axis.stride + 1
    return low, high.where(reach >= 0, 0).at_most(axis.out)
