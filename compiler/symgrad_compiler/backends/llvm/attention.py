"""Signals while native code runs: a long program looks between its steps whether one waits for its handler.

    attend(pool, due)    1 if a handler raised, with Python's exception set; else 0

Python handles signals in its own code only, so without this Ctrl-C would wait for the end of a call, and come
when its states are new. A program looks before a step behind enough work, and before the first step that
writes a state; there it can stop, for no state has changed. The clock is read each time, the GIL taken every
hundredth of a second. `due`, a word of the frame, is when to look next; 0 while the GIL is held: such
calls are over at once.
"""

from __future__ import annotations

import sys
from string import Template

from symgrad.dims import Dim
from symgrad_compiler.backends.llvm.frame import DUE, POOL
from symgrad_compiler.backends.llvm.ir import Module
from symgrad_runtime import threads
from symgrad_runtime.context import API_FUNCTIONS

#: What a program returns when a handler raised.
STOPPED = 2
#: Nanoseconds between two looks.
PERIOD = 10_000_000
#: Simple operations, some hundred microseconds, between two places to look; those of a step of unknown size.
APART, UNKNOWN = 1_000_000, 200_000
#: The function of a program that looks.
LOOK = "look"
#: CLOCK_MONOTONIC.
_MONOTONIC = 6 if sys.platform == "darwin" else 1

#: The clock, in nanoseconds.
NOW = f"""declare i32 @clock_gettime(i32, ptr)

define internal i64 @now() {{
  %room = alloca [2 x i64], align 8
  %status = call i32 @clock_gettime(i32 {_MONOTONIC}, ptr %room)
  %seconds = load i64, ptr %room, align 8
  %at = getelementptr i8, ptr %room, i64 8
  %rest = load i64, ptr %at, align 8
  %whole = mul i64 %seconds, 1000000000
  %nanoseconds = add i64 %whole, %rest
  ret i64 %nanoseconds
}}
"""

_ATTEND = """
define i32 @attend(ptr %pool, ptr %due) {
entry:
  %when = load i64, ptr %due, align 8
  %now = call i64 @now()
  %early = icmp slt i64 %now, %when
  br i1 %early, label %fine, label %ask
ask:
  %place = getelementptr i8, ptr %pool, i64 $API
  %api = load ptr, ptr %place, align 8
  %p0 = getelementptr i8, ptr %api, i64 $ENSURE
  %ensure = load ptr, ptr %p0, align 8
  %p1 = getelementptr i8, ptr %api, i64 $CHECK
  %check = load ptr, ptr %p1, align 8
  %p2 = getelementptr i8, ptr %api, i64 $RELEASE
  %release = load ptr, ptr %p2, align 8
  %state = call i32 %ensure()
  %found = call i32 %check()
  call void %release(i32 %state)
  %raised = icmp ne i32 %found, 0
  br i1 %raised, label %stop, label %go
go:
  %then = call i64 @now()
  %next = add i64 %then, $PERIOD
  store i64 %next, ptr %due, align 8
  br label %fine
stop:
  ret i32 1
fine:
  ret i32 0
}
"""


def emit_attend(module: Module) -> None:
    """Add `attend` and the clock to the entry."""
    at = {name: 8 * API_FUNCTIONS.index(name) for name in API_FUNCTIONS}
    text = Template(_ATTEND).substitute(
        API=threads.API,
        ENSURE=at["PyGILState_Ensure"],
        CHECK=at["PyErr_CheckSignals"],
        RELEASE=at["PyGILState_Release"],
        PERIOD=PERIOD,
    )
    module.add_text(NOW + text)


def emit_look(module: Module) -> None:
    """Add to a program `i32 look(ptr frame)`: STOPPED if a handler raised, else 0."""
    module.add_text(f"""define internal i32 @{LOOK}(ptr %frame) {{
entry:
  %due = getelementptr i8, ptr %frame, i64 {8 * DUE}
  %when = load i64, ptr %due, align 8
  %never = icmp eq i64 %when, 0
  br i1 %never, label %fine, label %ask
ask:
  %place = getelementptr i8, ptr %frame, i64 {8 * POOL}
  %pool = load ptr, ptr %place, align 8
  %at = getelementptr i8, ptr %pool, i64 {threads.ATTEND}
  %attend = load ptr, ptr %at, align 8
  %found = call i32 %attend(ptr %pool, ptr %due)
  %status = mul i32 %found, {STOPPED}
  ret i32 %status
fine:
  ret i32 0
}}
""")


class Looks:
    """Where a program looks, step after step."""

    def __init__(self, work: Dim, writes_later: bool) -> None:
        """`work` of the whole program; whether states change when it has ended."""
        self.some = not isinstance(work, int) or work >= APART
        self._at_the_end = self.some and writes_later
        self._passed = 0
        self._open = self.some

    def before(self, work: int, writes_state: bool) -> bool:
        """Whether to look before a step of so much work."""
        if not self._open:
            return False
        if writes_state:
            self._open = False
            return True
        found = self._passed >= APART
        self._passed = (0 if found else self._passed) + work
        return found

    def at_the_end(self) -> bool:
        """Whether to look when all steps are done."""
        return self._at_the_end and self._open
