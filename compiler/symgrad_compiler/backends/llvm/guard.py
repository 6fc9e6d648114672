"""What a guarded program adds to its steps: every float that is computed is looked at.

    kernels       0 * v is added up for all values v of all elements, in the lanes that count; the sum
                  becomes NaN with the first v that is infinite or NaN
    other steps   what they wrote is read once more
    leaves        arguments and state: by a kernel that reads them, else before everything else
    in a loop     what is added at indices in memory for one block: by the kernels that read it

A kernel says in the error record that something was found; the check behind its step fails the program.
What must be finite and what must only not be NaN is `plan.finite`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from symgrad.dims import product
from symgrad.ir.tensor import Tensor
from symgrad.ops.strided import Strided
from symgrad_compiler.backends.llvm.finite import all_finite
from symgrad_compiler.backends.llvm.frame import Frame
from symgrad_compiler.backends.llvm.ir import BITS, Module, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import FLOATS, Code, kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.finite import Need, computed, is_checked
from symgrad_compiler.plan.steps import (
    INPUT,
    STATE,
    Access,
    Callback,
    ConvolutionStep,
    Kernel,
    MatMulStep,
    MatrixStep,
    Plan,
    Reduction,
    RowLoop,
    ScanStep,
    Step,
    Storage,
)
from symgrad_runtime.native import NOT_FINITE

#: Reductions that can make what is not finite; extremes only hand it on.
_MAKERS = ("add", "multiply")
#: The updates of memory that can.
_MAKING_UPDATES = ("add", "mul")
#: Complex kinds, as rows of floats.
_PARTS = {"c64": "f32", "c128": "f64"}


class Guard:
    """The checks of one program."""

    def __init__(self, module: Module, frame: Frame, plan: Plan, checks: Mapping[Tensor, Need]) -> None:
        self.module, self.frame, self.plan, self.checks = module, frame, plan, checks
        #: The word of the frame in which a kernel says that it found something.
        self.word = frame.error + 1
        #: What is asked where it is not known which tensor lies in memory.
        self._weakest = max(checks.values(), default=Need.NOTHING)
        #: The arguments and states that kernels look at as they read them: all of each, by one kernel.
        self._read = dict(_first_readers(plan))
        #: What each kernel looks at as it reads it, and what is asked of it.
        self._of: dict[Kernel, dict[Tensor, Need]] = defaultdict(dict)
        for kernel, tensor in self._read.values():
            self._of[kernel][tensor] = Need.FINITE
        for kernel, tensor in _readers_of_blocks(plan):
            if computed(tensor) in checks:
                self._of[kernel][tensor] = checks[computed(tensor)]

    def of_kernel(self, code: Code, kernel: Kernel, lanes: int) -> KernelGuard:
        read = self._of[kernel]
        return KernelGuard(code, self.frame, {**self.checks, **read}, kernel, lanes, read)

    def structure(self, kernel: Kernel) -> tuple[object, ...]:
        """Equal for kernels of one structure whose checks are the same."""
        reduced = [r.tensor for r in kernel.reductions]
        needs = [self.checks.get(t) for t in (*[n.outputs[0] for n in kernel.nodes], *reduced)]
        return (*needs, *[self._of[kernel].get(t) for t in kernel.sources])

    def leaves(self) -> str:
        """The function that looks at the other arguments and states."""
        name = "guard.leaves"
        emitter = StepEmitter(self.module, self.frame, name, 0)
        f = emitter.f
        f.store(literal(0, "i64"), f.field(f.parameters["frame"], 8 * (self.frame.error + 1)))
        for kind, tensors in ((INPUT, self.plan.graph.inputs), (STATE, self.plan.graph.states)):
            for i, tensor in enumerate(tensors):
                if is_checked(tensor) and (kind, i) not in self._read:
                    size: Strided = Strided.contiguous(tensor.shape)
                    storage = Storage(kind, tensor.dtype, 0, i)
                    _require(emitter, Access(storage, size), Need.FINITE)
        emitter.finish()
        return name

    def behind(self, step: Step, number: int) -> str | None:
        """The function that checks what a step did."""
        kernels = [s for s in (step.body if isinstance(step, RowLoop) else (step,)) if isinstance(s, Kernel)]
        written = [(a, need) for a, need in self._written(step) if is_checked_storage(a.storage)]
        if not kernels and not written:
            return None
        name = f"guard.step{number}"
        emitter = StepEmitter(self.module, self.frame, name, number)
        f = emitter.f
        if kernels:
            found = f.load(f.field(f.parameters["frame"], 8 * (self.frame.error + 1)), "i64")
            emitter.fail(emitter.code.equal(found, literal(NOT_FINITE, "i64")), NOT_FINITE)
        for access, need in written:
            _require(emitter, access, need)
        emitter.finish()
        return name

    def _written(self, step: Step) -> Iterator[tuple[Access, Need]]:
        """Memory that is read once more, and what is asked of it."""
        if isinstance(step, (MatMulStep, ConvolutionStep, ScanStep)):
            yield step.out, self.checks.get(step.node.outputs[0], Need.NOTHING)
        elif isinstance(step, (Callback, MatrixStep)):
            for tensor, access in zip(step.node.outputs, step.outs, strict=True):
                yield access, self.checks.get(tensor, Need.NOTHING)
        steps, local = (step.whole, step.local) if isinstance(step, RowLoop) else ((step,), frozenset())
        for each in steps:
            for scatter in each.scatters if isinstance(each, Kernel) else ():
                if scatter.mode in _MAKING_UPDATES and scatter.storage not in local:
                    whole = Strided.contiguous((scatter.storage.size,))
                    yield Access(scatter.storage, whole), self._weakest


def _first_readers(plan: Plan) -> Iterator[tuple[tuple[str, int], tuple[Kernel, Tensor]]]:
    """Of arguments and states, the kernel that is first to read every element, once; and as what."""
    found = set()
    for step in plan.steps:
        pairs = zip(step.whole, step.body, strict=True) if isinstance(step, RowLoop) else ((step, step),)
        for whole, kernel in pairs:
            if not isinstance(whole, Kernel) or not isinstance(kernel, Kernel):
                continue
            for tensor, source in whole.sources.items():
                if not isinstance(source, Access) or source.storage.kind not in (INPUT, STATE):
                    continue
                storage, layout = source.storage, source.layout
                is_all = layout.is_contiguous and layout.offset == 0 and product(layout.shape) == storage.size
                key = (storage.kind, storage.index)
                fits = layout.shape == whole.space and storage.dtype.kind == "float"
                if is_all and fits and key not in found:
                    found.add(key)
                    yield key, (kernel, tensor)


def _readers_of_blocks(plan: Plan) -> Iterator[tuple[Kernel, Tensor]]:
    """What kernels read of memory for one block of a loop in which another one adds at indices: behind the
    loop only the last block is there, and where that is short, nothing wrote the rest."""
    for loop in (s for s in plan.steps if isinstance(s, RowLoop)):
        kernels = [s for s in loop.body if isinstance(s, Kernel)]
        updates = [s for kernel in kernels for s in kernel.scatters if s.mode in _MAKING_UPDATES]
        blocks = loop.local & {s.storage for s in updates}
        for kernel in kernels:
            for tensor, source in kernel.sources.items():
                if isinstance(source, Access) and source.storage in blocks:
                    yield kernel, tensor


def is_checked_storage(storage: Storage) -> bool:
    return storage.dtype.kind in ("float", "complex")


def _require(emitter: StepEmitter, access: Access, need: Need) -> None:
    """Fail if memory does not hold what is asked."""
    if need is Need.NOTHING:
        return
    assert access.layout.is_contiguous, "steps write results without gaps"
    kind = kind_of(access.storage.dtype)
    count = literal(1, "i64")
    for dim in access.layout.shape:
        count = emitter.code.multiply(count, emitter.sizes.extent(dim))
    if kind in _PARTS:
        kind, count = _PARTS[kind], emitter.code.multiply(count, literal(2, "i64"))
    if need is Need.FINITE:
        fine = all_finite(emitter.f, emitter.pointer(access), count, kind)
    else:
        fine = _no_nan(emitter, emitter.pointer(access), count, kind)
    emitter.fail(emitter.code.logical_not(fine), NOT_FINITE)


def _no_nan(emitter: StepEmitter, pointer: Value, count: Value, kind: str) -> Value:
    """Whether no number in a row is NaN, by a function of the module."""
    name = f"no_nan.{kind}"
    if name not in emitter.module.made:
        f = emitter.module.made[name] = emitter.module.function(name, [("p", "ptr"), ("n", "i64")], "i1")
        code = Code(f)

        def one(i: Value, carried: list[Value]) -> list[Value]:
            x = f.load(f.offset(f.parameters["p"], i, kind), kind)
            return [code.select(code.is_nan(x), x, carried[0])]

        one_step = literal(1, "i64")
        (found,) = f.loop(literal(0, "i64"), f.parameters["n"], one_step, [literal(0, kind)], one)
        f.do(f"ret i1 {code.logical_not(code.is_nan(found)).text}")
    return emitter.f.volatile(f"call i1 @{name}(ptr {pointer.text}, i64 {count.text})", "i1")


class KernelGuard:
    """The look at the values of one kernel: for each kind and number of lanes a sum of 0 * v, in memory that
    LLVM keeps in a register."""

    def __init__(
        self,
        code: Code,
        frame: Frame,
        checks: Mapping[Tensor, Need],
        kernel: Kernel,
        lanes: int,
        read: Collection[Tensor],
    ) -> None:
        self.read = read
        self.code, self.f, self.frame, self.checks = code, code.f, frame, checks
        self.lanes = [2**k for k in range(lanes.bit_length())]  # the ends of loops may take fewer
        made = [*[n.outputs[0] for n in kernel.nodes], *[r.tensor for r in kernel.reductions], *read]
        kinds = {kind_of(t.dtype) for t in made if t in checks}
        self.kinds = [k for k in FLOATS if k in kinds]
        self.sums: dict[tuple[str, int], Value] = {}
        self.pending: dict[tuple[str, int], Value] = {}

    def begin(self) -> None:
        """Before all loops."""
        for kind in self.kinds:
            for lanes in self.lanes:
                at = self.f.volatile(f"alloca {vector_type(kind, lanes)}", "ptr")
                self.sums[kind, lanes] = at
                self._store(literal(0, kind, lanes), at)

    def computed(self, tensor: Tensor, value: Value) -> None:
        """Look at a value; `flush` follows."""
        need = self.checks.get(tensor)
        if need is None or value.kind not in FLOATS:
            return
        key = (value.kind, value.lanes)
        nothing = literal(0, *key)
        before = self.pending.get(key, nothing)
        if need is Need.FINITE:
            self.pending[key] = self.code.muladd(value, nothing, before)
        else:
            self.pending[key] = self.code.select(self.code.is_nan(value), value, before)

    def loaded(self, tensor: Tensor, value: Value, mask: Value | None) -> None:
        """Look at an element of an argument or a state."""
        if tensor in self.read:
            self.computed(tensor, value)
            self.flush(mask)

    def reduced(self, reduction: Reduction, value: Value, mask: Value | None) -> None:
        """Look at the result of a reduction, or at a part of it."""
        if reduction.kind in _MAKERS:
            self.computed(reduction.tensor, value)
            self.flush(mask)

    def flush(self, mask: Value | None) -> None:
        """Add up what was looked at, of the lanes that count."""
        for (kind, lanes), value in self.pending.items():
            if mask is not None and lanes == mask.lanes:
                value = self.code.select(mask, value, literal(0, kind, lanes))
            at = self.sums[kind, lanes]
            self._store(self.code.add(self._load(at, kind, lanes), value), at)
        self.pending.clear()

    def end(self, extents: Sequence[Value]) -> None:
        """Behind all loops. Of a space without elements, what is known outside its loops counts nothing."""
        code = self.code
        bad = literal(0, "i1")
        for (kind, lanes), at in self.sums.items():
            found = code.is_nan(self._load(at, kind, lanes))
            if lanes > 1:
                found = self.f.intrinsic(f"llvm.vector.reduce.or.v{lanes}i1", ("i1", 1), found)
            bad = code.logical_or(bad, found)
        for extent in extents:
            bad = code.logical_and(bad, code.less(literal(0, "i64"), extent))
        if not self.sums:
            return

        def record() -> None:
            at = self.f.field(self.f.parameters["frame"], 8 * (self.frame.error + 1))
            self.f.store(literal(NOT_FINITE, "i64"), at)

        self.f.when(bad, record)

    def _store(self, value: Value, at: Value) -> None:
        self.f.do(f"store {value.type} {value.text}, ptr {at.text}, align {BITS[value.kind] // 8}")

    def _load(self, at: Value, kind: str, lanes: int) -> Value:
        align = BITS[kind] // 8
        return self.f.volatile(f"load {vector_type(kind, lanes)}, ptr {at.text}, align {align}", kind, lanes)
