"""What a workload is, and what it means that two systems agree on it. Imports NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
#: Named arrays: those of NumPy, or the same as a system has them.
Data = Mapping[str, Any]
Sizes = Mapping[str, int]

#: The largest difference from the reference that passes, of the largest element of the reference.
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


class Program(NamedTuple):
    """What one system made of a workload: a function, the arguments of every call."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Workload:
    """One computation, in the terms of every system.

    `versions` says by package how to make a `Program` of the package and the data; the one for PyTorch gets
    `systems.TorchForms`, which does eagerly or compiled what is asked of it. All versions return the same
    outputs in the same order.
    """

    name: str
    title: str
    inputs: Callable[..., dict[str, Array]]  # of a random generator, and the sizes
    versions: Mapping[str, Callable[..., Program]]
    outputs: tuple[str, ...]
    sizes: Sizes
    tiny: Sizes  # for tests
    small_call: bool = False  # the time is that of the call, not of the arithmetic
    moved: Callable[..., int] | None = None  # of the sizes: bytes of all arguments and results, each once
    read: Callable[..., int] | None = None  # of the sizes: bytes whose reading alone is a bound to be shown
    flops: Callable[..., int] | None = None  # of the sizes: only where products of matrices dominate

    def data(self, sizes: Sizes) -> dict[str, Array]:
        """The arguments; the same in every process."""
        return self.inputs(np.random.default_rng(0), **sizes)

    def reference(self, data: Data) -> list[Array]:
        """The results by NumPy in float64, whatever the type of the arguments."""
        exact = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in data.items()}
        program = self.versions["numpy"](np, exact)
        return as_list(program.function(*program.arguments))


def as_list(results: Any) -> list[Array]:
    """Results as arrays, flat and in order."""
    if isinstance(results, (tuple, list)):
        return [array for part in results for array in as_list(part)]
    return [np.asarray(results)]


@dataclass(frozen=True)
class Difference:
    """The largest difference of an output from the reference, relative to the largest element there."""

    output: str
    relative: float
    allowed: float

    @property
    def passes(self) -> bool:
        return self.relative <= self.allowed  # NaN does not


def differences(
    outputs: Sequence[str], found: Sequence[Array], reference: Sequence[Array]
) -> list[Difference]:
    """How far each output is from the reference; integers have to be equal.

    Raises:
        ValueError: when the outputs are not as many, or not of the shapes, of the reference.
    """
    if len(found) != len(outputs) or len(reference) != len(outputs):
        raise ValueError(f"{len(outputs)} outputs, {len(found)} found, {len(reference)} in the reference")
    return [_difference(*row) for row in zip(outputs, found, reference, strict=True)]


def _difference(output: str, found: Array, reference: Array) -> Difference:
    if found.shape != reference.shape:
        raise ValueError(f"{output} has the shape {found.shape}, not {reference.shape}")
    if not np.issubdtype(found.dtype, np.floating):
        return Difference(output, float(np.mean(found != reference)), 0.0)
    largest = float(np.max(np.abs(reference)))
    apart = float(np.max(np.abs(found.astype(np.float64) - reference)))
    return Difference(output, apart / largest, TOLERANCE[found.dtype.name])
