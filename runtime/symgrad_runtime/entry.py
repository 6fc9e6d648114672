"""From the caller's arguments to checked arrays and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from symgrad.conversion import Misfit, exact_array
from symgrad.dims import Size, evaluate, lone_symbol
from symgrad.errors import InputError
from symgrad.types import TensorType


@dataclass(frozen=True)
class Parameter:
    """One input of a program."""

    name: str
    type: TensorType


class Entry:
    """Checks the arguments of one program.

    An argument is taken as it is when it is an array of the right dtype; otherwise it is converted where
    nothing is lost (`symgrad.conversion`): lists and Python numbers, integers that a float input holds,
    byte-swapped arrays.
    """

    def __init__(
        self, function: str, parameters: Sequence[Parameter], sizes: Sequence[str], cast: bool
    ) -> None:
        self.function = function
        self.parameters = tuple(parameters)
        self.sizes = tuple(sizes)
        self.cast = cast
        self._fast = tuple((p.type.dtype.numpy, p.type.ndim) for p in self.parameters)
        self._position = {p.name: i for i, p in enumerate(self.parameters)}
        self._fixed: list[tuple[int, int, int]] = []
        self._bind: list[tuple[int, int]] = []
        self._repeated: list[tuple[int, int, int]] = []
        self._derived: list[tuple[int, int, Any]] = []
        bound: dict[str, int] = {}
        for i, p in enumerate(self.parameters):
            for axis, dim in enumerate(p.type.shape):
                name = lone_symbol(dim)
                if isinstance(dim, int):
                    self._fixed.append((i, axis, dim))
                elif name is None:
                    self._derived.append((i, axis, dim))
                elif name in bound:
                    self._repeated.append((i, axis, bound[name]))
                else:
                    bound[name] = len(bound)
                    self._bind.append((i, axis))
        self._order = tuple(bound[name] for name in self.sizes)
        self._bound_names = tuple(bound)

    def arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """The arguments in order, each an array of the right dtype and rank."""
        if kwargs or len(args) != len(self.parameters):
            args = self._positional(args, kwargs)
        arrays = list(args)
        for i, (dtype, rank) in enumerate(self._fast):
            a = arrays[i]
            if type(a) is not numpy.ndarray or a.dtype != dtype or a.ndim != rank or not a.dtype.isnative:
                arrays[i] = self._convert(i, a)
        return arrays

    def bind(self, arrays: Sequence[Any]) -> tuple[int, ...]:
        """The values of the symbolic sizes, all dimensions checked."""
        for i, axis, expected in self._fixed:
            if arrays[i].shape[axis] != expected:
                raise self._wrong_shape(i, arrays, {})
        if not self._bind:
            return ()
        found = [arrays[i].shape[axis] for i, axis in self._bind]
        for i, axis, k in self._repeated:
            if arrays[i].shape[axis] != found[k]:
                raise self._wrong_shape(i, arrays, dict(zip(self._bound_names, found, strict=True)))
        if self._derived:
            values = dict(zip(self._bound_names, found, strict=True))
            for i, axis, dim in self._derived:
                if arrays[i].shape[axis] != evaluate(dim, values):
                    raise self._wrong_shape(i, arrays, values)
        return tuple([found[k] for k in self._order])

    def _positional(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        names = [p.name for p in self.parameters]
        signature = f"{self.function}({', '.join(names)})"
        if len(args) > len(names):
            raise InputError(
                f"{self.function} takes {len(names)} arguments, got {len(args)}",
                facts=[("expected", signature)],
            )
        missing = object()
        values: list[Any] = [*args, *[missing] * (len(names) - len(args))]
        for name, value in kwargs.items():
            position = self._position.get(name)
            if position is None:
                raise InputError(
                    f"{self.function} has no input called {name!r}",
                    facts=[("expected", signature), ("got", name)],
                    hint=_closest(name, names),
                )
            if position < len(args):
                raise InputError(f"the input {name!r} is given twice", facts=[("expected", signature)])
            values[position] = value
        absent = [n for n, v in zip(names, values, strict=True) if v is missing]
        if absent:
            raise InputError(
                f"{self.function} needs {', '.join(map(repr, absent))}",
                facts=[("expected", signature), ("got", f"{len(args) + len(kwargs)} arguments")],
            )
        return tuple(values)

    def _convert(self, i: int, value: Any) -> Any:
        parameter = self.parameters[i]
        try:
            array = exact_array(value, parameter.type.dtype, self.cast)
        except Misfit as misfit:
            raise self._misfit(parameter, misfit) from misfit.__cause__
        if array.ndim != parameter.type.ndim:
            raise self._wrong_shape_of(parameter, array.shape, {})
        return array

    def _misfit(self, parameter: Parameter, misfit: Misfit) -> InputError:
        facts = [("expected", parameter.type), ("got", misfit.got)]
        wanted = parameter.type.dtype
        if misfit.is_value:
            return InputError(
                f"{self.function}: the input {parameter.name!r} takes {wanted}, which does not hold "
                f"{misfit.number}",
                facts=facts,
                hint=None if wanted.kind in ("int", "uint") else "compile with cast=True to round it",
            )
        if misfit.is_dtype:
            return InputError(
                f"{self.function}: the input {parameter.name!r} takes {wanted}, not {misfit.got.split()[-1]}",
                facts=facts,
                hint=f"{parameter.name}.astype({wanted.name!r}), or compile with cast=True",
            )
        return InputError(
            f"the input {parameter.name!r} of {self.function} is not an array of numbers", facts=facts
        )

    def _wrong_shape(self, i: int, arrays: Sequence[Any], values: Mapping[str, int]) -> InputError:
        return self._wrong_shape_of(self.parameters[i], arrays[i].shape, values)

    def _wrong_shape_of(
        self, parameter: Parameter, shape: tuple[int, ...], values: Mapping[str, int]
    ) -> InputError:
        names = {
            n for d in parameter.type.shape if isinstance(d, Size) for n in [lone_symbol(d)] if n in values
        }
        sizes = [(str(n), f"{values[str(n)]}, from {self._source(str(n))}") for n in sorted(map(str, names))]
        return InputError(
            f"the input {parameter.name!r} of {self.function} has the wrong shape",
            facts=[("expected", parameter.type), ("got", f"shape {shape}"), *sizes],
        )

    def _source(self, symbol: str) -> str:
        i, axis = self._bind[self._bound_names.index(symbol)]
        return f"axis {axis} of {self.parameters[i].name}"


def _closest(name: str, names: Sequence[str]) -> str | None:
    """A likely meant name, by shared letters."""
    likely = [n for n in names if n.lower() == name.lower() or n.startswith(name) or name.startswith(n)]
    return f"did you mean {likely[0]!r}?" if likely else None
