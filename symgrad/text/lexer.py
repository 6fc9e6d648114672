"""Words of the text form, and a cursor that walks over them and says what it expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, NoReturn

from symgrad.errors import ParseError
from symgrad.ir.tensor import MAX_NAME, RESERVED
from symgrad.text.diagnostics import shorten


class Token(NamedTuple):
    """A word: `kind` is "name", "number", "string", "origin", "mark" or "end"."""

    kind: str
    text: str
    line: int
    column: int


_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t\r]+|\#.*)
    | (?P<name>[A-Za-z_\x80-\U0010ffff][0-9A-Za-z_\x80-\U0010ffff]*)
    | (?P<number>0[xX][0-9a-fA-F]+ | (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<origin>@.*)
    | (?P<mark>->|\*\*|[][(){},:=+*-])
    """,
    re.VERBOSE,
)


def tokenize(source: str, line: int) -> list[Token]:
    """The words of one line, and a last one of kind "end".

    >>> [t.text for t in tokenize("y: f64 = add(x, -1.5)  # sum", 1)]
    ['y', ':', 'f64', '=', 'add', '(', 'x', ',', '-', '1.5', ')', '']
    """
    tokens: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            what = "a string that does not end" if source[position] == '"' else "a character without meaning"
            raise ParseError(
                what, line=line, column=position + 1, source=source, found=repr(source[position])
            )
        kind = match.lastgroup or ""
        if kind != "blank":
            tokens.append(Token(kind, match[0], line, position + 1))
        position = match.end()
    tokens.append(Token("end", "", line, len(source.rstrip()) + 1))
    return tokens


class Cursor:
    """A position among words; `lines` are the text's lines, for messages."""

    __slots__ = ("index", "lines", "token", "tokens")

    def __init__(self, tokens: Sequence[Token], lines: Sequence[str]) -> None:
        self.tokens = tokens
        self.lines = lines
        self.index = 0
        self.token = tokens[0]

    def advance(self) -> Token:
        """The present word; goes on to the next."""
        token = self.token
        if token.kind != "end":
            self.index += 1
            self.token = self.tokens[self.index]
        return token

    def accept(self, mark: str) -> bool:
        """Go past `mark` if it comes next."""
        token = self.token
        if token.text != mark or token.kind in ("string", "origin"):
            return False
        self.advance()
        return True

    def expect(self, mark: str) -> Token:
        """Go past `mark`, which must come next."""
        token = self.token
        if not self.accept(mark):
            self.fail(f"`{mark}` is missing", expected=f"`{mark}`")
        return token

    def take(self, kind: str, expected: str) -> Token:
        """Go past a word of a kind."""
        if self.token.kind != kind:
            self.fail(f"{expected} is missing", expected=expected)
        return self.advance()

    def peek(self) -> Token:
        """The word after the present one."""
        return self.tokens[min(self.index + 1, len(self.tokens) - 1)]

    def at_end(self) -> bool:
        return self.token.kind == "end"

    def expect_end(self) -> None:
        """Nothing more may follow on the line."""
        if self.token.kind != "end":
            self.fail("more than one statement on a line", expected="the end of the line")

    def fail(
        self, what: str, *, at: Token | None = None, expected: str | None = None, hint: str | None = None
    ) -> NoReturn:
        """Raise a parse error at a word, the present one unless given."""
        token = at or self.token
        found = shorten(token.text) if token.kind != "end" else "the end of the line"
        raise ParseError(
            what,
            line=token.line,
            column=token.column,
            source=self.lines[token.line - 1],
            expected=expected,
            found=found if expected else None,
            hint=hint,
        )

    def fresh_name(self, taken: Iterable[str], what: str) -> str:
        """A name that is not in `taken`, for a tensor, a state, a graph or data."""
        token = self.take("name", f"the name of {what}")
        name = token.text
        if name in RESERVED:
            self.fail(
                f"{name} is a word of the text form and cannot name {what}", at=token, hint=f"e.g. {name}_"
            )
        if not name.isidentifier() or len(name) > MAX_NAME:
            self.fail(f"{what} needs an identifier of at most {MAX_NAME} letters as name", at=token)
        if name in taken:
            self.fail(f"{shorten(name)} is already the name of something else", at=token)
        return name
