"""From text to graphs. The grammar is in docs/text.md; nothing of the text is ever evaluated as code."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from symgrad import registry
from symgrad.errors import ParseError
from symgrad.ir import origin
from symgrad.ir.collector import without_collections
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Shared, Tensor, make_input, make_shared
from symgrad.ir.values import State
from symgrad.text.attributes import read_value
from symgrad.text.data import Data
from symgrad.text.diagnostics import REFUSALS, refused
from symgrad.text.lexer import Cursor, Token, tokenize
from symgrad.text.oplines import NOWHERE, OpLines
from symgrad.text.sections import Files, read_sections
from symgrad.types import TensorType


@registry.provide("parse")
def parse(text: str) -> Graph:
    """The graph that `text` describes.

    Raises:
        ParseError: with line, column and what was expected. Text that refers to a file is refused: `load` it.

    >>> text = '''
    ... graph g(x: f64[n]) -> (y: f64[n]) {  # comments are fine
    ...   y: f64[n] = tanh(x)
    ...   return y
    ... }'''
    >>> parse(text).outputs
    (<y: f64[n]>,)
    """
    return parse_with(text, None)


def parse_with(text: str, files: Files | None) -> Graph:
    """The graph that `text` describes, its big arrays from `files` where the text says so."""
    if not isinstance(text, str):
        raise TypeError(f"parse takes text, not {type(text).__name__}")
    parser = _Parser(text.split("\n"), files)
    try:
        return parser.graph()
    except RecursionError:
        raise ParseError("the text nests too deeply", line=1, column=1) from None


class _Parser:
    def __init__(self, lines: list[str], files: Files | None, data: Data | None = None) -> None:
        self.lines = lines
        self.files = files
        self.is_inner = data is not None
        self.data = Data() if data is None else data
        self.ops = OpLines(lines, self.data)
        self.tensors = self.ops.tensors
        self.inputs: list[Tensor] = []
        self.declared: list[tuple[Token, str, TensorType]] = []
        self.outputs: list[tuple[str, Tensor]] | None = None
        self.updates: dict[Shared, Tensor] = {}

    @without_collections
    def graph(self) -> Graph:
        start, name = self.header()
        end = self.closing(start)
        if not self.is_inner:
            read_sections(self.lines, end + 1, self.data, self.files, self.inner)
        for number in range(start, end):
            if self.outputs is not None or not self.ops.printed_line(self.lines[number]):
                self.line(number + 1)
        if self.outputs is None:
            self.fail_at(end, "the graph returns nothing", "`return` and the names of the outputs")
        return self.finish(name, end)

    def inner(self, start: int, end: int) -> Graph:
        """The graph in a section; blank lines before it keep its line numbers."""
        lines = [""] * start + self.lines[start:end]
        return _Parser(lines, self.files, self.data).graph()

    def fail_at(self, index: int, what: str, expected: str) -> NoReturn:
        line = self.lines[index] if index < len(self.lines) else ""
        column = len(line) - len(line.lstrip()) + 1
        raise ParseError(what, line=index + 1, column=column, source=line, expected=expected)

    # ---- around the body ----------------------------------------------------------------------------

    def header(self) -> tuple[int, str]:
        """Reads `graph name(inputs) -> (outputs) {`; the index of the next line, and the name."""
        tokens: list[Token] = []
        index = 0
        for index, line in enumerate(self.lines):
            found = tokenize(line, index + 1)
            tokens += found[:-1]
            if found[0].kind != "end" and (found[-2].text == "{" or tokens[0].text != "graph"):
                break
        last = self.lines[index]
        tokens.append(Token("end", "", index + 1, len(last.rstrip()) + 1))
        cursor = Cursor(tokens, self.lines)
        if cursor.token.text != "graph":
            cursor.fail("this is not a graph", expected="`graph name(...) -> (...) {`")
        cursor.advance()
        name = cursor.fresh_name((), "a graph")
        if self.is_inner:
            cursor.expect("=")
            name = cursor.fresh_name((), "a graph")
        cursor.expect("(")
        while cursor.token.text != ")":
            token = cursor.token
            input_name = cursor.fresh_name(self.tensors, "an input")
            cursor.expect(":")
            with origin.scope(NOWHERE):
                tensor = self.tensors[input_name] = make_input(self.ops.read_type(cursor), input_name)
            self.inputs.append(tensor)
            if not cursor.accept(","):
                break
        cursor.expect(")")
        cursor.expect("->")
        cursor.expect("(")
        while cursor.token.text != ")":
            token = cursor.token
            output_name = cursor.fresh_name((), "an output")
            cursor.expect(":")
            self.declared.append((token, output_name, self.ops.read_type(cursor)))
            if not cursor.accept(","):
                break
        cursor.expect(")")
        cursor.expect("{")
        cursor.expect_end()
        return index + 1, name

    def closing(self, start: int) -> int:
        """The index of the line with the brace that closes the graph."""
        for index in range(start, len(self.lines)):
            line = self.lines[index]
            if "}" in line and line.lstrip(" \t").startswith("}"):
                tokens = tokenize(line, index + 1)
                cursor = Cursor(tokens, self.lines)
                cursor.advance()
                cursor.expect_end()
                return index
        self.fail_at(len(self.lines) - 1, "the graph does not end", "`}`")

    def finish(self, name: str, end: int) -> Graph:
        assert self.outputs is not None
        for (token, output, type), (found, tensor) in zip(self.declared, self.outputs, strict=False):
            if output != found:
                self.fail_token(token, f"the graph declares the output {output} but returns {found}")
            if type != tensor.type:
                self.fail_token(token, f"the output {output} is {tensor.type}, not {type}")
        if len(self.declared) != len(self.outputs):
            what = f"the graph declares {len(self.declared)} outputs but returns {len(self.outputs)}"
            self.fail_at(end, what, "one `name: type` for each output after `->`")
        try:
            graph = Graph(self.inputs, [t for _, t in self.outputs], [*self.updates.items()], name)
        except REFUSALS as error:
            raise refused(error, 1, 1, self.lines[0], "this is not a graph") from None
        vars(graph)["output_names"] = tuple([n for n, _ in self.outputs])
        return graph

    def fail_token(self, token: Token, what: str) -> NoReturn:
        raise ParseError(what, line=token.line, column=token.column, source=self.lines[token.line - 1])

    # ---- lines of the body --------------------------------------------------------------------------
    def line(self, number: int) -> None:
        """Reads any line of the body by the grammar."""
        cursor = Cursor(tokenize(self.lines[number - 1], number), self.lines)
        token = cursor.token
        if token.kind == "end":
            return
        if self.outputs is not None and token.text != "update":
            cursor.fail("only updates can follow `return`", expected="`update` or `}`")
        statements: dict[str, Callable[[Cursor], None]] = {
            "state": self.state,
            "return": self.returned,
            "update": self.update,
        }
        statement = statements.get(token.text) if token.kind == "name" else None
        if statement is None:
            self.ops.op_line(cursor)
        else:
            cursor.advance()
            statement(cursor)
            cursor.expect_end()

    def state(self, cursor: Cursor) -> None:
        """`state name: type = value`"""
        name = cursor.fresh_name(self.tensors, "a state")
        cursor.expect(":")
        type = self.ops.read_type(cursor)
        cursor.expect("=")
        value = read_value(cursor, type, self.data)
        with origin.scope(NOWHERE):
            self.tensors[name] = make_shared(State(value.array), name)

    def returned(self, cursor: Cursor) -> None:
        """`return y, loss = t3`"""
        self.outputs = []
        while not cursor.at_end():
            if cursor.peek().text == "=":
                name = cursor.fresh_name((), "an output")
                cursor.expect("=")
                _, tensor = self.ops.known_tensor(cursor)
            else:
                name, tensor = self.ops.known_tensor(cursor)
            self.outputs.append((name, tensor))
            if not cursor.accept(","):
                break

    def update(self, cursor: Cursor) -> None:
        """`update w = w_new`"""
        if self.outputs is None:
            cursor.fail("updates follow `return`")
        at = cursor.token
        _, target = self.ops.known_tensor(cursor)
        cursor.expect("=")
        _, value = self.ops.known_tensor(cursor)
        if not isinstance(target, Shared):
            cursor.fail("only state can be updated", at=at, expected="the name of a state")
        if target in self.updates:
            cursor.fail(f"{at.text} is updated twice", at=at)
        if target.type != value.type:
            cursor.fail(f"{at.text} is {target.type}, its update {value.type}", at=at)
        self.updates[target] = value
