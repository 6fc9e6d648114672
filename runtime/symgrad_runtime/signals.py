"""Keeping signals out of the short stretch in which state is written.

Python handles signals between any two steps of its own code, and handlers may raise, as that of Ctrl-C does.
So what must not stop half-way is one call of a function in C, or has signals blocked.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
#: The function in C, behind which Python's own has steps of Python.
_sigmask: Any = getattr(_signal, "pthread_sigmask", None)
#: Those whose handlers may raise.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


def exchange(states: Sequence[Any]) -> None:
    """The new values, which are in the states' spare arrays, become theirs: all of them, in one step of C."""
    new, old = [s.spare for s in states], [s.array for s in states]
    names = ["array"] * len(states) + ["spare"] * len(states)
    deque(map(setattr, [*states, *states], names, [*new, *old]), maxlen=0)


def uninterrupted(work: Callable[[], T]) -> T:
    """What `work` returns; signals wait for it in the main thread, which is where Python handles them."""
    if _sigmask is None or threading.get_ident() != threading.main_thread().ident:
        return work()
    before = _sigmask(signal.SIG_BLOCK, ())
    try:
        _sigmask(signal.SIG_BLOCK, _SIGNALS)
        return work()
    finally:
        _sigmask(signal.SIG_SETMASK, before)
