"""Locks that survive a fork: a child has one thread, and what others held in the parent would stay taken."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
_AT_ONCE = 8


class Lock(type(threading.RLock())):  # type: ignore[misc]
    """A reentrant lock. In a forked process it is free, unless the thread that forked holds it.

    `with lock:` is C code of Python's: no signal comes between taking it and being bound to give it back.

    >>> lock = Lock()
    >>> with lock, lock:
    ...     pass
    """

    def __init__(self) -> None:
        _locks.add(self)


def holding(locks: Sequence[Lock], work: Callable[[], T]) -> T:
    """What `work` returns, while all locks are held; they are given back whenever a signal comes.

    >>> holding([Lock(), Lock()], lambda: 3)
    3
    """
    return _holding(locks, 0, work)


def _holding(locks: Sequence[Lock], start: int, work: Callable[[], T]) -> T:
    """With those from `start` on; eight at a time, so that a thousand need no deep stack."""
    left = len(locks) - start
    if left == 0:
        return work()
    if left < _AT_ONCE:
        with locks[start]:
            return _holding(locks, start + 1, work)
    a, b, c, d, e, f, g, h = locks[start : start + _AT_ONCE]
    with a, b, c, d, e, f, g, h:
        return _holding(locks, start + _AT_ONCE, work)


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_locks):
        if lock.acquire(blocking=False):
            lock.release()
        else:
            lock._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
