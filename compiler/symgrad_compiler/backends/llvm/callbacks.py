"""Ops without native form, called from native code: their NumPy form on the memory of the frame."""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy

from symgrad.dims import evaluate, size
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply_all, make_input
from symgrad.records import record
from symgrad.types import BOOL, TensorType
from symgrad_compiler.backends.llvm.frame import Frame
from symgrad_compiler.backends.numpy import compile_numpy
from symgrad_compiler.plan.steps import Access, Callback, Number, Plan, SizeNumber, Source

_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
#: The call-backs of the program that each thread runs; and how Python names their function.
_listening = threading.local()
_NAME = "ctypes callback function <bound method Callbacks._call of "


class _Hook:
    """A `sys.unraisablehook` that takes what a signal raised as a call-back began, before any `try` of it."""

    def __init__(self, before: Callable[[Any], Any]) -> None:
        self._before = before

    def __call__(self, unraisable: Any) -> None:
        owner = getattr(unraisable.object, "__self__", None)
        if unraisable.object is None and _NAME in (unraisable.err_msg or ""):  # from Python 3.13 on
            owner = getattr(_listening, "now", None)
        if isinstance(owner, Callbacks):
            owner.note(unraisable.exc_value)
        else:
            self._before(unraisable)


class Callbacks:
    """The call-backs of one program; `address` goes into its frame."""

    def __init__(self, plan: Plan, frame: Frame) -> None:
        self._local = threading.local()
        self._forms = [_Form(step, plan, frame) for step in plan.callbacks]
        self._words = frame.words
        self._frame = frame
        self._function = _TYPE(self._call) if self._forms else None
        self.address: int = (ctypes.cast(self._function, ctypes.c_void_p).value or 0) if self._function else 0

    def error(self) -> BaseException | None:
        """The exception of this thread's last call-back that failed."""
        found: BaseException | None = getattr(self._local, "error", None)
        self._local.error = None
        return found

    def listen(self) -> None:
        """Be ready to learn of exceptions that are raised at the very start of a call-back, by a signal."""
        _listening.now = self
        if not isinstance(sys.unraisablehook, _Hook):
            sys.unraisablehook = _Hook(sys.unraisablehook)

    def note(self, error: BaseException | None) -> None:
        """Keep the exception of a call-back, which Python raises when the program returns."""
        self._local.error = error

    def _call(self, frame: int, number: int) -> None:
        try:
            words = (ctypes.c_int64 * self._words).from_address(frame)
            sizes = {n: int(words[self._frame.size_word(n)]) for n in self._frame.size_names}
            self._forms[number](words, sizes)
            words[self._frame.callback_failed] = 0
        except BaseException as error:
            self.note(error)


@record
class _Place:
    """An array somewhere in the frame."""

    word: int
    bytes: int
    type: TensorType

    def array(self, words: Any, sizes: dict[str, int]) -> Any:
        shape = _extents(self.type, sizes)
        count = math.prod(shape)
        dtype = self.type.dtype.numpy
        if count == 0:
            return numpy.empty(shape, dtype)
        memory = (ctypes.c_char * (count * dtype.itemsize)).from_address(words[self.word] + self.bytes)
        return numpy.frombuffer(memoryview(memory), dtype, count).reshape(shape)


def _extents(type_: TensorType, sizes: dict[str, int]) -> list[int]:
    return [max(evaluate(d, sizes), 0) for d in type_.shape]


class _Form:
    """One node as a little NumPy program of its own."""

    def __init__(self, step: Callback, plan: Plan, frame: Frame) -> None:
        node = step.node
        inputs = [make_input(t.type, f"x{i}") for i, t in enumerate(node.inputs)]
        outputs = apply_all(node.op, tuple(inputs))
        self._outs = [
            _Place(*frame.place(a.storage), t.type) for a, t in zip(step.outs, node.outputs, strict=True)
        ]
        known = make_input(TensorType(BOOL, tuple(map(size, plan.size_names))), "sizes")
        self._size_names = plan.size_names
        graph = Graph([*inputs, known], list(outputs), name=node.op.name)
        self._program = compile_numpy(graph)
        self._operands = [_operand(s, t, frame) for s, t in zip(step.operands, node.inputs, strict=True)]

    def __call__(self, words: Any, sizes: dict[str, int]) -> None:
        values = tuple(sizes[n] for n in self._size_names)
        arrays = [operand(words, sizes) for operand in self._operands]
        buffers = self._program.allocate(*values)
        with numpy.errstate(all="ignore"):
            results, _ = self._program.run([*arrays, None], (), (), values, buffers)
        for place, result in zip(self._outs, results, strict=True):
            numpy.copyto(place.array(words, sizes), result)


def _operand(source: Source, tensor: Tensor, frame: Frame) -> Callable[[Any, dict[str, int]], Any]:
    if isinstance(source, Access):
        return _Place(*frame.place(source.storage), tensor.type).array
    dtype = tensor.type.dtype.numpy

    def filled(_: Any, sizes: dict[str, int]) -> Any:
        value = source.value.numpy if isinstance(source, Number) else _size_value(source, sizes)
        return numpy.full(_extents(tensor.type, sizes), value, dtype)

    return filled


def _size_value(source: SizeNumber, sizes: dict[str, int]) -> int:
    return evaluate(source.size, sizes)
