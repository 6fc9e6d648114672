"""Memory of large results and arenas: blocks that go back to a pool when their array dies, to be used again.

Fresh memory costs a page fault for each page, which takes longer than many a program. The pool is native code
(`symgrad_compiler.backends.llvm.buffers`), and NumPy knows it as a memory handler (NEP 49) of the arrays
whose memory it gave: such arrays own their data like any other. Here are its words, its bound, and the way to
it from Python. It all works under the GIL, and the code is never freed: arrays may die at the very end.

Idle blocks are kept up to a bound: SYMGRAD_POOL_SIZE, by default an eighth of the machine's memory and at
most 1 GiB. Beyond, those that were idle for longest go back to the system. 0 switches the pool off.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import Any

import numpy

from symgrad_runtime.context import CAPSULE, POOL, api_table
from symgrad_runtime.quantities import bytes_from_environment

#: How much may be idle; 0 for no pool.
VARIABLE = "SYMGRAD_POOL_SIZE"
_MOST = 2**30
#: Results from this size on come from the pool.
LARGE = 2**16
#: Sizes from this on are mapped, at multiples of it, and may have huge pages.
MAPPED, HUGE = 2**22, 2**21


class Word(IntEnum):
    """The words of the pool, 8 bytes each."""

    BOUND = 0  # bytes that may be idle
    IDLE = 1  # bytes that are
    LIVE = 2  # bytes in use
    USED_AGAIN = 3  # how often an idle block was found
    FRESH = 4  # how often none was
    NEWEST = 5  # of the idle blocks
    OLDEST = 6
    ALIGNED = 7  # posix_memalign
    FREE = 8
    MMAP = 9
    MUNMAP = 10
    MADVISE = 11
    MEMCPY = 12
    MEMSET = 13
    FLAGS = 14  # of mmap
    ADVICE = 15  # for madvise; 0 for none
    COLOUR = 16  # where in its first page the next block starts
    CLASSES = 17  # the newest idle block of each class of sizes


#: Eight classes for each power of two up to 2**63, and one that is always empty behind them.
CLASSES = 8 * 64 + 1
_WORDS = Word.CLASSES + CLASSES

#: Native functions, in the order of a PyDataMem_Handler.
HANDLER = ("malloc", "calloc", "realloc", "free")


@dataclass(frozen=True)
class Use:
    """What the pool holds, in bytes; how many requests met an idle block, and how many did not."""

    live: int
    idle: int
    used_again: int
    fresh: int


class _Pool:
    """The words, and native functions once there are any."""

    def __init__(self) -> None:
        self.words = (ctypes.c_int64 * _WORDS).from_address(_forever(8 * _WORDS))
        self.address = ctypes.addressof(self.words)
        libc = ctypes.CDLL(None)
        names = ("posix_memalign", "free", "mmap", "munmap", "madvise", "memcpy", "memset")
        for word, name in zip(range(Word.ALIGNED, Word.FLAGS), names, strict=True):
            self.words[word] = ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0
        self.words[Word.FLAGS] = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.words[Word.ADVICE] = getattr(mmap, "MADV_HUGEPAGE", 0) if sys.platform == "linux" else 0
        self.words[Word.BOUND] = bytes_from_environment(VARIABLE, _default_bound())
        self._give: Callable[[int, int], None] | None = None
        self._trim: Callable[[int, int], None] | None = None
        self._make: Callable[..., Any] | None = None

    def begin(self, addresses: Sequence[int], give: int, trim: int, make: int) -> None:
        """Take native functions: those of the handler, what takes blocks back and frees them, what makes
        arrays."""
        self._trim = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(trim)
        self._give = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(give)
        self._make = ctypes.PYFUNCTYPE(
            ctypes.py_object, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.py_object
        )(make)
        api_table()[POOL] = self.address
        if self.words[Word.BOUND]:
            api_table()[CAPSULE] = id(_handler(self.address, addresses))

    def empty(self, shape: tuple[int, ...], dtype: numpy.dtype[Any]) -> numpy.ndarray[Any, Any]:
        """An array like that of `numpy.empty`, with memory of the pool if it is large."""
        if self._make is None or prod(shape) * dtype.itemsize < LARGE:
            return numpy.empty(shape, dtype)
        dims = (ctypes.c_int64 * len(shape))(*shape)
        made: numpy.ndarray[Any, Any] = self._make(
            int(api_table().ctypes.data), len(shape), ctypes.addressof(dims), dtype
        )
        return made

    def give(self, block: int) -> None:
        """Take back a block."""
        assert self._give is not None, "what gave the block has begun"
        self._give(self.address, block)

    def trim(self, idle: int = 0) -> None:
        """Free idle blocks, the oldest first, until no more than so many bytes are idle."""
        if self._trim is not None:
            self._trim(self.address, idle)

    def use(self) -> Use:
        words = self.words
        return Use(words[Word.LIVE], words[Word.IDLE], words[Word.USED_AGAIN], words[Word.FRESH])


def _default_bound() -> int:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return _MOST
    return min(_MOST, memory // 8)


def _forever(size: int) -> int:
    """Zeroed memory that is never freed."""
    make = ctypes.pythonapi.PyMem_RawCalloc
    make.restype, make.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
    made = make(1, size)
    if made is None:
        raise MemoryError
    return int(made)


class _Handler(ctypes.Structure):
    """PyDataMem_Handler, version 1."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        *[(name, ctypes.c_void_p) for name in HANDLER],
    ]


def _handler(pool: int, addresses: Sequence[int]) -> Any:
    """The capsule by which NumPy knows the pool; it has a reference that nobody gives back."""
    address = _forever(ctypes.sizeof(_Handler) + 16)
    handler = _Handler.from_address(address)
    handler.name, handler.version, handler.context = b"symgrad", 1, pool
    for name, function in zip(HANDLER, addresses, strict=True):
        setattr(handler, name, function)
    name_at = address + ctypes.sizeof(_Handler)  # the capsule keeps the pointer, not the text
    ctypes.memmove(name_at, b"mem_handler\0", 12)
    capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
        ("PyCapsule_New", ctypes.pythonapi)
    )(address, name_at, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(capsule))
    return capsule


_made: list[_Pool] = []


def pool() -> _Pool:
    """The pool of this process.

    Raises:
        InputError: SYMGRAD_POOL_SIZE is no amount of memory.
    """
    if not _made:
        _made.append(_Pool())
    return _made[0]
