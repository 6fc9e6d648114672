"""The frame of a call: one array of 8-byte words through which native code finds everything.

static     callback, sgemm, dgemm, then a pointer to each constant; the same in every call
objects    pointers to the data of inputs, outputs, states, spares
sizes      the values of the symbolic sizes
arena      pointer to the arena
error      step, then three numbers, when the program fails
slots      pointers into the arena, computed by the program
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad_compiler.plan.steps import ARENA, CONSTANT, INPUT, OUTPUT, SPARE, STATE, Plan, Storage

CALLBACK, SGEMM, DGEMM, FIXED = 0, 1, 2, 3
ERROR_WORDS = 4


@dataclass(frozen=True)
class Frame:
    """Where things are in the frame of one program, in words."""

    size_names: tuple[str, ...]
    constants: int
    inputs: int
    outputs: int
    states: int
    spares: int
    sizes: int
    arena: int
    error: int
    slots: int
    words: int

    @classmethod
    def of(cls, plan: Plan) -> Frame:
        counts = [
            len(plan.constants),
            len(plan.graph.inputs),
            len(plan.outputs),
            len(plan.graph.states),
            len(plan.spares),
            len(plan.size_names),
            1,
            ERROR_WORDS,
            len(plan.slots),
        ]
        starts = [FIXED]
        for count in counts:
            starts.append(starts[-1] + count)
        return cls(tuple(plan.size_names), *starts)

    @property
    def static(self) -> int:
        """How many words are the same in every call."""
        return self.inputs

    def word(self, storage: Storage) -> int:
        """The word that points to a storage."""
        start = {
            INPUT: self.inputs,
            OUTPUT: self.outputs,
            STATE: self.states,
            SPARE: self.spares,
            CONSTANT: self.constants,
            ARENA: self.slots,
        }[storage.kind]
        return start + storage.index

    def size_word(self, name: str) -> int:
        """The word that holds a symbolic size."""
        return self.sizes + self.size_names.index(name)
