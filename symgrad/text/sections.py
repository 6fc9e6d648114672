"""The sections behind a graph's closing brace: its big arrays, or the file that has them, and its inner
graphs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from symgrad.errors import ParseError
from symgrad.ir.graph import Graph
from symgrad.ir.values import ArrayData
from symgrad.text.data import Data, from_base64
from symgrad.text.diagnostics import REFUSALS, refused
from symgrad.text.lexer import Cursor, tokenize
from symgrad.text.literals import fixed_shape
from symgrad.text.sizes import read_type
from symgrad.types import TensorType

#: Reads arrays of known types from a file: (file name, sha256, name -> type) -> name -> array.
Files = Callable[[str, str, Mapping[str, TensorType]], Mapping[str, ArrayData]]


def read_sections(
    lines: list[str], start: int, data: Data, files: Files | None, inner: Callable[[int, int], Graph]
) -> None:
    """Reads the sections from line index `start` into `data`; `inner` reads a graph between two indices."""
    index = start
    while index < len(lines):
        tokens = tokenize(lines[index], index + 1)
        cursor = Cursor(tokens, lines)
        if cursor.at_end():
            index += 1
        elif cursor.token.text == "data":
            index = _read_data(lines, index, cursor, data)
        elif cursor.token.text == "file":
            index = _read_file(lines, index, cursor, data, files)
        elif cursor.token.text == "graph":
            cursor.advance()
            name = cursor.fresh_name(data.graphs, "a graph")
            cursor.expect("=")
            end = _end(lines, index + 1) + 1
            data.graphs[name] = partial(inner, index, end)
            index = end
        else:
            cursor.fail(
                "text behind the end of the graph", expected="`data`, `file`, `graph` or the end of the text"
            )


def _end(lines: list[str], start: int) -> int:
    for index in range(start, len(lines)):
        if lines[index].strip() == "}":
            return index
    raise ParseError(
        "the section does not end", line=start, column=1, source=lines[start - 1], expected="a line `}` below"
    )


def _read_data(lines: list[str], index: int, cursor: Cursor, data: Data) -> int:
    """`data d1: f64[100,100] = base64 {`, lines of base64, `}`; the index of the line behind."""
    cursor.advance()
    at = cursor.token
    name = cursor.fresh_name(data.arrays, "data")
    cursor.expect(":")
    type = read_type(cursor)
    fixed_shape(cursor, type.shape)
    cursor.expect("=")
    cursor.expect("base64")
    cursor.expect("{")
    cursor.expect_end()
    end = _end(lines, index + 1)
    try:
        data.arrays[name] = ArrayData(from_base64(lines[index + 1 : end], type))
    except REFUSALS as error:
        raise refused(error, at.line, at.column, lines[index], f"the data {name}") from None
    return end + 1


def _read_file(lines: list[str], index: int, cursor: Cursor, data: Data, files: Files | None) -> int:
    """`file "mlp.npz" sha256 "9f86..." {`, lines `name: type`, `}`; the index of the line behind."""
    start = cursor.advance()
    at = cursor.token
    name = _string(cursor)
    cursor.expect("sha256")
    digest = _string(cursor)
    cursor.expect("{")
    cursor.expect_end()
    if files is None:
        cursor.fail(
            f"the text keeps arrays in the file {name[:200]!r}",
            at=start,
            hint="read it with symgrad.load(path), which looks for the file beside the text",
        )
    end = _end(lines, index + 1)
    types: dict[str, TensorType] = {}
    for number in range(index + 1, end):
        row = Cursor(tokenize(lines[number], number + 1), lines)
        if row.at_end():
            continue
        array = row.fresh_name({*types, *data.arrays}, "data")
        row.expect(":")
        types[array] = read_type(row)
        fixed_shape(row, types[array].shape)
        row.expect_end()
    try:
        data.arrays.update(files(name, digest, types))
    except REFUSALS as error:
        raise refused(error, at.line, at.column, lines[index]) from None
    return end + 1


def _string(cursor: Cursor) -> str:
    token = cursor.take("string", "a quoted text")
    try:
        return str(json.loads(token.text))
    except ValueError:
        cursor.fail("a quoted text is not well formed", at=token, expected="a string as in JSON")
