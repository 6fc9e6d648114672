"""The layers of symgrad as tables, held against the sources; and the checker, held against wrong trees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from tests.layering import Rules, read_packages, violations

ROOT = Path(__file__).parent.parent

PACKAGES = {
    "symgrad": "symgrad",
    "symgrad_compiler": "compiler/symgrad_compiler",
    "symgrad_runtime": "runtime/symgrad_runtime",
}

# Bottom to top. An import points down; names on one row do not import each other. Inside one name (a
# package such as symgrad.ir) any order without cycles is fine.
LAYERS = (
    ("symgrad.errors", "symgrad.lazy", "symgrad.locks"),
    ("symgrad.records",),
    ("symgrad.dims",),
    ("symgrad.types",),  # above dims: a type has a shape
    ("symgrad.conversion",),
    ("symgrad.registry", "symgrad.proofs", "symgrad_runtime"),
    ("symgrad.ir",),
    ("symgrad.text",),
    ("symgrad.ops",),
    ("symgrad.nn", "symgrad.optim", "symgrad.fft", "symgrad.linalg", "symgrad.special"),
    ("symgrad_compiler.autodiff", "symgrad_compiler.rewrite"),
    ("symgrad_compiler.validate",),
    ("symgrad_compiler.passes",),
    ("symgrad_compiler.plan",),
    ("symgrad_compiler.backends",),
    ("symgrad_compiler.explain", "symgrad_compiler.driver"),
    ("symgrad_compiler",),
    ("symgrad.api",),
    ("symgrad.train", "symgrad.check", "symgrad.interop"),
    ("symgrad.cli",),
    ("symgrad.__main__",),
    ("symgrad",),  # the face: typing imports only, names load lazily
)

# The runtime knows no ops, and nothing that describes graphs knows the runtime.
FIRST_USER = {"symgrad_runtime": "symgrad_compiler.autodiff"}

FACES = frozenset({"symgrad"})

THIRD_PARTY = frozenset({"numpy"})

# Heavy package -> the modules that import it, at their top. An owner is itself only loaded lazily.
OWNERS = {
    "sympy": ("symgrad.proofs",),
    "networkx": ("symgrad.interop.networkx",),
    "llvmlite": ("symgrad_compiler.backends.llvm",),
    "scipy": (
        "symgrad_compiler.backends.special",
        "symgrad_compiler.backends.fft",
        "symgrad_compiler.backends.matrices",
        "symgrad_runtime.lapack",
    ),
    "matplotlib": (),
}

# Module -> what it may load by importlib.import_module("..."), inside a function.
LAZY = {
    "symgrad.dims": ("symgrad.proofs",),
    "symgrad_compiler.backends.numpy": (
        "symgrad_compiler.backends.special",
        "symgrad_compiler.backends.fft",
        "symgrad_compiler.backends.matrices",
    ),
    "symgrad_compiler.backends.llvm.compile": (
        "symgrad_compiler.backends.llvm.cold",
        "symgrad_compiler.backends.llvm.looks",
        "symgrad_compiler.backends.llvm.entry",
        "symgrad_compiler.backends.llvm.contract.emit",
        "symgrad_compiler.backends.llvm.callbacks",
        "symgrad_runtime.lapack",
    ),
    "symgrad_compiler.backends.llvm.module": ("symgrad_compiler.backends.llvm.convolve.step",),
    "symgrad_compiler.driver": (
        "symgrad_compiler.backends.llvm.compile",
        "symgrad_compiler.backends.llvm.limits",
    ),
    "symgrad_compiler.validate.interpret": (
        "symgrad_compiler.backends.special",
        "symgrad_compiler.backends.fft",
        "symgrad_compiler.backends.matrices",
    ),
    "symgrad.api.profile": ("matplotlib.figure",),
    "symgrad.ir.graph": ("symgrad.interop.networkx", "symgrad.api.language"),
    "symgrad_compiler.plan.recompute": ("symgrad.interop.networkx",),
}

RULES = Rules(LAYERS, FIRST_USER, FACES, THIRD_PARTY, OWNERS, LAZY)


def test_the_sources_keep_the_layers() -> None:
    modules = read_packages({name: ROOT / folder for name, folder in PACKAGES.items()})
    assert modules.keys() >= PACKAGES.keys(), "every package has an __init__.py"
    found = violations(modules, RULES)
    assert not found, "\n".join(["the rules are in tests/test_layering.py:", *found])


def test_the_tables_agree_with_each_other() -> None:
    names = [name for row in LAYERS for name in row]
    assert len(names) == len(set(names))
    assert FIRST_USER.keys() | set(FIRST_USER.values()) | FACES <= set(names)
    for module in [*LAZY, *(owner for owners in OWNERS.values() for owner in owners)]:
        assert RULES.unit(module), module


# The checker, on trees small enough to see what is wrong -------------------------------------------------

GOOD = {
    "symgrad/__init__.py": """
        import importlib
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from symgrad.api import grad
        def __getattr__(name):
            return getattr(importlib.import_module(HOME[name]), name)
    """,
    "symgrad/errors.py": "from __future__ import annotations\nimport os.path",
    "symgrad/dims.py": """
        import importlib
        from symgrad.errors import ShapeError
        def is_zero(d):
            return importlib.import_module("symgrad.proofs").is_zero(d)
    """,
    "symgrad/proofs.py": "import sympy\nfrom symgrad import dims",
    "symgrad/ir/__init__.py": "from symgrad.ir.op import Op\nfrom .tensor import Tensor",
    "symgrad/ir/op.py": """
        import typing
        from symgrad.errors import GraphError
        if typing.TYPE_CHECKING:
            from symgrad.ir.tensor import Tensor
            import scipy.special
    """,
    "symgrad/ir/tensor.py": "import numpy as np\nfrom . import op\nfrom ..dims import is_zero",
    "symgrad/ops/kinds.py": "from symgrad.ir import Tensor, op",
    "symgrad/api.py": "import symgrad_compiler.driver\nfrom symgrad_runtime.program import Program",
    "symgrad_compiler/__init__.py": "from symgrad_compiler.driver import compile_graph",
    "symgrad_compiler/driver.py": "from symgrad_compiler.plan import fuse\nfrom symgrad.ops import kinds",
    "symgrad_compiler/plan/__init__.py": "",
    "symgrad_compiler/plan/fuse.py": "import symgrad_runtime.program",
    "symgrad_compiler/backends/llvm/__init__.py": "from symgrad_compiler.backends.llvm import loops",
    "symgrad_compiler/backends/llvm/loops.py": "from llvmlite import ir",
    "symgrad/ops/__init__.py": "",
    "symgrad/interop/__init__.py": "",
    "symgrad_runtime/__init__.py": "",
    "symgrad_runtime/program.py": "from symgrad.errors import SymgradError",
}

BAD = {
    "up": ("symgrad/ir/graph.py", "from symgrad.ops import kinds", "higher layer"),
    "up, relative": ("symgrad/ir/graph.py", "from .. import ops", "symgrad.ops, which is a higher layer"),
    "up, from a package": (
        "symgrad/dims.py",
        "from symgrad import ir",
        "symgrad.ir, which is a higher layer",
    ),
    "up, by typing": (
        "symgrad/ir/graph.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import symgrad.api",
        "higher layer",
    ),
    "up, in the other branch of typing": (
        "symgrad/errors.py",
        "import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    import symgrad.dims",
        "higher layer",
    ),
    "up, optional": (
        "symgrad/errors.py",
        "try:\n    import symgrad.dims\nexcept ImportError:\n    pass",
        "higher",
    ),
    "up, to the face": (
        "symgrad_compiler/explain.py",
        "import symgrad",
        "imports symgrad, which is a higher",
    ),
    "up, to a name of the face": (
        "symgrad/cli.py",
        "from symgrad import grad",
        "imports symgrad, which is a hi",
    ),
    "up, inside the compiler": (
        "symgrad_compiler/plan/fuse.py",
        "import symgrad_compiler.driver",
        "higher layer",
    ),
    "up, from the runtime": ("symgrad_runtime/entry.py", "import symgrad.ir", "higher layer"),
    "beside": ("symgrad/train.py", "import symgrad.interop", "beside it"),
    "beside, in the compiler": ("symgrad_compiler/explain.py", "from . import driver", "beside it"),
    "runtime from below the compiler": (
        "symgrad/ops/sort.py",
        "import symgrad_runtime.program",
        "which only",
    ),
    "runtime by typing": (
        "symgrad/ops/sort.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import symgrad_runtime.program",
        "which only",
    ),
    "face not lazy": ("symgrad/__init__.py", "from symgrad.errors import ShapeError", "a face loads lazily"),
    "in a function": ("symgrad/dims.py", "def f():\n    import symgrad.errors", "inside a function or class"),
    "in an async method": (
        "symgrad/dims.py",
        "class C:\n    async def f(self):\n        if True:\n            from os import path",
        "inside a function or class",
    ),
    "in a class": ("symgrad/dims.py", "class C:\n    import json", "inside a function or class"),
    "in a function of a face": (
        "symgrad/__init__.py",
        "def f():\n    import symgrad.errors",
        "inside a func",
    ),
    "heavy": ("symgrad/ops/plot.py", "import matplotlib.pyplot", "belongs to no module"),
    "heavy, not its owner": ("symgrad/dims.py", "from sympy import Symbol", "belongs to symgrad.proofs"),
    "owner's package loaded statically": (
        "symgrad_compiler/driver.py",
        "from symgrad_compiler.backends.llvm import loops",
        "the owner of a heavy package",
    ),
    "unlisted third party": ("symgrad/train.py", "from tqdm import tqdm", "neither THIRD_PARTY nor OWNERS"),
    "lazy, not listed": (
        "symgrad/api.py",
        "import importlib\ndef f():\n    return importlib.import_module('symgrad.proofs')",
        "only the rows of LAZY may",
    ),
    "lazy, third party": (
        "symgrad/dims.py",
        "from importlib import import_module\nf = lambda: import_module('sympy')",
        "only the rows of LAZY may",
    ),
    "lazy, computed": (
        "symgrad/dims.py",
        "import importlib\ndef f(n):\n    return importlib.import_module(n)",
        "not a plain literal",
    ),
    "lazy, dunder": (
        "symgrad/dims.py",
        "def f():\n    return __import__('sympy')",
        "only the rows of LAZY may",
    ),
    "lazy at the top": (
        "symgrad/errors.py",
        "import importlib\nclass C:\n    d = importlib.import_module('symgrad.dims')",
        "while it loads",
    ),
    "lazy row unused": ("symgrad/dims.py", "x = 1", "no longer loads symgrad.proofs"),
    "no such module": ("symgrad/api.py", "import symgrad.nowhere", "does not exist"),
    "no layer": ("symgrad/utils.py", "x = 1", "symgrad.utils has no layer"),
    "no layer in the compiler": ("symgrad_compiler/utils/x.py", "x = 1", "has no layer"),
    "cycle": (
        "symgrad/ir/op.py",
        "import symgrad.ir.tensor",
        "cycle: ",
    ),
    "cycle through an __init__": ("symgrad/ir/op.py", "from symgrad.ir import Tensor", "cycle: "),
}


def found_in(root: Path, files: dict[str, str], rules: Rules = RULES) -> list[str]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text), encoding="utf-8")
    return violations(read_packages({name: root / name for name in PACKAGES}), rules)


def test_a_good_tree_passes(tmp_path: Path) -> None:
    assert found_in(tmp_path, GOOD) == []


@pytest.mark.parametrize(("name", "text", "message"), BAD.values(), ids=BAD.keys())
def test_one_wrong_module_is_found(tmp_path: Path, name: str, text: str, message: str) -> None:
    found = found_in(tmp_path, GOOD | {name: text})
    assert any(message in line for line in found), found


@pytest.mark.parametrize("kept", ["symgrad/errors.py", "symgrad/ir/op.py"])
def test_a_message_has_file_and_line(tmp_path: Path, kept: str) -> None:
    found = found_in(tmp_path, GOOD | {kept: "x = 1\nimport symgrad.cli"})
    assert f"{tmp_path / kept}:2: " in found[0]


def test_a_cycle_is_named_in_the_order_of_import(tmp_path: Path) -> None:
    files = {
        "symgrad/ir/a.py": "from symgrad.ir import b",
        "symgrad/ir/b.py": "from symgrad.ir import c",
        "symgrad/ir/c.py": "from symgrad.ir import a",
    }
    (cycle,) = found_in(tmp_path, files)
    chain = cycle.removeprefix("cycle: ").split(" imports ")
    following = {
        "symgrad.ir.a": "symgrad.ir.b",
        "symgrad.ir.b": "symgrad.ir.c",
        "symgrad.ir.c": "symgrad.ir.a",
    }
    assert [following[name] for name in chain[:-1]] == chain[1:]


def test_an_owner_is_loaded_lazily_or_for_typing_only(tmp_path: Path) -> None:
    rules = replace(
        RULES, owners={"sympy": ("symgrad.proofs",)}, lazy={"symgrad.ir.graph": ("symgrad.proofs",)}
    )
    files = {"symgrad/proofs.py": "import sympy"}
    static = {"symgrad/ir/graph.py": "from symgrad import proofs"}
    lazy = {
        "symgrad/ir/graph.py": "import importlib\ndef f():\n    importlib.import_module('symgrad.proofs')"
    }
    typing = {"symgrad/ir/verify.py": "import typing\nif typing.TYPE_CHECKING:\n    import symgrad.proofs"}
    assert found_in(tmp_path, files | lazy | typing, rules) == []
    assert "the owner of a heavy package" in found_in(tmp_path, files | static, rules)[0]
