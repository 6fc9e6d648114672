"""Plain code: functions that read structs, count bytes and call others through tables of addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from symgrad_compiler.backends.llvm.ir import LLVM_TYPES, Function, Module, Value, literal

NULL = Value("null", "ptr")


class Plain:
    """A function under construction. Control flow is written by hand: no common subexpressions."""

    def __init__(
        self, module: Module, name: str, parameters: Sequence[tuple[str, str]], result: str, linkage: str
    ):
        self.f: Function = module.function(name, parameters, result, linkage)
        self.f.shares = False

    def number(self, value: int, kind: str = "i64") -> Value:
        return literal(value, kind)

    def read(self, pointer: Value, offset: int, kind: str = "i64") -> Value:
        return self.f.load(self.f.field(pointer, offset), kind)

    def write(self, value: Value, pointer: Value, offset: int) -> None:
        self.f.store(value, self.f.field(pointer, offset))

    def read_at(self, pointer: Value, index: Value, kind: str = "i64") -> Value:
        return self.f.load(self.f.offset(pointer, index, "i64"), kind)

    def binary(self, instruction: str, a: Value, b: Value) -> Value:
        return self.f.volatile(f"{instruction} {a.type} {a.text}, {b.text}", a.kind)

    def test(self, relation: str, a: Value, b: Value) -> Value:
        return self.f.volatile(f"icmp {relation} {a.type} {a.text}, {b.text}", "i1")

    def require(self, condition: Value, otherwise: str) -> None:
        """Go on if the condition holds, else to a label."""
        good = self.f.label()
        self.f.branch_if(condition, good, otherwise)
        self.f.start(good)

    def unless(self, condition: Value, result: Value | None) -> None:
        """Return at once if the condition holds."""
        early, go_on = self.f.label(), self.f.label()
        self.f.branch_if(condition, early, go_on)
        self.f.start(early)
        self.give_back(result)
        self.f.start(go_on)

    def give_back(self, result: Value | None = None) -> None:
        self.f.do("ret void" if result is None else f"ret {result.type} {result.text}")

    def is_null(self, pointer: Value) -> Value:
        return self.test("eq", pointer, NULL)

    def call(self, name: str, result: str, *arguments: Value) -> Value:
        """Call a function of the module."""
        return self.indirect(Value(f"@{name}", "ptr"), result, *arguments)

    def indirect(self, function: Value, result: str, *arguments: Value) -> Value:
        listed = ", ".join(f"{v.type} {v.text}" for v in arguments)
        if result == "void":
            self.f.do(f"call void {function.text}({listed})")
            return self.number(0)
        return self.f.volatile(f"call {LLVM_TYPES[result]} {function.text}({listed})", result)

    def each(self, count: Value, body: Callable[[Value], None]) -> None:
        def inside(index: Value, _: list[Value]) -> list[Value]:
            body(index)
            return []

        self.f.loop(self.number(0), count, self.number(1), [], inside)

    def variable(self, kind: str, value: Value) -> Value:
        """A place on the stack."""
        made = self.f.volatile(f"alloca {LLVM_TYPES[kind]}, align 8", "ptr")
        self.f.store(value, made)
        return made
