"""A plan as an LLVM module: a function for each step, and two that the runtime calls.

i32  <name>(ptr frame)                  the program: 0; 1 and an error record in the frame; or 2,
                                        where the handler of a signal raised
void <name>.layout(ptr sizes, ptr out)  bytes of the arena, work, then the dimensions of all outputs
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from symgrad.dims import Dim, product
from symgrad.records import record
from symgrad_compiler.backends.llvm.attention import APART, LOOK, UNKNOWN, Looks, emit_look
from symgrad_compiler.backends.llvm.checks import emit_check
from symgrad_compiler.backends.llvm.factors import emit_factor
from symgrad_compiler.backends.llvm.frame import Frame, frame_word
from symgrad_compiler.backends.llvm.guard import Guard
from symgrad_compiler.backends.llvm.ir import Function, Module, Value, literal
from symgrad_compiler.backends.llvm.kernels import emit_kernel
from symgrad_compiler.backends.llvm.maths import Maths
from symgrad_compiler.backends.llvm.matmul import emit_matmul
from symgrad_compiler.backends.llvm.names import LAYOUT, PROGRAM
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.backends.llvm.scans import emit_scan
from symgrad_compiler.backends.llvm.search import emit_search
from symgrad_compiler.backends.llvm.sizes import RoughSizes, Sizes
from symgrad_compiler.backends.llvm.sort import emit_sort
from symgrad_compiler.backends.llvm.splitting import emit_rows, may_gain, step_work
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.backends.llvm.structure import (
    access_place,
    accesses,
    matrix_structure,
    places,
    structure,
)
from symgrad_compiler.backends.llvm.unrolled import emit_unrolled
from symgrad_compiler.plan.arena import ALIGNMENT
from symgrad_compiler.plan.describe import flops_of
from symgrad_compiler.plan.steps import (
    STATE,
    Callback,
    Check,
    ConvolutionStep,
    FillStep,
    Kernel,
    MatMulStep,
    MatrixStep,
    Plan,
    RowLoop,
    ScanStep,
    SearchStep,
    SortStep,
    Step,
    Storage,
)

if TYPE_CHECKING:
    from symgrad_compiler.backends.llvm.clock import Clocks

#: Bytes that no machine has: an arena of more, whose size 64 bits may not hold, counts as one of so many.
_BEYOND_MEMORY = 2**62
#: Calls of steps in one function: more are split, which keeps compilation linear.
PART = 500


@record
class _Call:
    """A call of a step's function."""

    name: str
    is_fallible: bool
    #: The table of a step that shares its code.
    table: str = ""
    #: The call of what measures it.
    measured: str = ""

    @property
    def text(self) -> str:
        if self.measured:
            return self.measured
        kind = "i32" if self.is_fallible else "void"
        return f"call {kind} @{self.name}(ptr %frame{f', ptr @{self.table}' if self.table else ''})"


class _Kernels:
    """The functions of kernels; one for all that have the same structure. Those in loops over rows are not
    shared by threads: the loops are."""

    def __init__(
        self,
        module: Module,
        maths: Maths,
        machine: Machine,
        frame: Frame,
        plan: Plan,
        guard: Guard | None,
    ) -> None:
        self.module, self.maths, self.machine, self.frame = module, maths, machine, frame
        self.guard = guard
        self.unread = _unread(plan)
        self.structures: dict[Kernel, Any] = {}
        for step in plan.steps:
            for each in step.body if isinstance(step, RowLoop) else (step,):
                if isinstance(each, Kernel):
                    checks = None if guard is None else guard.structure(each)
                    streamed = tuple(access.storage in self.unread for _, access in each.stores)
                    found = structure(each, frame)
                    self.structures[each] = (found, isinstance(step, RowLoop), streamed, checks)
        self.count = Counter(self.structures.values())
        self.names: dict[Any, str] = {}

    def call(self, kernel: Kernel, name: str) -> _Call:
        """The call of a kernel, whose function is made if there is none yet."""
        module, key = self.module, self.structures[kernel]
        shared = self.count[key] > 1
        if key not in self.names:
            self.names[key] = name
            splits = not key[1] and may_gain(step_work(kernel))
            emit_kernel(
                module,
                self.maths,
                self.machine,
                self.frame,
                kernel,
                name,
                shared,
                splits,
                self.guard,
                self.unread,
            )
        if not shared:
            return _Call(name, False)
        words = ", ".join(f"i64 {n}" for place in places(kernel, self.frame) for n in place)
        count = 2 * len(places(kernel, self.frame))
        table = f"{name}.places"
        module.declare(f"@{table} = private constant [{count} x i64] [{words}], align 8")
        return _Call(self.names[key], False, table)


class _Matrices:
    """The functions of products and factors; one for all that have the same structure."""

    def __init__(self, module: Module, frame: Frame, plan: Plan) -> None:
        self.module, self.frame = module, frame
        self.structures: dict[MatMulStep | MatrixStep, Any] = {}
        for step in plan.steps:
            for each in step.body if isinstance(step, RowLoop) else (step,):
                if isinstance(each, (MatMulStep, MatrixStep)):
                    self.structures[each] = matrix_structure(each, frame)
        self.count = Counter(self.structures.values())
        self.names: dict[Any, str] = {}

    def call(self, step: MatMulStep | MatrixStep, name: str, number: int) -> _Call:
        """The call of a step, whose function is made if there is none yet."""
        key = self.structures[step]
        memory = accesses(step) if self.count[key] > 1 else ()
        if key not in self.names:
            self.names[key] = name
            emitter = StepEmitter(self.module, self.frame, name, number, memory)
            if isinstance(step, MatMulStep):
                emit_matmul(emitter, step)
            else:
                (emit_unrolled if step.unrolled else emit_factor)(emitter, step)
        if not memory:
            return _Call(name, True)
        numbers = [number, *(n for x in memory for n in access_place(x, self.frame))]
        table = f"{name}.places"
        words = ", ".join(f"i64 {n}" for n in numbers)
        self.module.declare(f"@{table} = private constant [{len(numbers)} x i64] [{words}], align 8")
        return _Call(self.names[key], True, table)


def _unread(plan: Plan) -> set[Storage]:
    """The results that no step reads."""
    read: set[Storage] = set()
    for step in plan.steps:
        for each in step.body if isinstance(step, RowLoop) else (step,):
            read.update(access.storage for access in each.reads())
    return set(plan.outputs) - read


def emit_module(plan: Plan, machine: Machine, clocks: Clocks | None = None) -> str:
    """The text of the module; with clocks around its steps, if there are any."""
    module = Module()
    maths = Maths(module, machine)
    frame = Frame.of(plan)
    guard = None if plan.checks is None else Guard(module, frame, plan, plan.checks)
    kernels = _Kernels(module, maths, machine, frame, plan, guard)
    matrices = _Matrices(module, frame, plan)
    calls: list[_Call] = [] if guard is None else [_Call(guard.leaves(), True)]
    callbacks = 0
    looks = Looks(work(plan), bool(plan.spares))
    if looks.some:
        emit_look(module)
    for number, step in enumerate(plan.steps):
        if looks.before(_weight(step), any(a.storage.kind == STATE for a in step.writes())):
            calls.append(_Call(LOOK, True))
        name = f"step{number}.{_title(step)}"
        check = None if guard is None else guard.behind(step, number)
        if isinstance(step, Kernel):
            call = kernels.call(step, name)
        elif isinstance(step, RowLoop):
            body = _body(step, kernels, matrices, name, number, clocks)
            emit_rows(module, frame, step, name, body, None if guard is None else guard.word)
            call = _Call(name, False)
        elif isinstance(step, (MatMulStep, MatrixStep)):
            call = matrices.call(step, name, number)
        else:
            _emit_alone(StepEmitter(module, frame, name, number), step, machine, kernels.unread, callbacks)
            callbacks += isinstance(step, Callback)
            call = _Call(name, True)
        calls.append(_timed(clocks, call, number))
        if check:
            calls.append(_Call(check, True))
    if looks.at_the_end():
        calls.append(_Call(LOOK, True))
    _program(module, frame, plan, calls)
    _layout(module, plan)
    return module.text() if clocks is None else clocks.text(module)


def _emit_alone(
    emitter: StepEmitter, step: Step, machine: Machine, unread: Collection[Storage], callback: int
) -> None:
    """A step that shares its code with no other; `unread` is what the program does not read, `callback` the
    number of the next call into NumPy."""
    if isinstance(step, ConvolutionStep):
        convolve = importlib.import_module("symgrad_compiler.backends.llvm.convolve.step")
        convolve.emit_convolution_step(emitter, step, machine, unread)
    elif isinstance(step, ScanStep):
        emit_scan(emitter, step, machine)
    elif isinstance(step, Check):
        emit_check(emitter, step)
    elif isinstance(step, FillStep):
        emitter.zeros(step)
    elif isinstance(step, SortStep):
        emit_sort(emitter, step)
    elif isinstance(step, SearchStep):
        emit_search(emitter, step)
    else:
        assert isinstance(step, Callback)
        emitter.callback(step, callback)


def _body(
    loop: RowLoop, kernels: _Kernels, matrices: _Matrices, name: str, number: int, clocks: Clocks | None
) -> list[str]:
    """The calls in a loop over rows."""
    calls = []
    for i, step in enumerate(loop.body):
        title = f"{name}.{i}"
        if isinstance(step, Kernel):
            call = kernels.call(step, title)
        elif isinstance(step, MatMulStep):
            call = matrices.call(step, title, number)
        else:
            StepEmitter(kernels.module, kernels.frame, title, number).zeros(step)
            call = _Call(title, True)
        calls.append(_timed(clocks, call, number, i).text)
    return calls


def _timed(clocks: Clocks | None, call: _Call, number: int, part: int | None = None) -> _Call:
    """The call, with a clock around it where there are any."""
    return call if clocks is None else replace(call, measured=clocks.around(call.text, number, part))


def _title(step: Step) -> str:
    """A word for a step, in names of functions."""
    if isinstance(step, Kernel):
        return "kernel"
    return "check" if isinstance(step, Check) else _TITLES[type(step)]


_TITLES: dict[type, str] = {
    MatMulStep: "matmul",
    MatrixStep: "factor",
    ConvolutionStep: "convolution",
    FillStep: "zeros",
    SortStep: "sort",
    SearchStep: "search",
    ScanStep: "scan",
    RowLoop: "rows",
    Callback: "callback",
}


def _program(module: Module, frame: Frame, plan: Plan, calls: list[_Call]) -> None:
    parts = [calls[i : i + PART] for i in range(0, len(calls), PART)]
    for i, part in enumerate(parts):
        f = module.function(f"part{i}", [("frame", "ptr")], "i32")
        _calls(f, part)
    f = module.function(PROGRAM, [("frame", "ptr")], "i32", linkage="")
    _place_slots(f, frame, plan)
    _calls(f, [_Call(f"part{i}", True) for i in range(len(parts))])


def _calls(f: Function, calls: list[_Call]) -> None:
    for call in calls:
        if not call.is_fallible:
            f.do(call.text)
            continue
        status = f.volatile(call.text, "i32")
        failed = f.volatile(f"icmp ne i32 {status.text}, 0", "i1")
        bad, good = f.label(), f.label()
        f.branch_if(failed, bad, good)
        f.start(bad)
        f.do(f"ret i32 {status.text}")
        f.start(good)
    f.do("ret i32 0")


def _place_slots(f: Function, frame: Frame, plan: Plan) -> None:
    """Write the addresses of slots that have a word into the frame."""
    arena = plan.arena
    if not any(index != frame.arena for index, _ in frame.slot_places):
        return
    sizes = Sizes(f, lambda name: frame_word(f, frame.size_word(name), "i64"))
    start = frame_word(f, frame.arena, "ptr")
    starts = [start, f.field(start, arena.fixed_bytes)]
    for region in arena.regions[1:-1]:
        starts.append(_further(f, starts[-1], sizes(region.size), region.slack))
    for slot, (index, _) in zip(arena.slots, frame.slot_places, strict=True):
        if index != frame.arena:
            if slot.region:
                at = _further(f, starts[slot.region], sizes(slot.offset), slot.slack)
            else:
                at = f.field(starts[0], int(slot.offset))
            f.store(at, f.field(f.parameters["frame"], 8 * index))


def _further(f: Function, start: Value, bytes: Value, slack: int) -> Value:
    """An address further on: by some bytes, rounded up to a cache line, and some more."""
    at = f.emit(f"getelementptr i8, ptr {start.text}, i64 {_aligned(f, bytes).text}", "ptr")
    return f.field(at, slack) if slack else at


def _aligned(f: Function, bytes: Value) -> Value:
    """Rounded up; 0 for a negative size."""
    negative = f.emit(f"icmp slt i64 {bytes.text}, 0", "i1")
    size = f.emit(f"select i1 {negative.text}, i64 0, i64 {bytes.text}", "i64")
    up = f.emit(f"add i64 {size.text}, {ALIGNMENT - 1}", "i64")
    return f.emit(f"and i64 {up.text}, {-ALIGNMENT}", "i64")


def _layout(module: Module, plan: Plan) -> None:
    f = module.function(LAYOUT, [("sizes", "ptr"), ("out", "ptr")], linkage="")

    def read(name: str) -> Value:
        address = f.field(f.parameters["sizes"], 8 * plan.size_names.index(name))
        return f.emit(f"load i64, ptr {address.text}, align 8", "i64")

    sizes = Sizes(f, read)
    place = 0

    def write(value: Value) -> None:
        nonlocal place
        f.store(value, f.field(f.parameters["out"], 8 * place))
        place += 1

    total = literal(min(plan.arena.fixed_bytes, _BEYOND_MEMORY), "i64")
    regions = plan.arena.regions[1:]
    for region in regions:
        for room in (_aligned(f, sizes(region.size)), literal(region.slack, "i64")):
            total = f.emit(f"add i64 {total.text}, {room.text}", "i64")
    if regions:
        too_large = RoughSizes(f, read).sum_reaches([r.size for r in regions], _BEYOND_MEMORY)
        total = f.emit(f"select i1 {too_large.text}, i64 {_BEYOND_MEMORY}, i64 {total.text}", "i64")
    write(total)
    write(sizes(work(plan)))
    for tensor in plan.graph.outputs:
        for dim in tensor.shape:
            write(sizes.extent(dim))
    f.do("ret void")


def work(plan: Plan) -> Dim:
    """About how many simple operations a call takes."""
    total: Dim = 0
    for step in plan.steps:
        total = total + _work(step)
    return total


def _weight(step: Step) -> int:
    """The work of a step; where sizes are not known, as if those were large that make work grow faster."""
    found = _work(step)
    light = isinstance(step, (Kernel, FillStep, Check, ScanStep))
    return found if isinstance(found, int) else UNKNOWN if light else APART


def _work(step: Step) -> Dim:
    if isinstance(step, (Kernel, FillStep)):
        return step_work(step)
    if isinstance(step, RowLoop):
        total: Dim = 0
        for each in step.whole:
            total = total + step_work(each)
        return total
    if isinstance(step, MatMulStep):
        return product(step.out.layout.shape) * step.a.layout.shape[-1] * 2
    if isinstance(step, MatrixStep):
        return flops_of(step)
    if isinstance(step, ConvolutionStep):
        return step.convolution.work * step.images
    if isinstance(step, ScanStep):
        return product(step.out.layout.shape) * 4
    if isinstance(step, Callback):
        return 1000
    if isinstance(step, SortStep):
        return step.out.storage.size * 64
    if isinstance(step, SearchStep):
        return step.out.storage.size * 32
    return next((product(a.layout.shape) for a in step.reads()), 1)
