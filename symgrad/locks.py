"""Locks that survive a fork: a child has one thread, and what others held in the parent would stay taken."""

from __future__ import annotations

import os
import threading
import weakref


class Lock:
    """A reentrant lock. In a forked process it is free, unless the thread that forked holds it.

    >>> lock = Lock()
    >>> with lock, lock:
    ...     pass
    """

    __slots__ = ("__weakref__", "acquire", "release")

    def __init__(self) -> None:
        self._renew()
        _locks.add(self)

    def _renew(self) -> None:
        lock = threading.RLock()
        self.acquire, self.release = lock.acquire, lock.release

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_locks):
        if lock.acquire(blocking=False):
            lock.release()
        else:
            lock._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
