"""Python types whose instances are called natively: heap types with a vectorcall slot.

An instance is an ordinary object (attributes, methods, weak references, subclasses) followed by two words:
where its entry code starts, and its context.
"""

from __future__ import annotations

import ctypes
from typing import Any

_BASE_TYPE, _HAVE_VECTORCALL, _DEFAULT = 1 << 10, 1 << 11, 1 << 18
_TP_CALL, _TP_MEMBERS = 50, 72
_T_PYSSIZET, _READ_ONLY = 19, 1


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("value", ctypes.c_void_p)]


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    ]


class Launcher:
    """Runs a program on arrays that are checked already; the native subclass is what is used."""

    __slots__ = ("__weakref__",)


#: Where the two words are in an instance: behind the fields of any class that is used here.
OFFSET = 96


def native_type(base: type, name: str) -> type:
    """A subclass of `base` with entry code and a context behind its own fields."""
    if base.__basicsize__ > OFFSET:
        raise TypeError(f"{base.__name__} has too many fields for a native subclass")
    members = (_Member * 2)(
        _Member(b"__vectorcalloffset__", _T_PYSSIZET, OFFSET, _READ_ONLY, None), _Member()
    )
    call = ctypes.cast(ctypes.pythonapi.PyVectorcall_Call, ctypes.c_void_p).value
    slots = (_Slot * 3)(_Slot(_TP_CALL, call), _Slot(_TP_MEMBERS, ctypes.addressof(members)), _Slot(0, None))
    encoded = name.encode()
    spec = _Spec(encoded, OFFSET + 16, 0, _DEFAULT | _BASE_TYPE | _HAVE_VECTORCALL, slots)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object)(
        ("PyType_FromSpecWithBases", ctypes.pythonapi)
    )
    made: type = make(ctypes.addressof(spec), (base,))
    _kept.append((members, slots, encoded, spec))
    return made


def connect(instance: Any, entry: int, context: int) -> None:
    """Give an instance of a native type its entry code and its context. Both must outlive it."""
    ctypes.c_void_p.from_address(id(instance) + OFFSET).value = entry
    ctypes.c_void_p.from_address(id(instance) + OFFSET + 8).value = context


_kept: list[Any] = []
