"""How many threads native programs use, and the memory of the pool that they share.

The pool itself is native code (`symgrad_compiler.backends.llvm.pool`); it starts its threads when it first
splits something. A forked child has none of them: its pool begins anew.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy

from symgrad.errors import InputError

#: How many threads; the environment variable of the default.
VARIABLE = "SYMGRAD_NUM_THREADS"

#: Offsets of the pool's words, in bytes. What different threads write lies in different cache lines.
GENERATION, OPEN, ACTIVE, NEXT = 0, 128, 256, 384
JOB, BYTES = 512, 560  # function, frame, places, total, grain; bytes of scratch memory
SLEEPERS, WAITING, BUSY = 640, 704, 768
THREADS, SPIN, STARTED, MADE, PARALLEL, ATTEND, API = 832, 836, 840, 844, 848, 856, 864
LOCK, WAKE, DONE = 896, 960, 1024
_SIZE, _LINE = 1152, 128
#: Rounds of waiting before a thread sleeps: a hundred microseconds where a pause takes 140 cycles.
PATIENCE = 2000
MOST_THREADS = 1024


def available() -> int:
    """The cores that this process may use: by affinity, and by the quota of its control group.

    >>> available() >= 1
    True
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, _quota() or count))


def _quota() -> int | None:
    """The cores of the control group's quota, rounded up."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            limit, period = file.read().split()
        return None if limit == "max" else -(-int(limit) // int(period))
    except (OSError, ValueError):
        return None


class _Pool:
    """The memory of the pool; it is never freed, since threads look at it until the process ends."""

    def __init__(self) -> None:
        self._room = numpy.zeros(_SIZE + _LINE, numpy.uint8)
        start = int(self._room.ctypes.data)
        self.address = -(-start // _LINE) * _LINE
        self._words = self._room[self.address - start :][:_SIZE]
        self._init: Callable[[], Any] | None = None
        self._set(THREADS, _default())
        self._set(SPIN, PATIENCE)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._room))

    def _set(self, offset: int, value: int) -> None:
        self._words[offset : offset + 4].view(numpy.int32)[0] = value

    @property
    def threads(self) -> int:
        return int(self._words[THREADS : THREADS + 4].view(numpy.int32)[0])

    @threads.setter
    def threads(self, count: int) -> None:
        self._set(THREADS, count)

    def begin(self, init: int, api: int) -> None:
        """Let native code set up what is its own; `api` is the table of Python's functions."""
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(init)
        self._init = partial(function, self.address, api)
        self._init()

    def begin_again(self) -> None:
        """After a fork: no threads, no job."""
        if self._init is None:
            return
        threads = self.threads
        self._words[:] = 0
        self._set(THREADS, threads)
        self._set(SPIN, PATIENCE)
        self._init()


def _default() -> int:
    chosen = os.environ.get(VARIABLE, "").strip()
    if not chosen:
        return available()
    if not re.fullmatch("[0-9]{1,9}", chosen) or not 1 <= int(chosen) <= MOST_THREADS:
        raise InputError(
            f"{VARIABLE} is no number of threads",
            facts=[("expected", f"1 to {MOST_THREADS}"), ("got", repr(chosen))],
        )
    return int(chosen)


_pool: list[_Pool] = []


def pool() -> _Pool:
    """The pool of this process."""
    if not _pool:
        _pool.append(_Pool())
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_pool[0].begin_again)
    return _pool[0]


def set_num_threads(count: int) -> None:
    """How many threads native code uses from now on, the calling one included; at first as many as there are
    cores (also: the environment variable SYMGRAD_NUM_THREADS). Results are the same to the bit for every
    number.

    Raises:
        InputError: if it is not an integer from 1 to 1024.

    >>> import symgrad as sg
    >>> before = sg.get_num_threads()
    >>> sg.set_num_threads(1)
    >>> sg.get_num_threads()
    1
    >>> sg.set_num_threads(before)
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_THREADS:
        raise InputError(
            "this is no number of threads",
            facts=[("expected", f"an integer from 1 to {MOST_THREADS}"), ("got", repr(count))],
        )
    pool().threads = count


def get_num_threads() -> int:
    """How many threads native code uses; see `set_num_threads`."""
    return pool().threads
