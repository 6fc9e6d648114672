"""What native entry code knows about a program and about Python, as arrays of 8-byte words.

The entry (`symgrad_compiler.backends.llvm.entry`) is the same for every program: it reads a context. No
address is part of compiled code, so compiled code can be kept on disk.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy

from symgrad.dims import lone_symbol
from symgrad.types import TensorType


class Word(IntEnum):
    """The words of a context."""

    INPUTS = 0  # how many
    OUTPUTS = 1
    STATES = 2  # states and spares
    SIZES = 3
    STATIC = 4  # words of the frame that are the same in every call
    FRAME = 5  # words of the frame
    TOTAL = 6  # words of the frame and what lies behind it
    PROGRAM = 7  # code
    LAYOUT = 8
    SLOW = 9  # the Python callable for everything unusual
    FORM = 10  # SINGLE and the like
    KEYS = 11  # of the dict
    FAST = 12  # whether the fast way may be taken
    PARAMETERS = 13  # records, see PARAMETER_WORDS
    RESULTS = 14  # records, see RESULT_WORDS
    STATIC_WORDS = 15
    API = 16
    ARENA = 17  # the arena that is kept between calls
    ARENA_BYTES = 18
    ARENA_BUSY = 19
    SIZES_AT = 20  # where sizes start in the frame
    ARENA_AT = 21
    ERROR_AT = 22
    COUNT = 23


#: Of a parameter: type number, rank, up to two types of NumPy or Python scalars that are taken, where its
#: dimensions are described: pairs of (kind, value), see FIXED and the like.
PARAMETER_WORDS = 5
#: Of a result: its NumPy dtype object, rank, bytes of an element.
RESULT_WORDS = 3
#: Kinds of dimensions: must be `value`; gives size number `value`; must equal size number `value`.
FIXED, BINDS, REPEATS = 0, 1, 2
#: Forms of results: one output by itself, or all in a container.
SINGLE, LIST, DICT, TUPLE = 0, 1, 2, 3

#: Python's and NumPy's functions and types that the entry uses, in order.
API_FUNCTIONS = (
    "PyObject_Vectorcall",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyMem_RawMalloc",
    "PyMem_RawFree",
    "PyList_New",
    "PyDict_New",
    "PyDict_SetItem",
    "Py_IncRef",
    "Py_DecRef",
    "PyTuple_New",
    "PyLong_FromLongLong",
    "PyErr_Fetch",
    "PyErr_Restore",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyErr_CheckSignals",
)
NDARRAY, EMPTY, SCALAR, NONE, SET_HANDLER, GET_HANDLER, DEFAULT_HANDLER, CAPSULE, POOL = (
    len(API_FUNCTIONS) + i for i in range(9)
)
#: Positions of PyArray_Empty, PyArray_Scalar, PyDataMem_SetHandler, PyDataMem_GetHandler and
#: PyDataMem_DefaultHandler (a variable) in NumPy's table; they are part of its ABI.
_NUMPY_EMPTY, _NUMPY_SCALAR, _NUMPY_SET, _NUMPY_GET, _NUMPY_DEFAULT = 184, 60, 304, 305, 306
#: Frames up to this many words live on the stack.
MAX_STACK_WORDS = 2048


def _address(array: numpy.ndarray[Any, Any]) -> int:
    return int(array.ctypes.data)


def _api() -> numpy.ndarray[Any, Any]:
    """The table of functions and types."""
    python = ctypes.pythonapi
    words = [ctypes.cast(getattr(python, name), ctypes.c_void_p).value for name in API_FUNCTIONS]
    getter = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", python)
    )
    core = getattr(numpy, "_core", None) or numpy.core
    capsule = core._multiarray_umath._ARRAY_API
    table = ctypes.cast(getter(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    words += [id(numpy.ndarray), table[_NUMPY_EMPTY], table[_NUMPY_SCALAR], id(None)]
    default = ctypes.cast(table[_NUMPY_DEFAULT], ctypes.POINTER(ctypes.c_void_p))[0]
    words += [table[_NUMPY_SET], table[_NUMPY_GET], default]
    return numpy.array([*words, 0, 0], numpy.int64)  # the pool's words: see `buffers.py`


_tables: list[numpy.ndarray[Any, Any]] = []


def api_table() -> numpy.ndarray[Any, Any]:
    """The table of functions and types, made once."""
    if not _tables:
        _tables.append(_api())
    return _tables[0]


@dataclass(frozen=True)
class Shape:
    """The counts of a frame that the runtime needs."""

    inputs: int
    outputs: int
    states: int
    static: int
    sizes_at: int
    arena_at: int
    error_at: int
    words: int


class Context:
    """The context of one program, and all memory that it points to."""

    def __init__(
        self,
        shape: Shape,
        inputs: Sequence[TensorType],
        outputs: Sequence[TensorType],
        size_names: Sequence[str],
        static: Sequence[int],
        program: int,
        layout: int,
        give: Callable[[int], None],
    ) -> None:
        """`give` takes the arena back in the end."""
        self._kept: list[Any] = []
        self._give = give
        self.words = numpy.zeros(Word.COUNT, numpy.int64)
        dims = 2 + sum(t.ndim for t in outputs)
        words = self.words
        words[Word.INPUTS], words[Word.OUTPUTS], words[Word.STATES] = (
            shape.inputs,
            shape.outputs,
            shape.states,
        )
        words[Word.SIZES] = len(size_names)
        words[Word.STATIC], words[Word.FRAME] = shape.static, shape.words
        words[Word.TOTAL] = shape.words + shape.outputs + dims + 2 * shape.outputs
        words[Word.PROGRAM], words[Word.LAYOUT] = program, layout
        words[Word.SIZES_AT], words[Word.ARENA_AT] = shape.sizes_at, shape.arena_at
        words[Word.ERROR_AT] = shape.error_at
        records, derived = self._parameters(inputs, list(size_names))
        words[Word.PARAMETERS] = self._keep(records)
        results = [w for t in outputs for w in (self._object(t.dtype.numpy), t.ndim, t.dtype.numpy.itemsize)]
        words[Word.RESULTS] = self._keep(results)
        words[Word.STATIC_WORDS] = self._keep(static)
        words[Word.API] = _address(api_table())
        self.can_be_fast = not derived and words[Word.TOTAL] <= MAX_STACK_WORDS

    def answer_with(self, slow: Any, form: int, keys: Sequence[Any] | None, fast: bool) -> None:
        """Say how results are given, and who takes the calls that are unusual."""
        words = self.words
        words[Word.SLOW] = self._object(slow)
        words[Word.FORM] = form
        words[Word.KEYS] = self._keep([self._object(k) for k in keys or ()])
        words[Word.FAST] = fast and self.can_be_fast

    def _keep(self, words: Sequence[int]) -> int:
        array = numpy.array(words or [0], numpy.int64)
        self._kept.append(array)
        return _address(array)

    def _object(self, value: Any) -> int:
        self._kept.append(value)
        return id(value)

    def _parameters(self, types: Sequence[TensorType], size_names: list[str]) -> tuple[list[int], bool]:
        """The records of all parameters; and whether a dimension is neither a number nor a plain symbol."""
        records: list[int] = []
        bound: set[str] = set()
        derived = False
        for type_ in types:
            dims: list[int] = []
            for dim in type_.shape:
                name = lone_symbol(dim)
                if isinstance(dim, int):
                    dims += [FIXED, dim]
                elif name is None:
                    derived = True
                    dims += [FIXED, -1]
                else:
                    dims += [REPEATS if name in bound else BINDS, size_names.index(name)]
                    bound.add(name)
            dtype = type_.dtype.numpy
            scalars = [id(dtype.type), id(float) if dtype == numpy.float64 else id(dtype.type)]
            if type_.ndim or dtype.kind not in "fiu":
                scalars = [0, 0]
            records += [dtype.num, type_.ndim, *scalars, self._keep(dims)]
        return records, derived

    def __del__(self) -> None:
        words = getattr(self, "words", None)
        if words is not None and words[Word.ARENA]:
            self._give(int(words[Word.ARENA]))
            words[Word.ARENA] = 0
