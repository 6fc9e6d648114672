"""Modules compiled in parts, side by side."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

import symgrad as sg
from symgrad import errors
from symgrad_compiler.backends.llvm import parts as cutting
from symgrad_compiler.backends.llvm import target as native
from symgrad_compiler.backends.llvm.beside import Beside, all_beside
from symgrad_compiler.backends.llvm.contract.emit import emit_products
from symgrad_compiler.backends.llvm.entry import emit_entry
from symgrad_compiler.backends.llvm.ir import Module
from symgrad_compiler.backends.llvm.parts import parts

TEXT = """
declare double @llvm.fabs.f64(double)
@table = private constant [2 x ptr] [ptr @twice, ptr @thrice], align 8
define internal double @twice(double %x) {
  %y = fadd double %x, %x
  ret double %y
}
define internal double @small(double %x) {
  %y = call double @twice(double %x)
  ret double %y
}
define internal double @thrice(double %x) {
  %y = call double @small(double %x) alwaysinline
  %z = fadd double %x, %y
  ret double %z
}
define double @main(double %x, i64 %which) {
  %at = getelementptr ptr, ptr @table, i64 %which
  %f = load ptr, ptr %at
  %y = call double %f(double %x)
  %z = call double @llvm.fabs.f64(double %y)
  ret double %z
}
"""


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LEAST", 5)
    monkeypatch.setattr(native, "available", lambda: 4)


def test_a_short_text_is_one_part() -> None:
    assert parts(TEXT, 4) == [TEXT]


def test_each_function_is_in_one_part_and_copies_are_of_constants_and_inlined_ones(short: None) -> None:
    found = parts(TEXT, 3)
    assert len(found) == 3
    defined = [re.findall(r"define .*?@([\w.]+)\(", part) for part in found]
    assert sum(names.count("main") for names in defined) == 1
    assert sum(names.count("twice") for names in defined) == 1
    assert sum(names.count("thrice") for names in defined) == 1
    assert all("declare double @llvm.fabs.f64" in part for part in found)
    for names, part in zip(defined, found, strict=True):
        assert ("small" in names) or "@small" not in part  # never called in another part: it is inlined
        assert "@table" not in part or "@table = private constant" in part


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_parts_work_together(short: None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "available", lambda: cores)
    code = native.compile_objects(TEXT, native.host())
    assert len(code) == cores  # three functions, and one that is inlined
    engine = native.Engine(code, native.host())
    main = native.function_at(engine.address("main"), ctypes.c_double, ctypes.c_double, ctypes.c_int64)
    assert main(-1.5, 0) == 3.0
    assert main(-1.5, 1) == 4.5


COUNTING = """
@count = internal global i64 0
define i64 @next() {
  %x = load i64, ptr @count
  %y = add i64 %x, 1
  store i64 %y, ptr @count
  ret i64 %y
}
define i64 @now() {
  %x = load i64, ptr @count
  ret i64 %x
}
"""


def test_variables_are_where_all_functions_are_that_use_them(short: None) -> None:
    found = parts(TEXT + COUNTING, 3)
    assert [part.count("@count = internal global") for part in found] == [1, 0, 0]
    code = native.compile_objects(TEXT + COUNTING, native.host())
    engine = native.Engine(code, native.host())
    following, now = (native.function_at(engine.address(n), ctypes.c_int64) for n in ("next", "now"))
    assert [following(), following(), now()] == [1, 2, 2]


def test_variables_that_several_parts_use_keep_a_text_together(short: None) -> None:
    user = "define i64 @user() {\n  %x = call i64 @now() alwaysinline\n  ret i64 %x\n}\n"
    text = user + COUNTING + TEXT
    assert parts(text, 4) == [text]


def test_parts_too_far_from_each_other_are_not_run(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_REACH", 1)
    code = native.compile_objects(TEXT, native.host())
    with pytest.raises(errors.CompileError, match="too far from each other"):
        native.Engine(code, native.host())


def test_a_program_of_parts_gives_the_same(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with products, functions that are inlined and ones that are not, kernels that share code."""
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    x = sg.tensor("x", (40, 30))
    w = [sg.tensor(f"w{i}", (30, 30)) for i in range(3)]
    h = x
    for each in w:
        h = sg.tanh(h @ each)
    loss = sg.sum(sg.logsumexp(h, axis=1)) + sg.sum(sg.gammaln(2 + h) * sg.sort(h, axis=1))
    outputs = [loss, *sg.grad(loss, w)]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((40, 30)), *[rng.standard_normal((30, 30)) / 6 for _ in w]]

    def run(cores: int) -> Any:
        monkeypatch.setattr(native, "available", lambda: cores)
        return sg.function([x, *w], outputs, backend="llvm")(*arrays)

    for a, b in zip(run(1), run(4), strict=True):
        np.testing.assert_array_equal(a, b)


def test_names_of_any_letters(short: None) -> None:
    """Found by random graphs: functions whose names hold numbers below 0."""
    text = TEXT.replace("@small", "@f.-1.0e-05").replace("@twice", "@f.-2.0").replace("@thrice", "@f.-3.0")
    code = native.compile_objects(text, native.host())
    assert len(code) > 1
    engine = native.Engine(code, native.host())
    main = native.function_at(engine.address("main"), ctypes.c_double, ctypes.c_double, ctypes.c_int64)
    assert [main(-1.5, 0), main(-1.5, 1)] == [3.0, 4.5]


def test_programs_are_compiled_at_the_same_time(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")

    def make(k: int) -> float:
        x = sg.vector("x", size=7)
        y = sg.sum(sg.exp(x * k) + sg.erf(x + k))
        f = sg.function([x], [y, sg.grad(y, x)], backend="llvm")
        return float(f(np.full(7, 0.1))[0])

    found = all_beside([lambda k=k: make(k) for k in range(8)])  # type: ignore[misc]
    assert found == [make(k) for k in range(8)]


def test_an_error_beside_is_raised_where_it_is_asked_for() -> None:
    def fail() -> None:
        raise ValueError(threading.current_thread().name)

    work = Beside(fail)
    with pytest.raises(ValueError, match="symgrad compiler"):
        work.result()


def test_a_function_with_an_end_keeps_one_text() -> None:
    module = Module()
    first = module.function("first", [("x", "f64")], "double")
    x = first.parameters["x"]
    twice = first.emit(f"fadd double {x.text}, {x.text}", "f64")
    module.function("beside", []).do("ret void")
    assert len(first.lines) == 1
    assert first.emit(f"fadd double {x.text}, {x.text}", "f64") is twice  # it goes on
    with first.scope():
        first.do(f"ret double {twice.text}")
        module.function("inside", []).do("ret void")
        assert len(first.lines) == 2
    before = first.text()
    module.function("last", []).do("ret void")
    assert len(first.lines) == 1
    assert first.text() == before
    assert first.instructions() == ["  %v1 = fadd double %x, %x", "  ret double %v1"]
    assert module.text().count("define ") == 4


def test_what_is_inlined_counts_where_it_is() -> None:
    """A function with much that is inlined, and three others: these are a part of their own."""

    def function(name: str, body: list[str]) -> str:
        return "\n".join([f"define {name}(double %x) {{", *body, "  ret double %a0", "}\n"])

    large = function("internal double @large", [f"  %a{i} = fadd double %x, %x" for i in range(900)])
    calls = function("double @calls", ["  %a0 = call double @large(double %x) alwaysinline"])
    body = [f"  %a{i} = fmul double %x, %x" for i in range(300)]
    others = [function(f"double @other{k}", body) for k in range(3)]
    cut = parts("".join([large, calls, *others]), 2)
    assert [re.findall(r"define (?:internal )?double @(\w+)", part) for part in cut] == [
        ["large", "calls"],
        ["other0", "other1", "other2"],
    ]


@pytest.mark.parametrize("count", range(2, 10))
@pytest.mark.parametrize("what", ["entry", "f32", "f64"])
def test_our_own_modules_can_be_cut(what: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many cores there are: on one, the entry was cut where no head of a function was found."""
    monkeypatch.setattr(cutting, "LEAST", 20)
    host = native.host()
    text = emit_entry(host.triple) if what == "entry" else emit_products(what, host.machine)
    pieces = parts(str(text), count)
    assert len(pieces) == count
    defined: set[str] = set()
    declared: set[str] = set()
    for piece in pieces:
        module = llvm.parse_assembly(piece, context=llvm.create_context())
        module.verify()
        names = {f.name for f in module.functions if not f.is_declaration and f.linkage.name == "external"}
        assert defined.isdisjoint(names)
        defined |= names
        declared |= {f.name for f in module.functions if f.is_declaration}
    whole = llvm.parse_assembly(str(text), context=llvm.create_context())
    inside = {f.name for f in whole.functions if not f.is_declaration}
    assert declared & inside <= defined


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to a core")
def test_a_process_of_one_core_compiles() -> None:
    """All that a first function needs, nothing from a cache."""
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import numpy as np
import symgrad as sg
a, b = sg.tensor("a", ("n", 3)), sg.tensor("b", (3, "m"))
f = sg.function([a, b], sg.exp(a) @ b, backend="llvm")
print(f(np.zeros((2, 3)), np.ones((3, 1))).ravel().tolist())
"""
    environment = os.environ | {"SYMGRAD_CACHE_DIR": ""}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert run.stdout == "[3.0, 3.0]\n", run.stderr
