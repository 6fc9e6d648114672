"""The module of products of one kind of float."""

from __future__ import annotations

from symgrad_compiler.backends.llvm.contract.batch import emit_ways
from symgrad_compiler.backends.llvm.contract.product import emit_single
from symgrad_compiler.backends.llvm.contract.room import emit_room
from symgrad_compiler.backends.llvm.contract.skinny import emit_skinny
from symgrad_compiler.backends.llvm.contract.tiles import tiles
from symgrad_compiler.backends.llvm.contract.vector import emit_vector
from symgrad_compiler.backends.llvm.ir import Module
from symgrad_compiler.backends.llvm.scalars import Machine


def emit_products(kind: str, machine: Machine) -> str:
    """The text of the module."""
    module = Module()
    sizes = tiles(kind, machine)
    emit_room(module)
    emit_single(module, sizes)
    emit_vector(module, sizes)
    emit_skinny(module, sizes)
    emit_ways(module, sizes)
    return module.text()
