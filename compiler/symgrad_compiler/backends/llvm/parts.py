"""The text of a module in parts, which can be compiled at the same time and loaded together.

A part has some functions, chosen so that all parts take about as long, copies of the constants and of the
functions to be inlined that they use, and declarations of those that they call in other parts. These are no
longer internal.
Variables are in the first part, with all functions that use them.
So that the loader can be asked where a part is, each part has a function of its own, named by `marker`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from symgrad.lazy import cached_property
from symgrad.records import record

#: Lines of a part, at least: below, LLVM starts longer than it works.
LEAST = 450
_DEFINE, _END, _GLOBAL = "define ", "\n}\n", "@"
_NAME = re.compile(r"@([-\w.$]+)")
_INLINED = re.compile(r"@([-\w.$]+)\([^\n]*\) alwaysinline")
_CONSTANT = re.compile(r"@[-\w.$]+ = private (unnamed_addr )?constant ")


def marker(number: int) -> str:
    """The name of the function that tells where a part is."""
    return f"part.{number}.begins"


@record
class _Piece:
    """A function, or the line of a constant or a variable."""

    text: str

    @cached_property
    def head(self) -> str:
        """A function without its body; all of a constant or a variable."""
        return self.text.split("{", 1)[0] if self.text.startswith(_DEFINE) else self.text

    @cached_property
    def name(self) -> str:
        found = _NAME.search(self.head)
        assert found, self.head
        return found[1]

    @cached_property
    def names(self) -> frozenset[str]:
        """What it calls or points to."""
        return frozenset(_NAME.findall(self.text)) - {self.name}

    @cached_property
    def inlined(self) -> frozenset[str]:
        return frozenset(_INLINED.findall(self.text))

    @cached_property
    def lines(self) -> int:
        return self.text.count("\n") + 1

    @property
    def is_global(self) -> bool:
        return self.head.startswith(_GLOBAL)

    @property
    def is_internal(self) -> bool:
        return self.head.startswith(f"{_DEFINE}internal ")

    @property
    def declaration(self) -> str:
        head = self.head.replace("define internal ", "define ").replace(_DEFINE, "declare ", 1)
        return head[: head.rindex(")") + 1]


def parts(text: str, most: int) -> list[str]:
    """The text in at most so many parts of about the same work; itself where it is short, or where more
    than a part of it uses its variables."""
    count = min(most, text.count("\n") // LEAST)
    if count < 2:
        return [text]
    rest, pieces = _read(text)
    by_name = {p.name: p for p in pieces}
    variables = frozenset(p.name for p in pieces if p.is_global and not _CONSTANT.match(p.head))
    called = frozenset().union(*(p.names - p.inlined for p in pieces))
    functions = [p for p in pieces if not p.is_global and (p.name in called or not p.is_internal)]
    owned = _shares(functions, variables, by_name, count)
    used = [_used(own, by_name) for own in owned]
    if any(not variables.isdisjoint(copied) for copied, _ in used[1:]):
        return [text]
    shared = frozenset().union(*(also for _, also in used))
    return [
        "\n".join([*rest, *_part(number, own, copied, also, by_name, shared)])
        for number, (own, (copied, also)) in enumerate(zip(owned, used, strict=True))
    ]


def _read(text: str) -> tuple[list[str], list[_Piece]]:
    """Lines that every part has, and the pieces."""
    rest: list[str] = []
    pieces: list[_Piece] = []
    start = 0
    while start < len(text):
        is_function = text.startswith(_DEFINE, start)
        end = text.find(_END if is_function else "\n", start)
        stop = len(text) if end < 0 else end + (len(_END) - 1 if is_function else 0)
        piece = text[start:stop]
        if is_function or piece.startswith(_GLOBAL):
            pieces.append(_Piece(piece))
        elif piece:
            rest.append(piece)
        start = stop + 1
    return rest, pieces


def _shares(
    functions: list[_Piece], variables: frozenset[str], by_name: dict[str, _Piece], count: int
) -> list[list[_Piece]]:
    """The functions in at most so many lists of about the same work, the longest shared out first; all that
    use variables in the first list."""
    work = [f.lines + sum(by_name[n].lines for n in f.inlined if n in by_name) for f in functions]
    is_bound = [not f.names.isdisjoint(variables) for f in functions]
    shares: list[list[int]] = [[] for _ in range(count)]
    total = [0] * count
    for i in sorted(range(len(functions)), key=lambda i: (not is_bound[i], -work[i])):
        least = 0 if is_bound[i] else total.index(min(total))
        shares[least].append(i)
        total[least] += work[i]
    return [[functions[i] for i in sorted(share)] for share in shares if share]


def _used(own: list[_Piece], by_name: dict[str, _Piece]) -> tuple[list[str], set[str]]:
    """What a part has copies of: globals and functions to be inlined; and what it has from other parts."""
    mine = {f.name for f in own}
    copied: dict[str, None] = {}
    also: set[str] = set()
    open_ = list(own)
    while open_:
        piece = open_.pop()
        for name in piece.names - mine:
            if name not in by_name:
                continue  # a function of LLVM's, declared for all
            if not by_name[name].is_global and name not in piece.inlined:
                also.add(name)
            elif name not in copied:
                copied[name] = None
                open_.append(by_name[name])
    return sorted(copied), also - copied.keys()


def _part(
    number: int,
    own: list[_Piece],
    copied: Iterable[str],
    also: Iterable[str],
    by_name: dict[str, _Piece],
    shared: frozenset[str],
) -> list[str]:
    """The lines of a part but for those that all have."""
    lines = [by_name[name].declaration for name in sorted(also)]
    lines += [by_name[name].text for name in copied]
    lines.append(f"define void @{marker(number)}() {{ ret void }}")
    for f in own:
        is_seen = f.name in shared
        lines.append(f.text.replace("define internal ", "define ", 1) if is_seen else f.text)
    return lines
