"""The machine: its features, and the way from the text of a module to object code to addresses.

Every engine owns its target machine, and is freed with it; object code is position-independent, small code
model, so that it can be kept on disk.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import llvmlite
import llvmlite.binding as llvm
from llvmlite.binding import ffi

from symgrad.errors import CompileError
from symgrad.records import record
from symgrad_compiler.backends.llvm.beside import all_beside
from symgrad_compiler.backends.llvm.parts import marker, parts
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_runtime.threads import available

#: The level of LLVM's code generation.
_SPEED = 2
#: What a division and a square root of a register of float64 take, in multiplications, where that is not what
#: an Intel processor takes.
_DIVIDERS = {"znver5": (8, 16), "znver3": (9, 19)}
#: Versions of LLVM whose options are known.
_LLVM = range(20, 23)
#: Bytes between parts that surely reach each other; how often they are loaded until they do.
_REACH, _TRIES = 2**30, 8


@record
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
            return Machine(64, True, True, True, *_DIVIDERS.get(self.cpu, ()))
        if "avx2" in has:
            return Machine(32, True, "fma" in has, False, *_DIVIDERS.get(self.cpu, (16, 24)))
        return Machine(16, False, self.triple.startswith(("aarch64", "arm64")) or "fma" in has)

    def key(self) -> str:
        """All that the code depends on."""
        version = ".".join(map(str, llvm.llvm_version_info))
        return f"{self.triple} {self.cpu} {self.features} llvm {version} llvmlite {llvmlite.__version__}"


@cache
def host() -> Target:
    """This machine; SYMGRAD_CPU ("x86-64-v3", say) narrows what is used of it.

    Raises:
        CompileError: SYMGRAD_CPU is no level, or one above what the processor has.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    level = os.environ.get("SYMGRAD_CPU", "")
    if level:
        _require_level(level, LEVELS if triple.startswith("x86_64") else {}, features)
        return Target(triple, level, LEVELS[level])
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


def _require_level(level: str, levels: Mapping[str, str], features: Mapping[str, bool]) -> None:
    """Refuse a level that is not known, on which LLVM ends the process, or that this processor cannot run."""
    fitting = [name for name, needs in levels.items() if not missing(needs, features)]
    if level in fitting:
        return
    facts: list[tuple[str, object]] = [("known here", ", ".join(fitting) or "none"), ("got", repr(level))]
    what = f"SYMGRAD_CPU names no level of processors: {level!r:.60}"
    if level in levels:
        what = f"this processor is none of level {level}"
        facts.append(("missing", ", ".join(missing(levels[level], features))))
    raise CompileError(what, facts=facts, hint="leave SYMGRAD_CPU empty to use all that the processor has")


def missing(needs: str, features: Mapping[str, bool]) -> list[str]:
    return [f[1:] for f in needs.split(",") if f.startswith("+") and not features.get(f[1:], False)]


def target_machine(target: Target) -> llvm.TargetMachine:
    """A new LLVM target machine."""
    try:
        base = llvm.Target.from_triple(target.triple)
        return base.create_target_machine(
            cpu=target.cpu, features=target.features, opt=_SPEED, reloc="pic", codemodel="small"
        )
    except RuntimeError as error:
        raise CompileError(f"LLVM has no target {target.triple}: {error}") from error


def optimized(text: str, target: Target) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """The module of a text after the passes that are worth their time: what is emitted is in good form."""
    with _inside:
        return _optimized(text, target)


def _optimized(text: str, target: Target, simplify: bool = True) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    machine = target_machine(target)
    module = llvm.parse_assembly(text, context=llvm.create_context())  # constants die with their context
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    if simplify:
        with _managers.one(target) as (passes, builder):
            _library().LLVMPY_RunNewModulePassManager(passes, module, builder)
    return module, machine


class _Inside:
    """The threads that have LLVM work on a module: as many as there are cores, since each takes megabytes.

    Meanwhile, where there are many registers, LLVM does without what takes a fifth of its time and gains
    nothing: it looks for better induction variables, and those of what is emitted are good. Options are
    LLVM's, not a module's: other users of the library find theirs as before.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads: set[int] = set()
        self._closing = False

    def __enter__(self) -> None:
        cores = available()
        with self._changed:
            self._leave()
            self._changed.wait_for(lambda: len(self._threads) < cores and not self._closing)
            if not self._threads:
                _option("-disable-lsr=true")
            self._threads.add(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._leave()

    def _leave(self) -> None:
        """For this thread. (A signal may have kept it from leaving.)"""
        self._threads.discard(threading.get_ident())
        if not self._threads:
            _option("-disable-lsr=false")
        self._changed.notify_all()

    def close(self) -> None:
        """Wait until there are none, and let none in until it is opened."""
        self._changed.acquire()
        self._leave()
        self._closing = True
        try:
            self._changed.wait_for(lambda: not self._threads)
        finally:
            self._closing = False  # but the lock is held

    def open(self) -> None:
        self._changed.notify_all()
        self._changed.release()


def _option(text: str) -> None:
    """Set an option of LLVM's, which ends the process where it knows none of that name."""
    if llvm.llvm_version_info[0] in _LLVM and host().machine.vector_bytes > 16:
        llvm.set_option("", text)


_inside = _Inside()


class _Managers:
    """The passes, made for as many threads as ever use them at once, and used again: LLVM keeps what a
    manager allocates."""

    def __init__(self) -> None:
        self._free: dict[Target, list[tuple[Any, Any, Any]]] = {}

    @contextmanager
    def one(self, target: Target) -> Iterator[tuple[Any, Any]]:
        free = self._free.setdefault(target, [])
        try:
            made = free.pop()
        except IndexError:
            made = self._make(target)
        yield made[0], made[1]
        free.append(made)

    @staticmethod
    def _make(target: Target) -> tuple[Any, Any, Any]:
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


_managers = _Managers()


def compile_object(text: str, target: Target, simplify: bool = True) -> bytes:
    """Object code of a module; passes that simplify can be left out where they would find nothing."""
    with _inside:
        return _emit(*_optimized(text, target, simplify))


def compile_objects(text: str, target: Target, simplify: bool = True) -> list[bytes]:
    """The same in parts, each compiled by a thread of its own: if long, as many as there are cores."""
    pieces = parts(text, available())
    return all_beside([partial(compile_object, piece, target, simplify) for piece in pieces])


def trim() -> None:
    """Give memory back that LLVM has freed: glibc's allocator keeps some megabytes for each thread."""
    found = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if found is not None:
        found(0)


@cache
def _library() -> ctypes.CDLL:
    """LLVM's functions that may run beside each other. llvmlite lets one thread at a time call any function;
    LLVM works on modules at the same time that share no context, target machine or pass manager."""
    library = ctypes.CDLL(ffi.lib._name)
    for name in ("LLVMPY_RunNewModulePassManager", "LLVMPY_TargetMachineEmitToMemory"):
        wrapped, own = getattr(ffi.lib, name), getattr(library, name)
        own.argtypes, own.restype = wrapped.argtypes, wrapped.restype
    return library


def _emit(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> bytes:
    """Object code of a module, while other threads do the same."""
    with ffi.OutputString() as message:
        found = _library().LLVMPY_TargetMachineEmitToMemory(machine, module, 1, message)
        if not found:
            raise CompileError(f"LLVM generates no code: {message}")
    try:
        start = ffi.lib.LLVMPY_GetBufferStart(found)
        return ctypes.string_at(start, ffi.lib.LLVMPY_GetBufferSize(found))
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(found)


def assembly(text: str, target: Target) -> str:
    """Assembly text of a module."""
    with _inside:
        module, machine = _optimized(text, target)
        return str(machine.emit_assembly(module))


class Engine:
    """Object code in memory, executable as long as this lives; of the parts of one module."""

    def __init__(self, code: Sequence[bytes], target: Target) -> None:
        self._earlier: list[Any] = []
        for _ in range(_TRIES):
            self._engine = self._load(code, target)
            if self._is_near(len(code)):
                break
            self._earlier.append(self._engine)  # it keeps its place, so that the next one is elsewhere
        else:
            raise CompileError("no room for code: its parts would lie too far from each other in memory")
        for engine in self._earlier:
            engine.close()

    @staticmethod
    def _load(code: Sequence[bytes], target: Target) -> Any:
        empty = llvm.parse_assembly("", context=llvm.create_context())
        empty.triple = target.triple
        engine = llvm.create_mcjit_compiler(empty, target_machine(target))
        for each in code:
            engine.add_object_file(llvm.ObjectFileRef.from_data(each))
        engine.finalize_object()
        return engine

    def _is_near(self, count: int) -> bool:
        """Whether parts reach each other: calls hold distances of 32 bits, which LLVM does not check."""
        places = [self.address(marker(i)) for i in range(count)] if count > 1 else [0]
        return max(places) - min(places) < _REACH

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


def _at_fork() -> None:
    """A fork waits until no other thread is in LLVM: a child in which one held a lock could never compile."""
    lock = getattr(ffi.lib, "_lock", None)
    if not hasattr(os, "register_at_fork"):
        return
    if lock is not None:  # which is taken last: those inside take it
        release = partial(lock.__exit__, None, None, None)
        os.register_at_fork(before=lock.__enter__, after_in_parent=release, after_in_child=release)
    os.register_at_fork(before=_inside.close, after_in_parent=_inside.open, after_in_child=_inside.open)


_at_fork()


def function_at(address: int, result: type | None, *arguments: type) -> ctypes._CFunctionType:
    """A Python callable of native code."""
    return ctypes.CFUNCTYPE(result, *arguments)(address)
