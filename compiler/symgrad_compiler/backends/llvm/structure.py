"""Steps of one structure share code: what differs between them is where their memory starts.

An unrolled recurrence has the same few kernels and products in every step. They become one function, which
finds in a table, its second argument, for each stream of memory a word of the frame and the bytes from there;
in that of a product or a factor, they come behind the number of the step.
"""

from __future__ import annotations

from typing import Any

from symgrad.dims import Dim, Size
from symgrad.ir.tensor import Tensor
from symgrad_compiler.backends.llvm.axes import Streams
from symgrad_compiler.backends.llvm.frame import Frame
from symgrad_compiler.backends.llvm.ir import Function, Value
from symgrad_compiler.plan.steps import IOTA, Access, Index, Kernel, MatMulStep, MatrixStep, Number


def split(offset: Dim) -> tuple[int, Dim]:
    """An offset as a number, which may differ between kernels of one structure, and the rest."""
    if not isinstance(offset, Size):
        return offset, 0
    number = sum(c for monomial, c in offset.terms if not monomial)
    return number, offset - number


def places(kernel: Kernel, frame: Frame) -> list[tuple[int, int]]:
    """For each stream the word that points to its memory, and how many bytes further it starts."""
    found = []
    for storage, _, offset in Streams.of(kernel).layouts:
        if storage.kind == IOTA:
            found.append((0, 0))
            continue
        word, bytes_ = frame.place(storage)
        found.append((word, bytes_ + split(offset)[0] * storage.dtype.itemsize))
    return found


def structure(kernel: Kernel, frame: Frame) -> Any:
    """Equal for kernels that can share code."""
    streams = Streams.of(kernel)
    numbers: dict[Tensor, int] = {}
    for tensor in kernel.sources:
        numbers[tensor] = len(numbers)
    for node in kernel.nodes:
        for tensor in node.outputs:
            numbers.setdefault(tensor, len(numbers))
    memory: dict[Any, int] = {}

    def stream(storage: Any, strides: tuple[Dim, ...], offset: Dim) -> Any:
        if storage.kind == IOTA:
            return (IOTA, storage.dtype, strides, offset)
        alike = memory.setdefault(frame.place(storage), len(memory))  # which ones lie in the same memory
        return (storage.dtype, strides, split(offset)[1], alike)

    def indices(found: tuple[Index, ...]) -> Any:
        return tuple((i.stride, i.size) for i in found)

    values = {t: s for t, s in kernel.sources.items() if not isinstance(s, Access)}
    return (
        kernel.space,
        kernel.weight,
        tuple(stream(*layout) for layout in streams.layouts),
        tuple(
            (t.dtype, (s.value.dtype, s.value.bits) if isinstance(s, Number) else s)
            if (s := values.get(t)) is not None
            else t.dtype
            for t in kernel.sources
        ),
        tuple((n.op, tuple(numbers.get(t, -1) for t in n.inputs)) for n in kernel.nodes),
        tuple((numbers[t], indices(g.indices)) for t, g in kernel.gathers.items()),
        tuple((numbers[s.value], s.mode, indices(s.indices)) for s in kernel.scatters),
        tuple((r.kind, r.axes, r.value.dtype, numbers[r.value]) for r in kernel.reductions),
        tuple(numbers[t] for t, _ in kernel.stores),
        tuple(kernel.reductions.index(r) for r, _ in kernel.results),
        None if kernel.lost is None else tuple(kernel.reductions.index(r) for r in kernel.lost),
    )


def table_word(f: Function, index: int) -> Value:
    """A word of the table."""
    return f.emit(f"load i64, ptr {f.field(f.parameters['places'], 8 * index).text}, align 8", "i64")


def from_table(f: Function, entry: int) -> Value:
    """Where memory starts in this one of the steps that share the code: bytes behind what a word points to.
    The two are in the table, one after the other."""
    word, bytes_ = (table_word(f, entry + i) for i in range(2))
    slot = f.offset(f.parameters["frame"], word, "i64")
    return f.bytes_on(f.emit(f"load ptr, ptr {slot.text}, align 8", "ptr"), bytes_)


def accesses(step: MatMulStep | MatrixStep) -> tuple[Access, ...]:
    """All memory of a step."""
    if isinstance(step, MatMulStep):
        return step.a, step.b, step.out
    return (*step.operands, *step.outs, *([] if step.scratch is None else [step.scratch]))


def access_place(access: Access, frame: Frame) -> tuple[int, int]:
    """The word that points to its memory, and how many bytes further it starts."""
    word, bytes_ = frame.place(access.storage)
    return word, bytes_ + split(access.layout.offset)[0] * access.storage.dtype.itemsize


def matrix_structure(step: MatMulStep | MatrixStep, frame: Frame) -> Any:
    """Equal for products, and for factors, that can share code."""
    memory: dict[tuple[int, int], int] = {}
    layouts = tuple(
        (
            access.storage.dtype,
            access.layout.shape,
            access.layout.strides,
            split(access.layout.offset)[1],
            memory.setdefault(access_place(access, frame), len(memory)),
        )
        for access in accesses(step)
    )
    if isinstance(step, MatMulStep):
        return "product", step.strong, step.factor, step.tall, layouts
    sources = tuple(t.type for t in step.node.inputs)
    return step.node.op, step.unrolled, step.scratch is None, sources, layouts
