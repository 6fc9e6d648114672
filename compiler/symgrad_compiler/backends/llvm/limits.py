"""The machine's limits, measured natively once a process: a copy as kernels do it, and as many chains of
multiplications with additions as keep the processor busy."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy

from symgrad_compiler.backends.limits import COPIED, Limits, fastest
from symgrad_compiler.backends.llvm.ir import BITS, Module, Value, literal, vector_type
from symgrad_compiler.backends.llvm.scalars import Code, Machine
from symgrad_compiler.backends.llvm.target import Engine, compile_object, function_at, host

#: Chains of operations side by side, and how long they are.
CHAINS, ROUNDS = 12, 200_000


def _module(machine: Machine) -> str:
    module = Module()
    _copy(module, machine)
    for kind in ("f32", "f64"):
        _chains(module, machine, kind)
    return module.text()


def _copy(module: Module, machine: Machine) -> None:
    """void copy(ptr to, ptr from, i64 n): n doubles, a multiple of 64."""
    f = module.function("copy", [("to", "ptr"), ("from", "ptr"), ("n", "i64")], linkage="")
    lanes = machine.vector_bytes // 8
    type_ = vector_type("f64", lanes)

    def block(i: Value, _: list[Value]) -> list[Value]:
        for k in range(0, 64, lanes):
            at = f.emit(f"add i64 {i.text}, {k}", "i64")
            source, target = (f.offset(f.parameters[p], at, "f64") for p in ("from", "to"))
            x = f.volatile(f"load {type_}, ptr {source.text}, align 8", "f64", lanes)
            f.do(f"store {type_} {x.text}, ptr {target.text}, align 8")
        return []

    f.loop(literal(0, "i64"), f.parameters["n"], literal(64, "i64"), [], block)
    f.do("ret void")


def _chains(module: Module, machine: Machine, kind: str) -> None:
    """void chains.<kind>(ptr out, i64 n): n rounds of x = x a + b of each chain."""
    f = module.function(f"chains.{kind}", [("out", "ptr"), ("n", "i64")], linkage="")
    code = Code(f, machine=machine)
    lanes = machine.vector_bytes * 8 // BITS[kind]
    factor = f.load(f.parameters["out"], kind)
    a = code.splat(factor, lanes)
    first = [code.add(literal(k, kind, lanes), a) for k in range(CHAINS)]

    def step(_: Value, chains: list[Value]) -> list[Value]:
        return [code.muladd(x, a, a) for x in chains]

    found = f.loop(literal(0, "i64"), f.parameters["n"], literal(1, "i64"), first, step)
    total = found[0]
    for x in found[1:]:
        total = code.add(total, x)
    f.do(f"store {total.type} {total.text}, ptr {f.parameters['out'].text}, align 4")
    f.do("ret void")


@lru_cache(maxsize=8)
def natively(threads: int) -> Limits:
    """The limits of so many threads."""
    target = host()
    machine = target.machine
    engine = Engine([compile_object(_module(machine), target)], target)
    copy = function_at(engine.address("copy"), None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    source, to = numpy.ones(COPIED // 8), numpy.zeros(COPIED // 8)
    part = COPIED // 8 // threads // 64 * 64

    def piece(i: int) -> None:
        copy(to[i * part :].ctypes.data, source[i * part :].ctypes.data, part)

    bandwidth = 16 * part * threads / fastest(threads, piece) / 1e9
    peaks = []
    for kind, dtype in (("f32", numpy.float32), ("f64", numpy.float64)):
        chains = function_at(engine.address(f"chains.{kind}"), None, ctypes.c_void_p, ctypes.c_int64)
        rooms = [numpy.full(64, 0.5, dtype) for _ in range(threads)]
        places = [room.ctypes.data for room in rooms]
        seconds = fastest(threads, partial(_call, chains, places))
        lanes = machine.vector_bytes * 8 // BITS[kind]
        peaks.append(2 * CHAINS * lanes * ROUNDS * threads / seconds / 1e9)
    return Limits(threads, bandwidth, peaks[0], peaks[1])


def _call(chains: Callable[..., Any], places: Sequence[int], thread: int) -> None:
    chains(places[thread], ROUNDS)
