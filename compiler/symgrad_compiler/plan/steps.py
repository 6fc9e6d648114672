"""What a plan is made of: memory, and the steps that read and write it.

    Plan = storages + steps          in order; every step reads what earlier steps wrote
    Step = Kernel                    a loop nest: loads, scalar code, reductions, stores
         | MatMulStep                a product of matrices
         | ConvolutionStep           a convolution, or its gradient for an operand
         | ScanStep                  a cumulative op: a loop along an axis that carries a value
         | BoundsCheck               an index tensor, or a slice, against the size of an axis
         | SortStep                  the indices that sort an axis
         | SearchStep                where values belong in sorted rows
         | FillStep                  memory set to one number
         | MatrixStep                a factor of matrices, or a triangular system: LAPACK
         | Callback                  an op without native form: its NumPy form, called from native code
         | RowLoop                   kernels that run block of rows by block of rows

A `Storage` is contiguous memory; an `Access` is a layout in one. Nothing here knows LLVM.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy

from symgrad.dims import Dim, Shape, Size, Symbol
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Node, Shared, Tensor
from symgrad.ir.values import ArrayData, Scalar
from symgrad.ops.strided import Strided
from symgrad.records import record
from symgrad.types import DType
from symgrad_compiler.plan.arena import Arena
from symgrad_compiler.plan.finite import Need
from symgrad_compiler.plan.geometry import Convolution

#: Kinds of storage. Iota is memory that needs none: the element at position p is p.
INPUT, OUTPUT, STATE, SPARE, CONSTANT, ARENA, IOTA = (
    "input",
    "output",
    "state",
    "spare",
    "constant",
    "arena",
    "iota",
)


@dataclass(eq=False)
class Storage:
    """Memory for `size` elements in a row. `index` counts within the kind; in the arena it is a slot."""

    kind: str
    dtype: DType
    size: Dim
    index: int = -1
    label: str = ""

    def __str__(self) -> str:
        return self.label or f"{self.kind}{self.index}"


@record
class Access:
    """A layout in a storage."""

    storage: Storage
    layout: Strided


@record
class Number:
    """A known number in the place of memory."""

    value: Scalar


@record
class SizeNumber:
    """A size in the place of memory, as an int64."""

    size: Dim


def size_of_loop(name: str) -> Size:
    """A size that native code sets as it runs; its name is none that a user can give."""
    return Size([(((Symbol(name), 1),), 1)])


Source: TypeAlias = Access | Number | SizeNumber


@record
class Index:
    """Indices found in memory, of an axis of `size` whose elements are `stride` apart."""

    access: Access
    stride: Dim
    size: Dim


@record
class Gather:
    """Elements at indices: layout position + sum of index * stride."""

    storage: Storage
    layout: Strided
    indices: tuple[Index, ...]


@record
class Reduction:
    """A reduction of a kernel's value over some axes of its space."""

    node: Node
    kind: str
    value: Tensor
    axes: tuple[int, ...]

    @property
    def tensor(self) -> Tensor:
        return self.node.outputs[0]


def identity(kind: str, dtype: DType) -> float | int:
    """What a reduction of a kind starts from."""
    if kind == "add":
        return 0
    if kind == "multiply":
        return 1
    low = kind in ("maximum", "argmax")
    if dtype.kind == "float":
        return -math.inf if low else math.inf
    if dtype.kind == "bool":
        return 0 if low else 1
    limits = numpy.iinfo(dtype.numpy)
    return int(limits.min if low else limits.max)


@record
class Scatter:
    """Brings a kernel's value into memory at indices, by the `mode` of `symgrad.ops.scatter`."""

    value: Tensor
    storage: Storage
    layout: Strided
    indices: tuple[Index, ...]
    mode: str


@dataclass(eq=False)
class Kernel:
    """A loop nest over `space`: `nodes` are computed element by element, in registers."""

    space: Shape
    nodes: list[Node] = field(default_factory=list)
    sources: dict[Tensor, Source] = field(default_factory=dict)
    gathers: dict[Tensor, Gather] = field(default_factory=dict)
    reductions: list[Reduction] = field(default_factory=list)
    #: Elementwise results: value -> where it goes, laid out over the space.
    stores: list[tuple[Tensor, Access]] = field(default_factory=list)
    #: Reduced results: where they go, laid out over the axes that are kept.
    results: list[tuple[Reduction, Access]] = field(default_factory=list)
    scatters: list[Scatter] = field(default_factory=list)
    weight: int = 0
    #: In a loop over rows: what results are combined with is in memory, and, of sums, what additions lost.
    lost: dict[Reduction, Access] | None = None

    def computes(self, tensor: Tensor) -> bool:
        """Whether the tensor is a value of each element here."""
        return tensor in self._values

    def __post_init__(self) -> None:
        self._values: set[Tensor] = set()

    def add(self, node: Node) -> None:
        """Take in an elementwise node."""
        self.nodes.append(node)
        self._values.update(node.outputs)

    def prune(self) -> None:
        """Drop what no result needs."""
        needed = (
            {t for t, _ in self.stores}
            | {r.value for r in self.reductions}
            | {s.value for s in self.scatters}
        )
        kept = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.outputs):
                kept.append(node)
                needed.update(() if node.outputs[0] in self.gathers else node.inputs)
        self.nodes = kept[::-1]
        self.sources = {t: s for t, s in self.sources.items() if t in needed}
        self.gathers = {t: g for t, g in self.gathers.items() if t in needed}

    def reads(self) -> Iterator[Access]:
        for source in self.sources.values():
            if isinstance(source, Access):
                yield source
        indexed: list[Gather | Scatter] = [*self.gathers.values(), *self.scatters]
        for each in indexed:
            yield Access(each.storage, each.layout)
            for index in each.indices:
                yield index.access
        if self.lost is not None:
            yield from self.lost.values()
            yield from (access for _, access in self.results)

    def writes(self) -> Iterator[Access]:
        for _, access in (*self.stores, *self.results):
            yield access
        for scatter in self.scatters:
            yield Access(scatter.storage, scatter.layout)
        if self.lost is not None:
            yield from self.lost.values()


@dataclass(eq=False)
class MatMulStep:
    """out = a b, batch by batch; or, of one matrix, out += factor a b."""

    node: Node
    strong: str
    a: Access
    b: Access
    out: Access
    factor: float | None = None
    #: Not in a loop over rows: the whole result is looked at when the step is done.
    alone: bool = False
    #: All that reads the result reduces its rows.
    reduced: bool = False
    #: In a loop over rows: what the rows are to it (`row_products.Role`). Those of the next round lie behind
    #: those of its tall operand.
    tall: Literal["", "rows", "sum"] = ""

    def reads(self) -> Iterator[Access]:
        yield self.a
        yield self.b
        if self.factor is not None:
            yield self.out

    def writes(self) -> Iterator[Access]:
        yield self.out


def others_of(strong: str) -> tuple[int, ...]:
    """The operands of a product (0: a, 1: b) beside which zeros of the other are strong: where they are
    finite, all zeros are the same."""
    return tuple(which for which, letter in ((0, "b"), (1, "a")) if letter in strong)


@dataclass(eq=False)
class MatrixStep:
    """A factor of matrices, or the solution of systems, batch by batch; all memory is row-major, but for
    operands of what is `unrolled`."""

    node: Node
    operands: tuple[Access, ...]
    outs: tuple[Access, ...]
    unrolled: bool
    scratch: Access | None = None

    def reads(self) -> Iterator[Access]:
        yield from self.operands

    def writes(self) -> Iterator[Access]:
        yield from self.outs
        if self.scratch is not None:
            yield self.scratch


@dataclass(eq=False)
class ConvolutionStep:
    """A convolution of `images` images, or its gradient for an operand; all memory is channels last, without
    gaps. Zeros of the operands in `strong` ("ab") are strong."""

    node: Node
    convolution: Convolution
    images: Dim
    strong: str
    a: Access
    b: Access
    out: Access
    #: Memory that the step needs for itself.
    room: Storage | None
    #: What is computed of each element of the result before it is stored, and stored in its place: a kernel
    #: whose operands lie as the result does, or are one number for each channel.
    epilogue: Kernel | None = None

    def reads(self) -> Iterator[Access]:
        yield self.a
        yield self.b
        if self.epilogue is not None:
            yield from (a for a in self.epilogue.reads() if a.storage is not self.out.storage)

    def writes(self) -> Iterator[Access]:
        if self.epilogue is None:
            yield self.out
        else:
            yield from self.epilogue.writes()
        if self.room is not None:
            yield Access(self.room, Strided.contiguous((self.room.size,)))


@dataclass(eq=False)
class ScanStep:
    """Along `axis`, each element of `out` from what came before: `kind` combines ("add", "multiply",
    "maximum", "minimum"; "recurrence" of two operands), `mode` says what is written ("plain", "lagged",
    "exclusive", see `ops.cumulative`)."""

    node: Node
    kind: str
    operands: tuple[Access, ...]
    out: Access
    axis: int
    reverse: bool
    mode: str

    def reads(self) -> Iterator[Access]:
        yield from self.operands

    def writes(self) -> Iterator[Access]:
        yield self.out


@dataclass(eq=False)
class Check:
    """Something that must hold of a node, or the call fails: one of the classes of `checks.py`."""

    node: Node
    #: Of the operand that is checked.
    axis: int = field(default=0, kw_only=True)

    def reads(self) -> Iterator[Access]:
        yield from ()

    def writes(self) -> Iterator[Access]:
        yield from ()


@dataclass(eq=False)
class FillStep:
    """Zeros."""

    out: Access

    def reads(self) -> Iterator[Access]:
        yield from ()

    def writes(self) -> Iterator[Access]:
        yield self.out


@dataclass(eq=False)
class SortStep:
    """The positions that sort `keys` along an axis, in memory for two rows of keys and of positions; of these
    the ones at `ranks`, or the `first`: there is memory for all, which nobody reads."""

    node: Node
    axis: int
    descending: bool
    keys: Access
    out: Access
    #: Two rows of keys, as integers of their size, and two of positions.
    rows: tuple[Storage, Storage, Storage, Storage]
    ranks: Access | None = None
    first: int | None = None

    def reads(self) -> Iterator[Access]:
        yield self.keys
        if self.ranks is not None:
            yield self.ranks

    def writes(self) -> Iterator[Access]:
        yield self.out
        for row in self.rows:
            yield Access(row, Strided.contiguous((row.size,)))


@dataclass(eq=False)
class SearchStep:
    """Where each of `values` belongs in a sorted row, before what equals it (`side` "left") or behind. The
    axes of `row` but the last are the first ones of the others, too."""

    node: Node
    side: str
    row: Access
    values: Access
    out: Access

    def reads(self) -> Iterator[Access]:
        yield self.row
        yield self.values

    def writes(self) -> Iterator[Access]:
        yield self.out


@dataclass(eq=False)
class Callback:
    """A node without native form."""

    node: Node
    operands: tuple[Source, ...]
    outs: tuple[Access, ...]

    def reads(self) -> Iterator[Access]:
        for source in self.operands:
            if isinstance(source, Access):
                yield source

    def writes(self) -> Iterator[Access]:
        yield from self.outs


@dataclass(eq=False)
class RowLoop:
    """Kernels that go through the same rows, run on `block` rows after `block` rows, so that what one hands
    to the next stays in the cache. Memory that only they touch has room for one block. Threads share the
    loop by chunks of `chunk` rows, whole blocks; sums over rows have memory for each chunk."""

    rows: Dim
    block: Dim
    chunk: Dim
    #: The steps over all rows, and the same over a block: its first row is `ROW`, its length `ROWS`; `CHUNK`
    #: is the number of its chunk.
    whole: tuple[RowStep, ...]
    body: tuple[RowStep, ...]
    #: What holds values of one block.
    local: frozenset[Storage]
    #: Whether threads may share it: no two chunks write the same memory.
    splits: bool = True

    @property
    def lost(self) -> list[Access]:
        """What sums over rows keep from block to block beside the sums."""
        return [a for s in self.body if isinstance(s, Kernel) for a in (s.lost or {}).values()]

    def reads(self) -> Iterator[Access]:
        for step in self.whole:
            yield from step.reads()
        yield from self.lost

    def writes(self) -> Iterator[Access]:
        for step in self.whole:
            yield from step.writes()
        yield from self.lost


#: The sizes that a loop over rows sets: they stand in offsets and spaces of its body.
ROW, ROWS = size_of_loop("row of the loop"), size_of_loop("rows of the loop")
CHUNK = size_of_loop("chunk of the loop")

RowStep: TypeAlias = Kernel | FillStep | MatMulStep
Step: TypeAlias = (
    Kernel
    | MatMulStep
    | MatrixStep
    | ConvolutionStep
    | ScanStep
    | SortStep
    | SearchStep
    | Check
    | FillStep
    | Callback
    | RowLoop
)


@dataclass(eq=False)
class Plan:
    """A program: what native code is generated from."""

    graph: Graph
    #: The symbolic sizes, in the order in which a call passes them.
    size_names: tuple[str, ...]
    steps: tuple[Step, ...]
    arena: Arena
    constants: tuple[ArrayData, ...]
    outputs: tuple[Storage, ...]
    #: The states whose new value goes to a spare array that then takes the place of the old one.
    spares: tuple[Shared, ...]
    #: The states that are written in place.
    in_place: tuple[Shared, ...]
    #: Of a guarded program: what each tensor must be.
    checks: Mapping[Tensor, Need] | None = None

    @property
    def callbacks(self) -> tuple[Callback, ...]:
        return tuple(s for s in self.steps if isinstance(s, Callback))
