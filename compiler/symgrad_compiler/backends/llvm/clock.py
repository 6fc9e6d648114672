"""A program with clocks: each step, and each step inside a loop over rows, adds up how long its calls took.

A call goes through a function of its own that reads the clock before and after. The nanoseconds are in memory
whose address is in the code, so such a program is not kept on disk. Threads may add to the same place.
"""

from __future__ import annotations

import numpy

from symgrad.records import record
from symgrad_compiler.backends.llvm.attention import NOW
from symgrad_compiler.backends.llvm.ir import Module
from symgrad_compiler.plan.steps import Plan, RowLoop, RowStep, Step


@record
class Place:
    """What one clock measures: step `number`, or step `part` of the loop that it is."""

    number: int
    part: int | None
    step: Step | RowStep


def places(plan: Plan) -> list[Place]:
    """What the clocks of a plan measure, in order; a loop before its parts."""
    found = []
    for number, step in enumerate(plan.steps):
        found.append(Place(number, None, step))
        if isinstance(step, RowLoop):
            found += [Place(number, i, each) for i, each in enumerate(step.body)]
    return found


class Clocks:
    """The clocks of one program: `times` in nanoseconds, in the order of `places`."""

    def __init__(self, plan: Plan) -> None:
        self.places = places(plan)
        self.times = numpy.zeros(len(self.places), numpy.int64)
        self._slots = {(p.number, p.part): i for i, p in enumerate(self.places)}
        self._texts: list[str] = []

    def around(self, call: str, number: int, part: int | None = None) -> str:
        """The call of a function that measures `call`, a call of a step's function on `%frame`."""
        slot = self._slots[number, part]
        address = int(self.times.ctypes.data) + 8 * slot
        kind = call.split()[1]
        status, answer = ("%status = ", "ret i32 %status") if kind == "i32" else ("", "ret void")
        self._texts.append(f"""define internal {kind} @clock{slot}(ptr %frame) {{
  %before = call i64 @now()
  {status}{call}
  %after = call i64 @now()
  %passed = sub i64 %after, %before
  %sum = atomicrmw add ptr inttoptr (i64 {address} to ptr), i64 %passed monotonic
  {answer}
}}
""")
        return f"call {kind} @clock{slot}(ptr %frame)"

    def text(self, module: Module) -> str:
        """The module with its clocks."""
        return "\n".join([module.text(), NOW, *self._texts])
