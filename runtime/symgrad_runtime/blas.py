"""Where BLAS is: the functions that SciPy exports to Cython, as addresses."""

from __future__ import annotations

import ctypes

from scipy.linalg import cython_blas

_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def address(function: str) -> int:
    """The address of "sgemm", "dgemm", ..."""
    capsule = cython_blas.__pyx_capi__[function]
    found: int = _pointer(capsule, _name(capsule))
    return found
