"""The step of a plan: a call of the function of a convolution, which steps of one kind share; and the plain
sum, for strong zeros among numbers that are not finite."""

from __future__ import annotations

import math
from collections.abc import Collection

from symgrad.dims import Dim, product
from symgrad.ops.cast import AsType
from symgrad.ops.kinds import Elementwise
from symgrad.ops.strided import Strided
from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.words import call, every
from symgrad_compiler.backends.llvm.convolve.emit import emit_convolution
from symgrad_compiler.backends.llvm.convolve.tile import Epilogue
from symgrad_compiler.backends.llvm.finite import all_finite
from symgrad_compiler.backends.llvm.frame import POOL, frame_word
from symgrad_compiler.backends.llvm.ir import Function, Value, literal
from symgrad_compiler.backends.llvm.kernel_body import number
from symgrad_compiler.backends.llvm.lanes import is_streamed
from symgrad_compiler.backends.llvm.scalars import Code, Machine, kind_of
from symgrad_compiler.backends.llvm.steps import StepEmitter
from symgrad_compiler.plan.epilogues import is_full
from symgrad_compiler.plan.geometry import FORWARD, INPUT, WEIGHTS, Convolution
from symgrad_compiler.plan.steps import Access, ConvolutionStep, Kernel, Number, Storage


def emit_convolution_step(
    emitter: StepEmitter, step: ConvolutionStep, machine: Machine, unread: Collection[Storage]
) -> None:
    """The function of a step; `unread` is what the program does not read."""
    f, module, spec = emitter.f, emitter.module, step.convolution
    epilogue, places = (None, []) if step.epilogue is None else _epilogue(step, step.epilogue)
    key = f"{spec} {epilogue}"
    made = module.made.get(key)
    if made is None:
        name = f"{f.name}.{spec.what}"
        emit_convolution(module, spec, machine, name, epilogue=epilogue)
        made = module.made[key] = next(g for g in module.functions if g.name == name)
    first, *further = places or [step.out]
    a, b, out, *rest = (emitter.pointer(x) for x in (step.a, step.b, first, *further))
    images = emitter.sizes(step.images)
    room = Value("null", "ptr")
    if step.room is not None:
        room = emitter.pointer(Access(step.room, Strided.contiguous((step.room.size,))))
    streams = literal(0, "i64")
    if spec.is_depthwise and not step.strong and first.storage in unread:
        streams = _is_large(emitter, step, out, machine)
    call(f, made.name, frame_word(f, POOL, "ptr"), a, b, out, images, room, streams, *rest)
    if step.strong:
        count = emitter.sizes(product(step.out.layout.shape))
        finite = all_finite(f, out, count, spec.kind)
        bad = emitter.code.logical_not(finite)
        f.when(bad, lambda: _Plain(emitter, spec, step.strong, images).emit(a, b, out, count))
    emitter.finish()


def _is_large(emitter: StepEmitter, step: ConvolutionStep, out: Value, machine: Machine) -> Value:
    """1 if operands and result would fill the caches, and the result starts where registers fit."""
    size: Dim = sum((x.storage.size * x.storage.dtype.itemsize for x in (step.a, step.b, step.out)), start=0)
    large = is_streamed(emitter.code, [out], emitter.sizes(size), machine.vector_bytes)
    return emitter.f.emit(f"zext i1 {large.text} to i64", "i64")


def _epilogue(step: ConvolutionStep, kernel: Kernel) -> tuple[Epilogue, list[Access]]:
    """The code of a kernel as an epilogue; and the accesses that it is called with: the first result, the
    operands, the other results."""
    made = {t for t, s in kernel.sources.items() if isinstance(s, Access) and s.storage is step.out.storage}
    layout = kernel.sources[next(iter(made))]
    assert isinstance(layout, Access)
    reads = {t: s for t, s in kernel.sources.items() if isinstance(s, Access) and t not in made}
    numbers = {t: number(s.value) for t, s in kernel.sources.items() if isinstance(s, Number)}

    def code(b: Code, total: Value, operands: list[Value]) -> list[Value]:
        values = {**numbers, **dict.fromkeys(made, total), **dict(zip(reads, operands, strict=True))}
        for node in kernel.nodes:
            given = [values[t] for t in node.inputs]
            if isinstance(node.op, AsType):
                found = b.convert(given[0], kind_of(node.op.dtype))
            else:
                assert isinstance(node.op, Elementwise)
                found = node.op.scalar(b, *given)
            values[node.outputs[0]] = found
        return [values[t] for t, _ in kernel.stores]

    # Equal structure, equal code: what is read and computed by its place, and ops themselves.
    at = {t: i for i, t in enumerate([*made, *reads, *[n.outputs[0] for n in kernel.nodes]])}
    words: list[object] = [len(made), *[at[t] for t, _ in kernel.stores]]
    for node in kernel.nodes:
        words += [node.op, *[at.get(t, numbers.get(t)) for t in node.inputs]]
    full = tuple(is_full(s, layout.layout) for s in reads.values())
    epilogue = Epilogue(repr(words), full, len(kernel.stores), code)
    stores = [access for _, access in kernel.stores]
    return epilogue, [stores[0], *reads.values(), *stores[1:]]


class _Plain:
    """Every product, one by one; one with a strong zero is 0."""

    def __init__(self, emitter: StepEmitter, spec: Convolution, strong: str, images: Value) -> None:
        self.f: Function = emitter.f
        self.code: Code = emitter.code
        self.spec, self.strong = spec, strong
        self.images = Int(self.f, images)

    def number(self, value: int) -> Int:
        return Int(self.f, literal(value, "i64"))

    def emit(self, a: Value, b: Value, out: Value, count: Value) -> None:
        f, c = self.f, self.spec
        zero = literal(0, c.kind)
        every(f, self.number(0), Int(f, count), 1, lambda i: f.store(zero, f.offset(out, i.value, c.kind)))
        outs, taps, groups = math.prod(c.outs), math.prod(c.taps), c.groups
        each_c, each_o = c.channels // groups, c.features // groups

        def place(index: Int) -> None:
            """Of an image, a place of the result and a tap."""
            n, rest = index // (outs * taps), index % (outs * taps)
            i, t = rest // taps, rest % taps
            x_at, inside = self._element(i, t)

            def pair(m: Int) -> None:
                group, within = m // (each_c * each_o), m % (each_c * each_o)
                channel, feature = within // each_o, group * each_o + within % each_o
                at = {
                    "x": (n * math.prod(c.sizes) + x_at) * c.channels + group * each_c + channel,
                    "w": (t * each_c + channel) * c.features + feature,
                    "g": (n * outs + i) * c.features + feature,
                }
                names = {FORWARD: "xwg", INPUT: "gwx", WEIGHTS: "xgw"}[c.what]
                self._add([f.offset(p, at[k].value, c.kind) for p, k in zip((a, b, out), names, strict=True)])

            pairs = self.number(groups * each_c * each_o)
            f.when(inside, lambda: every(f, self.number(0), pairs, 1, pair))

        every(f, self.number(0), self.images * (outs * taps), 1, place)

    def _element(self, i: Int, t: Int) -> tuple[Int, Value]:
        """The element of x that a place meets by a tap, and whether there is one."""
        c, code = self.spec, self.code
        at, inside, scale = self.number(0), literal(1, "i1"), 1
        for axis in reversed(c.axes):
            h = i % axis.out * axis.stride + t % axis.taps * axis.dilation - axis.low
            i, t = i // axis.out, t // axis.taps
            inside = code.logical_and(inside, code.logical_and(h >= 0, h < axis.size))
            at, scale = at + h * scale, scale * axis.size
        return at, inside

    def _add(self, at: list[Value]) -> None:
        f, code, kind = self.f, self.code, self.spec.kind
        factors = [f.load(p, kind) for p in at[:2]]
        term, zero = code.multiply(*factors), literal(0, kind)
        for letter, factor in zip("ab", factors, strict=True):
            if letter in self.strong:
                term = code.select(code.equal(factor, zero), zero, term)
        f.store(code.add(f.load(at[2], kind), term), at[2])
