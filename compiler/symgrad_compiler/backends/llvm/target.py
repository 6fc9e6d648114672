"""The machine: its features, and the way from the text of a module to object code to addresses.

Every engine owns its target machine, and is freed with it; object code is position-independent, small code
model, so that it can be kept on disk.
"""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from symgrad.errors import CompileError
from symgrad_compiler.backends.llvm.scalars import Machine

#: The level of LLVM's code generation.
_SPEED = 2


@dataclass(frozen=True)
class Target:
    """What code is generated for."""

    triple: str
    cpu: str
    features: str

    @property
    def machine(self) -> Machine:
        """What generated code may use."""
        has = {f[1:] for f in self.features.split(",") if f.startswith("+")}
        if "avx512f" in has and "avx512vl" in has and "avx512dq" in has and "avx512bw" in has:
            return Machine(64, True, True, True)
        if "avx2" in has:
            return Machine(32, True, "fma" in has)
        return Machine(16, False, self.triple.startswith(("aarch64", "arm64")) or "fma" in has)

    def key(self) -> str:
        """All that the code depends on."""
        version = ".".join(map(str, llvm.llvm_version_info))
        return f"{self.triple} {self.cpu} {self.features} llvm {version} llvmlite {llvmlite.__version__}"


@cache
def host() -> Target:
    """This machine; SYMGRAD_CPU ("x86-64-v3", say) narrows what is used of it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    cpu = os.environ.get("SYMGRAD_CPU", "")
    if cpu:
        return Target(triple, cpu, LEVELS.get(cpu, ""))
    features = llvm.get_host_cpu_features()
    text = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(features.items()))
    if triple.startswith("x86_64"):
        text += ",-prefer-256-bit"
    return Target(triple, llvm.get_host_cpu_name(), text)


_V2 = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16"
_V3 = f"{_V2},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"
LEVELS = {
    "x86-64": "",
    "x86-64-v2": _V2,
    "x86-64-v3": _V3,
    "x86-64-v4": f"{_V3},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,-prefer-256-bit",
}


def target_machine(target: Target) -> llvm.TargetMachine:
    """A new LLVM target machine."""
    try:
        base = llvm.Target.from_triple(target.triple)
        return base.create_target_machine(
            cpu=target.cpu, features=target.features, opt=_SPEED, reloc="pic", codemodel="small"
        )
    except RuntimeError as error:
        raise CompileError(f"LLVM has no target {target.triple}: {error}") from error


def optimized(text: str, target: Target, simplify: bool = True) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """The module of a text after the passes that are worth their time: what is emitted is in good form."""
    machine = target_machine(target)
    module = llvm.parse_assembly(text, context=llvm.create_context())  # constants die with their context
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    if simplify:
        passes, builder, _ = _pass_manager(target)
        with _lock:
            passes.run(module, builder)
    return module, machine


@cache
def _pass_manager(target: Target) -> tuple[Any, Any, Any]:
    """The passes, made once: LLVM keeps what a manager allocates."""
    machine = target_machine(target)
    options = llvm.create_pipeline_tuning_options(speed_level=_SPEED)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_new_gvn_pass()
    return passes, builder, machine


_lock = threading.Lock()


def compile_object(text: str, target: Target, simplify: bool = True) -> bytes:
    """Object code of a module; passes that simplify can be left out where they would find nothing."""
    module, machine = optimized(text, target, simplify)
    return bytes(machine.emit_object(module))


def assembly(text: str, target: Target) -> str:
    """Assembly text of a module."""
    module, machine = optimized(text, target)
    return str(machine.emit_assembly(module))


class Engine:
    """Object code in memory, executable as long as this lives."""

    def __init__(self, code: bytes, target: Target) -> None:
        empty = llvm.parse_assembly("", context=llvm.create_context())
        empty.triple = target.triple
        self._engine = llvm.create_mcjit_compiler(empty, target_machine(target))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function starts."""
        return int(self._engine.get_function_address(name))

    def keep(self) -> None:
        """Never free the code: threads may be in it until the process ends."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None:
            engine.close()


def function_at(address: int, result: type | None, *arguments: type) -> ctypes._CFunctionType:
    """A Python callable of native code."""
    return ctypes.CFUNCTYPE(result, *arguments)(address)
