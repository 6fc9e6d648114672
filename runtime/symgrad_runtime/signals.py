"""Keeping Ctrl-C out of the short stretch in which state is written."""

from __future__ import annotations

import signal
import threading
from types import TracebackType

_CAN_BLOCK = hasattr(signal, "pthread_sigmask")


class Uninterrupted:
    """While the block runs, Ctrl-C waits (in the main thread, which is where Python raises it)."""

    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before: set[int] | None = None
        if _CAN_BLOCK and threading.get_ident() == threading.main_thread().ident:
            self._before = set(signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
