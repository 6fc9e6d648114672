"""The pipeline as a value that can be read and changed: a tuple of passes that prints as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from symgrad.errors import CompileError
from symgrad.ir.graph import Graph
from symgrad_compiler.passes.checks import as_passes, pass_name

_Pass: TypeAlias = Callable[[Graph], Graph]


class Pipeline(tuple[_Pass, ...]):
    """A tuple of passes. Every change makes a new one; passes go by themselves or by their names.

    >>> import symgrad as sg
    >>> print(sg.passes.Pipeline([sg.passes.merge, sg.passes.eliminate]))
    1  merge      Merge equal nodes.
    2  eliminate  Drop what has no effect: a graph holds only ancestors of its results.
    >>> sg.passes.Pipeline([sg.passes.merge, sg.passes.eliminate]).without("merge").names
    ('eliminate',)
    """

    __slots__ = ()

    def __new__(cls, passes: Iterable[_Pass] = ()) -> Pipeline:
        return super().__new__(cls, as_passes(passes))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the passes, in order."""
        return tuple(pass_name(p) for p in self)

    def without(self, *passes: _Pass | str) -> Pipeline:
        """The pipeline without these passes, wherever they stand."""
        dropped = {i for which in passes for i in self._places(which)}
        return Pipeline(p for i, p in enumerate(self) if i not in dropped)

    def before(self, which: _Pass | str, *passes: _Pass) -> Pipeline:
        """The pipeline with other passes before `which`, where that stands first."""
        at = self._places(which)[0]
        return Pipeline((*self[:at], *passes, *self[at:]))

    def after(self, which: _Pass | str, *passes: _Pass) -> Pipeline:
        """The pipeline with other passes after `which`, where that stands last."""
        at = self._places(which)[-1] + 1
        return Pipeline((*self[:at], *passes, *self[at:]))

    def replace(self, which: _Pass | str, *passes: _Pass) -> Pipeline:
        """The pipeline with other passes in place of `which`, wherever that stands."""
        at = set(self._places(which))
        return Pipeline(q for i, p in enumerate(self) for q in (passes if i in at else (p,)))

    def _places(self, which: _Pass | str) -> list[int]:
        found = [i for i, p in enumerate(self) if p is which or pass_name(p) == which]
        if not found:
            name = which if isinstance(which, str) else pass_name(which)
            raise CompileError(
                f"the pipeline has no pass {name!r}",
                facts=[("passes", ", ".join(dict.fromkeys(self.names)))],
            )
        return found

    def __str__(self) -> str:
        width = max(map(len, self.names), default=0)
        digits = len(str(len(self)))
        rows = [
            f"{number:>{digits}}  {name:<{width}}  {described(step)}"
            for number, (name, step) in enumerate(zip(self.names, self, strict=True), 1)
        ]
        return "\n".join(row.rstrip() for row in rows)

    def __repr__(self) -> str:
        return f"<pipeline {', '.join(self.names)}>"


def described(step: _Pass) -> str:
    """What a pass does, in a line: the first of its own docstring."""
    return " ".join((step.__doc__ or "").split("\n\n")[0].split())
