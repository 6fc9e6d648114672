"""The lines of ops: `h: f64[n,3] = matmul(x, w)  @ model.py:12`.

A line goes through the full grammar, which finds and explains errors, unless it is written as the printer
writes it and all its parts (type, attributes, literals, origins) were read before: then it is looked up.
"""

from __future__ import annotations

import re
from typing import Any

from symgrad import registry
from symgrad.errors import ParseError
from symgrad.ir.literals import is_elementwise, literal_type
from symgrad.ir.op import Op
from symgrad.ir.origin import UNKNOWN, Origin
from symgrad.ir.tensor import MAX_NAME, RESERVED, Tensor, create
from symgrad.ir.values import Scalar
from symgrad.text.attributes import NO_DEFAULT, fields
from symgrad.text.data import Data
from symgrad.text.diagnostics import REFUSALS, did_you_mean, refused
from symgrad.text.lexer import Cursor, Token
from symgrad.text.literals import read_number
from symgrad.text.origins import read_origins
from symgrad.text.sizes import read_type
from symgrad.types import TensorType

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
#: `name: type = op(operands, attributes)  @ origins`, as the printer writes it.
_PRINTED = re.compile(
    rf'[ ]*({_NAME}): ([^="@#]+?) = ({_NAME})'
    rf'\(((?:[^=()"@#,]+(?:, |(?=\))))*)((?:{_NAME}=[^"@#]*)?)\)(?: +@ (.*))?\Z'
)
_LITERAL_NAMES = frozenset({"inf", "nan", "True", "False"})
_MAX_KNOWN = 10_000
NOWHERE = (UNKNOWN,)


class OpLines:
    """Reads lines of ops into `tensors`, from names to tensors."""

    def __init__(self, lines: list[str], data: Data) -> None:
        self.lines = lines
        self.data = data
        self.tensors: dict[str, Tensor] = {}
        # what was read before, by its text
        self.types: dict[str, TensorType] = {}
        self.ops: dict[tuple[str, str, TensorType], Op] = {}
        self.literals: dict[tuple[str, TensorType], Tensor] = {}
        self.origins: dict[str | None, tuple[Origin, ...]] = {None: NOWHERE}

    # ---- lines as the printer writes them -----------------------------------------------------------

    def printed_line(self, line: str) -> bool:
        """Reads an op's line if it is as the printer writes it and its parts are known; whether it was."""
        match = _PRINTED.match(line)
        if match is None:
            return False
        name, type_text, op_name, operand_text, attribute_text, origin_text = match.groups()
        tensors = self.tensors
        type = self.types.get(type_text)
        origins = self.origins.get(origin_text)
        if type is None or origins is None or name in tensors or name in RESERVED or len(name) > MAX_NAME:
            return False
        op = self.ops.get((op_name, attribute_text, type))
        if op is None:
            return False
        inputs = []
        if attribute_text and operand_text:
            if not operand_text.endswith(", "):
                return False
            operand_text = operand_text[:-2]
        for text in operand_text.split(", ") if operand_text else ():
            tensor = tensors.get(text)
            if tensor is None:
                return self.printed_literals(op, operand_text, name, type, origins)
            inputs.append(tensor)
        return self.make_known(op, inputs, name, type, origins)

    def printed_literals(
        self, op: Op, operand_text: str, name: str, type: TensorType, origins: tuple[Origin, ...]
    ) -> bool:
        """The rest of `printed_line` where some operands are literals."""
        texts = operand_text.split(", ")
        values = [self.tensors.get(t) for t in texts]
        if not is_elementwise(op) or len(values) != len(op.operands):
            return False
        inputs = []
        for i, text in enumerate(texts):
            value = values[i]
            if value is None:
                value = self.literals.get((text, literal_type(op, i, values, type)))
                if value is None:
                    return False
            inputs.append(value)
        return self.make_known(op, inputs, name, type, origins)

    def make_known(
        self, op: Op, inputs: list[Tensor], name: str, type: TensorType, origins: tuple[Origin, ...]
    ) -> bool:
        try:
            if len(inputs) != len(op.operands):
                check_arity(op, len(inputs))
            inferred = op.infer(*[t.type for t in inputs])
        except REFUSALS:
            return False
        if inferred is not type and inferred != type:
            return False
        (tensor,) = create(op, tuple(inputs), (type,), origins)
        tensor.name = name
        self.tensors[name] = tensor
        return True

    # ---- lines by the grammar -----------------------------------------------------------------------

    def known_tensor(self, cursor: Cursor) -> tuple[str, Tensor]:
        token = cursor.take("name", "the name of a tensor")
        found = self.tensors.get(token.text)
        if found is None:
            hint = did_you_mean(token.text, self.tensors) if len(self.tensors) < _MAX_KNOWN else None
            cursor.fail(
                f"{token.text[:60]} is not defined", at=token, hint=hint or "a tensor is used below its line"
            )
        return token.text, found

    def read_type(self, cursor: Cursor) -> TensorType:
        start = cursor.token
        type = read_type(cursor)
        end = cursor.tokens[cursor.index - 1]
        if start.line == end.line:
            text = self.lines[start.line - 1][start.column - 1 : end.column - 1 + len(end.text)]
            type = self.types.setdefault(text, type)
        return type

    def op_line(self, cursor: Cursor) -> None:
        """`name: type, name: type = op(operands, attributes)  @ origins`"""
        names: list[str] = []
        types: list[TensorType] = []
        at: list[Token] = []
        while True:
            names.append(
                cursor.fresh_name({*names} | self.tensors.keys() if names else self.tensors, "a tensor")
            )
            cursor.expect(":")
            at.append(cursor.token)
            types.append(self.read_type(cursor))
            if not cursor.accept(","):
                break
        cursor.expect("=")
        op_token = cursor.take("name", "the name of an op")
        made = self.known_op(cursor, op_token)
        cursor.expect("(")
        operands = self.operands(cursor)
        start = cursor.token
        op = self.read_op(cursor, op_token, made, types[0])
        source = self.lines[op_token.line - 1]
        if len(types) == 1:
            text = source[start.column - 1 : cursor.token.column - 1]
            self.ops.setdefault((op_token.text, text, types[0]), op)
        cursor.expect(")")
        origins = self.read_origins(cursor)
        cursor.expect_end()
        try:
            check_arity(op, len(operands))
            inputs = self.with_literals(cursor, op, operands, types[0], origins)
            inferred = op.infer(*[t.type for t in inputs])
        except ParseError:
            raise
        except REFUSALS as error:
            raise refused(error, op_token.line, op_token.column, source, op_token.text) from None
        found = (inferred,) if isinstance(inferred, TensorType) else tuple(inferred)
        if len(found) != len(types):
            cursor.fail(f"{op.name} has {len(found)} results, not {len(types)}", at=op_token)
        for token, written, type in zip(at, types, found, strict=True):
            if written != type:
                cursor.fail(f"{op.name} gives another type here: {type}, not {written}", at=token)
        for name, tensor in zip(names, create(op, inputs, types, origins), strict=True):
            tensor.name = name
            self.tensors[name] = tensor

    def known_op(self, cursor: Cursor, token: Token) -> Any:
        made = registry.ops.get(token.text)
        if made is None:
            hint = did_you_mean(token.text, registry.ops)
            cursor.fail(f"there is no op called {token.text[:60]}", at=token, hint=hint)
        return made

    def operands(self, cursor: Cursor) -> list[Tensor | int]:
        """The operands: tensors, and for literals the index of their first word."""
        found: list[Tensor | int] = []
        while cursor.token.text != ")" and cursor.peek().text != "=":
            token = cursor.token
            following = cursor.peek().text
            if token.kind == "name" and token.text not in _LITERAL_NAMES and following != "(":
                found.append(self.known_tensor(cursor)[1])
            else:
                found.append(cursor.index)
                _skip_literal(cursor)
            if not cursor.accept(","):
                if cursor.token.text != ")":
                    cursor.fail("an operand does not end here", expected="`,` or `)`")
                break
        return found

    def with_literals(
        self,
        cursor: Cursor,
        op: Op,
        operands: list[Tensor | int],
        result: TensorType,
        origins: tuple[Origin, ...],
    ) -> tuple[Tensor, ...]:
        """The operands, literals as nodes of their own."""
        values = [v if isinstance(v, Tensor) else None for v in operands]
        if all(v is not None for v in values):
            return tuple([v for v in values if v is not None])
        inputs = []
        for i, operand in enumerate(operands):
            if isinstance(operand, Tensor):
                inputs.append(operand)
                continue
            at = Cursor(cursor.tokens, cursor.lines)
            at.index, at.token = operand, cursor.tokens[operand]
            start = at.token
            if not is_elementwise(op):
                at.fail(
                    f"{op.name} takes no literals",
                    hint="give the number a line: c: f64 = fill(value=2.0, shape=())",
                )
            wanted = literal_type(op, i, values, result)
            number = read_number(at, wanted.dtype)
            if at.token.text not in (",", ")"):
                at.fail("a number does not end here", expected="`,` or `)`")
            end = at.tokens[at.index - 1]
            text = self.lines[start.line - 1][start.column - 1 : end.column - 1 + len(end.text)]
            literal = self.literals.get((text, wanted))
            if literal is None:
                fill = registry.ops["fill"](Scalar(wanted.dtype, number.tobytes()), wanted.shape)
                literal = self.literals[text, wanted] = create(fill, (), (wanted,), origins)[0]
            inputs.append(literal)
        return tuple(inputs)

    def read_op(self, cursor: Cursor, op_token: Token, made: Any, result: TensorType) -> Op:
        """The op with its attributes."""
        known = {f.name: f for f in fields(made)} if isinstance(made, type) else {}
        values: dict[str, Any] = {}
        while cursor.token.text != ")":
            token = cursor.take("name", "an attribute")
            field = known.get(token.text)
            if field is None:
                hint = did_you_mean(token.text, known) or f"it has {', '.join(known) or 'none'}"
                cursor.fail(f"{op_token.text} has no attribute {token.text[:60]}", at=token, hint=hint)
            if token.text in values:
                cursor.fail(f"the attribute {token.text} is given twice", at=token)
            cursor.expect("=")
            values[token.text] = field.codec.read(cursor, result, self.data)
            if not cursor.accept(","):
                break
        if not isinstance(made, type):
            op: Op = made
            return op
        missing = [f.name for f in known.values() if f.default is NO_DEFAULT and f.name not in values]
        if missing:
            cursor.fail(f"{op_token.text} needs the attribute {missing[0]}", expected=f"`{missing[0]}=...`")
        try:
            op = made(**values)
        except REFUSALS as error:
            source = self.lines[op_token.line - 1]
            raise refused(error, op_token.line, op_token.column, source, op_token.text) from None
        return op

    def read_origins(self, cursor: Cursor) -> tuple[Origin, ...]:
        if cursor.token.kind != "origin":
            return NOWHERE
        token = cursor.advance()
        text = token.text[1:].removeprefix(" ")
        found = self.origins.get(text)
        if found is None:
            column = token.column + len(token.text) - len(text)
            found = read_origins(text, token.line, column, self.lines[token.line - 1])
            self.origins[text] = found
        return found


def check_arity(op: Op, count: int) -> None:
    """TypeError unless `op` takes that many operands."""
    names = op.operands
    many = bool(names) and names[-1].endswith("*")
    if count < len(names) - many or (count > len(names) and not many):
        least = "at least " if many else ""
        raise TypeError(f"it takes {least}{len(names) - many} operands ({', '.join(names)}), not {count}")


def _skip_literal(cursor: Cursor) -> None:
    """Go past a literal without reading it: its dtype is known only when all operands are."""
    cursor.accept("-")
    if cursor.token.kind not in ("number", "name"):
        cursor.fail("an operand is missing", expected="the name of a tensor or a number")
    cursor.advance()
    depth = 0
    while cursor.token.text == "(" or depth:
        if cursor.token.kind in ("end", "origin"):
            cursor.fail("`)` is missing", expected="`)`")
        text = cursor.advance().text
        depth += (text == "(") - (text == ")")
