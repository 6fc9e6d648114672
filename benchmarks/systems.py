"""The systems that are compared: how each is loaded, gets its arrays, is called and waited for.

Nothing here is imported before it is asked for: each system runs in a process of its own, in an environment
of its own if need be.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial, reduce
from itertools import pairwise
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Data, Program, Sizes, Workload

ROOT = Path(__file__).resolve().parents[1]


class System:
    """NumPy, and what the others change.

    `load` imports the package and runs one trivial program, so that neither imports nor what a
    package starts on its first use count as part of a workload's first result.
    """

    version = "numpy"  # whose form of a workload it runs
    package = "numpy"
    #: By name of a way to call it: what one call is. `{a}` are the arguments, `f` the function.
    ways: Mapping[str, str] = {"": "f({a})"}
    #: Environment of the process: what must be set before the package is imported.
    #: OpenBLAS's threads would wait for more work into the turns of others.
    environment: Mapping[str, str] = {"OPENBLAS_THREAD_TIMEOUT": "8"}
    #: As `environment`, for folders that caches are kept in, each within the folder given.
    caches: Mapping[str, str] = {}

    module: Any

    def load(self) -> str:
        """Import and start it; returns its version."""
        self.module = importlib.import_module(self.package)
        return str(self.module.__version__)

    def array(self, value: Any) -> Any:
        return value

    def make(self, workload: Workload, data: Data, sizes: Sizes) -> Program:
        return workload.versions[self.version](self.module, data)

    def names(self, program: Program, way: str) -> dict[str, Any]:
        """What else a call refers to."""
        return {}

    def plan(self, program: Program) -> str:
        return ""


class Symgrad(System):
    version = package = "symgrad"
    ways: Mapping[str, str] = {"": "f({a})", "into": "into(out, {a})"}
    caches: Mapping[str, str] = {"SYMGRAD_CACHE_DIR": "symgrad"}

    def load(self) -> str:
        found = super().load()
        x = self.module.scalar("x")
        self.module.function([x], x + 1)(1.0)
        return found

    def names(self, program: Program, way: str) -> dict[str, Any]:
        if way != "into":
            return {}
        function, arguments = program
        found = function(*arguments)
        out = [np.array(r) for r in found] if isinstance(found, list) else np.array(found)
        return {"into": function.into, "out": out}

    def plan(self, program: Program) -> str:
        return str(program.function.plan())


class Jax(System):
    version = package = "jax"
    ways: Mapping[str, str] = {"": "wait(f({a}))"}
    environment: Mapping[str, str] = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}

    def load(self) -> str:
        found = super().load()
        importlib.import_module("jax.scipy.special")
        self.module.jit(lambda x: x + 1)(1.0).block_until_ready()
        return found

    def array(self, value: Any) -> Any:
        return self.module.numpy.asarray(value).block_until_ready()

    def names(self, program: Program, way: str) -> dict[str, Any]:
        one = isinstance(program.function(*program.arguments), self.module.Array)
        return {"wait": methodcaller("block_until_ready") if one else self.module.block_until_ready}


class TorchForms:
    """PyTorch's ways to derivatives, eagerly and compiled: what is idiomatic, and fastest, differs.

    Eagerly all go by the tape. Compiled, the gradient is part of the graph; only `value_and_pullback` was
    found faster as a compiled forward function, whose tape is compiled too.
    """

    def __init__(self, torch: Any, compiler: Callable[..., Any] | None) -> None:
        self.torch, self.compiler = torch, compiler

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self.compiler(function) if self.compiler else function

    def value_and_gradient(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., Any]:
        """Of tensors to (value, gradients...)."""
        torch = self.torch

        def by_tape(*a: Any) -> Any:
            leaves = [x.detach().requires_grad_() if i in wrt else x for i, x in enumerate(a)]
            y = function(*leaves)
            return y.detach(), *torch.autograd.grad(y, [leaves[i] for i in wrt])

        def as_graph(*a: Any) -> Any:
            slopes, y = torch.func.grad_and_value(function, wrt)(*a)
            return y, *slopes

        return self.compiler(as_graph) if self.compiler else by_tape

    def derivative(self, function: Callable[..., Any], order: int = 1) -> Callable[..., Any]:
        """Of one tensor to the derivative of the sum of a function's elements, taken so many times."""
        torch = self.torch

        def by_tape(x: Any) -> Any:
            leaf = x.detach().requires_grad_()
            y = function(leaf)
            for left in reversed(range(order)):
                (y,) = torch.autograd.grad(y.sum(), leaf, create_graph=left > 0)
            return y

        def again(f: Callable[..., Any]) -> Callable[..., Any]:
            return torch.func.grad(lambda x: f(x).sum())

        return (
            self.compiler(reduce(lambda f, _: again(f), range(order), function)) if self.compiler else by_tape
        )

    def hessian_product(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., Any]:
        """Of tensors and the vectors, last, to the products of the Hessian by `wrt` with them.

        Eagerly the gradient of the gradient's product with the vectors; compiled, forward mode over it.
        """
        torch = self.torch

        def by_tape(*a: Any) -> Any:
            given, vectors = a[: -len(wrt)], a[-len(wrt) :]
            leaves = [x.detach().requires_grad_() if i in wrt else x for i, x in enumerate(given)]
            weights = [leaves[i] for i in wrt]
            slopes = torch.autograd.grad(function(*leaves), weights, create_graph=True)
            return torch.autograd.grad(slopes, weights, vectors)

        def as_graph(*a: Any) -> Any:
            given, vectors = a[: -len(wrt)], a[-len(wrt) :]

            def gradient(*weights: Any) -> Any:
                full = list(given)
                for i, w in zip(wrt, weights, strict=True):
                    full[i] = w
                return torch.func.grad(function, wrt)(*full)

            return torch.func.jvp(gradient, tuple(given[i] for i in wrt), tuple(vectors))[1]

        return self.compiler(as_graph) if self.compiler else by_tape

    def value_and_pullback(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Of tensors and the cotangent, last, to (value, gradients...)."""
        torch, forward = self.torch, self.compiled(function)

        def by_tape(*a: Any) -> Any:
            leaves = [x.detach().requires_grad_() for x in a[:-1]]
            y = forward(*leaves)
            return y.detach(), *torch.autograd.grad(y, leaves, a[-1])

        return by_tape


class Torch(System):
    version = package = "torch"

    def load(self) -> str:
        found = super().load()
        forms = TorchForms(self.module, self.compile())
        forms.value_and_gradient(lambda x: x.sum(), (0,))(self.module.ones(100))
        return found

    def array(self, value: Any) -> Any:
        return self.module.from_numpy(value)

    def compile(self) -> Callable[..., Any] | None:
        """What compiles a function; None: nothing does."""
        return None

    def make(self, workload: Workload, data: Data, sizes: Sizes) -> Program:
        return workload.versions["torch"](TorchForms(self.module, self.compile()), data)


class TorchCompile(Torch):
    caches: Mapping[str, str] = {"TORCHINDUCTOR_CACHE_DIR": "torch"}

    def compile(self) -> Callable[..., Any]:
        return partial(self.module.compile, fullgraph=True)


class PyTensor(System):
    version = package = "pytensor"
    mode = "NUMBA"

    def load(self) -> str:
        found = super().load()
        tensor = importlib.import_module("pytensor.tensor")
        self.module.config.mode = self.mode
        x = tensor.dscalar("x")
        self.module.function([x], x + 1)(1.0)
        return found

    def make(self, workload: Workload, data: Data, sizes: Sizes) -> Program:
        program = super().make(workload, data, sizes)
        program.function.trust_input = True  # skips checks of arguments
        return program


class PyTensorC(PyTensor):
    mode = "CVM"


class Copy(System):
    """A copy by as many threads as there are cores, of as many bytes as the workload must move."""

    def make(self, workload: Workload, data: Data, sizes: Sizes) -> Program:
        assert workload.moved is not None
        return copy_program(workload.moved(**sizes))


def copy_program(moved: int) -> Program:
    """A copy that reads half of so many bytes and writes the other half."""
    count = os.cpu_count() or 1
    source, target = np.ones(moved // 16), np.ones(moved // 16)
    bounds = [moved // 16 * i // count for i in range(count + 1)]
    pool = ThreadPoolExecutor(count)

    def copy() -> None:
        for done in [pool.submit(np.copyto, target[i:j], source[i:j]) for i, j in pairwise(bounds)]:
            done.result()

    return Program(copy, ())


class Read(Symgrad):
    """A sum, by as many threads as there are cores, of as many bytes as the workload must read."""

    ways: Mapping[str, str] = {"": "f({a})"}

    def make(self, workload: Workload, data: Data, sizes: Sizes) -> Program:
        assert workload.read is not None
        x = self.module.vector("x", size="n", dtype="float32")
        values = np.ones(workload.read(**sizes) // 4, np.float32)
        return Program(self.module.function([x], self.module.sum(x)), (values,))


#: What shows a bound of the machine, in its turn among the systems.
YARDSTICKS = ("copy", "read")

SYSTEMS: dict[str, type[System]] = {
    "symgrad": Symgrad,
    "numpy": System,
    "jax": Jax,
    "torch": Torch,
    "torch.compile": TorchCompile,
    "pytensor": PyTensor,
    "pytensor-c": PyTensorC,
    "copy": Copy,
    "read": Read,
}


def environment(system: str, folder: Path) -> dict[str, str]:
    """The environment of a system's process, all its caches in the folder."""
    kind = SYSTEMS[system]
    added = dict(kind.environment)
    added |= {name: str(folder / part) for name, part in kind.caches.items()}
    roots = [str(ROOT / part) for part in (".", "compiler", "runtime")]  # whatever symgrad is installed
    added["PYTHONPATH"] = os.pathsep.join([*roots, os.environ.get("PYTHONPATH", "")])
    if kind.version == "pytensor":
        added["PYTENSOR_FLAGS"] = f"base_compiledir={folder / 'pytensor'}"
    return os.environ | added
