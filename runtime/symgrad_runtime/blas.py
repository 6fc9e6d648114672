"""Where BLAS is: the functions that SciPy exports to Cython, as addresses."""

from __future__ import annotations

import ctypes
import importlib
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import scipy

_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_MODULE = "scipy.linalg.cython_blas"


@cache
def _cython_blas() -> Any:
    """The module by its file, without scipy.linalg around it, which takes ten times as long to import."""
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    finder = FileFinder(
        str(Path(scipy.__file__).parent / "linalg"), (ExtensionFileLoader, EXTENSION_SUFFIXES)
    )
    found = finder.find_spec("cython_blas")
    spec = None if found is None else spec_from_file_location(_MODULE, found.origin)
    if spec is None or spec.loader is None:  # a SciPy that is laid out in another way
        return importlib.import_module("scipy.linalg.cython_blas")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop(
        _MODULE, None
    )  # Cython enters it; an import would not make it an attribute of scipy.linalg
    return module


def address(function: str) -> int:
    """The address of "sgemm", "dgemm", ..."""
    capsule = _cython_blas().__pyx_capi__[function]
    found: int = _pointer(capsule, _name(capsule))
    return found
