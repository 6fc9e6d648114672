"""SciPy's LAPACK and BLAS as a table of addresses for native code. Loaded by the first program that needs
one."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy
import scipy.linalg.cython_blas
import scipy.linalg.cython_lapack


@lru_cache(maxsize=1)
def table(routines: Sequence[str]) -> Any:
    """The addresses of routines, each for float32, then for float64, as an array of 8-byte words."""
    return numpy.array([_address(kind + name) for name in routines for kind in "sd"], numpy.int64)


def _address(name: str) -> int:
    for module in (scipy.linalg.cython_lapack, scipy.linalg.cython_blas):
        capsule = module.__pyx_capi__.get(name)
        if capsule is not None:
            return _pointer(capsule, name)
    raise ImportError(f"SciPy has no {name}")


def _pointer(capsule: Any, name: str) -> int:
    python = ctypes.pythonapi
    title = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", python))(capsule)
    if b"int *" not in title:
        raise ImportError(f"SciPy's {name} does not take ints: {title.decode()}")
    getter = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", python)
    )
    found: int = getter(capsule, title)
    return found
