"""Bad texts: where the error is, and what it says. Nothing but ParseError, and never a hang."""

from __future__ import annotations

import random
import string
import time

import numpy
import pytest

import symgrad as sg

GOOD = """\
graph g(x: f64[n,3], i: i64[k]) -> (y: f64[n,3], loss: f64) {
  state w: f64[2] = [1.0, 2.0]
  h: f64[n,3] = multiply(2.0, x)                 @ model.py:12
  y: f64[n,3] = tanh(h)                          @ model.py:13 > vjp tanh(z).x
  s: f64 = sum(y, axes=(0, 1))
  w_new: f64[2] = add(w, 1.0)
  return y, loss = s
  update w = w_new
}
"""


def error_of(text: str) -> sg.ParseError:
    with pytest.raises(sg.ParseError) as caught:
        sg.parse(text)
    assert caught.value.line >= 1
    assert caught.value.column >= 1
    assert f"line {caught.value.line}, column {caught.value.column}" in str(caught.value)
    return caught.value


# what is replaced, by what, line, column, a phrase of the message
TABLE = [
    ("graph g", "grph g", 1, 1, "this is not a graph"),
    ("graph g", "graph return", 1, 7, "a word of the text form"),
    ("x: f64", "x: f65", 1, 12, "did you mean f64"),
    ("f64[n,3], i", "f64[n,3, i", 1, 22, "`]` is missing"),
    ("i: i64", "x: i64", 1, 22, "already the name"),
    ("i: i64", "1: i64", 1, 22, "the name of an input is missing"),
    (" -> ", " - ", 1, 33, "`->`"),
    ("loss: f64)", "loss: f32)", 1, 50, "the output loss is f64, not f32"),
    ("y: f64[n,3], loss", "z: f64[n,3], loss", 1, 37, "declares the output z but returns y"),
    (", loss: f64)", ")", 9, 1, "declares 1 outputs but returns 2"),
    ("[1.0, 2.0]", "[1.0]", 2, 25, "1 elements where the type says 2"),
    ("[1.0, 2.0]", "[1.0, 2.0, 3.0]", 2, 30, "more elements"),
    ("[1.0, 2.0]", "[1.0, True]", 2, 27, "a number of float64 is missing"),
    ("[1.0, 2.0]", "data d1", 2, 26, "no data called d1"),
    ("[1.0, 2.0]", "[1.0, 1e999]", 2, 27, "out of the range"),
    ("w: f64[2] = [", "w: f64[n] = [", 2, 21, "symbolic size"),
    ("multiply", "mutiply", 3, 17, "did you mean multiply"),
    ("(2.0, x)", "(2.0, X)", 3, 31, "X is not defined"),
    ("(2.0, x)", "(2.0, y)", 3, 31, "y is not defined"),
    ("(2.0, x)", "(2.0)", 3, 17, "it takes 2 operands"),
    ("(2.0, x)", "(2.0, x, x)", 3, 17, "it takes 2 operands"),
    ("(2.0, x)", "(2.0 x)", 3, 30, "does not end"),
    ("(2.0, x)", "(2.0, x", 3, 49, "`)`"),
    ("(2.0, x)", "(, x)", 3, 26, "an operand is missing"),
    ("h: f64[n,3] =", "h: f64[3,n] =", 3, 17, "equal shapes"),
    ("h: f64[n,3] =", "h: f32[n,3] =", 3, 6, "gives another type here"),
    ("h: f64[n,3] =", "h = ", 3, 5, "`:` is missing"),
    ("h: f64[n,3] =", "x: f64[n,3] =", 3, 3, "already the name of something else"),
    ("h: f64[n,3] =", "nan: f64[n,3] =", 3, 3, "nan_"),
    ("h: f64[n,3] =", "h: f64[n,3], k: f64 =", 3, 25, "multiply has 1 results, not 2"),
    ("@ model.py:12", "@ model.py", 3, 52, "an origin is not well formed"),
    ("@ model.py:12", "extra", 3, 50, "more than one statement"),
    ("@ model.py:12", "$", 3, 50, "a character without meaning"),
    ("> vjp tanh(z).x", "> ", 4, 65, "an origin is not well formed"),
    ("axes=(0, 1)", "axs=(0, 1)", 5, 19, "did you mean axes"),
    ("axes=(0, 1)", "axes=(0, n)", 5, 28, "an integer is missing"),
    ("axes=(0, 1)", "axes=(0, 7)", 5, 12, "sum"),
    ("axes=(0, 1)", "axes=(0, 1), axes=()", 5, 32, "given twice"),
    (", axes=(0, 1)", "", 5, 17, "sum needs the attribute axes"),
    ("s: f64 = sum(y", "s: f64 = sum(2.0", 5, 16, "takes no literals"),
    ("s: f64 =", "s: f64[n] =", 5, 6, "gives another type"),
    ("return y, loss = s", "return y, sum", 7, 13, "sum is not defined"),
    ("  return y, loss = s\n  update w = w_new\n", "", 7, 1, "the graph returns nothing"),
    ("  update w = w_new", "  return y", 8, 3, "only updates can follow"),
    ("update w = w_new", "update x = w_new", 8, 10, "only state can be updated"),
    ("update w = w_new", "update w = s", 8, 10, "its update f64"),
    ("}\n", "", 9, 1, "the graph does not end"),
    ("i: i64[k]", "i: i64[2*k]", 1, 1, "no input determines the size 'k'"),
    ("}\n", "}\nmore", 10, 1, "behind the end of the graph"),
    ("}\n", '}\nfile "a.npz" sha256 "0" {\n}\n', 10, 1, "symgrad.load"),
    ("}\n", "}\ndata d: f64[1] = base64 {\n  AAAA\n}", 10, 6, "3 bytes of data"),
    ("}\n", "}\ndata d: f64[1] = base64 {\n  %%%%\n}", 10, 6, "base64"),
    ("}\n", "}\ndata d: f64[1] = base64 {\n", 10, 1, "the section does not end"),
    ("}\n", "}\ndata d: bool[3] = base64 {\n  AAEC\n}", 10, 6, "neither 0 nor 1"),
    ("f64[n,3], i", "f64[n-n-1,3], i", 1, 16, "negative"),
]


@pytest.mark.parametrize(("old", "new", "line", "column", "phrase"), TABLE, ids=[r[1][:30] for r in TABLE])
def test_table(old: str, new: str, line: int, column: int, phrase: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    sg.parse(GOOD)
    error = error_of(text)
    assert phrase in str(error)
    assert (error.line, error.column) == (line, column), str(error)


def test_an_error_shows_the_line_and_a_caret() -> None:
    text = str(error_of(GOOD.replace("multiply", "mutiply")))
    lines = text.split("\n")
    assert lines[0] == "line 3, column 17: there is no op called mutiply"
    assert lines[1].index("mutiply") == lines[2].index("^")


def test_of_a_long_line_an_error_shows_a_part() -> None:
    text = "graph main(x: f64) -> (y: f64) {\n  y: f64 = add(x, " + "x" * 100_000 + ")\n  return y\n}\n"
    with pytest.raises(sg.ParseError) as caught:
        sg.parse(text)
    shown = str(caught.value)
    assert len(shown) < 1000
    source, caret = shown.splitlines()[1:3]
    assert source[caret.index("^") :].startswith("xxx")
    assert caught.value.source == text.splitlines()[1]


def test_comments_and_layout_are_free() -> None:
    loose = GOOD.replace("  ", "\t ").replace("(0, 1)", "( 0,1, )").replace("\n", "  # note\r\n\r\n")
    assert sg.parse("# first\n\n" + loose).same(sg.parse(GOOD))


@pytest.mark.parametrize("text", ["", "\n\n", "graph", "graph g", "graph g(", "}", "\0", "\ud800", "# only"])
def test_fragments(text: str) -> None:
    error_of(text)


HOSTILE = [
    "n**999999999",
    "2**64**64**64",
    "((((2**64)**64)**64)**64)",
    "(" * 5000 + "n" + ")" * 5000,
    "-" * 5000 + "n",
    "9" * 10**6,
    "9" * 39 + "*" + "9" * 39 + "*" + "9" * 39,
    "(a+b+c+d+e+f)**64",
    "(" + "+".join(f"a{i}" for i in range(200)) + ")**2",
    "+".join(f"a{i}" for i in range(2000)),
    "+".join(["n"] * 10**5),
    "*".join(["n"] * 10**4),
    "((n**64)**64)**64",
    "floordiv(" * 3000 + "n" + ",2)" * 3000,
    "floordiv(n, 0)",
    "min(n)",
    "10**30",
    ",".join(["n"] * 100),
    "n[0]",
    "",
    "1e5",
    "0x10",
    "1.5",
]


def nested(depth: int) -> str:
    text = "n"
    for _ in range(depth):
        text = f"(floordiv({text}, 7)+1)**64"
    return text


@pytest.mark.parametrize("size", [*HOSTILE, nested(3), nested(40)], ids=lambda s: s[:20])
def test_hostile_sizes(size: str) -> None:
    start = time.perf_counter()
    error_of(GOOD.replace("f64[n,3]", f"f64[n,{size}]", 1))
    error_of(GOOD.replace("axes=(0, 1)", f"axes=({size}.)", 1))
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    "line",
    [
        "fill(value=1.0, shape=(10**30,))",
        "fill(value=1.0, shape=(" + "2, " * 1000 + "))",
        "constant(data=" + "[" * 10**5 + ")",
        "split(x, axis=99999999999999999999, sizes=(1, 2))",
        "permute_dims(x, axes=(0, 0))",
        "broadcast(x, shape=(n,), axes=(5, -7))",
        "reshape(x, shape=(floordiv(n, 2)*7,))",
        "slice(x, starts=(), stops=(0,), steps=(0, 0))",
        "tanh(" + "(" * 10**5 + ")",
        "tanh(complex(1, 2))",
        "iota(size=-5, dtype=i64)",
        "iota(size=q, dtype=i64)",
        'matmul(x, x, strong="\\ud800")',
        "input()",
        "shared()",
        "one_hot(i, 3)",
        "__class__(x)",
    ],
    ids=lambda s: s[:30],
)
def test_hostile_ops(line: str) -> None:
    start = time.perf_counter()
    error_of(GOOD.replace("multiply(2.0, x)", line, 1))
    assert time.perf_counter() - start < 3


def seeds() -> list[str]:
    x, w = sg.matrix("x", ("n", 4)), sg.shared(numpy.arange(12.0).reshape(4, 3), "w")
    big = sg.shared(numpy.arange(40), "big")
    loss = sg.sum(sg.tanh(x @ w + 1.5) ** 2)
    first, second = sg.split(x, sizes=[1, 3], axis=1)
    outputs = {"loss": loss, "g": sg.grad(loss, w), "f": first, "s": second[::2], "b": big[3:]}
    graph = sg.Graph([x], outputs, {w: w * 0.5})
    return [sg.emit(graph), GOOD]


def mutate(chooser: random.Random, text: str) -> str:
    for _ in range(chooser.choice((1, 1, 1, 2, 5))):
        position = chooser.randrange(len(text) + 1)
        length = chooser.choice((1, 1, 2, 5, 20))
        kind = chooser.randrange(7)
        lines = text.split("\n")
        i, j = chooser.randrange(len(lines)), chooser.randrange(len(lines))
        if kind == 0:
            text = text[:position] + text[position + length :]
        elif kind == 1:
            text = text[:position] + chooser.choice(string.printable) + text[position:]
        elif kind == 2:
            text = text[:position] + chr(chooser.randrange(0x11000)) + text[position + 1 :]
        elif kind == 3:
            lines[i], lines[j] = lines[j], lines[i]
            text = "\n".join(lines)
        elif kind == 4:
            lines.insert(j, lines[i])
            text = "\n".join(lines)
        elif kind == 5:
            words = [
                "floordiv(n, 0)",
                "nan",
                "-",
                "**",
                "inf",
                "data d1",
                "(",
                "]",
                "0",
                "n",
                "99",
                "@",
                '"',
                "x",
            ]
            text = text[:position] + chooser.choice(words) + text[position + chooser.choice((0, 1, 3)) :]
        else:
            start = chooser.randrange(len(text) + 1)
            text = text[:position] + text[start : start + length] + text[position:]
    return text


def test_ten_thousand_mutations() -> None:
    chooser = random.Random(7)
    texts = seeds()
    parsed = 0
    for i in range(10_000):
        text = mutate(chooser, texts[i % len(texts)])
        try:
            graph = sg.parse(text)
        except sg.ParseError:
            continue
        parsed += 1
        again = sg.emit(graph)
        assert sg.parse(again).same(graph), text
    assert 500 < parsed < 9000
