"""Where a node comes from: the user's line, and the derivations and rewrites since.

model.py:12                                   written by the user
model.py:12 > vjp tanh(z).x                   made by differentiating that line's tanh towards x
model.py:12 > vjp tanh(z).x > rule softplus   and then rewritten
"""

from __future__ import annotations

import linecache
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_OWN_PACKAGES = frozenset({"symgrad", "symgrad_compiler", "symgrad_runtime"})


@dataclass(frozen=True, slots=True)
class Step:
    """One derivation or rewrite: `kind` is "vjp", "jvp", "rule" or "pass", `what` names it."""

    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what}"


@dataclass(frozen=True, slots=True)
class Origin:
    """A user's line and what happened since. An empty `file` says that the line is not known."""

    file: str
    line: int
    steps: tuple[Step, ...] = ()

    def then(self, kind: str, what: str) -> Origin:
        """This origin and one step more; a chain of more than `MAX_STEPS` keeps its ends."""
        steps = (*self.steps, Step(kind, what))
        if len(steps) > MAX_STEPS:
            steps = (*steps[: MAX_STEPS // 2], *steps[-(MAX_STEPS // 2) :])
        return Origin(self.file, self.line, steps)

    def relative(self) -> Origin:
        """With the file relative to the working directory, as origins are printed and compared."""
        path = relative_path(self.file, os.getcwd())
        return self if path == self.file else Origin(path, self.line, self.steps)

    def source(self) -> str:
        """The text of the user's line, or nothing where it cannot be read."""
        return linecache.getline(self.file, self.line).strip() if self.file else ""

    def __str__(self) -> str:
        here = [f"{relative_path(self.file, os.getcwd())}:{self.line}"] if self.file else []
        return " > ".join(here + [str(s) for s in self.steps]) or "unknown"


#: A node's origin stays bounded however often a graph is differentiated and rewritten.
MAX_STEPS = 16
UNKNOWN = Origin("", 0)


def relative_path(file: str, directory: str) -> str:
    """`file` relative to `directory` when it lies below, with forward slashes."""
    prefix = directory.rstrip(os.sep) + os.sep
    return file[len(prefix) :].replace(os.sep, "/") if file.startswith(prefix) else file


class _Scope(threading.local):
    origins: tuple[Origin, ...] | None = None


_scope = _Scope()
_sources: dict[tuple[str, int], tuple[Origin, ...]] = {}


def current() -> tuple[Origin, ...]:
    """The origins of a node made now: those of the scope, else the user's line."""
    if _scope.origins is not None:
        return _scope.origins
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").partition(".")[0] in _OWN_PACKAGES:
        if frame.f_back is None:
            return (UNKNOWN,)
        frame = frame.f_back
    key = (frame.f_code.co_filename, frame.f_lineno)
    found = _sources.get(key)
    if found is None:
        found = _sources[key] = (Origin(*key),)
    return found


#: Where the functions of the language are.
_LANGUAGE = ("symgrad.ops.", "symgrad.fft", "symgrad.linalg", "symgrad.nn", "symgrad.special")


def called() -> tuple[str, object]:
    """The function of the language that the user's line calls, and its first argument, for error messages;
    nothing and None where there is no such function."""
    name, first = "", None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN_PACKAGES:
        code = frame.f_code
        if frame.f_globals["__name__"].startswith(_LANGUAGE) and code.co_name[0].isalpha():
            name = code.co_name
            first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        frame = frame.f_back
    return name, first


@contextmanager
def scope(origins: tuple[Origin, ...]) -> Iterator[None]:
    """Nodes made inside get `origins` (in this thread)."""
    before = _scope.origins
    _scope.origins = origins
    try:
        yield
    finally:
        _scope.origins = before


def swap(origins: tuple[Origin, ...] | None) -> tuple[Origin, ...] | None:
    """Set the scope's origins and return those before: `scope` for loops over many nodes."""
    before = _scope.origins
    _scope.origins = origins
    return before


def merge(a: tuple[Origin, ...], b: tuple[Origin, ...]) -> tuple[Origin, ...]:
    """All origins of two nodes that became one, without repeats, at most `MAX_ORIGINS`."""
    if a is b or a == b:
        return a
    return tuple(dict.fromkeys((*a, *b)))[:MAX_ORIGINS]


#: A node that stands for very many (a constant, say) keeps this many origins.
MAX_ORIGINS = 8


def locate(origins: tuple[Origin, ...]) -> str | None:
    """ "file:line, in `source`" for error messages; None where nothing is known."""
    if not origins or not origins[0].file:
        return None
    source = origins[0].source()
    return f"{origins[0]}, in `{source}`" if source else str(origins[0])
