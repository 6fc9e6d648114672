"""LLVM IR as text: a function under construction.

Values know their type and number of lanes. What is computed once is not emitted again: each loop body is a
scope of common subexpressions, inside those around it. Control flow is structured (`loop`, `when`), so what
an outer scope computed is always there.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

#: Kinds of elements: floats, signed and unsigned integers, bits, pointers, and opaque complex numbers.
LLVM_TYPES = {
    "f32": "float",
    "f64": "double",
    "i1": "i1",
    "ptr": "ptr",
    "c64": "i64",
    "c128": "i128",
    **{f"{s}{b}": f"i{b}" for s in "iu" for b in (8, 16, 32, 64)},
}
BITS = {"f32": 32, "f64": 64, "i1": 1, "ptr": 64, "c64": 64, "c128": 128} | {
    f"{s}{b}": b for s in "iu" for b in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True)
class Value:
    """An SSA value or a literal; `lanes` 1 is a scalar. `number` is set for literals."""

    text: str
    kind: str
    lanes: int = 1
    number: float | int | None = None

    @property
    def type(self) -> str:
        return vector_type(self.kind, self.lanes)


def vector_type(kind: str, lanes: int) -> str:
    """The LLVM type of `lanes` elements of a kind."""
    return LLVM_TYPES[kind] if lanes == 1 else f"<{lanes} x {LLVM_TYPES[kind]}>"


def type_suffix(kind: str) -> str:
    """As intrinsics spell element types."""
    return kind if kind in ("f32", "f64") else f"i{BITS[kind]}"


def literal(value: float | int, kind: str, lanes: int = 1) -> Value:
    """A number."""
    if kind == "f64":
        text = f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    elif kind == "f32":
        single = struct.unpack("<f", struct.pack("<f", float(value)))[0]
        text = f"0x{struct.unpack('<Q', struct.pack('<d', single))[0]:016X}"
    elif kind == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    if lanes > 1:
        text = f"splat ({LLVM_TYPES[kind]} {text})"
    return Value(text, kind, lanes, value)


#: On x86, callers align the stack to 16 bytes only: without this, spilled vectors lie across lines of the
#: cache, and kernels that spill much take some 5 % longer, or not, by what called them.
_ALIGNED = '"stackrealign"'


class Function:
    """The text of one function."""

    def __init__(
        self, module: Module, name: str, parameters: Sequence[tuple[str, str]], result: str, linkage: str
    ):
        self.module = module
        self.name = name
        self.lines: list[str] = []
        self._count = 0
        self._scopes: list[dict[str, Any]] = [{}]
        self.block = "entry"
        #: Whether equal expressions are computed once; not where control flow is written by hand.
        self.shares = True
        listed = ", ".join(f"{LLVM_TYPES.get(kind, kind)} %{n}" for n, kind in parameters)
        self._head = f"define {linkage}{result} @{name}({listed})"
        self.parameters = {n: Value(f"%{n}", kind) for n, kind in parameters}

    def text(self) -> str:
        return "\n".join([f"{self._head} {_ALIGNED} {{", "entry:", *self.lines, "}"])

    def instructions(self) -> list[str]:
        """The lines, without the first and the last one."""
        return "\n".join(self.lines).split("\n")

    def rests(self) -> bool:
        """Whether the function has an end; what is kept then is one text, and no expressions to use again."""
        if len(self._scopes) > 1 or not self.lines or not self.lines[-1].startswith("  ret "):
            return False
        self.lines = ["\n".join(self.lines)]
        self._scopes[0].clear()
        return True

    # ---- instructions -------------------------------------------------------------------------------

    def fresh(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def label(self) -> str:
        self._count += 1
        return f"b{self._count}"

    def emit(self, expression: str, kind: str, lanes: int = 1) -> Value:
        """The value of an expression without side effects; an equal one in scope is used again, as the kind
        that is asked for: LLVM writes signed and unsigned integers alike."""
        for scope in reversed(self._scopes) if self.shares else ():
            found: Value | None = scope.get(expression)
            if found is not None:
                return found if found.kind == kind else Value(found.text, kind, lanes)
        value = self.volatile(expression, kind, lanes)
        self._scopes[-1][expression] = value
        return value

    def remember(self, key: str, make: Callable[[], T]) -> T:
        """What `make` gives, made once in a scope and those inside it."""
        for scope in reversed(self._scopes):
            if key in scope:
                found: T = scope[key]
                return found
        made = make()
        self._scopes[-1][key] = made
        return made

    def volatile(self, expression: str, kind: str, lanes: int = 1) -> Value:
        """The value of an expression that must not be shared: loads and calls."""
        name = self.fresh()
        self.lines.append(f"  {name} = {expression}")
        return Value(name, kind, lanes)

    def do(self, statement: str) -> None:
        """A statement without value."""
        self.lines.append(f"  {statement}")

    # ---- control flow -------------------------------------------------------------------------------

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    def branch(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch_if(self, condition: Value, yes: str, no: str) -> None:
        self.do(f"br i1 {condition.text}, label %{yes}, label %{no}")

    @contextmanager
    def scope(self) -> Iterator[None]:
        self._scopes.append({})
        yield
        self._scopes.pop()

    def loop(
        self,
        start: Value,
        stop: Value,
        step: Value,
        carried: Sequence[Value],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """for i in range(start, stop, step): carried = body(i, carried); returns the last values."""
        before, head, inside, after = self.block, self.label(), self.label(), self.label()
        self.branch(head)
        self.start(head)
        index = Value(self.fresh(), "i64")
        places = [Value(self.fresh(), v.kind, v.lanes) for v in carried]
        patch = len(self.lines)
        self.lines += [""] * (1 + len(places))
        condition = self.volatile(f"icmp slt i64 {index.text}, {stop.text}", "i1")
        self.branch_if(condition, inside, after)
        self.start(inside)
        with self.scope():
            results = list(body(index, places))
            following = self.volatile(f"add nsw i64 {index.text}, {step.text}", "i64")
        latch = self.block
        self.branch(head)
        self.lines[patch] = (
            f"  {index.text} = phi i64 [ {start.text}, %{before} ], [ {following.text}, %{latch} ]"
        )
        for k, (place, initial, result) in enumerate(zip(places, carried, results, strict=True), start=1):
            coming = f"[ {initial.text}, %{before} ], [ {result.text}, %{latch} ]"
            self.lines[patch + k] = f"  {place.text} = phi {place.type} {coming}"
        self.start(after)
        return places

    def repeat(
        self,
        carried: Sequence[Value],
        condition: Callable[[list[Value]], Value],
        body: Callable[[list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """while condition(carried): carried = body(carried); returns the last values."""
        before, head, inside, after = self.block, self.label(), self.label(), self.label()
        self.branch(head)
        self.start(head)
        places = [Value(self.fresh(), v.kind, v.lanes) for v in carried]
        patch = len(self.lines)
        self.lines += [""] * len(places)
        with self.scope():
            self.branch_if(condition(places), inside, after)
            self.start(inside)
            results = list(body(places))
        latch = self.block
        self.branch(head)
        for k, (place, initial, result) in enumerate(zip(places, carried, results, strict=True), start=patch):
            coming = f"[ {initial.text}, %{before} ], [ {result.text}, %{latch} ]"
            self.lines[k] = f"  {place.text} = phi {place.type} {coming}"
        self.start(after)
        return places

    def when(self, condition: Value, body: Callable[[], None]) -> None:
        """if condition: body()"""
        inside, after = self.label(), self.label()
        self.branch_if(condition, inside, after)
        self.start(inside)
        with self.scope():
            body()
        self.branch(after)
        self.start(after)

    def either(self, condition: Value, yes: Callable[[], None], no: Callable[[], None]) -> None:
        """if condition: yes() else: no()"""
        first, second, after = self.label(), self.label(), self.label()
        self.branch_if(condition, first, second)
        for label, body in ((first, yes), (second, no)):
            self.start(label)
            with self.scope():
                body()
            self.branch(after)
        self.start(after)

    def choose(self, condition: Value, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
        """yes() if condition else no(), by a branch."""
        a, b, after = self.label(), self.label(), self.label()
        self.branch_if(condition, a, b)
        self.start(a)
        with self.scope():
            first = yes()
        end_a = self.block
        self.branch(after)
        self.start(b)
        with self.scope():
            second = no()
        end_b = self.block
        self.branch(after)
        self.start(after)
        return self.volatile(
            f"phi {first.type} [ {first.text}, %{end_a} ], [ {second.text}, %{end_b} ]",
            first.kind,
            first.lanes,
        )

    # ---- memory and calls ---------------------------------------------------------------------------

    def offset(self, pointer: Value, index: Value, kind: str) -> Value:
        """The address of element `index`."""
        element = "i8" if kind == "i1" else LLVM_TYPES[kind]
        return self.emit(f"getelementptr {element}, ptr {pointer.text}, i64 {index.text}", "ptr")

    def field(self, pointer: Value, bytes: int) -> Value:
        """The address `bytes` further."""
        return self.emit(f"getelementptr i8, ptr {pointer.text}, i64 {bytes}", "ptr")

    def bytes_on(self, pointer: Value, bytes: Value) -> Value:
        """The address so many bytes further, a number known when it runs."""
        return self.emit(f"getelementptr i8, ptr {pointer.text}, i64 {bytes.text}", "ptr")

    def opaque(self, value: Value) -> Value:
        """The same integer or pointer, in a register, of which LLVM forgets how it was computed: its loop
        passes then keep the addresses that are built on it as they are written."""
        return self.volatile(f'call {value.type} asm "", "=r,0"({value.type} {value.text})', value.kind)

    def load(self, pointer: Value, kind: str, align: int | None = None) -> Value:
        align = align or max(1, BITS[kind] // 8)
        return self.volatile(f"load {LLVM_TYPES[kind]}, ptr {pointer.text}, align {min(align, 8)}", kind)

    def store(self, value: Value, pointer: Value, align: int | None = None) -> None:
        align = align or max(1, BITS[value.kind] // 8)
        self.do(f"store {value.type} {value.text}, ptr {pointer.text}, align {min(align, 8)}")

    def intrinsic(self, name: str, result: tuple[str, int], *operands: Value, pure: bool = True) -> Value:
        """A call of an intrinsic or an external function, declared on first use."""
        types = ", ".join(v.type for v in operands)
        kind, lanes = result
        self.module.declare(f"declare {vector_type(kind, lanes)} @{name}({types})")
        listed = ", ".join(f"{v.type} {v.text}" for v in operands)
        call = f"call {vector_type(kind, lanes)} @{name}({listed})"
        return self.emit(call, kind, lanes) if pure else self.volatile(call, kind, lanes)


class Module:
    """Functions and declarations."""

    def __init__(self) -> None:
        self.functions: list[Function] = []
        #: Those that may go on.
        self._open: list[Function] = []
        self._declared: dict[str, None] = {}
        self._texts: list[str] = []
        self.made: dict[str, Function] = {}

    def declare(self, text: str) -> None:
        self._declared[text] = None

    def add_text(self, text: str) -> None:
        """Functions that are written as text."""
        self._texts.append(text)

    def function(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        result: str = "void",
        linkage: str = "internal ",
    ) -> Function:
        made = Function(self, name, parameters, result, linkage)
        self._open = [f for f in self._open if not f.rests()]
        self._open.append(made)
        self.functions.append(made)
        return made

    def text(self) -> str:
        return "\n".join([*self._declared, "", *[f"{f.text()}\n" for f in self.functions], *self._texts])
