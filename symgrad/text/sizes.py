"""Sizes and types from text: `2*n+1`, `f64[n,min(a, 3)]`. Hostile sizes are refused before they grow.

Dim    = ["-"] Term (("+" | "-") Term)*
Term   = Factor ("*" Factor)*
Factor = Primary ["**" INT]
Primary = INT | NAME | ("floordiv" | "min" | "max") "(" Dim "," Dim ")" | "(" Dim ")"
Type   = DTYPE ["[" Dim ("," Dim)* "]"]
"""

from __future__ import annotations

from symgrad import dims
from symgrad.dims import MAX_POWER, MAX_TERMS, Dim, Size
from symgrad.errors import ShapeError
from symgrad.text.diagnostics import REFUSALS, did_you_mean, refused
from symgrad.text.lexer import Cursor, Token
from symgrad.types import BY_SHORT, MAX_RANK, DType, TensorType, check_extent

MAX_DEPTH = 50
MAX_DIGITS = 40
MAX_BITS = 256
MAX_SIZE_TEXT = 8_000
MAX_PRODUCT = 4_096
_MAX_SYMBOL_POWER = 4_096
_OPAQUE = {"floordiv": dims.floordiv, "min": dims.minimum, "max": dims.maximum}


def read_dim(cursor: Cursor, depth: int = 0) -> Dim:
    """A size expression."""
    start = cursor.token
    if depth > MAX_DEPTH:
        cursor.fail(f"a size expression nests more than {MAX_DEPTH} deep")
    terms = [_signed_term(cursor, -1 if cursor.accept("-") else 1, depth)]
    while cursor.token.text in ("+", "-") and cursor.token.kind == "mark":
        sign = -1 if cursor.advance().text == "-" else 1
        terms.append(_signed_term(cursor, sign, depth))
        if len(terms) > 4 * MAX_TERMS:
            cursor.fail("a size expression of too many terms", at=start)
    while len(terms) > 1:  # pairwise: a long sum is sorted a few times, not once a term
        sums = [_checked(cursor, start, a + b) for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = sums + terms[len(sums) * 2 :]
    return terms[0]


def _signed_term(cursor: Cursor, sign: int, depth: int) -> Dim:
    term = _factor(cursor, depth)
    while cursor.token.text == "*" and cursor.token.kind == "mark":
        at = cursor.advance()
        term = _multiply(cursor, at, term, _factor(cursor, depth))
    return term if sign == 1 else -term


def _factor(cursor: Cursor, depth: int) -> Dim:
    base = _primary(cursor, depth)
    if not cursor.accept("**"):
        return base
    token = cursor.token
    power = read_int(cursor)
    limit = _MAX_SYMBOL_POWER if dims.lone_symbol(base) else MAX_POWER
    if isinstance(base, Size) and len(base.terms) == 1 and base.terms[0][1] == 1:
        limit = _MAX_SYMBOL_POWER
    if not 0 <= power <= limit:
        cursor.fail(f"the power of a size must be from 0 to {limit}", at=token)
    result: Dim = 1
    while power:  # square and multiply
        if power & 1:
            result = _multiply(cursor, token, result, base)
        power >>= 1
        base = _multiply(cursor, token, base, base) if power else base
    return result


def _primary(cursor: Cursor, depth: int) -> Dim:
    token = cursor.token
    if token.kind == "number":
        return read_int(cursor)
    if cursor.accept("("):
        inner = read_dim(cursor, depth + 1)
        cursor.expect(")")
        return inner
    if token.kind != "name":
        cursor.fail("a size is missing", expected="a number or the name of a size")
    cursor.advance()
    try:
        if token.text not in _OPAQUE:
            return dims.size(token.text)
        cursor.expect("(")
        a = _opaque_operand(cursor, depth)
        cursor.expect(",")
        b = _opaque_operand(cursor, depth)
        cursor.expect(")")
        return _checked(cursor, token, _OPAQUE[token.text](a, b))
    except ShapeError as error:
        raise _refused(cursor, token, error) from None


def _opaque_operand(cursor: Cursor, depth: int) -> Dim:
    start = cursor.token
    operand = read_dim(cursor, depth + 1)
    if isinstance(operand, Size) and len(str(operand)) > MAX_SIZE_TEXT:
        cursor.fail("a size expression is too large", at=start)
    return operand


def _multiply(cursor: Cursor, at: Token, a: Dim, b: Dim) -> Dim:
    if isinstance(a, Size) and isinstance(b, Size) and len(a.terms) * len(b.terms) > MAX_PRODUCT:
        cursor.fail("a size expression is too large", at=at)
    try:
        return _checked(cursor, at, a * b)
    except ShapeError as error:
        raise _refused(cursor, at, error) from None


def _checked(cursor: Cursor, at: Token, dim: Dim) -> Dim:
    numbers = [dim] if isinstance(dim, int) else [c for _, c in dim.terms]
    if any(n.bit_length() > MAX_BITS for n in numbers) or len(numbers) > MAX_TERMS:
        cursor.fail("a size expression is too large", at=at)
    return dim


def _refused(cursor: Cursor, token: Token, error: Exception) -> Exception:
    return refused(error, token.line, token.column, cursor.lines[token.line - 1])


def read_int(cursor: Cursor) -> int:
    """An integer with an optional sign."""
    negative = cursor.accept("-")
    token = cursor.take("number", "an integer")
    if not token.text.isdecimal():
        cursor.fail("an integer is missing", at=token, expected="an integer")
    if len(token.text) > MAX_DIGITS:
        cursor.fail(f"an integer of more than {MAX_DIGITS} digits", at=token)
    return -int(token.text) if negative else int(token.text)


def read_dtype(cursor: Cursor) -> DType:
    """A dtype by its short name."""
    token = cursor.take("name", "a dtype")
    found = BY_SHORT.get(token.text)
    if found is None:
        hint = did_you_mean(token.text, BY_SHORT)
        cursor.fail("a dtype is missing", at=token, expected=f"one of {', '.join(BY_SHORT)}", hint=hint)
    return found


def read_type(cursor: Cursor) -> TensorType:
    """The type of a tensor, `f64[n,3]`."""
    start = cursor.token
    dtype = read_dtype(cursor)
    if not cursor.accept("["):
        return TensorType(dtype, ())
    shape: list[Dim] = []
    while True:
        token = cursor.token
        dim = read_dim(cursor)
        if isinstance(dim, int) and dim < 0:
            cursor.fail(f"a dimension must not be negative: {dim}", at=token)
        shape.append(dim)
        if len(shape) > MAX_RANK:
            cursor.fail(f"a tensor has at most {MAX_RANK} dimensions", at=token)
        if not cursor.accept(","):
            break
    cursor.expect("]")
    try:
        check_extent(tuple(shape))
    except REFUSALS as error:
        raise _refused(cursor, start, error) from None
    return TensorType(dtype, tuple(shape))
