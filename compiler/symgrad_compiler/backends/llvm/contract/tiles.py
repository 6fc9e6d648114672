"""How large tiles, panels and blocks are.

A tile of C, `rows` x `vectors` registers, stays in registers while the micro-kernel goes through a block of
the inner dimension. Each of its steps reads `vectors` registers of B and multiplies them by `rows` numbers
of A: the more of both, the fewer loads a multiplication. A block of B (inner x columns) stays in the second
cache while the kernel goes through the panels of A (rows x inner).
"""

from __future__ import annotations

from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import BITS
from symgrad_compiler.backends.llvm.scalars import Machine

#: Rows and vectors of a tile: what fits into 32 registers of AVX-512 and NEON, 16 of AVX2; of SSE, which has
#: no fused multiply-add, one less for the products.
_AVX512, _NEON, _AVX2, _SSE = (14, 2), (8, 3), (6, 2), (5, 2)

#: Bytes of the second cache that a block of B may take.
_SECOND_CACHE = 520_000
#: Bytes of a row of A in a block of the inner dimension, at most: so that neither A and B nor C are read too
#: often.
_INNER = {"f32": 3200, "f64": 4096}


@record
class Tiles:
    """The sizes for one kind of float."""

    kind: str
    machine: Machine
    rows: int
    vectors: int
    #: Of the inner dimension in a block, at most.
    inner: int
    #: Bytes of packed panels of B at once, at most.
    cache: int
    #: Elements of A that are packed at once, at most.
    packed: int

    @property
    def bytes(self) -> int:
        return BITS[self.kind] // 8

    @property
    def lanes(self) -> int:
        return self.machine.vector_bytes // self.bytes

    @property
    def rows_apart(self) -> bool:
        """Whether kernels read rows of A that lie apart: on x86, scaled registers in addresses are free."""
        return not (self.machine.vector_bytes == 16 and self.machine.has_fma)

    @property
    def columns(self) -> int:
        """Of a tile."""
        return self.vectors * self.lanes


def tiles(kind: str, machine: Machine) -> Tiles:
    """The sizes for a machine."""
    if machine.has_avx512:
        rows, vectors = _AVX512
    elif machine.vector_bytes == 32:
        rows, vectors = _AVX2
    else:
        rows, vectors = _NEON if machine.has_fma else _SSE
    bytes_ = BITS[kind] // 8
    inner = _INNER[kind] // bytes_
    return Tiles(kind, machine, rows, vectors, inner, cache=_SECOND_CACHE, packed=2**23 // bytes_)
