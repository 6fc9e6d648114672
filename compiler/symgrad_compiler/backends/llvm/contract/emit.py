"""The module of products of one kind of float."""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract.integers import Int
from symgrad_compiler.backends.llvm.contract.product import emit_single, single_name
from symgrad_compiler.backends.llvm.contract.request import name_of
from symgrad_compiler.backends.llvm.contract.room import emit_room
from symgrad_compiler.backends.llvm.contract.tiles import tiles
from symgrad_compiler.backends.llvm.ir import Module
from symgrad_compiler.backends.llvm.scalars import Machine


def emit_products(kind: str, machine: Machine) -> str:
    """The text of the module."""
    module = Module()
    sizes = tiles(kind, machine)
    emit_room(module)
    emit_single(module, sizes)
    f = module.function(name_of(kind), [("pool", "ptr"), ("request", "ptr")], linkage="")
    f.do(f"call void @{single_name(sizes)}(ptr %pool, ptr %request)")
    f.do("ret void")
    return module.text()
