"""Checks layers, cycles and hidden imports over source trees, by their syntax alone.

Nothing is imported, so a broken or half-written module is checked as well as a good one. The tables that
say what is allowed are in test_layering.py.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

Kind = Literal["static", "typing", "lazy"]  # statement; statement under TYPE_CHECKING; import_module call


@dataclass(frozen=True)
class Rules:
    """What is allowed.

    `layers` goes from bottom to top; a module belongs to the longest name in it that is the module or a
    package around it. A name with other names below it (`symgrad` where `symgrad.ir` is listed) stands for
    that package's `__init__` alone.
    """

    layers: tuple[tuple[str, ...], ...]
    first_user: Mapping[str, str]  # unit -> the lowest unit that may import it
    faces: frozenset[str]  # load their names lazily (PEP 562), import nothing of ours statically
    third_party: frozenset[str]  # importable anywhere
    owners: Mapping[str, tuple[str, ...]]  # heavy third-party package -> modules that may import it
    lazy: Mapping[str, tuple[str, ...]]  # module -> what it loads by import_module("...")

    @cached_property
    def rank(self) -> dict[str, int]:
        return {unit: rank for rank, row in enumerate(self.layers) for unit in row}

    def unit(self, module: str) -> str | None:
        """The row entry that a module belongs to; None where the table has no place for it."""
        exact = module in self.rank
        names = [module] if exact else [p for p in ancestors(module) if not self._is_split(p)]
        return next((name for name in names if name in self.rank), None)

    def _is_split(self, name: str) -> bool:
        return any(other.startswith(name + ".") for other in self.rank)

    def owner(self, module: str) -> str | None:
        """The owner of a heavy package that this module is, or is part of."""
        owners = {name for names in self.owners.values() for name in names}
        return next((name for name in (module, *ancestors(module)) if name in owners), None)


@dataclass(frozen=True)
class Import:
    line: int
    target: str  # the module as written, made absolute
    names: tuple[str, ...]  # of `from target import names`, each perhaps a module
    kind: Kind


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    imports: tuple[Import, ...]
    hidden: tuple[tuple[int, str], ...]  # imports that cannot be checked or should not be where they are


def ancestors(name: str) -> Iterator[str]:
    """`a.b.c` -> `a.b`, `a`."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def read_packages(folders: Mapping[str, Path]) -> dict[str, Module]:
    """All modules of the packages, given as import name -> folder."""
    return {
        module.name: module
        for package, folder in folders.items()
        for path in sorted(folder.rglob("*.py"))
        for module in [_read(package, folder, path)]
    }


def violations(modules: Mapping[str, Module], rules: Rules) -> list[str]:
    """One line for each thing that is not allowed, with file and line."""
    found = [line for module in modules.values() for line in _module_violations(module, modules, rules)]
    return found + _cycle(modules) + _stale(modules, rules)


# Reading -----------------------------------------------------------------------------------------------


def _read(package: str, folder: Path, path: Path) -> Module:
    parts = (package, *path.relative_to(folder).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    reader = _Reader(package=name if is_package else name.rpartition(".")[0])
    reader.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return Module(name, path, tuple(reader.imports), tuple(reader.hidden))


@dataclass
class _Reader(ast.NodeVisitor):
    package: str  # what relative imports are relative to
    imports: list[Import] = field(default_factory=list)
    hidden: list[tuple[int, str]] = field(default_factory=list)
    scopes: list[ast.AST] = field(default_factory=list)  # the functions and classes around the cursor
    typing_only: bool = False

    def visit_scope(self, node: ast.AST) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_scope

    def visit_If(self, node: ast.If) -> None:
        if not _is_type_checking(node.test):
            self.generic_visit(node)
            return
        before, self.typing_only = self.typing_only, True
        for statement in node.body:
            self.visit(statement)
        self.typing_only = before
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._statement(node, alias.name, ())

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        target = node.module or ""
        if node.level:
            base = [self.package, *ancestors(self.package)][node.level - 1]
            target = f"{base}.{target}".rstrip(".")
        self._statement(node, target, tuple(alias.name for alias in node.names))

    def _statement(self, node: ast.stmt, target: str, names: tuple[str, ...]) -> None:
        if self.scopes:
            self.hidden.append((node.lineno, f"imports {target} inside a function or class"))
        self.imports.append(Import(node.lineno, target, names, "typing" if self.typing_only else "static"))

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called not in ("import_module", "__import__"):
            return
        if not any(not isinstance(scope, ast.ClassDef) for scope in self.scopes):
            self.hidden.append((node.lineno, f"calls {called} while it loads: write an import statement"))
            return
        match node.args:
            case [ast.Constant(value=str(target))] if not target.startswith("."):
                self.imports.append(Import(node.lineno, target, (), "lazy"))
            case _:
                self.imports.append(Import(node.lineno, "", (), "lazy"))  # computed: only a face may


def _is_type_checking(test: ast.expr) -> bool:
    return getattr(test, "attr", getattr(test, "id", "")) == "TYPE_CHECKING"


# Checking ----------------------------------------------------------------------------------------------


def _targets(item: Import, modules: Mapping[str, Module]) -> list[str]:
    """The modules that a statement loads by name: `from a import b` loads a.b where that is a module."""
    if not item.names:
        return [item.target]
    return sorted(
        {f"{item.target}.{n}" if f"{item.target}.{n}" in modules else item.target for n in item.names}
    )


def _module_violations(module: Module, modules: Mapping[str, Module], rules: Rules) -> Iterator[str]:
    if rules.unit(module.name) is None:
        yield f"{module.path}: {module.name} has no layer; give it a place in LAYERS"
        return
    for line, text in module.hidden:
        yield f"{module.path}:{line}: {module.name} {text}"
    ours = {name.partition(".")[0] for name in modules} | {unit.partition(".")[0] for unit in rules.rank}
    for item in module.imports:
        for target in _targets(item, modules):
            is_ours = target.partition(".")[0] in ours
            if item.kind == "lazy":
                reason = _lazy_reason(module.name, target, modules if is_ours else None, rules)
            elif is_ours:
                reason = _internal_reason(module.name, target, item.kind, modules, rules)
            else:
                reason = _external_reason(module.name, target, item.kind, rules)
            if reason:
                yield f"{module.path}:{item.line}: {module.name} {reason}"


def _lazy_reason(
    importer: str, target: str, modules: Mapping[str, Module] | None, rules: Rules
) -> str | None:
    if importer in rules.faces:
        return None
    if not target:
        return "calls import_module with a name that is not a plain literal"
    if target not in rules.lazy.get(importer, ()):
        return f"loads {target} lazily; only the rows of LAZY may"
    if modules is not None and target not in modules:
        return f"loads {target}, which does not exist"
    return None


def _internal_reason(
    importer: str, target: str, kind: Kind, modules: Mapping[str, Module], rules: Rules
) -> str | None:
    if target not in modules:
        return f"imports {target}, which does not exist"
    source_unit, target_unit = rules.unit(importer), rules.unit(target)
    if source_unit is None or target_unit is None:
        return None  # reported where the module itself is checked
    if importer in rules.faces:
        return f"imports {target}; a face loads lazily" if kind == "static" else None
    owner = rules.owner(target)
    if kind == "static" and owner is not None and rules.owner(importer) != owner:
        return f"imports {target}, the owner of a heavy package; load it lazily and list it in LAZY"
    if source_unit == target_unit:
        return None
    source, above = rules.rank[source_unit], rules.rank[target_unit]
    if above > source:
        return f"imports {target}, which is a higher layer"
    if above == source and kind == "static":
        return f"imports {target}, which is beside it on one layer"
    lowest = rules.first_user.get(target_unit)
    if lowest is not None and source < rules.rank[lowest]:
        return f"imports {target}, which only {lowest} and the layers above it may"
    return None


def _external_reason(importer: str, target: str, kind: Kind, rules: Rules) -> str | None:
    package = target.partition(".")[0]
    if package in sys.stdlib_module_names or package in rules.third_party:
        return None
    if package not in rules.owners:
        return f"imports {package}, which is in neither THIRD_PARTY nor OWNERS"
    if kind == "typing" or rules.owner(importer) in rules.owners[package]:
        return None
    return f"imports {package}, which belongs to {', '.join(rules.owners[package]) or 'no module (OWNERS)'}"


def _loaded(module: Module, modules: Mapping[str, Module]) -> set[str]:
    """The modules that run before this one can finish loading.

    `import a.b` runs a/__init__.py too, except where the importer is inside a: then it has begun already.
    """
    around = {module.name, *ancestors(module.name)}
    return {
        name
        for item in module.imports
        if item.kind == "static"
        for target in _targets(item, modules)
        for name in (target, *(a for a in ancestors(target) if a not in around))
        if name in modules
    }


def _cycle(modules: Mapping[str, Module]) -> list[str]:
    try:
        TopologicalSorter({name: _loaded(module, modules) for name, module in modules.items()}).prepare()
    except CycleError as error:
        return ["cycle: " + " imports ".join(reversed(error.args[1]))]
    return []


def _stale(modules: Mapping[str, Module], rules: Rules) -> list[str]:
    """Rows of LAZY that nothing uses, once both modules exist: an exception nobody needs is a hole."""
    return [
        f"{source} no longer loads {target} lazily; drop the row from LAZY"
        for source, targets in rules.lazy.items()
        for target in targets
        if source in modules and target in modules
        if not any(i.kind == "lazy" and i.target == target for i in modules[source].imports)
    ]
