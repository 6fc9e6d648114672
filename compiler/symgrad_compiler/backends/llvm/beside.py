"""Work in a thread of its own, whose result or error is asked for later.

`concurrent.futures` does this and more, and takes longer to import than a warm start of a function takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """A call under way in another thread."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="symgrad compiler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._work())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """What the call gave, or its error raised here, once it is done."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]


def all_beside(work: list[Callable[[], T]]) -> list[T]:
    """The results of all calls, which run at the same time; the last one in this thread."""
    others = [Beside(each) for each in work[:-1]]
    last = work[-1]()
    return [*(each.result() for each in others), last]
