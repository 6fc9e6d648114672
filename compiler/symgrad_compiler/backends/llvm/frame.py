"""The frame of a call: one array of 8-byte words through which native code finds everything.

static     callback, products of float32 and float64, thread pool, table of LAPACK, when to look for signals
           next, then a pointer to each constant: the same at the start of every call
objects    pointers to the data of inputs, outputs, states, spares
sizes      the values of the symbolic sizes
arena      pointer to the arena
error      step, then three numbers, when the program fails
slots      pointers into the arena, computed by the program
loop       of a loop over rows: the first row and the number of rows of a block, the number of a chunk
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import LLVM_TYPES, Function, Value
from symgrad_compiler.plan.steps import (
    ARENA,
    CHUNK,
    CONSTANT,
    INPUT,
    OUTPUT,
    ROW,
    ROWS,
    SPARE,
    STATE,
    Plan,
    RowLoop,
    Storage,
)

CALLBACK, POOL, LAPACK, DUE, FIXED = 0, 3, 4, 5, 6
#: The functions that multiply matrices, by the kind of their elements.
PRODUCTS = {"f32": 1, "f64": 2}
ERROR_WORDS = 4
#: The sizes that a loop over rows sets.
LOOP = (str(ROW), str(ROWS), str(CHUNK))


@record
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
    loop: int
    words: int
    #: Of each slot of the arena: the word that points to it, and how many bytes further it starts.
    slot_places: tuple[tuple[int, int], ...]

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
            len(_with_words(plan)),
            len(LOOP),
        ]
        starts = [FIXED]
        for count in counts:
            starts.append(starts[-1] + count)
        constants, inputs, outputs, states, spares, sizes, arena, error, slots, loop, words = starts
        return cls(
            size_names=plan.size_names,
            constants=constants,
            inputs=inputs,
            outputs=outputs,
            states=states,
            spares=spares,
            sizes=sizes,
            arena=arena,
            error=error,
            slots=slots,
            loop=loop,
            words=words,
            slot_places=tuple(_slot_places(plan, arena, slots)),
        )

    @property
    def static(self) -> int:
        """How many words are the same in every call."""
        return self.inputs

    @property
    def callback_failed(self) -> int:
        """The word that a call-back clears when it is done: of the error, which is not written before."""
        return self.error + ERROR_WORDS - 1

    def place(self, storage: Storage) -> tuple[int, int]:
        """The word that points to a storage, and how many bytes further it starts."""
        if storage.kind == ARENA:
            return self.slot_places[storage.index]
        start = {
            INPUT: self.inputs,
            OUTPUT: self.outputs,
            STATE: self.states,
            SPARE: self.spares,
            CONSTANT: self.constants,
        }[storage.kind]
        return start + storage.index, 0

    def size_word(self, name: str) -> int:
        """The word that holds a symbolic size."""
        return self.loop + LOOP.index(name) if name in LOOP else self.sizes + self.size_names.index(name)


def frame_word(f: Function, index: int, kind: str) -> Value:
    """A word of the frame, read in a function that has it as a parameter."""
    address = f.field(f.parameters["frame"], 8 * index)
    return f.emit(f"load {LLVM_TYPES[kind]}, ptr {address.text}, align 8", kind)


def _with_words(plan: Plan) -> set[int]:
    """The slots that have a word of their own: those whose offset is not known, and those that each thread
    that runs a loop over rows has for itself."""
    found = {i for i, slot in enumerate(plan.arena.slots) if slot.region}
    for step in plan.steps:
        if isinstance(step, RowLoop):
            found.update(storage.index for storage in step.local)
    return found


def _slot_places(plan: Plan, arena: int, slots: int) -> Iterator[tuple[int, int]]:
    """Of each slot its word; or the arena's, and its offset."""
    words = itertools.count(slots)
    own = _with_words(plan)
    for number, slot in enumerate(plan.arena.slots):
        yield (next(words), 0) if number in own else (arena, int(slot.offset))
