"""Steps that are not kernels: zeros, callbacks; and what the emitters of other steps share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad.dims import Dim
from symgrad_compiler.backends.llvm.frame import CALLBACK, Frame, frame_word
from symgrad_compiler.backends.llvm.ir import (
    Function,
    Module,
    Value,
    literal,
)
from symgrad_compiler.backends.llvm.scalars import Code, kind_of
from symgrad_compiler.backends.llvm.sizes import Sizes
from symgrad_compiler.backends.llvm.structure import (
    access_place,
    from_table,
    split,
    table_word,
)
from symgrad_compiler.plan.steps import (
    Access,
    Callback,
    FillStep,
)
from symgrad_runtime.native import (
    CALLBACK_ERROR,
)


class StepEmitter:
    """Emits one step as `i32 name(ptr frame)`, 0 where all went well; or, for all steps of a structure, as
    `i32 name(ptr frame, ptr places)`, where `shared` is the memory of one of them (see `structure.py`)."""

    def __init__(
        self, module: Module, frame: Frame, name: str, number: int, shared: Sequence[Access] = ()
    ) -> None:
        self.module = module
        self.frame = frame
        self.number = number
        self._places = [access_place(x, frame) for x in shared]
        parameters = [("frame", "ptr"), ("places", "ptr")] if shared else [("frame", "ptr")]
        self.f: Function = module.function(name, parameters, "i32")
        self.code = Code(self.f)
        self.sizes = Sizes(self.f, self._size)

    def _size(self, name: str) -> Value:
        return frame_word(self.f, self.frame.size_word(name), "i64")

    def pointer(self, access: Access) -> Value:
        """The first element."""
        if self._places:
            start = from_table(self.f, 1 + 2 * self._places.index(access_place(access, self.frame)))
            offset = self.sizes(split(access.layout.offset)[1])
        else:
            word, bytes_ = self.frame.place(access.storage)
            start = frame_word(self.f, word, "ptr")
            start = self.f.field(start, bytes_) if bytes_ else start
            offset = self.sizes(access.layout.offset)
        return start if offset.number == 0 else self.f.offset(start, offset, kind_of(access.storage.dtype))

    def finish(self) -> None:
        self.f.do("ret i32 0")

    def fail(self, condition: Value, what: int, *numbers: Value) -> None:
        """Where the condition holds: record the error, return."""

        def record() -> None:
            number = table_word(self.f, 0) if self._places else literal(self.number, "i64")
            words = [number, literal(what, "i64"), *numbers]
            for i, value in enumerate(words):
                address = self.f.field(self.f.parameters["frame"], 8 * (self.frame.error + i))
                self.f.store(value, address)
            self.f.do("ret i32 1")
            self.f.start(self.f.label())

        self.f.when(condition, record)

    def nest(self, shape: Sequence[Dim], body: Callable[[list[Value]], None]) -> None:
        """Loops over a shape."""

        def level(indices: list[Value]) -> None:
            if len(indices) == len(shape):
                body(indices)
                return

            def inside(index: Value, _: list[Value]) -> list[Value]:
                level([*indices, index])
                return []

            extent = self.sizes.extent(shape[len(indices)])
            self.f.loop(literal(0, "i64"), extent, literal(1, "i64"), [], inside)

        level([])

    def position(self, strides: Sequence[Dim], indices: Sequence[Value]) -> Value:
        total = literal(0, "i64")
        for stride, index in zip(strides, indices, strict=True):
            total = self.code.add(total, self.code.multiply(index, self.sizes(stride)))
        return total

    # ---- the steps ----------------------------------------------------------------------------------

    def zeros(self, step: FillStep) -> None:
        storage = step.out.storage
        size = literal(storage.dtype.itemsize, "i64")
        for dim in step.out.layout.shape:
            size = self.code.multiply(size, self.sizes.extent(dim))
        self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1 immarg)")
        at = self.pointer(step.out)
        self.f.do(f"call void @llvm.memset.p0.i64(ptr {at.text}, i8 0, i64 {size.text}, i1 false)")
        self.finish()

    def callback(self, step: Callback, index: int) -> None:
        """What it returns says nothing if a signal's handler raised before it began; so it clears a word."""
        function = frame_word(self.f, CALLBACK, "ptr")
        frame = self.f.parameters["frame"]
        failed = self.f.field(frame, 8 * self.frame.callback_failed)
        self.f.store(literal(1, "i64"), failed)
        self.f.do(f"call void {function.text}(ptr {frame.text}, i32 {index})")
        done = self.code.equal(self.f.load(failed, "i64"), literal(0, "i64"))
        self.fail(self.code.logical_not(done), CALLBACK_ERROR, literal(index, "i64"), literal(0, "i64"))
        self.finish()
