"""State is written in one step of C, which no signal interrupts.

Python handles signals between any two steps of its own code, and handlers may raise, as that of Ctrl-C does.
Blocking signals would not help: another thread may take them, and the main thread still handles them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from operator import call
from typing import Any


def renewals(states: Sequence[Any]) -> list[Callable[[], None]]:
    """Calls by which the new values, which are in the states' spare arrays, become theirs."""
    new: list[Callable[[], None]] = [partial(setattr, s, "array", s.spare) for s in states]
    return [*new, *(partial(setattr, s, "spare", s.array) for s in states)]


def at_once(steps: Sequence[Callable[[], Any]]) -> None:
    """Call all; all of them are functions in C.

    >>> made = []
    >>> at_once([partial(made.append, 1), partial(made.append, 2)])
    >>> made
    [1, 2]
    """
    deque(map(call, steps), maxlen=0)


def until_failure(steps: Sequence[Callable[[], Any]]) -> Any:
    """Call one after the other until one returns what is true: that, or None; all of them are functions in C.

    >>> made = []
    >>> until_failure([partial(made.append, 1), partial(divmod, 7, 2), partial(made.append, 2)])
    (3, 1)
    >>> made
    [1]
    """
    return next(filter(None, map(call, steps)), None)
